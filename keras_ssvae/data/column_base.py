"""A column of the user's: what every kind of it can do, and what they share."""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_ssvae.registry import require, require_keys

__all__ = ["ColumnWarning"]

GRIDS = (86400.0, 3600.0, 60.0, 1.0, 1e-3, 1e-6)  # seconds, of times


class ColumnWarning(UserWarning):
    """A column of X is read otherwise than its owner may think."""


@dataclasses.dataclass
class Column:
    """A column of the user's, and its way to numbers and back."""

    dtype: typing.Any  # the user's
    is_integer = False  # whether its numbers are whole by nature
    is_ordered = True  # whether their order means something

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> "Column":
        """The column that a Series of this name shows."""
        return cls(series.dtype)

    def numbers(self, series: pd.Series) -> np.ndarray:
        """The values of a Series as floats, NaN where missing."""
        raise TypeError(f"{type(self).__name__} defines no numbers")

    def values(self, numbers_: np.ndarray) -> object:
        """What numbers stand for: an array or a Series, missing where they are NaN; `Schema` puts it into the dtype."""
        raise TypeError(f"{type(self).__name__} defines no values")

    def _check_loaded(self):
        require_keys(type(self).__name__, vars(self), {field.name for field in dataclasses.fields(self)})
        require(isinstance(self.dtype, (np.dtype, pd.api.extensions.ExtensionDtype)), "the dtype of a column is none")
        for name, kind in (("is_integer", bool), ("is_ordered", bool), ("is_day", bool), ("is_python", bool), ("levels", list)):
            require(isinstance(getattr(self, name, kind()), kind), f"{name} of a column is none")
        require(getattr(self, "grid", 1.0) in GRIDS, f"{getattr(self, 'grid', None)!r:.60} is no grid of times")
        for name in ("format", "zone"):
            require(isinstance(getattr(self, name, None), (str, type(None))), f"{name} of a column is none")


def objects_of(series: pd.Series) -> pd.Series:
    """Python objects, None where missing: pandas knows four marks, and not all of its functions know them all."""
    return series.astype(object).where(series.notna(), None)


def arrow_type(dtype: object, attribute: str) -> typing.Any:
    """An attribute of a type of Arrow, None of other dtypes."""
    return getattr(getattr(dtype, "pyarrow_dtype", None), attribute, None)


def python_objects(numbers_: np.ndarray, convert: Callable) -> np.ndarray:
    """Known numbers as `convert` makes them, as Python objects; None where missing."""
    known = ~np.isnan(numbers_)
    values = np.full(len(numbers_), None)
    values[known] = convert(numbers_[known]).tolist()
    return values
