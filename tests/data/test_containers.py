"""The door for X: each container as an array or a frame, or a word on what to call."""

import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse as sparse
import tensorflow as tf

from keras_ssvae.data.containers import has_column, opened, split_labels

X = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
FRAME = pd.DataFrame(X, columns=["a", "b"])


@pytest.mark.parametrize(
    "given", [X, X.tolist(), FRAME, "folder", None, len, tf.data.Dataset.from_tensors(X)], ids=lambda v: type(v).__name__
)
def test_what_is_read_elsewhere_stays_as_it_is(given):
    assert opened(given) is given


@pytest.mark.parametrize(
    "given", [tf.constant(X), tf.Variable(X), np.ma.masked_array(X, False)], ids=lambda v: type(v).__name__
)
def test_tensors_and_arrays_without_a_mask_are_arrays(given):
    assert type(opened(given)) is np.ndarray
    np.testing.assert_array_equal(opened(given), X)


@pytest.mark.parametrize(
    "given",
    [{"a": X[:, 0], "b": X[:, 1:]}, pyarrow.table({"a": X[:, 0], "b": X[:, 1]}), np.rec.fromarrays(X.T, names=["a", "b"])],
    ids=["dict", "pyarrow", "records"],
)
def test_columns_are_a_frame(given):
    pd.testing.assert_frame_equal(opened(given), FRAME)


def test_records_in_the_other_byte_order():
    records = np.array([(1, 2.5)], [("a", ">i4"), ("b", ">f8")])
    pd.testing.assert_frame_equal(opened(records), pd.DataFrame({"a": np.array([1], "i4"), "b": [2.5]}))


def test_categories_of_a_dict_stay_categories():
    assert opened({"a": pd.Series(["x", "y"], dtype="category")}).dtypes["a"] == "category"


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?", "O", "M8[D]"])
def test_masked_cells_are_missing_and_the_others_as_they_were(dtype):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    read = opened(np.ma.masked_array(values, [[True, False], [False, False]]))
    np.testing.assert_array_equal(pd.isna(read), [[True, False], [False, False]])
    assert read[1].tolist() == values[1].tolist()


@pytest.mark.parametrize("rows", [list, tuple])
def test_masks_of_rows_in_a_list_are_read(rows):
    masked = np.ma.masked_array(X, X == 5.0)
    read = opened(rows(masked))
    np.testing.assert_array_equal(read, np.where(X == 5.0, np.nan, X))


def test_dicts_are_rows():
    pd.testing.assert_frame_equal(opened([{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"b": 6.0, "a": 5.0}]), FRAME)


def test_text_of_any_length_is_objects():
    given = np.array([["a", "bcd"]], np.dtypes.StringDType())
    assert opened(given).tolist() == [["a", "bcd"]] and opened(given).dtype == object


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a": [1], "b": [1, 2]}, ValueError, r"Columns of X must have one length; got {'a': 1, 'b': 2}"),
        ({"a": np.zeros((2, 2))}, ValueError, r"Column 'a' of X must have the shape \(rows,\); got \(2, 2\)"),
        (tf.sparse.from_dense([[1.0]]), TypeError, r"X is a SparseTensor, .* pass tf.sparse.to_dense\(X\).numpy\(\)"),
        (tf.ragged.constant([[1.0], []]), TypeError, "X is a RaggedTensor, .* its rows differ in length"),
        (FRAME.set_axis(["a", "a"], axis=1), ValueError, r"X must have unique column names; duplicates are \['a'\]"),
    ],
)
def test_what_cannot_be_read_is_told(given, error, message):
    with pytest.raises(error, match=message):
        opened(given)


def test_data_that_lie_elsewhere_are_refused_with_what_brings_them():
    lazy = type("DataFrame", (), {"__module__": "dask.dataframe"})()
    with pytest.raises(TypeError, match=r"X is a DataFrame of dask, .* pass X.compute\(\)"):
        opened(lazy)


def test_lazy_frames_of_polars_are_collected():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert opened(frame.lazy()).equals(frame)
    rest, y = split_labels(frame, "b")
    assert rest.columns == ["a"] and y.to_list() == ["x", "y"]


def test_a_column_of_labels_is_taken_out():
    rest, y = split_labels(FRAME, "b")
    pd.testing.assert_frame_equal(rest, FRAME[["a"]])
    pd.testing.assert_series_equal(y, FRAME["b"])


def test_the_column_of_the_fit_is_left_out_where_it_is_there():
    assert list(split_labels(FRAME, None, "b")[0].columns) == ["a"]
    assert split_labels(FRAME, None, "c")[0] is FRAME
    assert has_column(FRAME, "b") and not has_column(FRAME, None) and not has_column(X, "b")


@pytest.mark.parametrize("make", [sparse.dok_matrix, sparse.dok_array, sparse.csr_matrix])
def test_a_sparse_matrix_is_no_dict_of_columns(make):
    given = make(X)
    assert opened(given) is given


@pytest.mark.parametrize("given", [X, X.tolist()])
def test_a_name_needs_names(given):
    with pytest.raises(ValueError, match="y='b' names a column, but X is .* without names"):
        split_labels(given, "b")
    with pytest.raises(ValueError, match=r"y='z' names no column of X; its columns are \['a', 'b'\]"):
        split_labels(FRAME, "z")
