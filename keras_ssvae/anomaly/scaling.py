"""Scores on one scale: how far above the usual a score is, a function of that score alone."""

import numpy as np

from keras_ssvae.registry import register, require, require_keys

__all__ = []

LOWEST, LINEAR = -3.0, 10.0  # scaled scores below are all alike; above, they grow with the logarithm of what is beyond
TO_DEVIATIONS = 1.349  # quartiles of a normal distribution lie so many deviations apart
SMALLEST = 1e-9


@register
class ScoreScale:
    """Scores of several kinds, in spreads above their medians.

    Medians and quartiles are those of the training rows, so no anomaly among them moves the scale. A score far beyond all of
    them keeps its place in the order, and grows slowly: one kind of score alone outvotes the others only where it is extreme.

    Attributes
    ----------
    center, spread : (k,) arrays
        Median and robust standard deviation of each kind.
    """

    def fit(self, scores: np.ndarray) -> "ScoreScale":
        """Learn the scale of each column of scores, (n, k)."""
        self.center, self.spread = np.median(scores, axis=0), spread_of(scores)
        return self

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scaled scores, (n, k)."""
        z = (scores - self.center) / self.spread
        return np.maximum(np.minimum(z, LINEAR) + np.log1p(np.maximum(z - LINEAR, 0.0)), LOWEST)

    def _check_loaded(self):
        require_keys("ScoreScale", vars(self), {"center", "spread"})
        both = (self.center, self.spread)
        require(all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype.kind == "f" for a in both), "a scale is no array")
        require(self.center.shape == self.spread.shape and (self.spread > 0).all(), "a scale has no spread")


def spread_of(values: np.ndarray) -> np.ndarray:
    """Robust standard deviation of each column, (k,): never zero, 1 where all values are the same."""
    low, high = np.quantile(values, (0.25, 0.75), axis=0)
    spread = (high - low) / TO_DEVIATIONS
    spread = np.where(spread > SMALLEST * np.abs(values).max(axis=0, initial=0.0), spread, values.std(axis=0))
    return np.where(spread > SMALLEST, spread, 1.0)
