import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from generators import ClassMeans, X, Y, counted, tiny
from sklearn.exceptions import DataConversionWarning

from keras_ssvae.augmentation.functions import augment
from keras_ssvae.data.labels import distinct_labels, is_unlabeled

LABELS = np.array([0] * 5 + [1] * 3 + [0] * 4)
GAPS = np.arange(12) % 4 == 3
YS = {
    "int8": np.where(GAPS, -1, LABELS).astype(np.int8),
    "float with NaN": np.where(GAPS, np.nan, LABELS),
    "bool": LABELS.astype(bool),
    "text": np.array(["no", "yes"])[LABELS],
    "objects": np.where(GAPS, None, np.array(["no", "yes"], object)[LABELS]),
    "masked": np.ma.masked_array(LABELS, GAPS),
    "list": [None if gap else "ny"[label] for gap, label in zip(GAPS, LABELS, strict=True)],
    "Int64": pd.Series(LABELS, dtype="Int64").mask(GAPS),
    "str": pd.Series(np.array(["no", "yes"])[LABELS], dtype="str", name="answer").mask(GAPS),
    "boolean": pd.Series(LABELS == 1, dtype="boolean").mask(GAPS),
    "categories": pd.Series(pd.Categorical.from_codes(np.where(GAPS, -1, LABELS), ["yes", "no"]), index=list("abcdefghijkl")),
    "categorical": pd.Categorical.from_codes(np.where(GAPS, -1, LABELS), ["yes", "no"]),
}


@pytest.mark.parametrize("y", YS.values(), ids=YS)
def test_labels_keep_container_dtype_and_gaps(y):
    rare = min(distinct_labels(y)[0].tolist(), key=counted(y).get)
    _, y_new = augment(X, y, ClassMeans(), n_samples={rare: 6})
    assert type(y_new) is type(y)
    assert getattr(y_new, "dtype", None) == getattr(y, "dtype", None)
    assert len(y_new) == 18 and counted(y_new) == {**counted(y), rare: counted(y)[rare] + 6}
    np.testing.assert_array_equal(is_unlabeled(y_new[:12]), is_unlabeled(y))
    if isinstance(y, pd.Series):
        pd.testing.assert_series_equal(y_new.iloc[:12], y)


@pytest.mark.parametrize("y", [Y[:, None], pd.DataFrame({"answer": Y})])
def test_a_column_of_labels_is_read_with_a_warning(y):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        _, y_new = augment(X, y, ClassMeans(), n_samples={"c": 1})
    assert np.ravel(y_new).tolist() == [*Y, "c"]
    assert isinstance(y_new, pd.DataFrame) == isinstance(y, pd.DataFrame)


def test_where_nothing_is_generated_copies_come_back():
    frame = pd.DataFrame(X, index=pd.date_range("2024-01-01", periods=12))
    X_new, y_new = augment(frame, Y, ClassMeans(), n_samples=0)
    pd.testing.assert_frame_equal(X_new, frame)
    X_new.iloc[:], y_new[:] = 0, None
    assert frame.iloc[0, 1] == 1 and Y[0] == "b"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8, bool])
def test_arrays_keep_their_dtype(dtype):
    rows = (X > 40).astype(dtype) if dtype is bool else (X / 4).astype(dtype)
    rows.flags.writeable = False
    X_new, _ = augment(rows, Y, ClassMeans(), n_samples=4)
    np.testing.assert_array_equal(X_new[:12], rows)
    mean_of_a = augment(rows, Y, ClassMeans(), n_samples={"a": 1})[0][12]
    assert X_new.dtype == mean_of_a.dtype == dtype and X_new.shape == (16, 2)
    exact = rows[5:8].mean(axis=0)
    np.testing.assert_allclose(mean_of_a, exact if dtype in (np.float32, np.float64) else np.rint(exact), rtol=1e-6)


def test_lists_stay_lists():
    X_new, y_new = augment(X.tolist(), Y.tolist(), ClassMeans(), n_samples={"c": 1})
    assert X_new == [*X.tolist(), X[10].tolist()]
    assert y_new == [*Y.tolist(), "c"]
    X_new, _ = augment([("u", 1.5), ("v", 2.5)] * 6, Y, tiny(), n_samples={"c": 1})
    assert X_new[11] == ("v", 2.5) and X_new[12][0] in "uv" and isinstance(X_new[12][1], float)


def test_tensors_and_tables_of_arrow_come_back_as_arrays_and_frames():
    pa = pytest.importorskip("pyarrow")
    X_new, _ = augment(tf.constant(X), tf.constant(LABELS), ClassMeans(), n_samples={1: 1})
    assert isinstance(X_new, np.ndarray)
    np.testing.assert_array_equal(X_new, np.vstack([X, X[LABELS == 1].mean(axis=0)]))
    frame = pd.DataFrame(X, columns=["a", "b"])
    X_new, _ = augment(pa.Table.from_pandas(frame), Y, ClassMeans(), n_samples={"c": 1})
    pd.testing.assert_frame_equal(X_new.iloc[:12], frame)
    assert len(X_new) == 13


def test_images_stay_images():
    images = np.random.RandomState(0).rand(12, 4, 4, 1).astype(np.float32)
    for estimator in (ClassMeans(), tiny()):
        X_new, _ = augment(images, Y, estimator, n_samples=3)
        assert X_new.shape == (15, 4, 4, 1) and X_new.dtype == np.float32


def test_tables_keep_columns_and_dtypes_and_generated_rows_are_complete(table):
    X_new, y_new = augment(*table, tiny(), n_samples="balanced", random_state=0)
    pd.testing.assert_frame_equal(X_new.iloc[:40], table[0])
    pd.testing.assert_series_equal(y_new.iloc[:40], table[1])
    assert len(X_new) == 50 and X_new.iloc[40:].notna().all(axis=None)
    assert X_new.index.tolist() == [*range(7, 57)]
    assert y_new.index.equals(X_new.index) and (y_new.iloc[40:] == "v").all() and y_new.name == "kind"


@pytest.mark.parametrize(
    "index, generated",
    [
        (pd.RangeIndex(12, name="row"), [12, 13]),
        (pd.Index([5, 3, 99, *range(200, 209)]), [209, 210]),
        (pd.Index(list("abcdefghijkl"), name="who"), ["generated 12", "generated 13"]),
        (pd.date_range("2024-01-01", periods=12), [12, 13]),
        (pd.MultiIndex.from_product([[0, 1], range(6)]), [12, 13]),
    ],
)
def test_rows_keep_their_index_and_generated_ones_are_numbered_on(index, generated):
    frame = pd.DataFrame(X, index=index, columns=["p", "q"])
    X_new, y_new = augment(frame, pd.Series(Y, index=index), ClassMeans(), n_samples={"a": 2})
    assert X_new.index.tolist() == [*index.tolist(), *generated]
    assert y_new.index.tolist() == X_new.index.tolist()
    pd.testing.assert_frame_equal(X_new.loc[list(index)].set_axis(index), frame)
    assert X_new.index.name == index.name


def test_a_fitted_estimator_may_know_other_dtypes_and_containers(blobs):
    X, y = blobs
    fitted = tiny(random_state=0).fit(pd.DataFrame(X, columns=list("pqr")), y)
    drawn = fitted.sample(2, y=[0, 1], random_state=0)[0].to_numpy()
    for rows in (X.astype(np.float32), pd.DataFrame(X.astype(np.float32), columns=list("pqr"))):
        X_new, _ = augment(rows, y, fitted, n_samples={0: 1, 1: 1}, random_state=0)
        assert type(X_new) is type(rows) and np.asarray(X_new).dtype == np.float32
        assert np.asarray(X_new)[60:].shape == drawn.shape
    with pytest.raises(ValueError, match=r"X has the columns \['q', 'p', 'r'\]; estimator was fitted to \['p', 'q', 'r'\]"):
        augment(pd.DataFrame(X, columns=list("qpr")), y, fitted)
    with pytest.raises(ValueError, match=r"X has rows of shape \(2,\); estimator was fitted to rows of shape \(3,\)"):
        augment(X[:, :2], y, fitted)
