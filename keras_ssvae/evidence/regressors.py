"""Experts of numbers: linear, tree, kernel and nearest-neighbour regressors of the labelled rows."""

from collections.abc import Callable

import numpy as np
import scipy.optimize
import scipy.spatial.distance
from scipy.linalg import cho_factor, cho_solve
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR

__all__ = []

N_TREES = 100
MAX_OF_PROCESS = 500  # rows that a Gaussian process reads: its time grows with their cube
MAX_RELEVANCES = 50  # columns up to which each has a length scale of its own
BOUNDS = {"signal": (1e-2, 1e2), "slopes": (1e-4, 1e1), "noise": (1e-3, 2.0), "length": (1e-1, 1e3)}


def regressors(n_columns: int) -> dict[str, Callable]:
    """Functions that fit an expert to k labelled rows, by name.

    Each maps rows (k, n_columns), standardised targets (k,) and weights (k,) to an object with `predict`.
    """
    experts: dict[str, Callable] = {f"ridge, alpha={alpha:g}": _ridge(alpha) for alpha in (1.0, 10.0, 100.0)}
    experts["random forest"] = _trees(RandomForestRegressor)
    experts["extra trees"] = _trees(ExtraTreesRegressor)
    experts["support vectors"] = _support_vectors
    for k in (5, 15):
        experts[f"{k} neighbors"] = _neighbors(k)
    experts["Gaussian process"] = lambda x, t, weight: GaussianProcess(1).fit(x, t, weight)
    if 1 < n_columns <= MAX_RELEVANCES:
        experts["Gaussian process, relevances"] = lambda x, t, weight: GaussianProcess(n_columns).fit(x, t, weight)
    return experts


def _ridge(alpha):
    return lambda x, t, weight: Ridge(alpha).fit(x, t, sample_weight=weight)


def _trees(cls):
    return lambda x, t, weight: cls(N_TREES, random_state=0).fit(x, t, sample_weight=weight)


def _support_vectors(x, t, weight):
    machine = SVR()
    machine.random_state = 0  # it has no such parameter, and would draw from NumPy's global generator
    return machine.fit(x, t, sample_weight=weight)


def _neighbors(k):
    return lambda x, t, weight: KNeighborsRegressor(min(k, len(x)), weights="distance").fit(x, t)


class GaussianProcess:
    """A linear function, plus a smooth one, plus noise; their scales have the largest posterior (C. E. Rasmussen, C. K. I.
    Williams 2006, "Gaussian Processes for Machine Learning", eq. 2.30 and 5.9).

    Parameters
    ----------
    n_lengths : int
        1, or as many as there are columns: each has a length scale then, whose logarithm is normal about their mean.
    """

    def __init__(self, n_lengths: int):
        self.n_lengths = n_lengths

    def fit(self, x: np.ndarray, t: np.ndarray, weight: np.ndarray) -> "GaussianProcess":
        """Learn from rows (k, d), standardised targets (k,) and weights (k,), by which the variance of the noise is divided."""
        some = slice(None, None, -(-len(x) // MAX_OF_PROCESS))
        self.x, t, weight = x[some].astype(np.float64), t[some], weight[some]
        start = np.log([1.0, 0.1, 0.3, *[np.sqrt(x.shape[1])] * self.n_lengths])
        bounds = np.log([*(BOUNDS[name] for name in ("signal", "slopes", "noise")), *[BOUNDS["length"]] * self.n_lengths])
        found = scipy.optimize.minimize(
            self._loss, start, (t, weight), "L-BFGS-B", True, bounds=bounds, options={"maxiter": 100}
        )
        self.theta = found.x
        smooth, linear, _ = self._kernels(self.theta, self.x)
        self.alpha = cho_solve(cho_factor(smooth + linear + np.diag(np.exp(self.theta[2]) / weight), lower=True), t)
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The mean of the target of rows, (n,)."""
        smooth, linear, _ = self._kernels(self.theta, rows.astype(np.float64))
        return (smooth + linear) @ self.alpha

    def _kernels(self, theta, rows):
        """The covariances of the smooth and of the linear function, (n, k), and the length scales."""
        signal, slopes, lengths = np.exp(theta[0]), np.exp(theta[1]), np.exp(theta[3:])
        square = scipy.spatial.distance.cdist(rows / lengths, self.x / lengths, "sqeuclidean")
        return signal * np.exp(-0.5 * square), slopes * (rows @ self.x.T), lengths

    def _loss(self, theta, t, weight):
        """The negative log posterior of the scales, and its gradient."""
        smooth, linear, lengths = self._kernels(theta, self.x)
        noise = np.exp(theta[2]) / weight
        factor = cho_factor(smooth + linear + np.diag(noise), lower=True)
        alpha, inverse = cho_solve(factor, t), cho_solve(factor, np.eye(len(t)))
        slope = 0.5 * (inverse - np.outer(alpha, alpha))  # of the loss by the covariance
        by_pair = slope * smooth
        by_column = 2 * (by_pair.sum(axis=1) @ np.square(self.x) - (self.x * (by_pair @ self.x)).sum(axis=0)) / lengths**2
        apart = theta[3:] - theta[3:].mean()
        gradient = [by_pair.sum(), (slope * linear).sum(), np.diag(slope) @ noise]
        gradient += list((by_column if self.n_lengths > 1 else np.array([by_column.sum()])) + apart)
        loss = 0.5 * t @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * apart @ apart
        return loss, np.array(gradient)
