"""Columns of dates, durations, periods and times of day, as seconds or whole numbers; they come back on their grid."""

import dataclasses
import datetime
import re

import numpy as np
import pandas as pd
from pandas.api import types

from keras_ssvae.data.column_base import GRIDS, Column, arrow_type, objects_of
from keras_ssvae.registry import register, require

__all__ = []


@register
@dataclasses.dataclass
class Dates(Column):
    """A column of dates, as seconds since 1970; they come back on the grid (days, seconds ...) on which all were."""

    grid: float  # seconds
    format: str | None = None  # of dates that are text, as in `datetime.strptime`
    zone: str | None = None  # None where dates have none
    is_day: bool = False  # whether the dates are Python objects without a time
    tail: str | None = None  # what ISO 8601 texts end in, such as "Z" or "+02:00", and "" where that is nothing
    is_local: bool = False  # whether the grid is that of the clocks of the zone, as that of midnights is
    is_python: bool = False  # whether they are `datetime.datetime` objects, and not those of pandas

    @classmethod
    def learn(cls, series: pd.Series, name: object, format: str | None = None, tail: str | None = None) -> Column:
        column = cls(series.dtype, 1e-6, format, tail=tail)
        if format is None:
            zone = getattr(series.dtype, "tz", None) or arrow_type(series.dtype, "tz")
            if series.dtype == object:
                zone = getattr(series.dropna().iloc[0], "tzinfo", None)
            column.zone = None if zone is None else _zone_name(zone, name)
            column.is_python = _are_all(series, datetime.datetime)
        elif tail:
            column.zone = "UTC" if tail[0] == "Z" else f"UTC{tail[:3]}:{tail[3:].removeprefix(':') or '00'}"
        moments = column.numbers(series)
        column.grid = _grid(moments)
        if column.zone is not None:
            local = _grid(_seconds(column._clocks(_moments(moments))))
            column.is_local, column.grid = local > column.grid, max(local, column.grid)
        column.is_day = series.dtype == object and types.infer_dtype(series) == "date" and column.grid == 86400.0
        return column

    def _check_loaded(self):
        for name, value in (("tail", None), ("is_local", False), ("is_python", False)):  # the first files had none of them
            vars(self).setdefault(name, value)
        super()._check_loaded()

    def _clocks(self, moments):
        """What clocks of the zone show at moments of UTC."""
        return moments.dt.tz_localize("UTC").dt.tz_convert(self.zone).dt.tz_localize(None)

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = series if series.dtype.kind == "M" else series.astype(object)
        form = self.format if self.tail is None else "ISO8601"
        dates = pd.to_datetime(plain, format=form, errors="coerce", utc=True)  # those without a zone are taken as UTC
        return _seconds(dates.dt.tz_localize(None))

    def values(self, numbers_: np.ndarray) -> object:
        if self.is_local:
            clocks = _seconds(self._clocks(_moments(numbers_)))
            dates = _moments(_on_grid(clocks, self.grid)).dt.tz_localize(
                self.zone, ambiguous=np.ones(len(clocks), bool), nonexistent="shift_forward"
            )
        else:
            dates = _moments(_on_grid(numbers_, self.grid))
            if self.zone is not None:
                dates = dates.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        if self.dtype.kind == "M":
            return dates.astype(self.dtype)
        moments = self._texts(dates) if self.format else dates.dt.date if self.is_day else dates
        if self.is_python and not self.is_day:
            moments = dates.dt.to_pydatetime()
        return moments.astype(object).where(dates.notna(), None).astype(self.dtype)

    def _texts(self, dates):
        texts = dates.dt.strftime(self.format)
        if self.tail is None:
            return texts
        return (texts.str.slice(stop=-3) if self.grid == 1e-3 else texts) + self.tail  # "%f" are six digits


@register
@dataclasses.dataclass
class Durations(Column):
    """A column of time differences, as seconds; they come back on the grid on which all were."""

    grid: float  # seconds
    is_python: bool = False  # whether they are `datetime.timedelta` objects, and not those of pandas

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        return cls(series.dtype, _grid(cls(series.dtype, 1.0).numbers(series)), _are_all(series, datetime.timedelta))

    def _check_loaded(self):
        vars(self).setdefault("is_python", False)  # the first files had it not
        super()._check_loaded()

    def numbers(self, series: pd.Series) -> np.ndarray:
        plain = series if series.dtype.kind == "m" else pd.to_timedelta(series.astype(object))
        return plain.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)

    def values(self, numbers_: np.ndarray) -> object:
        lengths = pd.Series(pd.to_timedelta(np.rint(numbers_ / self.grid) * self.grid, unit="s"))
        if self.dtype != object:
            return lengths.astype(self.dtype)
        objects = objects_of(lengths)
        if not self.is_python:
            return objects
        return pd.Series([None if length is None else length.to_pytimedelta() for length in objects], dtype=object)


@register
@dataclasses.dataclass
class Periods(Column):
    """A column of periods, months for one, as whole numbers from the one that holds the first day of 1970."""

    freq: str

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        if isinstance(series.dtype, pd.PeriodDtype):
            return cls(series.dtype, series.dtype.name.partition("[")[2][:-1])
        return cls(series.dtype, series.dropna().iloc[0].freqstr)

    def _check_loaded(self):
        super()._check_loaded()
        require(isinstance(self.freq, str), "the length of the periods of a column is none")

    def numbers(self, series: pd.Series) -> np.ndarray:
        periods = pd.PeriodIndex(series, freq=self.freq)
        return np.where(periods.isna(), np.nan, periods.asi8)

    def values(self, numbers_: np.ndarray) -> object:
        missing = np.isnan(numbers_)
        ordinals = np.where(missing, 0, np.rint(numbers_)).astype(np.int64)
        periods = pd.Series(pd.PeriodIndex.from_ordinals(ordinals, freq=self.freq)).where(~missing)
        return periods.astype(object).where(periods.notna(), None) if self.dtype == object else periods.astype(self.dtype)


@register
@dataclasses.dataclass
class TimesOfDay(Column):
    """A column of `datetime.time` objects, as seconds since midnight; they come back on the grid on which all were."""

    grid: float  # seconds

    @classmethod
    def learn(cls, series: pd.Series, name: object) -> Column:
        if any(value.tzinfo is not None for value in series.dropna()):
            raise TypeError(f"column {name!r} holds times of day with a zone; convert them to those of one zone, without it.")
        return cls(series.dtype, min(3600.0, _grid(cls(series.dtype, 1.0).numbers(series))))

    def numbers(self, series: pd.Series) -> np.ndarray:
        times = objects_of(series)
        return np.array(
            [np.nan if v is None else 3600.0 * v.hour + 60 * v.minute + v.second + v.microsecond / 1e6 for v in times], float
        )

    def values(self, numbers_: np.ndarray) -> object:
        times = [None if v != v else _clock(v) for v in _on_grid(numbers_, self.grid).tolist()]
        return pd.Series(times, dtype=object).astype(self.dtype)


def _clock(seconds):
    """A time of day; the last one before midnight where it is later."""
    micros = min(max(round(seconds * 1e6), 0), 86_400 * 10**6 - 1)
    return (datetime.datetime.min + datetime.timedelta(microseconds=micros)).time()


def _are_all(series, kind):
    """Whether all values of a column of objects are of this class itself."""
    return series.dtype == object and all(type(value) is kind for value in series.dropna())


def _zone_name(zone, column):
    """What pandas calls a time zone, of a column of this name; a TypeError if it has no name for it."""
    try:
        pd.Timestamp(0, tz=str(zone))
    except (KeyError, ValueError) as error:
        raise TypeError(
            f"column {column!r} has the time zone {zone!r}, which cannot be found by name; convert it to one that can, as "
            "`dt.tz_convert('Europe/Berlin')` does."
        ) from error
    return str(zone)


def _seconds(moments):
    """Seconds since 1970 of a Series of moments without a zone, NaN where missing."""
    dates = moments.astype("datetime64[us]")
    return np.where(dates.isna(), np.nan, dates.to_numpy().astype(np.int64) / 1e6)


def _moments(seconds):
    """The opposite of `_seconds`."""
    micros = np.where(np.isnan(seconds), 0, np.rint(seconds * 1e6)).astype("int64")
    return pd.Series(micros.astype("datetime64[us]")).where(~np.isnan(seconds))


def _on_grid(seconds, grid):
    return np.rint(seconds / grid) * grid


def _grid(seconds):
    """The coarsest of day, hour, minute, second and millisecond on which all times lie; else a microsecond."""
    micros = np.rint(seconds[~np.isnan(seconds)] * 1e6)
    return next((grid for grid in GRIDS[:-1] if np.all(micros % (grid * 1e6) == 0)), GRIDS[-1])


ISO = re.compile(r"\d{4}-\d\d-\d\d(?P<t>[T ])\d\d:\d\d(?P<s>:\d\d)?(?P<f>[.,]\d+)?(?P<tail>Z|[+-]\d\d(:?\d\d)?)?")


def iso_format(texts: pd.Series) -> tuple[str, str] | None:
    """The format of texts that are all moments of ISO 8601, up to what they end in most often, and that end; else None."""
    found = [match for text in texts if (match := ISO.fullmatch(text)) is not None]
    if len(found) < len(texts):
        return None
    tails = pd.Series([match["tail"] or "" for match in found])
    if 0 < tails.eq("").sum() < len(tails):  # moments, and what clocks show somewhere
        return None
    if pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True).isna().any():
        return None
    seconds = (":%S" if any(match["s"] for match in found) else "") + (".%f" if any(match["f"] for match in found) else "")
    return f"%Y-%m-%d{found[0]['t']}%H:%M{seconds}", tails.mode()[0]


def date_format(texts: pd.Series) -> str | None:
    """The format in which all texts are dates with a day, or None."""
    first = str(texts.iloc[0])
    for day_first in _day_orders(first):
        guess = pd.tseries.api.guess_datetime_format(first, dayfirst=day_first) or ""
        is_day = "%d" in guess and "%z" not in guess.lower()  # a day, on clocks of no zone
        if is_day and pd.to_datetime(texts, format=guess, errors="coerce").notna().all():
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
