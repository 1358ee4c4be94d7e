"""Rows as a network reads them: arrays by name, all with the same leading axis, and an order that depends on what they hold."""

from __future__ import annotations

import typing
import zlib

import numpy as np

from keras_ssvae.data.columnwise import Columns
from keras_ssvae.registry import register, require, require_keys

__all__ = ["LazyRows", "PreparedRows"]

BLOCK = 2**16  # cells at a time where each needs several numbers: memory is for x


@register
class PreparedRows:
    """Rows as a batch has them: a dict of arrays with one leading axis.

    Parameters
    ----------
    x : (n, n_columns) float32 array
        Scaled values, 0 where missing.
    observed : (n, n_columns) float32 array, default=None
        1 where a value was given, 0 where it is missing; None where nothing is missing.
    **arrays : (n, ...) arrays
        What else a batch has: "y", the index of each row's class, -1 where unknown; and the arrays of a family.

    Attributes
    ----------
    arrays : dict
        Name -> array; "observed" is left out where nothing is missing.
    """

    def __init__(self, x: np.ndarray, observed: np.ndarray | None = None, **arrays: np.ndarray):
        self.arrays = {"x": x, **arrays, **({} if observed is None else {"observed": observed})}

    @property
    def x(self) -> np.ndarray:
        """Scaled values, (n, n_columns)."""
        return self.arrays["x"]

    @property
    def observed(self) -> np.ndarray | None:
        """Where a value was given, (n, n_columns), or None."""
        return self.arrays.get("observed")

    @property
    def y(self) -> np.ndarray:
        """Index of each row's class, negative where unknown: (n,)."""
        return self.arrays["y"]

    @property
    def spec(self) -> dict[str, tuple]:
        """Name -> (shape of a row, name of the dtype): what a network is built for."""
        return {name: (values.shape[1:], values.dtype.name) for name, values in self.arrays.items()}

    def joined(self, **arrays: np.ndarray) -> PreparedRows:
        """The same rows with more arrays, (n, ...), by name."""
        return PreparedRows(**{**self.arrays, **arrays})

    @property
    def _own(self):
        """All arrays but "advice", which is what others say of a row, and not what it is."""
        return {name: values for name, values in self.arrays.items() if name != "advice"}

    def keys(self) -> np.ndarray:
        """See `row_keys`."""
        return row_keys(**self._own)

    def order(self) -> np.ndarray:
        """See `canonical_order`."""
        return canonical_order(**self._own)

    def _check_loaded(self):
        require_keys("PreparedRows", vars(self), {"arrays"})
        arrays = self.arrays if isinstance(self.arrays, dict) else {}
        require(all(isinstance(a, np.ndarray) and a.ndim and a.dtype.kind in "biuf" for a in arrays.values()), "rows are none")
        require("x" in arrays and len({len(a) for a in arrays.values()}) == 1, "arrays of rows have several lengths")
        require(all(np.isfinite(a).all() for a in arrays.values()), "rows hold values that are not finite")

    def __getitem__(self, rows: typing.Any) -> PreparedRows:
        return PreparedRows(**{name: values[rows] for name, values in self.arrays.items()})

    def __len__(self) -> int:
        return len(self.x)


class LazyRows:
    """Rows of which each part is prepared when it is asked for, so that all of them need no memory of their own.

    Parameters
    ----------
    table : TablePreprocessor
        What prepares them.
    values : (n, ...) array
        As `TablePreprocessor.encode` reads them.
    **arrays : (n, ...) arrays
        What else the rows have.
    """

    def __init__(self, table: typing.Any, values: np.ndarray | Columns, **arrays: np.ndarray):
        self._table, self._values, self._arrays = table, values, arrays

    def joined(self, **arrays: np.ndarray) -> LazyRows:
        """The same rows with more arrays, (n, ...), by name."""
        return LazyRows(self._table, self._values, **self._arrays, **arrays)

    def __getitem__(self, rows: typing.Any) -> PreparedRows:
        return self._table.encode(self._values[rows]).joined(**{name: array[rows] for name, array in self._arrays.items()})

    def __len__(self) -> int:
        return len(self._values)


def row_keys(x: np.ndarray, y: np.ndarray, observed: np.ndarray | None = None, **arrays: np.ndarray) -> np.ndarray:
    """(n,) uint64: a number for each of `PreparedRows` that depends on what it holds, and not on where it stands."""
    factors = _factors(0, x.shape[1] + 1)
    key = y.astype(np.int64).view(np.uint64) * factors[-1]
    step = max(1, BLOCK // x.shape[1])
    for start in range(0, len(x), step):  # the bits of a block as 64-bit integers, hashed modulo 2**64
        rows = slice(start, start + step)
        bits = np.ascontiguousarray(x[rows], np.float32).view(np.uint32).astype(np.uint64)
        if observed is not None:  # a missing cell holds zero, but is not zero
            bits = np.where(observed[rows] > 0, bits, np.uint64(2**32))
        key[rows] += ((bits ^ (bits << np.uint64(29))) * factors[:-1]).sum(axis=1, dtype=np.uint64)
    for name, values in arrays.items():
        octets = np.ascontiguousarray(values).reshape(len(x), -1).view(np.uint8).astype(np.uint64)
        key += (octets * _factors(zlib.crc32(name.encode()), octets.shape[1])).sum(axis=1, dtype=np.uint64)
    return key


def _factors(seed, count):
    """Odd numbers of 64 bits."""
    return np.random.RandomState(seed).randint(1, 2**63 - 1, size=count, dtype=np.uint64) | np.uint64(1)


def canonical_order(x: np.ndarray, y: np.ndarray, observed: np.ndarray | None = None, **arrays: np.ndarray) -> np.ndarray:
    """(n,) indices: the order of rows by their `row_keys`, so that equal rows stand side by side."""
    return np.argsort(row_keys(x, y, observed, **arrays), kind="stable").astype(index_dtype(len(x)), copy=False)


def index_dtype(count: int) -> type:
    """What indices below a number need."""
    return np.int32 if count <= 2**31 else np.int64
