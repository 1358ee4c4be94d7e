"""Experts that let labels spread along a graph of near neighbours, labelled rows or not."""

import numpy as np
import scipy.sparse as sparse
from sklearn.neighbors import NearestNeighbors

from keras_ssvae.evidence.rows import KnownRows

__all__ = []

TINY = 1e-12


class NeighborGraph:
    """The k nearest neighbours of n rows, (n, d), with weights that follow the local scale.

    The weight of an edge is exp(-d^2 / (s_i s_j)), with s the distance to the k-th neighbour (L. Zelnik-Manor, P. Perona 2004,
    "Self-Tuning Spectral Clustering", section 2.1).
    """

    def __init__(self, x: np.ndarray, k: int):
        self._k = min(k, len(x) - 1)
        self._search = NearestNeighbors(n_neighbors=self._k + 1, algorithm="brute").fit(x)
        distance, neighbor = self._search.kneighbors(x)
        itself = neighbor == np.arange(len(x))[:, None]
        itself[~itself.any(axis=1), -1] = True  # of many copies, any
        distance, neighbor = (a[~itself].reshape(len(x), self._k) for a in (distance, neighbor))
        self._scale = np.maximum(distance[:, -1], TINY)
        weight = np.exp(-np.square(distance) / (self._scale[:, None] * self._scale[neighbor]))
        start = np.repeat(np.arange(len(x)), self._k)
        edges = sparse.csr_matrix((weight.ravel(), (start, neighbor.ravel())), shape=(len(x),) * 2)
        edges = edges.maximum(edges.T)
        root = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(edges.sum(axis=1)).ravel(), TINY)))
        self._edges = root @ edges @ root

    def spread(self, marks: np.ndarray, alpha: float) -> np.ndarray:
        """(1 - alpha) (I - alpha S)^-1 marks, (n, m): labels as they come to rest.

        D. Zhou et al. (2003), "Learning with Local and Global Consistency", eq. 4.
        """
        spread = marks
        for _ in range(round(4 / (1 - alpha))):
            spread = alpha * (self._edges @ spread) + (1 - alpha) * marks
        return spread

    def extended(self, values: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The values of rows of the graph, (n, m), for other rows, by their nearest ones."""
        distance, neighbor = self._search.kneighbors(x, self._k)
        scale = np.maximum(distance[:, -1:], TINY)
        weight = np.exp(-np.square(distance) / (scale * self._scale[neighbor])) + TINY
        return np.einsum("nk,nkm->nm", weight / weight.sum(axis=1, keepdims=True), values[neighbor])


def propagation(
    known: KnownRows, rows: np.ndarray, graph: NeighborGraph, alpha: float, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What labels that spread say of the rows of the graph and of others after them, (n, n_classes), and of labelled rows whose
    label was left out.

    Each class is scaled to its share of the rows without a label, `shares`, (n_classes,), as in X. Zhu et al. (2003),
    "Semi-Supervised Learning Using Gaussian Fields and Harmonic Functions", section 4.
    """
    n_folds, n, classes = known.fold.max() + 1, len(known.y), known.n_classes
    marks = np.zeros((n, n_folds + 1, classes))
    for k in range(n_folds + 1):
        shown = known.fold != k
        rows_shown = known.labeled[shown]
        marks[rows_shown, k, known.y[rows_shown]] = 1.0
    spread = graph.spread(marks.reshape(n, -1), alpha).reshape(marks.shape)
    targets = np.stack([*(known.prior_of(known.without(k)) for k in range(n_folds)), shares])
    spread *= targets / np.maximum(np.average(spread, axis=0, weights=known.weight), TINY)
    total = spread.sum(axis=-1, keepdims=True)
    said = np.where(total > TINY, spread / np.maximum(total, TINY), targets)
    everything, more = said[:, -1], rows[n:]
    if len(more):
        everything = np.concatenate([everything, graph.extended(everything, more)])
    return everything, said[known.labeled, known.fold]
