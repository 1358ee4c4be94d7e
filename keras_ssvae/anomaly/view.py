"""Encoded rows as the plain numbers that trees and distances read."""

import typing

import numpy as np
from sklearn.decomposition import PCA

from keras_ssvae.anomaly.scaling import spread_of
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.registry import register, require, require_keys

__all__ = ["RowView"]

REACH = 8.0  # spreads: distances see nothing farther in one column
MAX_COLUMNS, N_DIRECTIONS = 512, 50  # wider tables, and images, are seen in their principal directions
ATTRIBUTES = {"complete", "gappy", "mean", "directions", "center", "spread", "rarity"}


@register
class RowView:
    """Rows as numbers: columns, an indicator of each category, and marks of missing cells; or principal directions.

    Attributes
    ----------
    complete, gappy : (n_columns,) bool arrays
        Columns without a missing cell in training, and those with some.
    mean, directions : (k,) and (k, d) float32 arrays, or None
        Origin and principal directions of rows that are wide.
    center, spread : (d,) float32 arrays
        Median and robust standard deviation of the numbers.
    rarity : float
        -log of the share of training cells that are missing where none was: nats of such a cell.
    """

    def fit(self, table: typing.Any, rows: PreparedRows, rng: np.random.RandomState) -> "RowView":
        """Learn the numbers of the rows of a fitted `TablePreprocessor`."""
        missing = self._missing(rows).mean(axis=0)
        self.complete, self.gappy = missing == 0, (missing > 0) & (missing < 1)
        self.mean = self.directions = None
        self.rarity = float(np.log(len(rows) + 2.0))
        values = self.numbers(table, rows)
        if values.shape[1] > MAX_COLUMNS or table.image_shape_ is not None:
            n_directions = min(N_DIRECTIONS, *values.shape)
            pca = PCA(n_directions, svd_solver="auto", random_state=rng).fit(values)
            self.mean, self.directions = pca.mean_.astype(np.float32), pca.components_.T.astype(np.float32)
            values = self.numbers(table, rows)
        self.center, self.spread = np.median(values, axis=0).astype(np.float32), spread_of(values).astype(np.float32)
        if self.directions is not None:  # where directions of less spread are of less account
            self.spread[:] = self.spread.max()
        return self

    @staticmethod
    def _missing(rows):
        return np.zeros(rows.x.shape, bool) if rows.observed is None else rows.observed == 0

    def numbers(self, table: typing.Any, rows: PreparedRows) -> np.ndarray:
        """Rows as float32 numbers, (n, d), in which a missing cell is an ordinary one."""
        values = table.indicators(np.where(self._missing(rows), 0, rows.x) if rows.observed is not None else rows.x)
        if self.gappy.any():
            values = np.concatenate([values, self._missing(rows)[:, self.gappy]], axis=1)
        values = values.astype(np.float32, copy=False)
        return values if self.directions is None else (values - self.mean) @ self.directions

    def n_unheard(self, rows: PreparedRows) -> np.ndarray:
        """The number of missing cells in columns where none was, categories that the fit did not see among them: (n,)."""
        return np.zeros(len(rows)) if rows.observed is None else self._missing(rows)[:, self.complete].sum(axis=1).astype(float)

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers, (n, d), in spreads from their medians."""
        return np.clip((numbers - self.center) / self.spread, -REACH, REACH)

    def _check_loaded(self):
        require_keys("RowView", vars(self), ATTRIBUTES)
        flags = (self.complete, self.gappy)
        require(all(isinstance(f, np.ndarray) and f.ndim == 1 and f.dtype == bool for f in flags), "flags of columns are none")
        require(self.complete.shape == self.gappy.shape and type(self.rarity) is float, "a view of rows does not fit itself")
        floats = [self.center, self.spread, *((self.mean, self.directions) if self.directions is not None else ())]
        is_float = all(isinstance(a, np.ndarray) and a.dtype == np.float32 and np.isfinite(a).all() for a in floats)
        require(is_float and self.center.shape == self.spread.shape and self.center.ndim == 1, "a view of rows has no scale")
        require((self.spread > 0).all() and (self.mean is None) == (self.directions is None), "a view of rows has no spread")
        if self.directions is not None:
            require(self.directions.shape == (len(self.mean), len(self.center)), "directions of a view have another shape")
