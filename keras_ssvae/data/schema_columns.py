"""The kinds of columns that X may have: how values of each become numbers, and how numbers become values again.

To add a kind of column, add a class with `learn`, `numbers` and `values`, and a line in `learn_column`.
"""

import dataclasses
import numbers
import re
import typing
import warnings

import numpy as np
import pandas as pd
from numpy import typing as npt
from pandas.api import types

from keras_ssvae.registry import register, require, require_keys

__all__ = ["ColumnWarning"]

LONGEST = 2**53  # integers up to which floats have all
MAX_LEVELS = 100  # of a column of categories; what is rarer counts as missing
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
        for name, kind in (("is_integer", bool), ("is_ordered", bool), ("is_day", bool), ("levels", list)):
            require(isinstance(getattr(self, name, kind()), kind), f"{name} of a column is none")
        require(getattr(self, "grid", 1.0) in GRIDS, f"{getattr(self, 'grid', None)!r:.60} is no grid of times")
        for name in ("format", "zone"):
            require(isinstance(getattr(self, name, None), (str, type(None))), f"{name} of a column is none")


@register
@dataclasses.dataclass
class Numbers(Column):
    """A column of numbers."""

    is_integer: bool  # whether all values are whole, in a dtype of integers or one that gaps have turned into floats
    offset: int = 0  # what is taken off integers that are longer than a float's digits, so that their differences are kept

    def _check_loaded(self):
        vars(self).setdefault("offset", 0)  # the first files had none
        super()._check_loaded()
        require(type(self.offset) is int, "the offset of a column is no integer")

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        values = cls(series.dtype, False)._floats(series)
        whole = series.dtype.kind in "iu"
        if not whole and (series.dtype == object or np.isnan(values).any()):
            known = values[~np.isnan(values)]
            whole = len(known) > 0 and bool((np.isfinite(known) & (known == np.rint(known))).all())
        whole = bool(whole)
        exact = _exact(series) if whole and np.nanmax(np.abs(values), initial=0.0) > LONGEST else None
        return cls(series.dtype, whole, 0 if exact is None else int(exact.min()))

    def numbers(self, series: pd.Series) -> np.ndarray:
        exact = _exact(series) if self.offset else None
        if exact is not None:
            differences = np.full(len(series), np.nan)
            differences[series.notna().to_numpy()] = _difference(exact, self.offset)
            return differences
        return self._floats(series) - self.offset

    def _floats(self, series):
        plain = series if types.is_numeric_dtype(series.dtype) else pd.to_numeric(_objects(series))
        return plain.to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        if self.offset:
            return _integers(numbers_, self.offset, self.dtype)
        if self.is_integer and self.dtype == object:
            return _python_objects(numbers_, lambda known: np.array([round(v) for v in known.tolist()], object))
        if _arrow_type(self.dtype, "scale") is not None:  # decimals
            return np.round(numbers_, _arrow_type(self.dtype, "scale"))
        return cast(np.rint(numbers_) if self.is_integer else numbers_, self.dtype)


@register
class TruthValues(Column):
    """A column of truth values, as zeros and ones."""

    is_integer = True

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = _objects(series) if series.dtype == object else series
        return plain.astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        return _python_objects(numbers_, lambda known: known >= 0.5)


@register
@dataclasses.dataclass
class Levels(Column):
    """A column of categories, as positions among its levels."""

    levels: list  # all of a pandas categorical, else those that were seen, sorted
    is_ordered: bool = False
    is_integer = True

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        if isinstance(series.dtype, pd.CategoricalDtype):
            return cls(series.dtype, series.dtype.categories.tolist(), bool(series.dtype.ordered))
        counts = series.value_counts()
        if len(counts) > MAX_LEVELS:
            if len(counts) > counts.sum() / 2:
                message = (
                    f"column {name!r} has {len(counts)} different values in {counts.sum()} rows, as names or identifiers "
                    f"have; it is left out of the model and comes back missing.{_hint_of_numbers(series)}"
                )
                warnings.warn(message, ColumnWarning, stacklevel=2)
                return Identifiers(series.dtype)
            message = (
                f"column {name!r} has {len(counts)} categories; all but the {MAX_LEVELS} most frequent count as missing."
                f"{_hint_of_numbers(series)}"
            )
            warnings.warn(message, ColumnWarning, stacklevel=2)
        order = sorted(counts.index, key=lambda level: (-counts[level], type(level).__name__, level))[:MAX_LEVELS]
        return cls(series.dtype, sorted(order, key=lambda level: (type(level).__name__, level)))

    def _check_loaded(self):
        super()._check_loaded()
        require(len(set(self.levels)) == len(self.levels) > 0, "levels of a column repeat, or there are none")
        if isinstance(self.dtype, pd.CategoricalDtype):
            same = self.dtype.categories.tolist() == self.levels and bool(self.dtype.ordered) == self.is_ordered
            require(same, "levels of a column are not those of its dtype")
        codes = np.arange(float(len(self.levels)))
        again = self.numbers(pd.Series(self.values(codes)).astype(self.dtype))
        require(np.array_equal(again, codes), "levels of a column are not such as its dtype has")

    def numbers(self, series: pd.Series) -> np.ndarray:
        if isinstance(series.dtype, pd.CategoricalDtype):  # its categories may be others, or stand in another order
            position = pd.Index(self.levels, dtype=object).get_indexer(series.cat.categories.astype(object))
            codes = np.append(position, -1)[series.cat.codes]  # -1, the last, is missing
        else:
            codes = pd.Index(self.levels, dtype=object).get_indexer(series.astype(object))
        return np.where((codes < 0) | series.isna(), np.nan, codes)

    def values(self, numbers_: np.ndarray) -> object:
        known = ~np.isnan(numbers_)
        codes = np.full(len(numbers_), -1)
        codes[known] = np.rint(numbers_[known]).clip(0, len(self.levels) - 1)
        if isinstance(self.dtype, pd.CategoricalDtype):
            return pd.Categorical.from_codes(codes, dtype=self.dtype)
        levels = pd.Series([*self.levels, None], dtype=object)
        return levels.iloc[codes].reset_index(drop=True).astype(self.dtype)  # -1 is the last: missing


@register
class Identifiers(Column):
    """A column that is left out, and missing in all that comes back: hardly a value occurs twice, or there is none at all."""

    is_ordered = False

    def numbers(self, series: pd.Series) -> np.ndarray:
        return np.full(len(series), np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        return pd.Series([None] * len(numbers_), dtype=object).astype(self.dtype)


@register
@dataclasses.dataclass
class Dates(Column):
    """A column of dates, as seconds since 1970; they come back on the grid (days, seconds ...) on which all were."""

    grid: float  # seconds
    format: str | None = None  # of dates that are text, as in `datetime.strptime`
    zone: str | None = None  # None where dates have none
    is_day: bool = False  # whether the dates are Python objects without a time

    @classmethod
    def learn(cls, series: pd.Series, name: object, format: str | None = None) -> Column:
        column = cls(series.dtype, 1e-6, format)
        column.grid = _grid(column.numbers(series))
        if format is None:
            zone = getattr(series.dtype, "tz", None) or _arrow_type(series.dtype, "tz")
            if series.dtype == object:
                zone = getattr(series.dropna().iloc[0], "tzinfo", None)
            column.zone = None if zone is None else str(zone)
            column.is_day = series.dtype == object and types.infer_dtype(series) == "date" and column.grid == 86400.0
        return column

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = series if series.dtype.kind == "M" else series.astype(object)
        dates = pd.to_datetime(plain, format=self.format, errors="coerce", utc=True)  # those without a zone are taken as UTC
        dates = dates.dt.tz_localize(None).astype("datetime64[us]")
        return np.where(dates.isna(), np.nan, dates.to_numpy().astype(np.int64) / 1e6)

    def values(self, numbers_: np.ndarray) -> object:
        whole = np.rint(numbers_ / self.grid) * self.grid
        micros = np.where(np.isnan(whole), 0, np.rint(whole * 1e6)).astype("int64")
        dates = pd.Series(micros.astype("datetime64[us]")).where(~np.isnan(whole))
        if self.zone is not None:
            dates = dates.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        if self.dtype.kind == "M":
            return dates.astype(self.dtype)
        moments = dates.dt.strftime(self.format) if self.format else dates.dt.date if self.is_day else dates
        return moments.astype(object).where(dates.notna(), None).astype(self.dtype)


@register
@dataclasses.dataclass
class Durations(Column):
    """A column of time differences, as seconds; they come back on the grid on which all were."""

    grid: float  # seconds

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        return cls(series.dtype, _grid(cls(series.dtype, 1.0).numbers(series)))

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = series if series.dtype.kind == "m" else pd.to_timedelta(series.astype(object))
        return plain.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        lengths = pd.Series(pd.to_timedelta(np.rint(numbers_ / self.grid) * self.grid, unit="s"))
        return lengths.astype(object).where(lengths.notna(), None) if self.dtype == object else lengths.astype(self.dtype)


def _objects(series):
    """Python objects, None where missing: pandas knows four marks, and not all of its functions know them all."""
    return series.astype(object).where(series.notna(), None)


def _arrow_type(dtype, attribute):
    """An attribute of a type of Arrow, None of other dtypes."""
    return getattr(getattr(dtype, "pyarrow_dtype", None), attribute, None)


def _python_objects(numbers_, convert):
    """Known numbers as `convert` makes them, as Python objects; None where missing."""
    known = ~np.isnan(numbers_)
    values = np.full(len(numbers_), None)
    values[known] = convert(numbers_[known]).tolist()
    return values


def _hint_of_numbers(series):
    """What to do about text of which more than half reads as numbers, or ""."""
    known = series.dropna()
    if types.infer_dtype(known.astype(object)) != "string":
        return ""
    reads = pd.to_numeric(known.astype(object), errors="coerce").notna()
    if reads.mean() <= 0.5:
        return ""
    others = "" if reads.all() else f" with gaps for the others, such as {known[~reads].iloc[0]!r},"
    return (
        f" {reads.sum()} of its texts are numbers: pd.to_numeric(..., errors='coerce') makes it,{others} a column of numbers."
    )


def _exact(series):
    """The known values of a column of whole numbers as integers of 64 bits; None where they are others."""
    known = series.dropna()
    if known.dtype.kind in "iu":
        return known.to_numpy(dtype=getattr(known.dtype, "numpy_dtype", known.dtype))
    values = pd.to_numeric(known).to_numpy() if known.dtype == object else np.empty(0)
    return values if values.dtype.kind in "iu" else None


def _difference(exact, offset):
    """Integers of 64 bits less an offset, as floats that are exact up to 2**53: by the higher and the lower half."""
    low = 2**32 - 1
    return ((exact >> 32).astype(np.int64) - (offset >> 32)) * 2.0**32 + ((exact & low).astype(np.int64) - (offset & low))


def _integers(numbers_, offset, dtype):
    """Floats plus an offset, all digits kept, as Python's integers in the range of a dtype, None where missing."""
    info = np.iinfo(np.int64 if getattr(dtype, "kind", "O") == "O" else getattr(dtype, "numpy_dtype", dtype))
    return np.array(
        [None if v != v else int(min(max(offset + round(v), info.min), info.max)) for v in numbers_.tolist()], object
    )


def has_long_integers(X: object) -> bool:
    """Whether X is an array (n, d) of integers of which some have more digits than a float."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "iu" or X.dtype.itemsize < 8 or not X.size:
        return False
    return int(X.max()) > LONGEST or int(X.min()) < -LONGEST


def _grid(seconds):
    """The coarsest of day, hour, minute, second and millisecond on which all times lie; else a microsecond."""
    micros = np.rint(seconds[~np.isnan(seconds)] * 1e6)
    return next((grid for grid in GRIDS[:-1] if np.all(micros % (grid * 1e6) == 0)), GRIDS[-1])


def learn_column(series: pd.Series, name: object) -> Column:
    """The column that a Series shows. Errors mention its name: a ValueError of complex data, a TypeError of other dtypes."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return Levels.learn(series, name)
    if isinstance(dtype, pd.SparseDtype):
        raise TypeError(f"Sparse data was passed: column {name!r} has dtype {dtype}; make it dense with `.sparse.to_dense()`.")
    if types.is_bool_dtype(dtype):
        return TruthValues.learn(series, name)
    if types.is_complex_dtype(dtype):
        raise ValueError(f"Complex data not supported: column {name!r} has dtype {dtype}.")
    if types.is_numeric_dtype(dtype):
        return Numbers.learn(series, name)
    if dtype.kind == "M":
        return Dates.learn(series, name)
    if dtype.kind == "m":
        return Durations.learn(series, name)
    if types.is_object_dtype(dtype) or types.is_string_dtype(dtype) or isinstance(dtype, pd.ArrowDtype):
        return _learn_objects(series, name)
    raise TypeError(
        f"column {name!r} has dtype {dtype}; accepted are numbers, truth values, strings, categories, dates and durations."
    )


def _learn_objects(series, name):
    """A column of Python objects: truth values, numbers, dates, durations, or categories."""
    known = series.dropna()
    inferred = types.infer_dtype(known.astype(object), skipna=True)
    if inferred == "empty":
        return Identifiers(series.dtype)
    if inferred == "boolean":
        return TruthValues.learn(series, name)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal"):
        return Numbers.learn(series, name)
    if inferred in ("date", "datetime", "datetime64"):
        return Dates.learn(series, name)
    if inferred in ("timedelta", "timedelta64"):
        return Durations.learn(series, name)
    if inferred == "string" and (format_ := _date_format(known)) is not None:
        return Dates.learn(series, name, format_)
    if inferred != "string":
        _refuse_odd(known, name)
    return Levels.learn(series, name)


def _refuse_odd(known, name):
    """Raise where a value is no category."""
    for value in known:
        if isinstance(value, (complex, np.complexfloating)):
            raise ValueError(f"Complex data not supported: column {name!r} holds {value!r}.")
        if not isinstance(value, (str, bytes, numbers.Number, np.generic)):
            raise TypeError(
                f"column {name!r} holds {value!r} of type {type(value).__name__}; every argument must be a string, a truth "
                "value, a date, a duration or a number."
            )


def _date_format(texts):
    """The format in which all texts are dates with a day, or None."""
    first = str(texts.iloc[0])
    for day_first in _day_orders(first):
        guess = pd.tseries.api.guess_datetime_format(first, dayfirst=day_first)
        if guess and "%d" in guess and "%z" not in guess and pd.to_datetime(texts, format=guess, errors="coerce").notna().all():
            return guess
    return None


def _day_orders(text):
    """Whether the day may come before the month in a date, each that is possible: of others pandas warns.

    A date after a time of day is not read that well, so that pandas may warn of one.
    """
    if re.match(r"\D*\d+:", text):
        return False, True
    fields = [int(field) for field in re.findall(r"(?<!\d)\d{1,2}(?!\d)", re.sub(r"\d+:.*", "", text))[:2]]
    if len(fields) < 2 or fields[1] > 12:
        return (False,)
    return (False, True) if fields[0] <= 12 else (True,)


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
