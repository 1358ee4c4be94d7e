"""The kinds of columns that X may have: how values of each become numbers, and how numbers become values again.

To add a kind of column, add a class with `learn`, `numbers` and `values`, and a line in `learn_column`.
"""

import dataclasses
import datetime
import numbers
import re
import uuid
import warnings

import numpy as np
import pandas as pd
from pandas.api import types

from keras_ssvae.data.column_base import Column, ColumnWarning
from keras_ssvae.data.number_columns import Decimals, Numbers, TruthValues, are_decimals
from keras_ssvae.data.time_columns import Dates, Durations, Periods, TimesOfDay, date_format, iso_format
from keras_ssvae.registry import register, require

__all__ = []

MAX_LEVELS = 100  # of a column of categories; what is rarer counts as missing


@register
@dataclasses.dataclass
class Levels(Column):
    """A column of categories, as positions among its levels."""

    levels: list  # all of a pandas categorical, else those that were seen, sorted
    is_ordered: bool = False
    is_integer = True

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        is_category = isinstance(series.dtype, pd.CategoricalDtype)
        if is_category and not len(series.dtype.categories):
            return Identifiers(series.dtype)
        if is_category and (series.dtype.ordered or len(series.dtype.categories) <= MAX_LEVELS):
            return cls(series.dtype, series.dtype.categories.tolist(), bool(series.dtype.ordered))
        counts = series.astype(object).value_counts() if is_category else series.value_counts()
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
            known = self.dtype.categories.tolist()
            same = known == self.levels or len(known) > MAX_LEVELS and not self.is_ordered and set(self.levels) <= set(known)
            require(same and bool(self.dtype.ordered) == self.is_ordered, "levels of a column are not those of its dtype")
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
            position = self.dtype.categories.get_indexer(pd.Index(self.levels, dtype=self.dtype.categories.dtype))
            return pd.Categorical.from_codes(np.append(position, -1)[codes], dtype=self.dtype)
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


WRITTEN = re.compile(r"\s*[-+(]?\s*([$€£¥]|[A-Z]{3})?\s*[-+]?\d[\d.,'\u00a0\u202f _]*\s*([%$€£¥)]|[A-Za-z]{1,3})?\s*")


def _hint_of_numbers(series):
    """What to do about text of which more than half reads as numbers, or ""."""
    known = series.dropna()
    if types.infer_dtype(known.astype(object)) != "string":
        return ""
    reads = pd.to_numeric(known.astype(object), errors="coerce").notna()
    if reads.mean() <= 0.5:
        written = [WRITTEN.fullmatch(text) is not None for text in known]
        return (
            ""
            if sum(written) <= 0.5 * len(written)
            else (
                f" {sum(written)} of its texts are numbers with signs around them, such as {known[written].iloc[0]!r}: "
                "`str.replace` and pd.to_numeric make it a column of numbers."
            )
        )
    others = "" if reads.all() else f" with gaps for the others, such as {known[~reads].iloc[0]!r},"
    return (
        f" {reads.sum()} of its texts are numbers: pd.to_numeric(..., errors='coerce') makes it,{others} a column of numbers."
    )


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
    if isinstance(dtype, pd.PeriodDtype):
        return Periods.learn(series, name)
    if isinstance(dtype, pd.IntervalDtype):
        return Levels.learn(series, name)
    if types.is_object_dtype(dtype) or types.is_string_dtype(dtype) or isinstance(dtype, pd.ArrowDtype):
        return _learn_objects(series, name)
    raise TypeError(
        f"column {name!r} has dtype {dtype}; accepted are numbers, truth values, strings, categories, dates, times, periods "
        "and durations. Convert it by `astype`, or leave it out."
    )


def _learn_objects(series, name):
    """A column of Python objects: truth values, numbers, dates, durations, or categories."""
    known = series.dropna()
    inferred = types.infer_dtype(known.astype(object), skipna=True)
    if inferred == "empty":
        return Identifiers(series.dtype)
    if inferred == "boolean":
        return TruthValues.learn(series, name)
    if series.dtype == object and are_decimals(known):
        return Decimals.learn(series, name)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal"):
        return Numbers.learn(series, name)
    if inferred in ("date", "datetime", "datetime64"):
        return Dates.learn(series, name)
    if inferred in ("timedelta", "timedelta64"):
        return Durations.learn(series, name)
    if inferred == "time":
        return TimesOfDay.learn(series, name)
    if inferred == "period":
        return Periods.learn(series, name)
    if inferred == "string" and (format_ := date_format(known)) is not None:
        return Dates.learn(series, name, format_)
    if inferred == "string" and (iso := iso_format(known)) is not None:
        return Dates.learn(series, name, *iso)
    if inferred != "string":
        _refuse_odd(known, name)
    return Levels.learn(series, name)


def _refuse_odd(known, name):
    """Raise where a value is no category."""
    times = (datetime.date, datetime.time, datetime.timedelta, pd.Period)
    if all(isinstance(value, times) for value in known):
        kinds = {f"{type(v).__name__}{f' of {v.freqstr}' if isinstance(v, pd.Period) else ''}" for v in known}
        raise TypeError(
            f"column {name!r} mixes times of several kinds, {' and '.join(sorted(kinds))}; convert them to one, for example by "
            "pd.to_datetime."
        )
    for value in known:
        if isinstance(value, (complex, np.complexfloating)):
            raise ValueError(f"Complex data not supported: column {name!r} holds {value!r}.")
        if not isinstance(value, (str, bytes, numbers.Number, np.generic, uuid.UUID, pd.Interval)):
            raise TypeError(
                f"column {name!r} holds {value!r} of type {type(value).__name__}; every argument must be a string, a truth "
                "value, a date, a time, a period, a duration or a number. Convert it by `astype(str)`, or leave it out."
            )
