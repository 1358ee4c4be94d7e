"""Experts that explain labelled and unlabelled rows by one Gaussian a class, fitted by expectation maximisation."""

import numpy as np

from keras_ssvae.evidence.classifiers import softmax
from keras_ssvae.evidence.rows import KnownRows

__all__ = []

N_STEPS = 20
SHRINKAGE = 0.05  # of a covariance towards a sphere


def mixture(known: KnownRows, x: np.ndarray, kind: str, unlabeled_weight: float) -> tuple[np.ndarray, np.ndarray]:
    """What a mixture says of rows, (n, n_classes), and of labelled rows whose label was left out (K. Nigam et al. 2000, "Text
    Classification from Labeled and Unlabeled Documents using EM").

    `x` are rows in the mixture's view, (n, d), of which the first are those of `known`. `kind` is the covariance: "diagonal" or
    "full" of each class, "tied" for all, or "spherical". `unlabeled_weight` is that of a row without a label, in labels.
    """
    left_out = np.empty((len(known.labeled), known.n_classes))
    for k in np.unique(known.fold):
        of = known.fold == k
        left_out[of] = _fitted(known, x, known.without(k), kind, unlabeled_weight, known.labeled[of])
    return _fitted(known, x, known.y, kind, unlabeled_weight, slice(None)), left_out


def _fitted(known, x, y, kind, unlabeled_weight, of):
    """The posterior of some rows under a mixture fitted to the known rows with these labels."""
    if not (y >= 0).any():
        return np.tile(known.prior_of(y), (len(x[of]), 1))
    x_known, given = x[: len(y)], y >= 0
    r, weight = np.eye(known.n_classes)[y] * given[:, None], known.weight * np.where(given, 1.0, unlabeled_weight)
    parameters = _maximised(x_known[given], r[given], known.weight[given], kind, 0.5)
    for _ in range(N_STEPS):
        r = np.where(given[:, None], r, softmax(_log_joint(x_known, parameters)))
        parameters = _maximised(x_known, r, weight, kind, SHRINKAGE)
    return softmax(_log_joint(x[of], parameters))


def _maximised(x, r, weight, kind, shrinkage):
    """Class shares, means and precisions that explain rows best: (k,), (k, d), (k, d, d), or their diagonals (k, d), and log
    determinants (k,)."""
    r, d = r * weight[:, None], x.shape[1]
    count = r.sum(axis=0) + 1e-9
    mean = (r.T @ x) / count[:, None]
    share = (count + 1) / (count + 1).sum()
    if kind in ("diagonal", "spherical"):
        square = (r.T @ np.square(x)) / count[:, None] - np.square(mean)
        pooled = (count @ square) / count.sum()
        if kind == "spherical":
            variance = np.full_like(mean, max(pooled.mean(), 1e-9))
        else:
            everywhere = np.average(np.square(x), axis=0, weights=weight) - np.square(np.average(x, axis=0, weights=weight))
            everywhere = np.maximum(everywhere, 0)  # of a single row it may round to less
            floor = everywhere + 1e-3 * max(everywhere.mean(), 1e-9)
            variance = (count[:, None] * np.maximum(square, 0) + 5 * floor) / (count[:, None] + 5)
        return share, mean, 1 / variance, np.log(variance).sum(axis=1)
    pooled = ((x.T * weight) @ x - (mean.T * count) @ mean) / weight.sum()
    pooled = (1 - shrinkage) * pooled + (shrinkage * max(np.trace(pooled) / d, 1e-9)) * np.eye(d)
    if kind == "tied":
        covariance = np.broadcast_to(pooled, (1, d, d))
    else:
        own = np.stack([((x - m).T * r[:, k]) @ (x - m) for k, m in enumerate(mean)])
        covariance = (own + 2 * d * pooled) / (count + 2 * d)[:, None, None]
    return share, mean, np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]


def _log_joint(x, parameters):
    """log p(x, y) up to a constant of each row, (n, n_classes)."""
    share, mean, precision, log_determinant = parameters
    if precision.ndim == 2:
        distance = np.square(x) @ precision.T - 2 * x @ (mean * precision).T + (np.square(mean) * precision).sum(axis=1)
    elif len(precision) == 1:  # what rows have in common does not tell classes apart
        turned = mean @ precision[0]
        distance = (turned * mean).sum(axis=1) - 2 * x @ turned.T
    else:
        distance = np.stack([(((x - m) @ p) * (x - m)).sum(axis=1) for m, p in zip(mean, precision, strict=True)], axis=1)
    return np.log(share) - 0.5 * (distance + log_determinant)
