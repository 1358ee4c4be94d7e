"""Columns <-> matrix: the way there and back, scaling by closed forms, and what must not be lost."""

import numpy as np
import pandas as pd
import pytest

from keras_ssvae.tables import Encoded, Table

NAN = float("nan")
N = 40


def rng(seed=0):
    return np.random.RandomState(seed)


def values_of(original):
    """X as the estimator hands it over after validation."""
    if isinstance(original, pd.DataFrame):
        return original.to_numpy(dtype=float, na_value=NAN)
    X = np.asarray(original)
    return X if X.ndim > 2 else X.astype(X.dtype if X.dtype.kind == "f" else float)


def fitted(original, likelihood="auto", weight=None):
    values = values_of(original)
    return Table(likelihood).fit(values, original, np.ones(len(values)) if weight is None else weight)


def there_and_back(original, likelihood="auto"):
    table = fitted(original, likelihood)
    return table.decode(table.encode(values_of(original)).x)


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
        "float32": rng(1).standard_normal(N).astype(np.float32),
        "int32": rng(2).randint(-9, 9, size=N).astype(np.int32),
        "uint8": rng(3).randint(0, 256, size=N).astype(np.uint8),
        "bool": rng(4).standard_normal(N) > 0,
        "Int64": pd.array([None, *rng(5).randint(-9, 9, size=N - 1)], dtype="Int64"),
        "UInt8": pd.array([*rng(6).randint(0, 256, size=N - 1), None], dtype="UInt8"),
        "Float32": pd.array([None, *rng(7).standard_normal(N - 1)], dtype="Float32"),
        "boolean": pd.array([None, *(rng(8).standard_normal(N - 1) > 0)], dtype="boolean"),
        7: np.full(N, 2.5),
    },
    index=pd.RangeIndex(100, 100 + N),
)


def test_frames_come_back_with_columns_and_dtypes():
    back = there_and_back(FRAME)
    assert isinstance(back, pd.DataFrame)
    assert back.columns.equals(FRAME.columns)
    assert back.dtypes.equals(FRAME.dtypes)
    known = FRAME.notna().to_numpy()
    np.testing.assert_allclose(values_of(back)[known], values_of(FRAME)[known], rtol=1e-5, atol=1e-6)
    assert back.notna().to_numpy().all()


@pytest.mark.parametrize(
    "columns",
    [pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), pd.Index([0, 1]), pd.Index(["b", "a"], name="which")],
    ids=["two levels", "numbers", "named"],
)
def test_columns_of_any_kind_come_back(columns):
    frame = pd.DataFrame(rng().standard_normal((5, 2)), columns=columns)
    back = there_and_back(frame)
    pd.testing.assert_index_equal(back.columns, columns)
    np.testing.assert_allclose(back, frame, rtol=1e-5, atol=1e-6)


def test_columns_of_one_name_come_back():
    frame = pd.DataFrame([[1.0, 2], [3, 5]], columns=["a", "a"]).astype("float32")
    back = there_and_back(frame)
    assert list(back.columns) == ["a", "a"]
    np.testing.assert_allclose(back, frame)


def test_numbers_as_categories_come_back():
    frame = pd.DataFrame({"a": pd.Categorical([1, 2, 4] * 5), "b": np.arange(15.0)})
    back = there_and_back(frame)
    assert back.dtypes.equals(frame.dtypes)
    assert back["a"].tolist() == frame["a"].tolist()


def test_frames_of_zeros_and_ones_come_back():
    frame = pd.DataFrame({"a": [0, 1, 1], "b": [True, False, True]})
    pd.testing.assert_frame_equal(there_and_back(frame), frame)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_decoded_integers_are_rounded_and_stay_in_their_range(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    table = fitted(np.array([[0], [10]], dtype), "gaussian")
    center, scale = table.center_[0], table.scale_[0]
    x = (np.array([[3.4], [3.6], [-1e30], [1e30]]) - center) / scale
    assert table.decode(x).ravel().tolist() == [3, 4, low, high]


def test_decoded_truth_values_are_the_nearer_one():
    table = fitted(np.array([[True], [False]]))
    assert table.decode(np.array([[0.49], [0.51], [-3], [3]])).ravel().tolist() == [False, True, False, True]


# The user's X

GAPS = np.where(rng().uniform(size=(N, 3)) < 0.2, NAN, rng(1).uniform(size=(N, 3)))
GIVEN = {**ARRAYS, "frame": FRAME, "with gaps": GAPS}


@pytest.mark.parametrize("X", GIVEN.values(), ids=GIVEN)
def test_x_is_never_modified(X):
    before, values = X.copy(), values_of(X)
    values_before = values.copy()
    values.flags.writeable = False
    encoded = Table().fit(values, X, np.ones(N)).encode(values)
    encoded.x[:] = 7
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
    encoded = fitted(X, likelihood).encode(X)
    np.testing.assert_array_equal(encoded.observed, (~np.isnan(X)).astype(np.float32))
    assert encoded.observed.dtype == encoded.x.dtype == np.float32
    np.testing.assert_array_equal(encoded.x[np.isnan(X)], 0)


def test_without_missing_cells_there_is_no_mask():
    X = rng().standard_normal((N, 3))
    assert fitted(X).encode(X).observed is None


def test_missing_cells_are_left_out_of_the_scaling():
    X = rng().standard_normal((N, 3)) * 5 + 7
    gaps = X.copy()
    gaps[rng(1).uniform(size=X.shape) < 0.3] = NAN
    table = fitted(gaps)
    np.testing.assert_allclose(table.center_, np.nanmean(gaps, axis=0), rtol=1e-5)
    np.testing.assert_allclose(table.scale_, np.nanstd(gaps, axis=0), rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "bernoulli"])
@pytest.mark.parametrize("other", [[0.3, 0.4], [0.0, 1.0], [NAN, NAN]])
def test_a_column_of_gaps_alone_does_no_harm(likelihood, other):
    X = np.array([[NAN, other[0]], [NAN, other[1]]])
    table = fitted(X, likelihood)
    assert np.isfinite(table.center_).all()
    assert np.isfinite(table.scale_).all()
    encoded = table.encode(X)
    np.testing.assert_array_equal(encoded.observed, (~np.isnan(X)).astype(np.float32))
    back = table.decode(encoded.x)
    assert np.isfinite(back).all()
    np.testing.assert_allclose(back[~np.isnan(X)], X[~np.isnan(X)], rtol=1e-5)


def test_images_of_gaps_alone_do_no_harm():
    X = np.full((3, 4, 4), NAN)
    table = fitted(X)
    assert np.isfinite(table.decode(table.encode(X).x)).all()


def test_rows_of_encoded_are_taken_with_their_mask():
    encoded = Encoded(np.arange(6.0).reshape(3, 2), np.eye(3, 2))
    taken = encoded[np.array([2, 0])]
    np.testing.assert_array_equal(taken.x, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(taken.observed, [[0, 0], [1, 0]])
    assert Encoded(encoded.x)[:1].observed is None


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


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 0.1, 1e9, 1e-300, 1e300, -1e307])
def test_a_constant_column_becomes_zero_and_comes_back(value):
    X = np.column_stack([np.full(N, value), np.arange(N)])
    table = fitted(X, "gaussian")
    encoded = table.encode(X)
    np.testing.assert_allclose(encoded.x[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(table.decode(encoded.x)[:, 0], value, rtol=1e-12, atol=1e-6)


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
    table = fitted(X)
    assert table.scale_[0] == 1
    np.testing.assert_allclose(table.encode(X).x, 0, atol=1e-5)


@pytest.mark.parametrize("size", [1e300, 1e200, 1e39, 1e-39, 1e-46, 1e-200])
def test_values_of_any_size_are_standardised(size):
    X = rng().standard_normal((N, 1)) * size
    table = fitted(X)
    x = table.encode(X).x
    np.testing.assert_allclose(x.std(), 1, rtol=1e-4)
    np.testing.assert_allclose(table.decode(x), X, rtol=1e-4, atol=1e-6 * size)


@pytest.mark.parametrize("value", [1e39, 1e300, -1e300])
def test_a_new_row_far_outside_stays_finite(value):
    table = fitted(rng().standard_normal((N, 2)))
    encoded = table.encode(np.array([[value, 0.0]]))
    assert encoded.observed is None
    assert np.isfinite(encoded.x).all()
    assert np.sign(encoded.x[0, 0]) == np.sign(value)
    assert np.isfinite(np.square(encoded.x)).all()  # or the likelihood of the row would be no number


FAR = {
    "zeros and ones": (np.array([[0.0, 1], [1, 0]]), [[100.0, -100.0]]),
    "images": (np.array([[[-1.0, 3.0]]]), [[[100.0, -100.0]]]),
    "images of 8 bits": (np.array([[[0, 9]]], np.uint8), [[[1000, -1000]]]),
}


@pytest.mark.parametrize("X, new", FAR.values(), ids=FAR)
def test_new_rows_outside_the_unit_interval_are_refused_or_brought_into_it(X, new):
    """log p(x) of the Bernoulli has no bound beyond it: the strangest rows would be the most normal ones."""
    table = fitted(X)
    assert table.likelihood_ == "bernoulli"
    try:
        x = table.encode(np.array(new)).x
    except ValueError as error:
        assert "likelihood='bernoulli' accepts values between 0 and 1" in str(error)
    else:
        assert x.ravel().tolist() == [1.0, 0.0]


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
    np.testing.assert_array_equal(weighted.center_, whole.center_)
    np.testing.assert_array_equal(weighted.scale_, whole.scale_)


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


# Likelihood

CHOICES = {
    "floats": (rng().standard_normal((N, 2)), "gaussian"),
    "zeros and ones": (np.array([[0.0, 1], [1, 0]]), "bernoulli"),
    "zeros, ones and gaps": (np.array([[0.0, NAN], [1, 0]]), "bernoulli"),
    "zeros alone": (np.zeros((3, 2)), "gaussian"),
    "ones alone": (np.ones((3, 2)), "gaussian"),
    "gaps alone": (np.full((3, 2), NAN), "gaussian"),
    "between 0 and 1": (np.array([[0.0, 0.5], [1, 0]]), "gaussian"),
    "0, 1 and 2": (np.array([[0.0, 1], [2, 0]]), "gaussian"),
    "truth values": (np.array([[True, False]]), "bernoulli"),
    "images": (np.zeros((3, 2, 2)), "bernoulli"),
}


@pytest.mark.parametrize("X, likelihood", CHOICES.values(), ids=CHOICES)
def test_auto_likelihood(X, likelihood):
    assert fitted(X).likelihood_ == likelihood


@pytest.mark.parametrize("X, low, high", [([[0, 1.5]], 0, 1.5), ([[-0.1, NAN]], -0.1, -0.1), ([[3]], 3, 3)])
def test_bernoulli_refuses_values_outside_the_unit_interval(X, low, high):
    message = f"likelihood='bernoulli' accepts values between 0 and 1; X has values from {low} to {high}"
    with pytest.raises(ValueError, match=message):
        fitted(X, "bernoulli")


UNIT = {
    "uint8": (np.array([[[10, 200]]], np.uint8), [10 / 255, 200 / 255]),
    "bool": (np.array([[[True, False]]]), [1, 0]),
    "floats in [0, 1]": (np.array([[[0.2, 0.8]]]), [0.2, 0.8]),
    "floats beyond": (np.array([[[-1.0, 3.0]], [[0.0, 1.0]]]), [0, 1, 0.25, 0.5]),
    "int8": (np.array([[[-100, 100]], [[0, 50]]], np.int8), [0, 1, 0.5, 0.75]),
    "uint16": (np.array([[[0, 40000]]], np.uint16), [0, 1]),
}


@pytest.mark.parametrize("X, expected", UNIT.values(), ids=UNIT)
def test_images_are_brought_to_the_unit_interval(X, expected):
    np.testing.assert_allclose(fitted(X).encode(X).x.ravel(), expected, rtol=1e-6, atol=1e-7)


BINARY = {
    "zeros and ones": (np.array([[0, 1], [1, 0]]), "auto", True),
    "black and white": (np.array([[[0, 255]]], np.uint8), "auto", True),
    "two values as the ends of the interval": (np.array([[[-2.0, 7.0]]]), "auto", True),
    "grey": (np.array([[[0, 100, 255]]], np.uint8), "auto", False),
    "grey columns": (np.array([[0.0, 0.5, 1.0]]), "bernoulli", False),
    "gaussian": (np.array([[0.0, 1.0]]), "gaussian", False),
    "two greys": (np.array([[0.25, 0.75]]), "bernoulli", False),
    "images of two greys": (np.array([[[50, 100]]], np.uint8), "auto", False),
    "truth values": (np.array([[[True, False]]]), "auto", True),
}


@pytest.mark.parametrize("X, likelihood, binary", BINARY.values(), ids=BINARY)
def test_is_binary_where_all_encoded_values_are_zeros_and_ones(X, likelihood, binary):
    table = fitted(X, likelihood)
    assert table.is_binary_ == binary
    if binary:
        assert set(table.encode(values_of(X)).x.ravel()) <= {0.0, 1.0}


def test_a_mask_of_zeros_and_ones_in_uint8_is_drawn_as_zeros_and_ones():
    X = rng().randint(0, 2, size=(N, 3, 3)).astype(np.uint8)
    table = fitted(X)
    assert table.is_binary_
    assert set(table.decode(rng(1).randint(0, 2, size=(N, 9))).ravel()) == {0, 1}


@pytest.mark.parametrize(
    "X, image_shape",
    [(np.zeros((2, 6)), None), (np.zeros((2, 4, 5)), (4, 5, 1)), (np.zeros((2, 4, 5, 3)), (4, 5, 3))],
)
def test_schema(X, image_shape):
    table = fitted(X)
    assert table.image_shape_ == image_shape
    assert table.row_shape_ == X.shape[1:]
    assert table.n_columns_ == X[0].size
