"""The rows that experts learn from: each only once, few enough, and in an order of their own content."""

import dataclasses
import functools
import math

import numpy as np

from keras_ssvae.data.rows import canonical_order

__all__ = []

MAX_LABELED, MAX_UNLABELED = 2000, 4000
MAX_PROJECTED = 3000  # rows from which principal directions are learned


@dataclasses.dataclass(frozen=True)
class KnownRows:
    """n distinct rows, of which any have a label, each with the weight of all its copies.

    `views` are (n, d) matrices in which rows may be compared, by name; "scaled" is always there.
    """

    views: dict[str, np.ndarray]
    y: np.ndarray  # (n,) class indices, negative where unlabelled
    weight: np.ndarray  # (n,)
    n_classes: int

    @property
    def x(self) -> np.ndarray:
        """The scaled columns, (n, d)."""
        return self.views["scaled"]

    @functools.cached_property
    def labeled(self) -> np.ndarray:
        """Indices of the labelled rows, (k,)."""
        return np.flatnonzero(self.y >= 0)

    @functools.cached_property
    def prior(self) -> np.ndarray:
        """The labels' frequencies with one more label for every class, (n_classes,)."""
        return self.prior_of(self.y)

    def prior_of(self, y: np.ndarray) -> np.ndarray:
        """`prior` where only the labels in `y` are known, (n,)."""
        shown = y >= 0
        counts = np.bincount(y[shown], self.weight[shown], minlength=self.n_classes) + 1.0
        return counts / counts.sum()

    @functools.cached_property
    def fold(self) -> np.ndarray:
        """In which fold each labelled row is left out, (k,): the rows of a class are spread over all folds."""
        y, rng = self.y[self.labeled], np.random.RandomState(0)
        n_folds = min(5 if len(y) <= 500 else 3, len(y))
        order = np.concatenate([rng.permutation(np.flatnonzero(y == k)) for k in np.unique(y)])
        fold = np.empty(len(y), int)
        fold[order] = np.arange(len(y)) % n_folds
        return fold

    @functools.cached_property
    def judges(self) -> np.ndarray:
        """Which labelled rows can judge an expert, (k,): those whose class still has a label where theirs is left out."""
        y = self.y[self.labeled]
        return np.array([(y[self.fold != fold] == label).any() for fold, label in zip(self.fold, y, strict=True)])

    def without(self, fold: int) -> np.ndarray:
        """`y` without the labels of a fold."""
        y = self.y.copy()
        y[self.labeled[self.fold == fold]] = -1
        return y


def known_rows(views: dict[str, np.ndarray], y: np.ndarray, weight: np.ndarray, n_classes: int) -> tuple[KnownRows, np.ndarray]:
    """The distinct rows of a fit, and for each of n rows the index of its distinct row; -1 for those that were left out.

    `views` are (n, d) matrices, `y` (n,) class indices and `weight` (n,) how often each row counts.
    """
    x = np.ascontiguousarray(views["scaled"], np.float32)
    order = canonical_order(x, y)
    same = (x[order[1:]] == x[order[:-1]]).all(axis=1) & (y[order[1:]] == y[order[:-1]])
    number = np.concatenate([[0], np.cumsum(~same)])
    first = order[np.concatenate([[True], ~same])]
    total = np.bincount(number, weight[order])
    labeled = y[first] >= 0
    parts = [thinned(np.flatnonzero(labeled), MAX_LABELED), thinned(np.flatnonzero(~labeled), MAX_UNLABELED)]
    kept = np.concatenate(parts)
    place = np.full(len(first), -1)
    place[kept] = np.arange(len(kept))
    index = np.empty(len(y), int)
    index[order] = place[number]
    rows = first[kept]
    known = KnownRows({name: view[rows] for name, view in views.items()}, y[rows], total[kept], n_classes)
    return known, index


def thinned(rows: np.ndarray, at_most: int) -> np.ndarray:
    """Every k-th of these, so that about `at_most` are left."""
    return rows[:: max(1, math.ceil(len(rows) / at_most))]


def principal(x: np.ndarray, weight: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of weighted rows, (d,), and up to `dim` principal directions that explain anything, (d, k)."""
    some = slice(None, None, max(1, math.ceil(len(x) / MAX_PROJECTED)))
    x, weight = x[some].astype(np.float64), weight[some]
    mean = np.average(x, axis=0, weights=weight)
    centered = (x - mean) * np.sqrt(weight / weight.sum())[:, None]
    return mean, directions_of(centered, dim)


def directions_of(centered: np.ndarray, dim: int) -> np.ndarray:
    """Up to `dim` principal directions of rows without their mean, (d, k), that explain anything."""
    if centered.shape[1] <= len(centered):
        values, directions = np.linalg.eigh(centered.T @ centered)
    else:
        values, left = np.linalg.eigh(centered @ centered.T)
        directions = centered.T @ (left / np.sqrt(np.maximum(values, 1e-12)))
    top = np.argsort(values)[::-1][:dim]
    return directions[:, top[values[top] > 1e-9 * max(values.max(), 1e-12)]]
