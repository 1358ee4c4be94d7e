"""Whether a row lies where rows are rarer than around its neighbours."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from keras_ssvae.registry import register, require, require_keys

__all__ = ["LocalDensity"]

MAX_REFERENCE, N_NEIGHBORS = 8192, 20
SMALLEST = 1e-6  # mean distance to neighbours: of rows that are all the same


@register
class LocalDensity:
    """The local outlier factor, in logarithms (M. M. Breunig et al. 2000, "LOF", doi 10.1145/342009.335388, definition 7).

    Attributes
    ----------
    reference : (m, d) float32 array
        Some training rows.
    reach, density : (m,) float32 arrays
        Distance of each to its last neighbour, and its local density.
    """

    def fit(self, rows: np.ndarray, rng: np.random.RandomState) -> "LocalDensity":
        """Keep some of the rows, (n, d), and learn their densities."""
        chosen = np.arange(len(rows)) if len(rows) <= MAX_REFERENCE else rng.choice(len(rows), MAX_REFERENCE, replace=False)
        self.reference = rows[chosen].astype(np.float32)
        if len(chosen) < 2:
            self.reach = self.density = np.ones(len(chosen), np.float32)
            return self
        distance, index = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(chosen) - 1)).fit(self.reference).kneighbors()
        self.reach = distance[:, -1].astype(np.float32)
        self.density = (1 / np.maximum(np.maximum(distance, self.reach[index]).mean(axis=1), SMALLEST)).astype(np.float32)
        return self

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Logarithms of the factors of rows, (n, d): (n,), above 0 where it is rarer than around the neighbours."""
        squares = np.square(self.reference).sum(axis=1) - 2 * (rows @ self.reference.T)
        k = min(N_NEIGHBORS, len(self.reference))
        index = np.argpartition(squares, k - 1, axis=1)[:, :k]
        nearest = np.take_along_axis(squares, index, axis=1) + np.square(rows).sum(axis=1)[:, None]
        reached = np.maximum(np.sqrt(np.maximum(nearest, 0.0)), self.reach[index]).mean(axis=1, dtype=float)
        return np.log(self.density[index].mean(axis=1, dtype=float) * np.maximum(reached, SMALLEST))

    def _check_loaded(self):
        require_keys("LocalDensity", vars(self), {"reference", "reach", "density"})
        arrays = (self.reference, self.reach, self.density)
        require(all(isinstance(a, np.ndarray) and a.dtype == np.float32 and np.isfinite(a).all() for a in arrays), "densities")
        require(self.reference.ndim == 2 and len(self.reference) > 0, "densities have no rows")
        require(self.reach.shape == self.density.shape == (len(self.reference),), "densities are of other rows")
        require((self.density > 0).all(), "a density is not positive")
