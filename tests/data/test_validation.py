"""X as numbers and gaps, and the weights of rows: what passes as it is, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from keras_ssvae.data.schema import Schema
from keras_ssvae.data.validation import check_weight, check_X

NAN = float("nan")
ROWS = np.zeros((3, 2))


def checked(X):
    return check_X(X, Schema().fit(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 2), (3, 2, 2, 1)])
def test_floats_with_gaps_pass_in_their_precision(dtype, shape):
    X = np.full(shape, 0.5, dtype)
    X[0, 0] = NAN
    assert checked(X).dtype == dtype
    np.testing.assert_array_equal(checked(X), X)


def test_integers_become_floats_and_images_of_bytes_stay_bytes():
    assert checked(np.ones((3, 2), int)).dtype == np.float64
    assert checked(np.ones((3, 2, 2), np.uint8)).dtype == np.uint8


def test_frames_and_objects_are_read_by_their_schema():
    X = pd.DataFrame({"a": ["y", None, "x"], "b": [True, False, True]})
    expected = [[1, 1], [NAN, 0], [0, 1]]
    np.testing.assert_array_equal(checked(X), expected)
    np.testing.assert_array_equal(checked(X.to_numpy()), expected)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[np.inf, 1.0]]), "Input X contains infinity"),
        (np.full((2, 2, 2), np.inf), "Input X contains infinity"),
        (np.zeros(3), "Expected 2D array, got 1D array"),
        (np.zeros((0, 2)), r"0 sample\(s\)"),
        (np.zeros((2, 0, 2)), r"X must hold at least one image with at least one pixel; got shape \(2, 0, 2\)"),
        (np.zeros((2, 2, 2, 2, 2)), "got 5 dimensions"),
    ],
)
def test_what_is_no_table_and_no_images_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        checked(X)


def test_without_weights_every_row_counts_once_and_takes_no_memory():
    weight = check_weight(None, ROWS)
    assert weight.tolist() == [1, 1, 1]
    assert weight.strides == (0,)


@pytest.mark.parametrize("sample_weight", [2, [0, 1, 2], np.array([0.5, 0, 1e9], np.float32), pd.Series([1, 2, 3])])
def test_weights_are_floats(sample_weight):
    weight = check_weight(sample_weight, ROWS)
    assert weight.dtype == np.float64
    np.testing.assert_array_equal(weight, sample_weight)


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        ([0.0, 0, 0], "at least one (row; all weights are zero|non-zero number)"),  # ours, or that of newer scikit-learn
        ([1.0, -1, 1], "[Nn]egative values in data passed to `sample_weight`"),
        ([1.0, 1], r"sample_weight.shape == \(2,\), expected \(3,\)"),
        ([1.0, NAN, 1], "Input sample_weight contains NaN"),
    ],
)
def test_weights_that_are_none_are_refused(sample_weight, message):
    with pytest.raises(ValueError, match=message):
        check_weight(sample_weight, ROWS)


@pytest.mark.parametrize("unit", [1e-300, 1e30, 1e300])
def test_extreme_weights_are_those_of_a_common_unit(unit):
    weight = check_weight(np.array([1.0, 2.0, 0.0]) * unit, ROWS)
    assert weight[1] == pytest.approx(2 * weight[0]) and weight[2] == 0
    assert 0.25 <= weight.max() <= 1


def test_weights_far_below_the_largest_still_count():
    weight = check_weight(np.array([1e-300, 1.0, 0.0]), ROWS)
    np.testing.assert_array_equal(weight, [2.0**-60, 1.0, 0.0])


@pytest.mark.parametrize("weight", ["x", {"a": 1}, object()])
def test_weights_that_are_no_numbers_are_named(weight):
    with pytest.raises(TypeError, match="sample_weight must be None, a number or one number for each row"):
        check_weight(weight, ROWS)


def test_complex_weights_are_refused():
    with pytest.raises(TypeError, match="sample_weight must hold real numbers; got complex128"):
        check_weight(np.ones(3, complex), ROWS)


def test_infinity_is_named_by_its_column():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, np.inf]})
    with pytest.raises(ValueError, match=r"Input X contains infinity .*, in columns \['b'\]"):
        checked(frame)
    with pytest.raises(ValueError, match=r"in columns \[1\]"):
        checked(frame.to_numpy())


@pytest.mark.parametrize("X", [pd.DataFrame(index=range(3)), np.empty((3, 0), object), np.empty((3, 0), str)])
def test_no_columns_are_refused_whatever_they_could_hold(X):
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        checked(X)


def test_an_object_that_is_no_rows_is_named():
    with pytest.raises(TypeError, match="X must be an array, a list of rows, a DataFrame or a source"):
        checked(object())


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="X must hold rows of one length"):
        checked([[1, 2], [3]])


def test_an_array_is_read_as_the_columns_of_the_frame_of_the_fit():
    frame = pd.DataFrame({"level": ["a", "b", "a"], "id": [2**60, 2**60 + 1, 2**60 + 5]})
    schema = Schema().fit(frame)
    np.testing.assert_array_equal(check_X(frame.to_numpy(), schema), [[0, 0], [1, 1], [0, 5]])
