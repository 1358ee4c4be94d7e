"""The numbers of a frame, column by column: where they are numbers already, they stay in the memory of the frame."""

from collections.abc import Sequence

import numpy as np
from numpy import typing as npt

__all__ = []


class Columns:
    """Numbers (n, d) that are read as those of a float64 array are, by an index of rows, or of rows and columns.

    Parameters
    ----------
    columns : sequence of (n,) arrays
        Of any dtype of numbers; they are neither copied nor changed.
    """

    ndim, dtype = 2, np.dtype(np.float64)

    def __init__(self, columns: Sequence[np.ndarray]):
        self._columns = list(columns)
        self.shape = len(self._columns[0]), len(self._columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: object) -> np.ndarray:
        rows, chosen = key if isinstance(key, tuple) else (key, slice(None))
        parts = self._columns[chosen]
        if isinstance(parts, np.ndarray):
            return parts[rows].astype(np.float64)
        values = np.empty((len(parts[0][rows]), len(parts)))
        for i, part in enumerate(parts):
            values[:, i] = part[rows]
        return values

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


def ranges(values: np.ndarray | Columns) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest number of each column of (n, d) values, NaN where all are missing."""
    if isinstance(values, np.ndarray):
        return np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    columns = (values[:, j] for j in range(values.shape[1]))
    low, high = zip(*((np.fmin.reduce(x), np.fmax.reduce(x)) for x in columns), strict=True)
    return np.array(low), np.array(high)


def incomplete(values: np.ndarray | Columns) -> np.ndarray:
    """(d,) bool: which columns of (n, d) values have missing cells."""
    return np.array([bool(np.isnan(values[:, j]).any()) for j in range(values.shape[1])], bool)
