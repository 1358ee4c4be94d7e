"""The user's columns <-> numbers: every dtype there and back, gaps in each of them, and what is refused by name."""

import datetime
import warnings

import dateutil.tz
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from columns import BERLIN, COLUMNS, EAST, WITHOUT_GAPS, WORDS, N, objects, texts, with_gaps

from keras_ssvae.data import time_columns
from keras_ssvae.data.column_base import ColumnWarning
from keras_ssvae.data.number_columns import cast
from keras_ssvae.data.schema import Schema, as_frame
from keras_ssvae.data.schema_columns import Identifiers, Levels

MARKS = {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}
GAPPY = [name for name in COLUMNS if name not in WITHOUT_GAPS]
OBJECTS = [name for name in GAPPY if COLUMNS[name][0].dtype == object]
MARKED = [(name, "None") for name in GAPPY] + [(name, mark) for name in OBJECTS for mark in ("NaN", "NA", "NaT")]


def one(series):
    return pd.DataFrame({"c": series})


# There and back


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_come_back_to_the_last_digit(name):
    series, kind = COLUMNS[name]
    frame = one(series)
    before = frame.copy(deep=True)
    schema = Schema().fit(frame)
    values = schema.read(frame)
    assert values.dtype == np.float64
    assert values.shape == (N, 1)
    assert type(schema.columns[0]) is kind
    back = schema.write(values, frame.index)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(("name", "mark"), MARKED)
def test_gaps_are_no_numbers_and_come_back_as_gaps(name, mark):
    series, kind = COLUMNS[name]
    gappy, missing = with_gaps(name, MARKS[mark])
    schema = Schema().fit(one(gappy))
    assert type(schema.columns[0]) is kind
    values = schema.read(one(gappy))[:, 0]
    np.testing.assert_array_equal(np.isnan(values), missing)
    np.testing.assert_array_equal(values[~missing], Schema().fit(one(series)).read(one(series))[~missing, 0])
    back = schema.write(values[:, None])["c"]
    assert back.dtype == gappy.dtype
    np.testing.assert_array_equal(back.isna(), missing)
    assert back[~missing].tolist() == gappy[~missing].tolist()


@pytest.mark.parametrize("name", GAPPY)
def test_a_column_missing_everywhere(name):
    series = objects([None] * N) if COLUMNS[name][0].dtype == object else pd.Series([None] * N, dtype=COLUMNS[name][0].dtype)
    frame = one(series)
    schema = Schema().fit(frame)
    assert np.isnan(schema.read(frame)).all()
    back = schema.write(schema.read(frame))
    assert back["c"].isna().all()
    assert back["c"].dtype == series.dtype
    filled = schema.fill(frame, schema.read(frame))
    pd.testing.assert_frame_equal(filled, frame)


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_to_come_may_lack_the_whole_column(name):
    schema = Schema().fit(one(COLUMNS[name][0]))
    for nothing in (objects([None] * 3), pd.Series([np.nan] * 3), pd.Series([None] * 3, dtype="str")):
        assert np.isnan(schema.read(one(nothing))).all()


@pytest.mark.parametrize("name", COLUMNS)
def test_some_rows_are_read_as_all(name):
    frame = one(COLUMNS[name][0])
    schema = Schema().fit(frame)
    np.testing.assert_array_equal(schema.read(frame.iloc[[7, 2]]), schema.read(frame)[[7, 2]])
    assert schema.read(frame.iloc[:0]).shape == (0, 1)


# What the numbers are


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pd.Series([7, 8], dtype="int8"), [7, 8]),
        (pd.Series([2.5, None], dtype="Float32"), [2.5, np.nan]),
        (objects([True, None]), [1, np.nan]),
        (objects(["b", "a", None]), [1, 0, np.nan]),
        (objects(["b", 2, "a", 1]), [3, 1, 2, 0]),
        (pd.Series(pd.Categorical(["b", "a"], ["b", "a", "c"])), [0, 1]),
        (pd.Series(["1970-01-02", "1969-12-31"]), [86400, -86400]),
        (pd.Series(pd.DatetimeIndex(["1970-01-01 00:00:01.5"])), [1.5]),
        (pd.Series(pd.DatetimeIndex(["1970-01-01 01:00"], tz="Europe/Berlin")), [0]),
        (pd.Series(pd.to_timedelta(["1h", "-1.5s"])), [3600, -1.5]),
    ],
    ids=str,
)
def test_numbers_of_a_column(series, expected):
    np.testing.assert_array_equal(Schema().fit(one(series)).read(one(series))[:, 0], expected)


@pytest.mark.parametrize(
    ("series", "whole"),
    [
        (pd.Series([1.0, 2.0]), False),  # of a dtype that could hold others, and does not have to hold these
        (pd.Series([1.0, None]), True),  # whole numbers that gaps have turned into floats
        (pd.Series([1.5, None]), False),
        (pd.Series([None, None], dtype=float), False),
        (pd.Series([1, 2]), True),
        (pd.Series([1, None], dtype="Int8"), True),
        (objects([1, 2]), True),
        (objects([1, None]), True),
        (objects([1, 2.5]), False),
    ],
    ids=str,
)
def test_whole_numbers_come_back_whole(series, whole):
    schema = Schema().fit(one(series))
    assert schema.columns[0].is_integer == whole
    assert schema.write(np.array([[1.4]]))["c"].tolist() == [1] if whole else [1.4]


def test_between_two_levels_comes_the_nearer_one_and_beyond_them_the_last():
    schema = Schema().fit(one(objects(WORDS)))
    back = schema.write(np.array([[-5], [0.4], [0.6], [9], [np.nan]]))["c"]
    assert back.tolist() == ["maybe", "maybe", "no", "yes", None]


GRIDS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1, "millisecond": 1e-3, "microsecond": 1e-6}


@pytest.mark.parametrize(("name", "grid"), GRIDS.items())
@pytest.mark.parametrize("make", [lambda t: pd.Timestamp("2020-05-05") + pd.to_timedelta(t), pd.to_timedelta])
def test_times_come_back_on_the_grid_on_which_all_were(name, grid, make):
    steps = pd.to_timedelta(np.array([0, 7, 11]) * int(grid * 1e6), unit="us")
    schema = Schema().fit(one(pd.Series(make(steps))))
    assert schema.columns[0].grid == grid
    values = schema.read(one(pd.Series(make(steps))))
    off_the_grid = values + np.array([[0.3], [-0.4], [0.1]]) * grid * (grid > 1e-6)
    assert schema.write(off_the_grid)["c"].tolist() == list(make(steps))


def test_dates_in_several_zones_are_all_read():
    dates = [datetime.datetime(2020, 1, 1, tzinfo=zone) for zone in (BERLIN, EAST, None)]
    schema = Schema().fit(one(objects(dates)))
    start = 1577836800  # of 2020 in Greenwich
    np.testing.assert_array_equal(schema.read(one(objects(dates)))[:, 0], [start - 3600, start - 5.5 * 3600, start])
    assert schema.write(np.array([[start]]))["c"].tolist() == [pd.Timestamp("2020-01-01 01:00", tz=BERLIN)]


def test_days_among_moments_are_moments():
    dates = [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 5)]
    schema = Schema().fit(one(objects(dates)))
    assert schema.write(schema.read(one(objects(dates))))["c"].tolist() == [pd.Timestamp(date) for date in dates]


@pytest.mark.parametrize("text", ["12.10.2020", "10/12/2020", "2020-10-12"])
def test_dates_of_which_the_day_could_be_the_month_come_back_as_they_were(text):
    frame = one(pd.Series([text]))
    schema = Schema().fit(frame)
    pd.testing.assert_frame_equal(schema.write(schema.read(frame)), frame)


@pytest.mark.parametrize(
    ("texts", "date_format"),
    [
        (("13/02/2020", "01/02/2021"), "%d/%m/%Y"),  # of the first, pandas would warn if it were asked for months first
        (("01/02/2021", "13/02/2020"), "%d/%m/%Y"),
        (("02/13/2020", "03/01/2021"), "%m/%d/%Y"),  # and of this if it were asked for days first
        (("03/01/2021", "02/13/2020"), "%m/%d/%Y"),
        (("2020-02-13", "2021-02-01"), "%Y-%m-%d"),
        (("2021-02-01 23:59", "2020-02-13 00:00"), "%Y-%m-%d %H:%M"),
        (("20200213", "20210201"), "%Y%m%d"),
        (("13 February 2020", "1 March 2021"), "%d %B %Y"),
        (("14:15 13/02/2020", "23:59 01/02/2021"), "%H:%M %d/%m/%Y"),
    ],
)
def test_the_format_of_dates_is_found_without_a_warning(texts, date_format):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert time_columns.date_format(pd.Series(texts)) == date_format


@pytest.mark.parametrize("text", ["20-30", "10.10.10", "A1", "May", "12345", "12:30", "1.5", "2020-01", "192.168.0.1", ""])
def test_text_like_a_date_is_none(text):
    assert isinstance(Schema().fit(one(pd.Series([text]))).columns[0], Levels)


def test_one_text_that_is_no_date_makes_categories_of_all():
    column = Schema().fit(one(pd.Series(["2020-01-01", "2020-01-02", "unknown"]))).columns[0]
    assert column.levels == ["2020-01-01", "2020-01-02", "unknown"]


# Rows to come


def test_a_category_that_the_fit_did_not_see_is_missing():
    for column in (objects(WORDS), pd.Series(WORDS, dtype="category"), pd.Series(WORDS, dtype="string")):
        schema = Schema().fit(one(column))
        for new in (objects(["yes", "nein", 3]), pd.Series(["yes", "nein", None], dtype="category")):
            np.testing.assert_array_equal(schema.read(one(new))[:, 0], [2, np.nan, np.nan])


def test_categories_in_another_order_are_the_same_categories():
    schema = Schema().fit(one(pd.Series(pd.Categorical(["a", "b"], ["a", "b"]))))
    for categories in (["b", "a"], ["c", "b", "a"], ["b"]):
        given = pd.Series(pd.Categorical(["b", "b", None], categories))
        np.testing.assert_array_equal(schema.read(one(given))[:, 0], [1, 1, np.nan])


def test_numbers_as_categories_are_known_by_their_value():
    schema = Schema().fit(one(pd.Series([1, 2, 4], dtype="category")))
    np.testing.assert_array_equal(schema.read(one(pd.Series([4.0, np.nan, 3.0])))[:, 0], [2, np.nan, np.nan])


def test_dates_that_cannot_be_read_are_missing():
    schema = Schema().fit(one(texts("%d.%m.%Y")))
    np.testing.assert_array_equal(
        schema.read(one(pd.Series(["02.01.1970", "1970-01-02", "soon"])))[:, 0], [86400, np.nan, np.nan]
    )


@pytest.mark.parametrize("name", ["bool", "truth objects", "boolean"])
def test_truth_values_may_come_as_zeros_and_ones(name):
    schema = Schema().fit(one(COLUMNS[name][0]))
    np.testing.assert_array_equal(schema.read(one(pd.Series([1, 0])))[:, 0], [1, 0])
    np.testing.assert_array_equal(schema.read(one(pd.Series([1.0, np.nan])))[:, 0], [1, np.nan])


@pytest.mark.parametrize("name", ["float64", "Int8", "bool", "durations"])
def test_values_of_another_sort_are_refused_by_the_name_of_their_column(name):
    schema = Schema().fit(pd.DataFrame({"fine": np.arange(N), "odd": COLUMNS[name][0]}))
    with pytest.raises(ValueError, match="column 'odd' holds other values than in the fit: "):
        schema.read(pd.DataFrame({"fine": [1], "odd": ["much"]}))


def test_text_in_a_column_that_was_missing_everywhere_is_missing():
    schema = Schema().fit(one(objects([None] * N)))
    assert isinstance(schema.columns[0], Identifiers)
    assert np.isnan(schema.read(one(objects(["a", 1])))).all()


# Too many categories


def test_identifiers_are_left_out_with_a_warning():
    names = [f"N{i}" for i in range(150)] + [None] * 10
    frame = pd.DataFrame({"who": names, "x": np.arange(160.0)})
    with pytest.warns(ColumnWarning, match="column 'who' has 150 different values in 150 rows, as names .* left out"):
        schema = Schema().fit(frame)
    assert isinstance(schema.columns[0], Identifiers)
    assert np.isnan(schema.read(frame)[:, 0]).all()
    back = schema.write(schema.read(frame))
    assert back["who"].isna().all()
    assert back.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(schema.fill(frame, schema.read(frame)), frame)


def test_of_many_categories_the_most_frequent_are_kept():
    words = [f"w{i:03}" for i in range(150)]
    series = objects(np.repeat(words, np.where(np.arange(150) % 3 < 2, 4, 3)))  # 100 of them more often than the others
    with pytest.warns(ColumnWarning, match="column 'c' has 150 categories; all but the 100 most frequent count as missing"):
        schema = Schema().fit(one(series))
    kept = [word for i, word in enumerate(words) if i % 3 < 2]
    assert schema.columns[0].levels == kept
    np.testing.assert_array_equal(np.isnan(schema.read(one(series))[:, 0]), ~series.isin(kept))


def test_a_hundred_categories_are_not_too_many(recwarn):
    schema = Schema().fit(one(objects(f"w{i}" for i in range(100))))
    assert len(schema.columns[0].levels) == 100
    assert not [w for w in recwarn if w.category is ColumnWarning]


# Containers


ALL = pd.DataFrame({name: series for name, (series, _) in COLUMNS.items()})
INDEXES = {
    "unordered": pd.Index(np.random.RandomState(0).permutation(N)),
    "twice the same": pd.Index([1, 2] * 6),
    "names": pd.Index([f"r{i}" for i in range(N)], name="row"),
    "two levels": pd.MultiIndex.from_product([[1, 2], range(6)]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_a_frame_of_all_columns_comes_back_with_its_index(index):
    frame = ALL.set_axis(index)
    schema = Schema().fit(frame)
    assert schema.container == "frame"
    pd.testing.assert_frame_equal(schema.write(schema.read(frame), index), frame, check_exact=True)


@pytest.mark.parametrize(
    "columns",
    [pd.Index(["a", "a", "a"]), pd.Index([3, 1, 2]), pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])],
    ids=["duplicates", "numbers", "two levels"],
)
def test_names_of_columns_come_back(columns):
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"], "c": [True, False]}).set_axis(columns, axis=1)
    schema = Schema().fit(frame)
    pd.testing.assert_frame_equal(schema.write(schema.read(frame)), frame)
    filled = schema.fill(frame, np.array([[7.5, 0, 0], [8.5, 0, 0]]))
    assert filled.iloc[:, 0].tolist() == [1.5, 8.5]
    pd.testing.assert_frame_equal(filled.iloc[:, 1:], frame.iloc[:, 1:])


MIXED = [["a", 1, None, True], ["b", 2, 0.5, False], [None, 3, 1.5, True]]


def test_an_array_of_objects():
    X = np.array(MIXED, object)
    schema = Schema().fit(X)
    assert (schema.container, schema.dtype, schema.names) == ("array", object, None)
    values = schema.read(X)
    np.testing.assert_array_equal(values, [[0, 1, np.nan, 1], [1, 2, 0.5, 0], [np.nan, 3, 1.5, 1]])
    back = schema.write(values)
    assert back.dtype == object
    assert back[:, [0, 1, 3]].tolist() == X[:, [0, 1, 3]].tolist()
    filled = schema.fill(X, np.full((3, 4), 1.0))
    assert filled.tolist() == [["a", 1, 1.0, True], ["b", 2, 0.5, False], ["b", 3, 1.5, True]]


def test_a_list_of_rows_with_text():
    schema = Schema().fit(MIXED)
    back = schema.write(schema.read(MIXED))
    assert isinstance(back, np.ndarray)
    assert back[:, [0, 1, 3]].tolist() == [[row[j] for j in (0, 1, 3)] for row in MIXED]
    assert schema.fill(MIXED, np.ones((3, 4))).tolist() == [["a", 1, 1.0, True], ["b", 2, 0.5, False], ["b", 3, 1.5, True]]


def test_a_list_of_rows_with_gaps():
    X = [[1, None], [2, 0.5]]
    schema = Schema().fit(X)
    back = schema.write(schema.read(X))
    assert back.dtype == np.float64
    np.testing.assert_array_equal(back, [[1, np.nan], [2, 0.5]])
    np.testing.assert_array_equal(schema.fill(X, np.full((2, 2), 7.0)), [[1, 7], [2, 0.5]])


def test_arrays_of_text_and_of_dates():
    for X in (np.array([["a", "x"], ["b", "x"]]), np.array([["2020-01-01"], ["2020-01-03"]], "datetime64[s]")):
        schema = Schema().fit(X)
        np.testing.assert_array_equal(schema.write(schema.read(X)), X, strict=True)


@pytest.mark.parametrize("X", [np.ones((2, 2)), np.ones((2, 3, 3), np.uint8), [[1, 2]], np.ones((2, 2), bool)], ids=str)
def test_numbers_need_no_columns(X):
    assert as_frame(X) is None
    assert Schema().fit(X).columns is None


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "bool"])
def test_frames_of_numbers_may_come_as_arrays_and_the_other_way_round(dtype):
    X = np.array([[1, 0], [0, 1], [1, 1]], dtype)
    frame = pd.DataFrame(X, columns=["a", "b"])
    np.testing.assert_array_equal(Schema().fit(frame).read(X), X)
    np.testing.assert_array_equal(Schema().fit(X).read(frame), X)


@pytest.mark.parametrize("shape", [(4, 1), (4, 3), (0, 2)])
def test_a_frame_of_another_width_is_left_to_scikit_learn_to_refuse(shape):
    schema = Schema().fit(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}))
    assert schema.read(pd.DataFrame(np.ones(shape))).shape == shape


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.5, None, 2.5], "b": ["x", "y", "x"], "c": [True, False, None], "d": [1, 2, 3]})
    schema = Schema().fit(frame)
    assert schema.container == "polars"
    back = schema.write(schema.read(frame))
    assert isinstance(back, polars.DataFrame)
    assert back.columns == frame.columns
    assert back["b"].to_list() == ["x", "y", "x"]
    filled = schema.fill(frame, np.ones((3, 4)))
    assert filled["a"].to_list() == [1.5, 1.0, 2.5]
    assert filled["c"].to_list() == [True, False, True]


# What is refused

REFUSED = {
    "complex": (np.array([1j, 2]), ValueError, "Complex data not supported: column 'odd'"),
    "complex objects": (objects([1j, 2]), ValueError, "Complex data not supported: column 'odd'"),
    "dict": (objects([{}, 1]), TypeError, r"column 'odd' holds \{\} of type dict; every argument must be a string, .* number"),
    "list": (objects([[1], "a"]), TypeError, r"column 'odd' holds \[1\] of type list"),
    "bytes of a set": (objects([{1}, None]), TypeError, r"column 'odd' holds \{1\} of type set.*`astype\(str\)`"),
    "times of several kinds": (
        objects([datetime.time(1), datetime.date(2020, 1, 1)]),
        TypeError,
        "column 'odd' mixes times of several kinds, date and time",
    ),
    "periods of several lengths": (
        objects([pd.Period("2020", "Y"), pd.Period("2020-01", "M")]),
        TypeError,
        "column 'odd' mixes .* Period of M and Period of Y",
    ),
    "sparse": (pd.arrays.SparseArray([0, 1]), TypeError, "Sparse data was passed: column 'odd' .* `.sparse.to_dense"),
}


@pytest.mark.parametrize(("values", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_a_column_that_cannot_be_read_is_named(values, error, message):
    with pytest.raises(error, match=message):
        Schema().fit(pd.DataFrame({"fine": [1, 2], "odd": values}))


def test_a_column_of_an_array_is_named_by_its_position():
    with pytest.raises(TypeError, match="column 1 holds"):
        Schema().fit(np.array([["a", {}]], object))


# Gaps filled


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_fill_fills_gaps_and_leaves_all_else(index):
    columns = {name: with_gaps(name)[0] for name in GAPPY}
    frame = pd.DataFrame(columns).set_axis(index)
    before = frame.copy(deep=True)
    schema = Schema().fit(frame)
    values = schema.read(frame)
    values = np.where(np.isnan(values), values[0], values)  # the value of the first row
    filled = schema.fill(frame, values)
    pd.testing.assert_frame_equal(frame, before)
    assert filled.dtypes.equals(frame.dtypes)
    assert filled.index.equals(index)
    expected = frame.copy()
    for j in range(frame.shape[1]):
        expected.isetitem(j, frame.iloc[:, j].fillna(frame.iloc[0, j]))
    known = frame.notna().all(axis=1).to_numpy()
    pd.testing.assert_frame_equal(filled[known], frame[known])
    for name in frame:
        assert filled[name].tolist() == expected[name].tolist()


@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]"])
def test_nan_is_a_gap_that_is_filled(dtype):
    column = pd.Series([1.5, np.nan], dtype="float64").astype(dtype)
    if dtype == "double[pyarrow]":
        column = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([1.5, np.nan])))
    filled = Schema().fit(one(column)).fill(one(column), np.full((2, 1), 1.5))["c"]
    assert filled.tolist() == [1.5, 1.5] and filled.dtype == column.dtype


def test_a_column_without_gaps_is_the_users():
    frame = pd.DataFrame({"a": [0.1 + 0.2, 1e-300], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(Schema().fit(frame).fill(frame, np.zeros((2, 2))), frame, check_exact=True)


def test_whole_numbers_are_filled_with_whole_numbers():
    frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": pd.array([1, None, 3], dtype="Int64")})
    filled = Schema().fit(frame).fill(frame, np.full((3, 2), 1.7))
    assert filled["a"].tolist() == [1, 2, 2]
    assert filled["b"].tolist() == [1, 2, 3]


def test_gaps_are_filled_in_rows_of_other_dtypes_than_the_fit():
    schema = Schema().fit(pd.DataFrame({"a": [0.5, 1.5], "b": pd.Categorical(["x", "y"])}))
    given = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical([None, "x"], ["x"])})
    filled = schema.fill(given, np.array([[2.5, 1], [2.5, 1]]))
    assert filled["a"].tolist() == [1, 2.5]
    assert filled["b"].tolist() == ["y", "x"]


FLAT = {
    "floats": np.array([[1.5, np.nan], [np.nan, 2.5]]),
    "float32": np.array([[1.5, np.nan], [np.nan, 2.5]], np.float32),
    "images": np.array([[[1.5, np.nan]], [[np.nan, 2.5]]]),
    "integers": np.array([[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("X", FLAT.values(), ids=FLAT)
def test_arrays_are_filled_in_a_copy_of_their_dtype(X):
    before = X.copy()
    filled = Schema().fit(X).fill(X, np.full(X.shape, 7.0))
    np.testing.assert_array_equal(filled, np.where(np.isnan(X), 7, X).astype(X.dtype), strict=True)
    np.testing.assert_array_equal(X, before)
    assert not np.shares_memory(filled, X)


def test_an_array_is_filled_by_the_columns_of_a_frame_and_a_frame_by_those_of_an_array():
    X = FLAT["floats"]
    frame = pd.DataFrame(X, columns=["a", "b"], index=[5, 6])
    values = np.full((2, 2), 7.0)
    np.testing.assert_array_equal(Schema().fit(frame).fill(X, values), [[1.5, 7], [7, 2.5]])
    np.testing.assert_array_equal(Schema().fit(frame).fill(X.tolist(), values), [[1.5, 7], [7, 2.5]])
    pd.testing.assert_frame_equal(Schema().fit(X).fill(frame, values), frame.fillna(7.0))


# Numbers of a dtype


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1.4, 1.6, -0.6], np.dtype("int8"), [1, 2, -1]),
        ([-1e9, 1e9], np.dtype("int8"), [-128, 127]),
        ([-1e30, 1e30], np.dtype("uint64"), [0, 2**64 - 1]),
        ([-1e30, 1e30], np.dtype("int64"), [-(2**63), 2**63 - 1]),
        ([0.4, 0.6], np.dtype("bool"), [False, True]),
        ([0.1], np.dtype("float32"), [np.float32(0.1)]),
        ([1.6, np.nan], pd.Int8Dtype(), [2, pd.NA]),
    ],
    ids=str,
)
def test_cast(values, dtype, expected):
    out = cast(np.array(values), dtype)
    assert out.dtype == dtype
    assert list(out) == expected or (list(out)[0] == expected[0] and pd.isna(out[1]))


@pytest.mark.parametrize("base", [2**60, -(2**62), 2**63 - 100])
@pytest.mark.parametrize("dtype", ["int64", "Int64", "object", "int64[pyarrow]"])
def test_long_integers_keep_all_digits(base, dtype):
    values = pd.Series([base + 3, base, base + 7, base + 3])
    column = values.astype(dtype).mask([False, False, False, dtype == "Int64"])
    schema = Schema().fit(pd.DataFrame({"id": column}))
    numbers = schema.read(pd.DataFrame({"id": column}))[:, 0]
    np.testing.assert_array_equal(numbers[:3], [3, 0, 7])
    written = schema.write(numbers[:3, None])["id"]
    assert written.tolist() == values[:3].tolist() and written.dtype == column.dtype


def test_integers_of_any_length_keep_all_digits():
    values = objects([2**70 + 3, 2**70, None, 2**70 + 7])
    schema = Schema().fit(one(values))
    numbers = schema.read(one(values))
    np.testing.assert_array_equal(numbers[:, 0], [3, 0, np.nan, 7])
    assert schema.write(numbers)["c"].tolist() == values.tolist()
    with pytest.raises(ValueError, match="column 'c' holds other values than in the fit: .* too large"):
        schema.read(one(objects([10**400])))
    with pytest.raises(ValueError, match=r"column 'c' holds integers beyond 1\.8e\+308"):
        Schema().fit(one(objects([10**400, 1])))


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        ("moments", datetime.datetime),
        ("moments in a zone", datetime.datetime),
        ("durations", datetime.timedelta),
        ("timestamps", pd.Timestamp),
    ],
)
def test_times_come_back_as_the_objects_they_were(series, kind):
    gappy = with_gaps(series)[0]
    schema = Schema().fit(one(gappy))
    back = schema.write(schema.read(one(gappy)))["c"]
    assert {type(value) for value in back.dropna()} == {kind}


def test_a_zone_without_a_name_is_refused_by_that_of_the_column():
    zone = dateutil.tz.tzoffset(None, 3600)
    for series in (
        pd.Series(pd.date_range("2020-01-01", periods=3, tz=zone)),
        objects([datetime.datetime(2020, 1, 1, tzinfo=zone)]),
    ):
        with pytest.raises(TypeError, match="column 'c' has the time zone tzoffset.*tz_convert"):
            Schema().fit(one(series))


def test_text_that_names_a_zone_is_no_date():
    texts_ = pd.Series([f"2020-01-{day:02d} 12:00:00 UTC" for day in range(1, 13)])
    schema = Schema().fit(one(texts_))
    assert schema.write(schema.read(one(texts_)))["c"].tolist() == texts_.tolist()


def test_categories_without_one_are_missing_everywhere():
    frame = one(pd.Series(pd.Categorical([None, None])))
    schema = Schema().fit(frame)
    assert type(schema.columns[0]) is Identifiers
    pd.testing.assert_frame_equal(schema.write(schema.read(frame)), frame)


def test_money_of_objects_keeps_its_decimals():
    schema = Schema().fit(one(COLUMNS["money objects"][0]))
    assert schema.write(np.array([[1.23456]]))["c"].tolist() == [1.23]


def test_long_integers_without_a_sign():
    values = np.array([[2**64 - 1, 5], [2**64 - 3, 6]], np.uint64)
    schema = Schema().fit(values)
    numbers = schema.read(values)
    np.testing.assert_array_equal(numbers, [[2, 5], [0, 6]])
    np.testing.assert_array_equal(schema.write(numbers), values)
    assert schema.write(numbers + [[9, 0]])[0, 0] == 2**64 - 1  # stays in its range


def test_long_integers_over_the_whole_range_keep_their_order():
    values = np.array([[-(2**63)], [0], [2**63 - 1]])
    schema = Schema().fit(values)
    np.testing.assert_allclose(np.asarray(schema.read(values))[:, 0], [0, 2.0**63, 2.0**64])
    assert schema.write(np.asarray(schema.read(values)))[[0, 2], 0].tolist() == [-(2**63), 2**63 - 1]


@pytest.mark.parametrize(("n", "message"), [(300, "left out of the model"), (110, "most frequent count as missing")])
def test_text_that_looks_like_numbers_is_told(n, message):
    texts = [f"{i}.5" for i in range(110)] * (1 if n == 110 else 1) + ["?"]
    texts = texts * 3 if "frequent" in message else texts
    with pytest.warns(
        ColumnWarning, match=rf"{message}.* texts are numbers: pd.to_numeric\(.*gaps for the others, such as '\?'"
    ):
        Schema().fit(pd.DataFrame({"price": texts}))
