"""How far a row lies from other rows, judged by small samples of them."""

import numpy as np

from keras_ssvae.registry import register, require, require_keys

__all__ = ["SampledNeighbors"]

N_SAMPLES, SAMPLE_SIZE = 32, 32
SMALLEST_SHARE = 8  # a sample has at most one of so many rows, or the rows themselves would be their own neighbours


@register
class SampledNeighbors:
    """The mean, over small random samples of the training rows, of the distance to the nearest row of the sample.

    A sample of a few rows hardly ever has several of a rare kind, so anomalies that lie together do not hide each other; and
    the cost does not grow with the number of training rows (T. R. Bandaragoda et al. 2018, "Isolation-based anomaly detection
    using nearest-neighbor ensembles", doi 10.1111/coin.12156; G. Pang et al. 2015, "LeSiNN", doi 10.1109/ICDMW.2015.62).

    Attributes
    ----------
    reference : (N_SAMPLES, m, d) float32 array
        The samples.
    """

    def fit(self, rows: np.ndarray, rng: np.random.RandomState) -> "SampledNeighbors":
        """Draw the samples from rows, (n, d)."""
        size = int(np.clip(len(rows) // SMALLEST_SHARE, 1, SAMPLE_SIZE))
        chosen = np.stack([rng.choice(len(rows), size, replace=False) for _ in range(N_SAMPLES)])
        self.reference = rows[chosen].astype(np.float32)
        return self

    def __call__(self, rows: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Mean distances of rows, (n, d), to which `beyond`, (n,) squares, are added in directions of no training row: (n,)."""
        n_samples, size, width = self.reference.shape
        flat = self.reference.reshape(-1, width)
        product = rows @ flat.T
        squares = np.square(flat).sum(axis=1) - 2 * product
        nearest = squares.reshape(-1, n_samples, size).min(axis=2)
        nearest += (np.square(rows).sum(axis=1) + beyond)[:, None]
        return np.sqrt(np.maximum(nearest, 0.0)).mean(axis=1, dtype=float)

    def _check_loaded(self):
        require_keys("SampledNeighbors", vars(self), {"reference"})
        reference = self.reference
        is_array = isinstance(reference, np.ndarray) and reference.dtype == np.float32 and reference.ndim == 3
        require(is_array and reference.size and np.isfinite(reference).all(), "reference rows of neighbours are none")
