"""Columns of numbers and truth values: integers of any length, decimals, and floats on a grid of decimals."""

import dataclasses
import decimal
import numbers
import typing

import numpy as np
import pandas as pd
from numpy import typing as npt
from pandas.api import types

from keras_ssvae.data.column_base import Column, arrow_type, objects_of, python_objects
from keras_ssvae.registry import register, require

__all__ = []

LONGEST = 2**53  # integers up to which floats have all
MOST_PLACES = 6  # decimals of floats that are a grid


@register
@dataclasses.dataclass
class Numbers(Column):
    """A column of numbers."""

    is_integer: bool  # whether all values are whole, in a dtype of integers or one that gaps have turned into floats
    offset: int = 0  # what is taken off integers that are longer than a float's digits, so that their differences are kept
    places: int | None = None  # decimals of floats that all have so few, as money has two; None of others

    def _check_loaded(self):
        vars(self).setdefault("offset", 0)  # the first files had neither
        vars(self).setdefault("places", None)
        super()._check_loaded()
        require(type(self.offset) is int, "the offset of a column is no integer")
        require(self.places is None or type(self.places) is int and 0 <= self.places <= MOST_PLACES, "its decimals are none")

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        try:
            values = cls(series.dtype, False)._floats(series)
        except OverflowError as error:
            raise ValueError(f"column {name!r} holds integers beyond {np.finfo(float).max:.1e}.") from error
        whole = series.dtype.kind in "iu"
        if not whole and (series.dtype == object or np.isnan(values).any()):
            known = values[~np.isnan(values)]
            whole = len(known) > 0 and bool((np.isfinite(known) & (known == np.rint(known))).all())
        whole = bool(whole)
        exact = _exact(series) if whole and np.nanmax(np.abs(values), initial=0.0) > LONGEST else None
        places = None if whole else _places(series, values)
        return cls(series.dtype, whole, 0 if exact is None else int(exact.min()), places)

    def numbers(self, series: pd.Series) -> np.ndarray:
        exact = _exact(series) if self.offset else None
        if exact is not None:
            differences = np.full(len(series), np.nan)
            differences[series.notna().to_numpy()] = _difference(exact, self.offset)
            return differences
        return self._floats(series) - self.offset

    def _floats(self, series):
        plain = series if types.is_numeric_dtype(series.dtype) else pd.to_numeric(objects_of(series))
        return plain.to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        if self.offset:
            return _integers(numbers_, self.offset, self.dtype)
        if self.is_integer and self.dtype == object:
            return python_objects(numbers_, lambda known: np.array([round(v) for v in known.tolist()], object))
        if arrow_type(self.dtype, "scale") is not None:  # decimals
            return np.round(numbers_, arrow_type(self.dtype, "scale"))
        if self.places is not None:
            numbers_ = np.round(numbers_, self.places)
        return cast(np.rint(numbers_) if self.is_integer else numbers_, self.dtype)


@register
@dataclasses.dataclass
class Decimals(Column):
    """A column of `decimal.Decimal` objects, as databases give money; they come back with as many decimals."""

    places: int  # decimals of the value that has most

    @property
    def is_integer(self) -> bool:  # type: ignore[override]
        """Whether all values are whole."""
        return self.places <= 0

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        finite = [v for v in series.dropna() if isinstance(v, decimal.Decimal) and v.is_finite()]
        return cls(series.dtype, max((-int(v.as_tuple().exponent) for v in finite), default=0))

    def _check_loaded(self):
        super()._check_loaded()
        require(type(self.places) is int and abs(self.places) < 10_000, "the decimals of a column are none")

    def numbers(self, series: pd.Series) -> np.ndarray:
        return np.array([np.nan if v is None else float(v) for v in objects_of(series)], float)

    def values(self, numbers_: np.ndarray) -> object:
        return python_objects(numbers_, lambda known: np.array([_decimal(v, self.places) for v in known.tolist()], object))


@register
class TruthValues(Column):
    """A column of truth values, as zeros and ones."""

    is_integer = True

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = objects_of(series) if series.dtype == object else series
        return plain.astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        return python_objects(numbers_, lambda known: known >= 0.5)


def are_decimals(known: pd.Series) -> bool:
    """Whether values are decimals, or decimals among other numbers."""
    is_decimal = [isinstance(v, decimal.Decimal) for v in known]
    others = (isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in known)
    return any(is_decimal) and all(a or b for a, b in zip(is_decimal, others, strict=True))


def _decimal(value, places):
    """A float as a decimal with so many digits behind the point."""
    digits = decimal.Decimal(round(value, places) if places > 0 else round(value / 10.0**-places))
    with decimal.localcontext(prec=400):
        if places > 0:
            return digits.quantize(decimal.Decimal(1).scaleb(-places))
        return digits.scaleb(-places) if places else digits.quantize(decimal.Decimal(1))


def _places(series, values):
    """The decimals of floats, (n,), if all of them have at most `MOST_PLACES`; None otherwise, and of two values or fewer."""
    if series.dtype.kind != "f" and series.dtype != object:
        return None
    single = np.dtype(float) if series.dtype == object else getattr(series.dtype, "numpy_dtype", series.dtype)
    known = values[np.isfinite(values)]
    own = known.astype(single)
    if len(np.unique(own[:1000])) <= 2:
        return None
    return next((n for n in range(MOST_PLACES + 1) if np.array_equal(np.round(known, n).astype(single), own)), None)


def _exact(series):
    """The known values of a column of whole numbers as integers of 64 bits, or as Python's; None where they are others."""
    known = series.dropna()
    if known.dtype.kind in "iu":
        return known.to_numpy(dtype=getattr(known.dtype, "numpy_dtype", known.dtype))
    if known.dtype != object or not all(isinstance(value, numbers.Integral) for value in known):
        return None
    return np.array([int(value) for value in known], object)


def _difference(exact, offset):
    """Integers less an offset, as floats that are exact up to 2**53; those of 64 bits by the higher and the lower half."""
    if exact.dtype == object:
        return (exact - offset).astype(float)
    low = 2**32 - 1
    return ((exact >> 32).astype(np.int64) - (offset >> 32)) * 2.0**32 + ((exact & low).astype(np.int64) - (offset & low))


def _integers(numbers_, offset, dtype):
    """Floats plus an offset, all digits kept, as Python's integers in the range of a dtype, None where missing."""
    whole = [None if v != v else offset + round(v) for v in numbers_.tolist()]
    if getattr(dtype, "kind", "O") != "O":
        info = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        whole = [None if v is None else int(min(max(v, info.min), info.max)) for v in whole]
    return np.array(whole, object)


def has_long_integers(X: object) -> bool:
    """Whether X is an array (n, d) of integers of which some have more digits than a float."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "iu" or X.dtype.itemsize < 8 or not X.size:
        return False
    return int(X.max()) > LONGEST or int(X.min()) < -LONGEST


def cast(values: np.ndarray, dtype: typing.Any) -> npt.ArrayLike:
    """Floats, NaN where missing, in the dtype of a column of numbers; integers are rounded and stay in their range."""
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return values >= 0.5
    if kind in "iu":
        missing = np.isnan(values)
        info = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        whole = np.where(missing, 0.0, np.rint(values))
        inside = np.where(whole >= float(info.max), 0, whole.clip(min=info.min)).astype(info.dtype)
        inside = np.where(whole >= float(info.max), info.dtype.type(info.max), inside)
        return pd.array(np.where(missing, np.array(None), inside), dtype=dtype) if missing.any() else inside
    return values.astype(getattr(dtype, "numpy_dtype", dtype)) if kind == "f" else values
