"""One line a column: what a table may hold, name -> a Series of N values without gaps, and the class that reads it."""

import datetime
import decimal
import zoneinfo

import numpy as np
import pandas as pd

from keras_ssvae.data.number_columns import Decimals, Numbers, TruthValues
from keras_ssvae.data.schema_columns import Levels
from keras_ssvae.data.time_columns import Dates, Durations, Periods, TimesOfDay

try:
    import pyarrow as pa
except ImportError:  # pandas does without
    pa = None

N = 12
DAYS = pd.date_range("2020-01-30", periods=N)
MOMENTS = pd.date_range("2020-01-30 07:08:09", periods=N, freq="37h")
HOURS = pd.to_timedelta(np.arange(-3, N - 3), unit="h")
WORDS = ["no", "yes", "maybe"] * 4
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
FORMATS = (
    *("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%d %B %Y", "%b %d, %Y"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S.%f"),
)


def objects(values):
    return pd.Series(list(values), dtype=object)


def arrow(values, dtype):
    return pd.Series(list(values), dtype=pd.ArrowDtype(dtype))


def texts(format, dates=DAYS):
    return pd.Series([date.strftime(format) for date in dates])


def whole():
    return np.random.RandomState(0).randint(0, 100, N)


def fractions():
    return np.random.RandomState(0).standard_normal(N)


NUMBERS = {
    **{dtype: pd.Series(whole(), dtype=dtype) for dtype in ("int8", "int64", "uint8", "uint64", "Int64", "Int8", "UInt16")},
    **{dtype: pd.Series(fractions(), dtype=dtype) for dtype in ("float16", "float32", "float64", "Float32", "Float64")},
    "whole objects": objects(range(N)),
    "objects": objects(fractions()),
    "money objects": objects(np.round(fractions(), 2)),
    "objects, some whole": objects([1, 2.5] * 6),
}
TRUTHS = {
    "bool": pd.Series([True, False] * 6),
    "boolean": pd.Series([True, False] * 6, dtype="boolean"),
    "truth objects": objects([True, False] * 6),
}
LEVELS = {
    "categorical of text": pd.Series(WORDS, dtype="category"),
    "categorical of objects": objects(WORDS).astype("category"),
    "categorical of numbers": pd.Series([1, 2, 4] * 4, dtype="category"),
    "categorical of bytes": pd.Series(np.array([1, 2, 4] * 4, np.int8), dtype="category"),
    "categorical of fractions": pd.Series([1.5, 2, 4] * 4, dtype="category"),
    "categorical of truth values": pd.Series([True, False] * 6, dtype="category"),
    "categorical of dates": pd.Series(DAYS).astype("category"),
    "categorical of intervals": pd.Series(pd.cut(range(N), 3)),
    "ordered": pd.Series(pd.Categorical(WORDS, ["no", "never", "maybe", "yes"], ordered=True)),
    "str": pd.Series(WORDS, dtype="str"),
    "string": pd.Series(WORDS, dtype="string"),
    "string of Python": pd.Series(WORDS, dtype="string[python]"),
    "text objects": objects(WORDS),
    "categorical of octets": pd.Series(pd.Categorical([b"a", b"\xff"] * 6)),
    "bytes": objects([b"a", b"\xff"] * 6),
    "numbers as text": objects(["1", "2", "10"] * 4),
    "text and numbers": objects(["a", 1, 2.5] * 4),
    "months": pd.Series(["2020-01", "2020-02", "2020-03"] * 4),  # no day, so no date
}
DATES = {
    **{f"datetime64[{unit}]": pd.Series(MOMENTS).astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    **{f"in New York [{unit}]": pd.Series(MOMENTS.tz_localize("America/New_York").as_unit(unit)) for unit in ("s", "us", "ns")},
    "through a change of clocks": pd.Series(pd.date_range("2020-10-24 22:30", periods=N, freq="h", tz=BERLIN)),
    "in another zone": pd.Series(MOMENTS.tz_localize(EAST)),
    "before our time": pd.Series(pd.date_range("1066-10-14", periods=N, unit="s")),
    "days": objects(date.date() for date in DAYS),
    "moments": objects(date.to_pydatetime() for date in MOMENTS),
    "midnights": objects(date.to_pydatetime() for date in DAYS),
    "timestamps": objects(MOMENTS),
    "moments in a zone": objects(date.to_pydatetime().replace(tzinfo=BERLIN) for date in MOMENTS),
    "moments of NumPy": objects(np.datetime64(date) for date in MOMENTS),
    **{f"text {format}": texts(format, DAYS + pd.Timedelta("3h 4min")) for format in FORMATS},
    "text of PostgreSQL": pd.Series([f"{date:%Y-%m-%d %H:%M:%S}+02" for date in MOMENTS]),
    "text objects %d.%m.%Y": texts("%d.%m.%Y").astype(object),
    "string %d.%m.%Y": texts("%d.%m.%Y").astype("string"),
}
DURATIONS = {
    **{f"timedelta64[{unit}]": pd.Series(HOURS).astype(f"timedelta64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    "durations": objects(hours.to_pytimedelta() for hours in HOURS),
}
PERIODS = {
    "months as periods": pd.Series(pd.period_range("2020-01", periods=N, freq="M")),
    "period objects": objects(pd.period_range("1969Q3", periods=N, freq="Q-MAR")),
}
CLOCKS = {"times of day": objects(datetime.time(2 * hour, 30) for hour in range(N))}
DECIMALS = {"decimals": objects(decimal.Decimal("1.25") + i for i in range(N))}
if pa is not None:
    NUMBERS |= {
        "Arrow int64": arrow(range(N), pa.int64()),
        "Arrow uint8": arrow(range(N), pa.uint8()),
        "Arrow float32": arrow(fractions(), pa.float32()),
        "Arrow float64": arrow(fractions(), pa.float64()),
        "Arrow decimal": arrow([decimal.Decimal("1.25") + i for i in range(N)], pa.decimal128(10, 2)),
    }
    TRUTHS |= {"Arrow bool": arrow([True, False] * 6, pa.bool_())}
    LEVELS |= {
        "Arrow text": arrow(WORDS, pa.string()),
        "Arrow large text": arrow(WORDS, pa.large_string()),
        "Arrow dictionary": arrow(WORDS, pa.dictionary(pa.int8(), pa.string())),
    }
    DATES |= {
        "Arrow moments": arrow(MOMENTS, pa.timestamp("us")),
        "Arrow moments [ns]": arrow(MOMENTS, pa.timestamp("ns")),
        "Arrow moments in a zone": arrow(MOMENTS.tz_localize("Europe/Berlin"), pa.timestamp("us", "Europe/Berlin")),
        "Arrow days": arrow((date.date() for date in DAYS), pa.date32()),
        "Arrow days [ms]": arrow((date.date() for date in DAYS), pa.date64()),
    }
    CLOCKS |= {"Arrow times of day": arrow((datetime.time(hour, 5) for hour in range(N)), pa.time64("us"))}
    DURATIONS |= {"Arrow durations": arrow(HOURS, pa.duration("us"))}

KINDS_OF_COLUMN = {
    Numbers: NUMBERS,
    TruthValues: TRUTHS,
    Levels: LEVELS,
    Dates: DATES,
    Durations: DURATIONS,
    Decimals: DECIMALS,
    Periods: PERIODS,
    TimesOfDay: CLOCKS,
}
COLUMNS = {name: (series, kind) for kind, columns in KINDS_OF_COLUMN.items() for name, series in columns.items()}
WITHOUT_GAPS = [name for name, (series, _) in COLUMNS.items() if series.dtype in ("int8", "int64", "uint8", "uint64", "bool")]


def with_gaps(name, mark=None):
    """The column with two of its cells missing, and where."""
    series = COLUMNS[name][0].copy()
    missing = np.isin(np.arange(N), (1, 5))
    if series.dtype == object:
        return objects(mark if gap else value for value, gap in zip(series, missing, strict=True)), missing
    series[missing] = None
    return series, missing
