"""Numbers <-> matrix: the way there and back, scaling by closed forms, what must not be lost. Kinds: test_column_kinds.py."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.schema import Schema, as_frame
from keras_ssvae.data.tables import ExtremeValueWarning, TablePreprocessor

NAN = float("nan")
N = 40


def rng(seed=0):
    return np.random.RandomState(seed)


def values_of(X, schema=None):
    """X as the estimator hands it over after validation."""
    schema = schema or Schema().fit(X)
    if as_frame(X) is not None or schema.columns is not None:
        return schema.read(X)
    X = np.asarray(X)
    return X if X.ndim > 2 else X.astype(X.dtype if X.dtype.kind == "f" else float)


def fitted(X, likelihood="auto", weight=None):
    schema = Schema().fit(X)
    values = values_of(X, schema)
    return TablePreprocessor(likelihood).fit(values, schema, np.ones(len(values)) if weight is None else weight)


def encoded(table, X):
    return table.encode(values_of(X, table.schema_))


def there_and_back(X, likelihood="auto", index=None):
    table = fitted(X, likelihood)
    return table.decode(encoded(table, X).x, index)


# Memory


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_way_there_needs_little_more_memory_than_what_comes_out(dtype, gaps):
    X = rng().standard_normal((50_000, 40)).astype(dtype)
    X[0, 0] = NAN if gaps else 0.0
    tracemalloc.start()
    table = fitted(X)
    learned = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    result = table.encode(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = result.x.nbytes * (2 if gaps else 1)
    assert learned < 50 * 2**20  # of a block of columns, whatever their number
    assert peak < size + 8 * 2**20


def test_two_values_of_single_precision_are_not_grey():
    """0.7 - 0.1 is another number in single precision than in double."""
    X = np.where(rng().standard_normal((N, 1)) > 0, np.float32(0.7), np.float32(0.1)).astype(np.float32)
    table = fitted(X)
    assert table.kinds_ == ["bernoulli"]
    assert not table.graded_.any()
    assert set(encoded(table, X).x.ravel()) == {0.0, 1.0}


# There and back

ARRAYS = {
    "float64": rng().standard_normal((N, 3)) * [1, 1e-6, 1e6],
    "float32": rng().standard_normal((N, 3)).astype(np.float32),
    "float16": rng().standard_normal((N, 3)).astype(np.float16),
    "int64": rng().randint(-1000, 1000, size=(N, 3)),
    "int8": rng().randint(-128, 128, size=(N, 3)).astype(np.int8),
    "uint16": rng().randint(0, 2**16, size=(N, 3)).astype(np.uint16),
    "bool": rng().standard_normal((N, 3)) > 0,
    "zeros and ones": (rng().standard_normal((N, 3)) > 0).astype(int),
    "counts": rng().poisson(0.5, size=(N, 3)),
    "positive": np.exp(rng().standard_normal((N, 3)) * [1, 1, 5]),
    "images uint8": rng().randint(0, 256, size=(N, 4, 5)).astype(np.uint8),
    "images uint8 with channels": rng().randint(0, 256, size=(N, 4, 5, 3)).astype(np.uint8),
    "images int8": rng().randint(-128, 128, size=(N, 4, 5)).astype(np.int8),
    "images int16": rng().randint(-(2**15), 2**15, size=(N, 4, 5)).astype(np.int16),
    "images uint16": rng().randint(0, 2**16, size=(N, 4, 5)).astype(np.uint16),
    "images bool": rng().standard_normal((N, 4, 5)) > 0,
    "images float32": rng().uniform(size=(N, 4, 5)).astype(np.float32),
    "images float64 beyond [0, 1]": rng().uniform(-3, 9, size=(N, 4, 5, 1)),
    "black images": np.zeros((N, 4, 5), np.uint8),
}


@pytest.mark.parametrize("X", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("likelihood", ["auto", "gaussian"])
def test_arrays_come_back_in_their_dtype_and_shape(X, likelihood):
    back = there_and_back(X, likelihood)
    assert back.dtype == X.dtype
    assert back.shape == X.shape
    if X.dtype.kind == "f":
        np.testing.assert_allclose(back, X, rtol=1e-3 if X.dtype == np.float16 else 1e-5, atol=1e-6 * np.abs(X).max())
    else:
        np.testing.assert_array_equal(back, X)


def test_a_list_comes_back_as_an_array_of_floats():
    back = there_and_back([[1, 2], [3, 5]])
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, [[1, 2], [3, 5]], rtol=1e-6)


FRAME = pd.DataFrame(
    {
        "float64": rng().standard_normal(N),
        "positive": np.exp(2 * rng(9).standard_normal(N)),
        "float32": rng(1).standard_normal(N).astype(np.float32),
        "int32": rng(2).randint(-9, 9, size=N).astype(np.int32),
        "uint8": rng(3).randint(0, 256, size=N).astype(np.uint8),
        "count": rng(3).poisson(0.5, size=N),
        "bool": rng(4).standard_normal(N) > 0,
        "Int64": pd.array([3, *rng(5).randint(-9, 9, size=N - 1)], dtype="Int64"),
        "UInt8": pd.array([*rng(6).randint(0, 256, size=N - 1), 7], dtype="UInt8"),
        "Float32": pd.array(rng(7).standard_normal(N), dtype="Float32"),
        "boolean": pd.array(rng(8).standard_normal(N) > 0, dtype="boolean"),
        "text": rng(9).choice(["x", "y", "z"], size=N),
        "numbers as categories": pd.Categorical(rng(10).choice([1, 2, 4], size=N)),
        "day": pd.date_range("2020-01-30", periods=N),
        "duration": pd.to_timedelta(rng(11).randint(-999, 999, size=N), unit="min"),
        "constant": np.full(N, 2.5),
        "one day": [pd.Timestamp("2020-01-30")] * N,
    },
    index=pd.RangeIndex(100, 100 + N),
)


def assert_frames_close(back, frame):
    pd.testing.assert_frame_equal(back, frame, rtol=1e-5, atol=1e-6)


def test_frames_come_back_with_columns_dtypes_and_index():
    assert_frames_close(there_and_back(FRAME, index=FRAME.index), FRAME)


def test_without_an_index_rows_are_numbered():
    assert there_and_back(FRAME).index.equals(pd.RangeIndex(N))


def test_what_comes_back_has_no_gaps():
    gaps = FRAME.mask(rng().uniform(size=FRAME.shape) < 0.3).astype(FRAME.dtypes[["float64", "text", "day", "Int64"]])
    back = there_and_back(gaps, index=gaps.index)
    assert back.notna().all(axis=None)
    for name in ("float64", "text", "day", "Int64", "numbers as categories"):
        known = gaps[name].notna()
        pd.testing.assert_series_equal(back[name][known], gaps[name][known], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "columns",
    [
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
        pd.Index([0, 1]),
        pd.Index(["b", "a"], name="which"),
        pd.Index(["a", "a"]),
    ],
    ids=["two levels", "numbers", "named", "of one name"],
)
def test_columns_of_any_kind_come_back(columns):
    frame = pd.DataFrame(rng().standard_normal((5, 2)), columns=columns)
    assert_frames_close(there_and_back(frame), frame)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_decoded_integers_are_rounded_and_stay_in_the_range_of_their_dtype(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    table = fitted(np.array([[low], [high]], dtype), "gaussian")
    table.center_[:], table.scale_[:] = 0, 1
    zero = low if dtype == np.int64 else 0  # integers of more digits than a float has are read as differences
    decoded = table.decode(np.array([[3.4], [3.6], [-900.0], [900.0]]))
    assert decoded.ravel().tolist() == [zero + 3, zero + 4, max(low, zero - 900), min(high, zero + 900)]
    assert table.decode(np.array([[-1e30], [1e30]])).ravel().tolist() == [low, high]


def test_decoded_truth_values_are_the_nearer_one():
    table = fitted(np.array([[True], [False]]))
    assert table.decode(np.array([[0.49], [0.51], [-3], [3]])).ravel().tolist() == [False, True, False, True]


RANGES = {
    "numbers": np.array([[-1.5, 10.0], [2.5, 20.0], [0.1, 12.0]]),
    "whole numbers": np.array([[-1, 10], [2, 20], [0, 12]], np.int16),
    "numbers with gaps": np.array([[-1.5, 10], [NAN, 20], [2.5, 12]]),
    "counts": np.array([[0, 1], [9, 7], [1, 2]] + 5 * [[0, 1]]),
    "two values": np.array([[3, 0.25], [7, 0.75]]),
}


@pytest.mark.parametrize("X", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("likelihood", ["auto", "gaussian"])
def test_nothing_comes_back_from_beyond_the_training_range(X, likelihood):
    table = fitted(X, likelihood)
    np.testing.assert_array_equal(table.decode(np.full((1, 2), -1e6))[0], np.nanmin(X, axis=0))
    np.testing.assert_array_equal(table.decode(np.full((1, 2), 1e6))[0], np.nanmax(X, axis=0))


IMAGE_RANGES = {
    "bytes": (np.array([[[10, 200]]], np.uint8), "auto", (0, 255)),
    "bytes of a gaussian": (np.array([[[10, 200]]], np.uint8), "gaussian", (10, 200)),
    "in the unit interval": (np.array([[[0.2, 0.8]]]), "auto", (0, 1)),
    "beyond the unit interval": (np.array([[[-1.0, 3.0]]]), "auto", (-1, 3)),
    "truth values": (np.array([[[True, False]]]), "auto", (0, 1)),
}


@pytest.mark.parametrize(("X", "likelihood", "ends"), IMAGE_RANGES.values(), ids=IMAGE_RANGES)
def test_pixels_come_back_in_one_range(X, likelihood, ends):
    table = fitted(X, likelihood)
    for x, end in zip((-1e6, 1e6), ends, strict=True):
        np.testing.assert_array_equal(table.decode(np.full((1, 2), x)), np.full((1, 1, 2), end))


# The user's X

GAPS = np.where(rng().uniform(size=(N, 3)) < 0.2, NAN, rng(1).uniform(size=(N, 3)))
GIVEN = {**ARRAYS, "frame": FRAME, "with gaps": GAPS}


@pytest.mark.parametrize("X", GIVEN.values(), ids=GIVEN)
def test_x_is_never_modified(X):
    before, schema = X.copy(), Schema().fit(X)
    values = values_of(X, schema)
    values_before = values.copy()
    values.flags.writeable = False
    TablePreprocessor().fit(values, schema, np.ones(N)).encode(values).x[:] = 7
    np.testing.assert_array_equal(values, values_before)
    (pd.testing.assert_frame_equal if isinstance(X, pd.DataFrame) else np.testing.assert_array_equal)(X, before)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_encoded_values_are_no_view_of_the_users(likelihood):
    X = np.array([[0.0, 1], [1, 0]], np.float32)
    table = fitted(X, likelihood)
    table.center_[:], table.scale_[:] = 0, 1
    assert not np.shares_memory(table.encode(X).x, X)


# Missing cells


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_missing_cells_are_zero_and_masked(likelihood):
    X = np.array([[0.0, NAN, 1], [NAN, 0.5, NAN], [1, 1, 1]])
    rows = fitted(X, likelihood).encode(X)
    np.testing.assert_array_equal(rows.observed, (~np.isnan(X)).astype(np.float32))
    assert rows.observed.dtype == rows.x.dtype == np.float32
    np.testing.assert_array_equal(rows.x[np.isnan(X)], 0)


def test_without_missing_cells_there_is_no_mask():
    X = rng().standard_normal((N, 3))
    assert fitted(X).encode(X).observed is None


def test_in_missing_cells_of_positive_columns_stands_one_whose_logarithm_is_a_number():
    X = np.array([[1.0, 0.5], [NAN, 0.1], [3.0, NAN]])
    np.testing.assert_array_equal(fitted(X, {0: "log_normal"}).encode(np.full((1, 2), NAN)).x, [[0, 1]])


def test_missing_cells_are_left_out_of_the_scaling():
    X = rng().standard_normal((N, 3)) * 5 + 7
    gaps = X.copy()
    gaps[rng(1).uniform(size=X.shape) < 0.3] = NAN
    table = fitted(gaps)
    np.testing.assert_allclose(table.center_, np.nanmean(gaps, axis=0), rtol=1e-5)
    np.testing.assert_allclose(table.scale_, np.nanstd(gaps, axis=0), rtol=1e-5)


def test_incomplete_columns_are_those_with_gaps_in_the_training_rows():
    X = pd.DataFrame({"u": [1.5, NAN, 2.5], "t": ["x", "y", "x"], "v": ["p", None, "q"], "w": [0.1, 0.2, 0.4]})
    table = fitted(X, {"t": "categorical"})
    assert [group.kind for group in table.groups_] == ["bernoulli", "categorical", "gaussian"]  # u and v; t; w
    np.testing.assert_array_equal(table.incomplete_, [True, True, False, False])


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "bernoulli", "poisson", "log_normal", "ordinal"])
@pytest.mark.parametrize("other", [[0.3, 0.4], [1.0, 2.0], [NAN, NAN]])
def test_a_column_of_gaps_alone_does_no_harm_and_comes_back_missing(likelihood, other):
    X = np.array([[NAN, other[0]], [NAN, other[1]]])
    table = fitted(X, likelihood if other == [1.0, 2.0] or likelihood in ("gaussian", "bernoulli") else "auto")
    assert np.isfinite(table.center_).all()
    assert np.isfinite(table.scale_).all()
    rows = table.encode(X)
    assert np.isfinite(rows.x).all()
    assert rows.observed.sum() == (~np.isnan(X)).sum()
    np.testing.assert_allclose(table.decode(rows.x), np.where(np.isnan(X), NAN, X), rtol=1e-5)


def test_a_new_value_in_a_column_of_gaps_alone_counts_as_missing():
    X = np.array([[NAN, 0.3], [NAN, 0.4], [NAN, 0.6]])
    table = fitted(X)
    np.testing.assert_array_equal(table.encode(np.array([[1e9, 0.3]])).x, table.encode(X[:1]).x)
    np.testing.assert_array_equal(table.encode(np.array([[1e9, 0.3]])).observed, table.encode(X[:1]).observed)


def test_images_of_gaps_alone_do_no_harm():
    X = np.full((3, 4, 4), NAN)
    table = fitted(X)
    assert np.isfinite(table.decode(table.encode(X).x)).all()


def test_rows_of_encoded_are_taken_with_their_mask():
    rows = PreparedRows(np.arange(6.0).reshape(3, 2), np.eye(3, 2))
    taken = rows[np.array([2, 0])]
    np.testing.assert_array_equal(taken.x, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(taken.observed, [[0, 0], [1, 0]])
    assert PreparedRows(rows.x)[:1].observed is None


# Scaling of the Gaussian


def test_columns_are_standardised():
    X = rng().standard_normal((N, 3)) * [1e-3, 1, 1e3] + [5, -1, 2e3]
    x = fitted(X).encode(X).x.astype(float)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("gaps", [False, True])
def test_images_are_standardised_as_a_whole(gaps):
    X = rng().uniform(-3, 9, size=(N, 4, 5)) * np.linspace(0.1, 1, 5)
    if gaps:
        X[rng(1).uniform(size=X.shape) < np.linspace(0, 0.9, 5)] = NAN
    table = fitted(X, "gaussian")
    assert len(set(table.center_)) == len(set(table.scale_)) == 1
    np.testing.assert_allclose(table.center_[0], np.nanmean(X), rtol=1e-5)
    np.testing.assert_allclose(table.scale_[0], np.nanstd(X), rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["auto", "gaussian"])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 0.1, 1e9, 1e-300, 1e300, -1e307])
def test_a_constant_column_becomes_zero_and_comes_back(value, likelihood):
    X = np.column_stack([np.arange(N), np.full(N, value)])
    table = fitted(X, likelihood)
    column = {"auto": 0, "gaussian": 1}[likelihood]  # "constant" stands before "gaussian"
    rows = table.encode(X)
    np.testing.assert_allclose(rows.x[:, column], 0, atol=1e-6)
    np.testing.assert_array_equal(table.decode(rows.x)[:, 1], value)


@pytest.mark.parametrize("offset", [1e9, -1e9, 1e12])
def test_small_values_on_top_of_large_ones_keep_their_digits(offset):
    small = rng().standard_normal(N)
    X = (offset + small)[:, None]
    small = X[:, 0] - offset  # what is left of them in double precision
    table = fitted(X)
    np.testing.assert_allclose(table.scale_, small.std(), rtol=1e-6)
    error = np.spacing(abs(offset))  # nothing finer is left in X itself
    np.testing.assert_allclose(table.encode(X).x[:, 0], (small - small.mean()) / small.std(), atol=1e-5 + error)
    np.testing.assert_allclose(table.decode(table.encode(X).x)[:, 0] - offset, small, atol=1e-6 + error)


def test_rounding_errors_are_no_spread():
    X = np.array([[1e9], [1e9 + 1.2e-7], [1e9]])
    table = fitted(X, "gaussian")
    assert table.scale_[0] == 1
    np.testing.assert_allclose(table.encode(X).x, 0, atol=1e-5)


@pytest.mark.parametrize("size", [1e300, 1e200, 1e39, 1e-39, 1e-46, 1e-200])
def test_values_of_any_size_are_standardised(size):
    X = rng().standard_normal((N, 1)) * size
    table = fitted(X)
    x = table.encode(X).x
    np.testing.assert_allclose(x.std(), 1, rtol=1e-4)
    np.testing.assert_allclose(table.decode(x), X, rtol=1e-4, atol=1e-6 * size)


# Scaling of the other kinds


def test_logarithms_of_positive_columns_are_standardised():
    X = np.exp(rng().standard_normal((200, 2)) * [1, 2] + [0, 30])
    table = fitted(X, "log_normal")
    logs = np.log(table.encode(X).x.astype(float))  # in units of the median, so that float32 holds them
    np.testing.assert_allclose(logs, np.log(X) - np.log(X).mean(axis=0), atol=1e-4)
    np.testing.assert_array_equal(table.link_center_, 0)
    np.testing.assert_allclose(table.link_scale_, np.log(X).std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_counts_stay_what_they_are_and_their_link_is_that_of_the_logarithm(kind):
    X = rng().poisson([1, 20], size=(200, 2))
    table = fitted(X, kind)
    np.testing.assert_array_equal(encoded(table, X).x, X)
    np.testing.assert_allclose(table.link_center_, np.log1p(X).mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(table.link_scale_, np.log1p(X).std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["log_normal", "poisson", "negative_binomial"])
def test_what_is_modelled_by_its_logarithm_is_compared_by_it(likelihood):
    X = rng().poisson([[3, 400]], size=(200, 2)) + 1
    table = fitted(X, likelihood)
    logs = np.log(X) if likelihood == "log_normal" else np.log1p(X)
    x = encoded(table, X).x
    before = x.copy()
    for compared in (table.features(x), table.views(x)["scaled"]):
        np.testing.assert_allclose(compared, (logs - logs.mean(axis=0)) / logs.std(axis=0), atol=1e-4)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "beta", "bernoulli", "categorical", "ordinal"])
def test_the_link_of_other_kinds_is_the_identity(likelihood):
    table = fitted(rng().randint(2, size=(N, 2)), likelihood)
    np.testing.assert_array_equal(table.link_center_, 0)
    np.testing.assert_array_equal(table.link_scale_, 1)


TWO_VALUES = {
    "zeros and ones": ([0, 1, 1], [0, 1, 1]),
    "whole numbers": ([7, 3, 7], [1, 0, 1]),
    "in the unit interval": ([0.25, 0.75, 0.25], [0, 1, 0]),
    "zero and a half": ([0.5, 0.0, 0.5], [1, 0, 1]),
    "with a gap": ([-1, NAN, 5], [0, 0, 1]),
}


@pytest.mark.parametrize("likelihood", ["auto", "bernoulli"])
@pytest.mark.parametrize(("values", "expected"), TWO_VALUES.values(), ids=TWO_VALUES)
def test_two_values_become_zero_and_one(values, expected, likelihood):
    X = np.array(values, float)[:, None]
    table = fitted(X, likelihood)
    np.testing.assert_array_equal(table.encode(X).x[:, 0], expected)
    assert not table.graded_.any()


# Rows from elsewhere


@pytest.mark.parametrize("value", [1e39, 1e300, -1e300])
def test_a_new_row_far_outside_stays_finite(value):
    table = fitted(rng().standard_normal((N, 2)))
    rows = table.encode(np.array([[value, 0.0]]))
    assert rows.observed is None
    assert np.isfinite(rows.x).all()
    assert np.sign(rows.x[0, 0]) == np.sign(value)
    assert np.isfinite(np.square(rows.x)).all()  # or the likelihood of the row would be no number


FAR = {
    "zeros and ones": (np.array([[0.0, 1], [1, 0]]), "auto", [[100.0, -100.0]], [1, 0]),
    "images": (np.array([[[-1.0, 3.0]]]), "auto", [[[100.0, -100.0]]], [1, 0]),
    "images of 8 bits": (np.array([[[0, 9]]], np.uint8), "auto", [[[1000, -1000]]], [1, 0]),
    "shares": (np.array([[0.0, 0.1], [0.3, 0.2], [0.5, 0.8]]), "beta", [[-7, 9]], [0, 1]),
    "pixels of 8 bits": (np.array([[0.0, 0.1], [0.3, 0.2], [0.5, 0.8]]), "discretized", [[-7, 9]], [0, 1]),
    "counts": (np.array([[0, 1], [3, 2], [5, 8]]), "poisson", [[-7, 9.4]], [0, 9]),
    "codes": (np.array([[0, 1], [3, 2], [2, 3]]), "categorical", [[-7, 9.4]], [0, 3]),
    "steps": (np.array([[0, 1], [3, 2], [2, 3]]), "ordinal", [[-7, 1.6]], [0, 2]),
}


@pytest.mark.parametrize(("X", "likelihood", "new", "expected"), FAR.values(), ids=FAR)
def test_new_rows_outside_the_support_are_brought_into_it(X, likelihood, new, expected):
    """log p(x) of the Bernoulli has no bound beyond it: the strangest rows would be the most normal ones."""
    assert fitted(X, likelihood).encode(np.array(new, float)).x.ravel().tolist() == expected


def test_new_rows_of_positive_columns_stay_positive():
    table = fitted(np.exp(rng().standard_normal((N, 1))), "log_normal")
    x = table.encode(np.array([[-5.0], [0.0], [1e300]])).x
    assert (x > 0).all()
    assert np.isfinite(np.square(np.log(x))).all()


# Weights


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("gaps", [False, True])
def test_weights_are_rows_given_several_times(seed, gaps):
    X = rng(seed).standard_normal((N, 5)) * 10.0 ** rng(seed).uniform(-5, 5, size=5) + rng(seed).standard_normal(5) * 10
    if gaps:
        X[rng(seed + 1).uniform(size=X.shape) < 0.3] = NAN
    times = rng(seed).randint(1, 4, size=N)
    repeated = np.repeat(X, times, axis=0)
    repeated = repeated[rng(seed).permutation(len(repeated))]
    weighted, whole = fitted(X, weight=times.astype(float)), fitted(repeated)
    assert weighted.kinds_ == whole.kinds_
    np.testing.assert_array_equal(weighted.center_, whole.center_)
    np.testing.assert_array_equal(weighted.scale_, whole.scale_)


def test_weights_are_rows_given_several_times_in_every_column_of_a_frame():
    times = rng().randint(1, 4, size=N)
    weighted, whole = fitted(FRAME, weight=times.astype(float)), fitted(FRAME.iloc[np.repeat(np.arange(N), times)])
    assert weighted.kinds_ == whole.kinds_
    for name in ("center_", "scale_", "link_center_", "link_scale_", "minimum_", "maximum_"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(whole, name))


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_rows_does_not_matter(seed):
    X = rng(seed).standard_normal((200, 5)) * 1e3 + 1e6
    shuffled = fitted(X[rng(seed).permutation(200)])
    np.testing.assert_array_equal(shuffled.center_, fitted(X).center_)
    np.testing.assert_array_equal(shuffled.scale_, fitted(X).scale_)


def test_weighted_moments():
    X, weight = rng().standard_normal((N, 3)), rng(1).uniform(0.1, 2, size=N)
    table = fitted(X, weight=weight)
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(table.center_, mean, atol=2e-6)
    np.testing.assert_allclose(table.scale_, np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight)), rtol=1e-6)


# Images and grey values

UNIT = {
    "uint8": (np.array([[[10, 200]]], np.uint8), [10 / 255, 200 / 255]),
    "bool": (np.array([[[True, False]]]), [1, 0]),
    "floats in [0, 1]": (np.array([[[0.2, 0.8]]]), [0.2, 0.8]),
    "floats beyond": (np.array([[[-1.0, 3.0]], [[0.0, 1.0]]]), [0, 1, 0.25, 0.5]),
    "int8": (np.array([[[-100, 100]], [[0, 50]]], np.int8), [0, 1, 0.5, 0.75]),
    "uint16": (np.array([[[0, 40000]]], np.uint16), [0, 1]),
}


@pytest.mark.parametrize(("X", "expected"), UNIT.values(), ids=UNIT)
@pytest.mark.parametrize("likelihood", ["auto", "bernoulli", "continuous_bernoulli", "discretized"])
def test_images_are_brought_to_the_unit_interval(X, expected, likelihood):
    np.testing.assert_allclose(fitted(X, likelihood).encode(X).x.ravel(), expected, rtol=1e-6, atol=1e-7)


GRADED = {
    "zeros and ones": (np.array([[0, 1], [1, 0]]), "auto", False),
    "black and white": (np.array([[[0, 255]]], np.uint8), "auto", False),
    "two values as the ends of the interval": (np.array([[[-2.0, 7.0]]]), "auto", False),
    "grey": (np.array([[[0, 100, 255]]], np.uint8), "auto", True),
    "grey columns": (np.array([[0.0], [0.5], [1.0]]), "bernoulli", True),
    "one grey": (np.array([[0.25, 0.75]]), "bernoulli", True),
    "gaussian": (np.array([[0.0, 1.0]]), "gaussian", False),
    "shares": (np.array([[0.0], [0.5], [1.0]]), "beta", False),
    "two greys": (np.array([[0.25], [0.75]]), "bernoulli", False),
    "images of two greys": (np.array([[[50, 100]]], np.uint8), "auto", True),
    "images of numbers": (np.array([[[50, 100]]], np.uint8), "discretized", False),
    "truth values": (np.array([[[True, False]]]), "auto", False),
}


@pytest.mark.parametrize(("X", "likelihood", "graded"), GRADED.values(), ids=GRADED)
def test_graded_is_a_bernoulli_of_other_values_than_zero_and_one(X, likelihood, graded):
    table = fitted(X, likelihood)
    assert table.graded_.tolist() == [graded] * table.n_columns_
    if not graded and table.groups_[0].kind == "bernoulli":
        assert set(encoded(table, X).x.ravel()) <= {0.0, 1.0}


def test_only_the_grey_columns_are_shown_as_means():
    frame = pd.DataFrame({"share": [0.2, 0.5, 0.9], "number": [1.5, 2.0, 7.0], "whether": [True, False, True]})
    values = Schema().fit(frame).read(frame)
    table = TablePreprocessor({"share": "bernoulli"}).fit(values, Schema().fit(frame), np.ones(3))
    graded = np.empty(3, bool)
    graded[table._order] = table.graded_
    assert graded.tolist() == [True, False, False]


def test_a_wider_table_gives_back_what_more_rows_held():
    table = fitted(np.array([[0.0, 5.0], [1.0, 6.0], [2.5, 9.0]]))
    wider = table.widened(np.array([[9.0, 7.0], [NAN, -3.0]]))
    assert (wider.minimum_.tolist(), wider.maximum_.tolist()) == ([0, -3], [9, 9])
    assert (table.minimum_.tolist(), table.maximum_.tolist()) == ([0, 5], [2.5, 9])


def test_a_mask_of_zeros_and_ones_in_uint8_is_drawn_as_zeros_and_ones():
    X = rng().randint(0, 2, size=(N, 3, 3)).astype(np.uint8)
    table = fitted(X)
    assert not table.graded_.any()
    assert set(table.decode(rng(1).randint(0, 2, size=(N, 9))).ravel()) == {0, 1}


@pytest.mark.parametrize(
    ("X", "image_shape"), [(np.zeros((2, 6)), None), (np.zeros((2, 4, 5)), (4, 5, 1)), (np.zeros((2, 4, 5, 3)), (4, 5, 3))]
)
def test_shape_of_rows(X, image_shape):
    table = fitted(X)
    assert table.image_shape_ == image_shape
    assert table.row_shape_ == X.shape[1:]
    assert table.n_columns_ == X[0].size


def with_far_cells(*cells):
    X = np.random.RandomState(0).standard_normal((200, 2))
    X[: len(cells), 1] = cells
    return X


def test_far_cells_are_drawn_in_and_stay_in_their_order():
    X = with_far_cells(1e4, 1e30, 1.7e308, -1e5, -1e300)
    with pytest.warns(
        ExtremeValueWarning, match=r"number of cells by column: 1: 5, such as 10000\. If they mark missing cells"
    ):
        table = fitted(X)
    x = table.encode(X).x[:, 1]
    assert np.abs(x).max() < 2e3
    assert x[4] < x[3] < -1e3 and 1e3 < x[0] < x[1] < x[2]
    ordinary = (X[5:, 1] - table.center_[1]) / table.scale_[1]
    np.testing.assert_array_equal(x[5:], ordinary.astype(np.float32))


def test_what_was_drawn_in_comes_back():
    X = with_far_cells(1e5, -1e30)
    with pytest.warns(ExtremeValueWarning):
        table = fitted(X)
    np.testing.assert_allclose(table.numbers(table.encode(X).x)[:2, 1], [1e5, -1e30], rtol=0.02)


def test_a_far_cell_of_a_question_is_no_warning():
    X = with_far_cells()
    x = fitted(X).encode(np.array([[0.0, 1e300]])).x
    assert 1e3 < x[0, 1] < 2e3


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "log_normal"])
def test_far_counts_and_products_end_at_a_thousand_spreads_of_their_logarithms(likelihood):
    X = np.random.RandomState(0).poisson(1000, (200, 1)) + 1e6
    table = fitted(X, likelihood)
    x = table.encode(np.array([[1e300], [1e6]])).x[:, 0]
    log = np.log1p(x) if likelihood != "log_normal" else np.log(x)
    spreads = (log - table.link_center_) / table.link_scale_
    assert spreads[0] == pytest.approx(1e3, rel=1e-3)


def test_two_values_at_both_ends_of_the_floats_are_told_apart():
    X = np.array([[-1.7e308], [1.7e308]])
    table = fitted(X)
    x = table.encode(X).x
    np.testing.assert_array_equal(x, [[0], [1]])
    assert np.isfinite(table.numbers(x)).all()


def test_positive_columns_over_more_magnitudes_than_floats_square():
    X = np.exp(np.random.RandomState(0).standard_normal((100, 1)) * 100)
    with pytest.warns(ExtremeValueWarning, match="1e\\+15 times from the middle"):
        table = fitted(X, "log_normal")
    assert table.link_scale_ == 8.0
    x = table.encode(X).x
    assert x.max() <= 1.0001e15 and x.min() >= 0.9999e-15
