import datetime
import pickle
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from keras_ssvae.data.labels import UNLABELED, LabelCodec, UnlabeledWarning, is_unlabeled

NAN = float("nan")

# name -> (y, its classes, its codes)
COLUMNS = {
    "ints": (np.array([7, -1, 3]), [3, 7], [1, -1, 0]),
    "unsigned ints": (np.array([7, 3, 7], dtype=np.uint8), [3, 7], [1, 0, 1]),
    "list of ints": ([7, -1, 3], [3, 7], [1, -1, 0]),
    "tuple with None": ((7, None, 3), [3, 7], [1, -1, 0]),
    "range": (range(1, 4), [1, 2, 3], [0, 1, 2]),
    "bools": (np.array([True, False, True]), [False, True], [1, 0, 1]),
    "list of bools and -1": ([True, -1, False], [False, True], [1, -1, 0]),
    "text": (np.array(["dog", "cat", "dog"]), ["cat", "dog"], [1, 0, 1]),
    "list of text and NaN": (["dog", NAN, "cat"], ["cat", "dog"], [1, -1, 0]),
    "objects": (np.array(["dog", None, -1, NAN, pd.NA, pd.NaT, "cat"], object), ["cat", "dog"], [1, *[-1] * 5, 0]),
    "np.str_ objects": (np.array([np.str_("b"), np.str_("a")], dtype=object), ["a", "b"], [1, 0]),
    "floats": (np.array([1.0, -1.0, 0.0]), [0.0, 1.0], [1, -1, 0]),
    "floats with NaN": (np.array([1.0, NAN, -1.0, 0.0]), [0, 1], [1, -1, -1, 0]),
    "dates": ([datetime.date(2021, 1, 1), None, datetime.date(2020, 1, 1)], None, [1, -1, 0]),
    "masked array": (np.ma.masked_array([5, 0, 4], mask=[False, True, False]), [4, 5], [1, -1, 0]),
    "Series": (pd.Series([7, -1, 3], index=[5, 5, 1]), [3, 7], [1, -1, 0]),
    "Series of str": (pd.Series(["dog", None, "cat"], dtype="str"), ["cat", "dog"], [1, -1, 0]),
    "Series of string": (pd.Series(["dog", pd.NA, "cat"], dtype="string"), ["cat", "dog"], [1, -1, 0]),
    "Series of Int64": (pd.Series([7, pd.NA, -1, 3], dtype="Int64"), [3, 7], [1, -1, -1, 0]),
    "Series of Float64": (pd.Series([7.0, pd.NA, 3.0], dtype="Float64"), [3, 7], [1, -1, 0]),
    "Series of boolean": (pd.Series([True, pd.NA, False], dtype="boolean"), [False, True], [1, -1, 0]),
    "categorical": (pd.Series(["dog", None, "cat"], dtype="category"), ["cat", "dog"], [1, -1, 0]),
    "categorical of ints": (pd.Categorical([7, None, -1, 3]), [3, 7], [1, -1, -1, 0]),
    "categorical of intervals": (pd.cut(pd.Series([5.0, NAN, 1.0]), [0, 2, 9]), None, [1, -1, 0]),
    "Index": (pd.Index(["b", "a"]), ["a", "b"], [1, 0]),
    "no label": ([-1, None], [], [-1, -1]),
}
column = pytest.mark.parametrize("y, classes, codes", COLUMNS.values(), ids=COLUMNS)


@column
def test_labels_are_coded_by_their_sorted_classes(y, classes, codes):
    codec = LabelCodec().fit(y, len(y))
    encoded = codec.encode(y, len(y))
    assert encoded.dtype == np.int32
    assert encoded.tolist() == codes
    if classes is not None:
        assert codec.classes_.tolist() == classes
        assert all(isinstance(label, type(known)) for label, known in zip(codec.classes_.tolist(), classes))


@column
def test_decoding_returns_the_labels_and_marks_the_gaps(y, classes, codes):
    codec = LabelCodec().fit(y, len(y))
    decoded = codec.decode(codes)
    values = list(y.filled(-1) if isinstance(y, np.ma.MaskedArray) else y)
    assert decoded.tolist() == [-1 if code < 0 else value for code, value in zip(codes, values)]
    known = decoded[np.array(codes) >= 0]
    assert codec.decode(codec.indices_of(known, len(known))).tolist() == known.tolist()


@column
def test_unlabeled_rows_are_those_coded_minus_one(y, classes, codes):
    np.testing.assert_array_equal(is_unlabeled(y), np.array(codes) == UNLABELED)


@column
def test_y_is_never_modified(y, classes, codes):
    before = pickle.dumps(y)
    LabelCodec().fit(y, len(y)).encode(y, len(y))
    assert pickle.dumps(y) == before


@pytest.mark.parametrize(
    "y, dtype",
    [
        (np.array([1, 0], dtype=np.int8), np.int8),
        (np.array([1, 0], dtype=np.float32), np.float32),
        (np.array([1, NAN]), np.int64),
        (np.array([1e300, NAN]), np.float64),
        (np.array(["b", "aa"]), np.dtype("<U2")),
        (["b", "aa"], object),
        (pd.Series([1, 0], dtype="Int64"), np.int64),
    ],
)
def test_classes_keep_the_dtype_unless_gaps_forced_floats(y, dtype):
    assert LabelCodec().fit(y, 2).classes_.dtype == dtype


@pytest.mark.parametrize(
    "y, unlabeled, mask",
    [
        ([0, 1, -1, None], 0, [True, False, False, True]),
        (["a", "?", None], "?", [False, True, True]),
        (np.array(["a", "?"]), "?", [False, True]),
        (np.array(["a", "-1"]), "-1", [False, True]),
        (np.array(["a", "-1"]), -1, [False, False]),
        ([-1, 5, None], None, [False, False, True]),
        ([-1, 5, NAN], NAN, [False, False, True]),
        (np.array([True, False]), 0, [False, False]),
        ([True, False, 0], 0, [False, False, True]),
        ([True, False, 0], False, [False, True, False]),
        (np.array([True, False]), False, [False, True]),
        (np.array([0, 1]), True, [False, False]),
        (np.array([0.0, 99.0]), 99, [False, True]),
        (np.array([0, 255], dtype=np.uint8), -1, [False, False]),
        (pd.Series([0, 1, None], dtype="Int64"), np.int64(1), [False, True, True]),
        (pd.Series(["a", "?"], dtype="category"), "?", [False, True]),
    ],
)
def test_the_sentinel_and_missing_values_mean_unlabeled(y, unlabeled, mask):
    assert is_unlabeled(y, unlabeled).tolist() == mask
    codec = LabelCodec(unlabeled=unlabeled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlabeledWarning)
        if len({type(label) for label, gap in zip(list(y), mask) if not gap}) < 2:
            assert not is_unlabeled(codec.fit(y, len(y)).classes_, unlabeled).any()


def test_without_y_every_row_is_unlabeled_and_there_is_one_anonymous_class():
    codec = LabelCodec().fit(None, 3)
    assert codec.encode(None, 3).tolist() == [-1, -1, -1]
    assert (len(codec.classes_), codec.n_classes) == (0, 1)
    assert codec.decode([0, 0, -1]).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("text", ["-1", "nan", "<NA>"])
def test_missing_values_written_as_text_are_warned_about(text):
    y = np.array(["cat", text])
    with pytest.warns(UnlabeledWarning, match=f"unlabeled='{text}'"):
        assert text in LabelCodec().fit(y, 2).classes_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LabelCodec(unlabeled=text).fit(y, 2).classes_.tolist() == ["cat"]
        assert LabelCodec(classes=["cat", text]).fit(y, 2).n_classes == 2


@pytest.mark.parametrize(
    "classes, expected",
    [
        (3, [0, 1, 2]),
        (np.int64(1), [0]),
        (["dog", "cat"], ["cat", "dog"]),
        ({"dog", "cat"}, ["cat", "dog"]),
        (np.array([2.0, 0.0]), [0.0, 2.0]),
        (pd.Index(["b", "a"]), ["a", "b"]),
        ((True, False), [False, True]),
    ],
)
def test_declared_classes_are_sorted_and_need_no_row(classes, expected):
    codec = LabelCodec(classes=classes).fit(None, 4)
    assert codec.classes_.tolist() == expected
    assert codec.n_classes == len(expected)


def test_numbers_are_compared_by_value():
    codec = LabelCodec(classes=2).fit(None, 2)
    for y in ([1, 0], [1.0, 0.0], [True, False], pd.Series([1, 0], dtype="Int64")):
        assert codec.encode(y, 2).tolist() == [1, 0]


def test_all_categories_of_a_categorical_are_classes_but_the_sentinel():
    y = pd.Series(pd.Categorical(["b", "?"], categories=["c", "b", "?", "a"]))
    codec = LabelCodec(unlabeled="?").fit(y, 2)
    assert codec.classes_.tolist() == ["a", "b", "c"]
    assert codec.encode(y, 2).tolist() == [1, -1]


@pytest.mark.parametrize(
    "classes, unlabeled, message",
    [
        (0, -1, "classes must be None, an int >= 1 .* got 0"),
        (True, -1, "classes should be a 1d array"),
        ("cat", -1, "classes should be a 1d array"),
        ([], -1, "classes must hold at least one label"),
        (["a", "b", "a"], -1, "classes .* only once, got .'a', 'b', 'a'."),
        ([0, 1, -1], -1, "classes must not hold unlabeled=-1"),
        (3, 0, "classes must not hold unlabeled=0"),
        (["a", None], -1, "classes must not hold .* missing values"),
        ([0.5, 1], -1, "classes holds numbers such as 0.5"),
        ([1, "a"], -1, "classes mixes labels of different types: int, str"),
        (None, [1], "unlabeled must be a number, a str, a bool, None or NaN"),
    ],
)
def test_invalid_parameters_are_named(classes, unlabeled, message):
    with pytest.raises(ValueError, match=message):
        LabelCodec(classes=classes, unlabeled=unlabeled).fit([-1, -1], 2)


@pytest.mark.parametrize(
    "y, message",
    [
        ([0.5, 1.0], "Unknown label type: continuous. y holds numbers such as 0.5"),
        (np.array([0.5, 1.0], dtype=object), "Unknown label type: continuous"),
        ([1.0, np.inf], r"Input y contains infinity or a value too large for dtype\('float64'\)"),
        ([1j, 2j], "Complex data not supported: y"),
        (np.array([1j, 2]), "Complex data not supported: y"),
        (np.zeros((2, 2)), r"y should be a 1d array, got an array of shape \(2, 2\)"),
        (np.array(1), r"y should be a 1d array, got an array of shape \(\)"),
        (sparse.csr_array(np.eye(2)), "y should be a 1d array, got a sparse matrix"),
        ([1, "a"], "y mixes labels of different types: int, str"),
        ([2.0, "a"], "y mixes labels of types that cannot be sorted: float, str"),
        ([[1], [2, 3]], "Unknown label type: y holds list"),
        ([b"a", b"b"], "Unknown label type: y of dtype .S1"),
        (np.array(["2020", "2021"], dtype="datetime64[Y]"), "Unknown label type: y of dtype datetime64"),
        ([], r"inconsistent numbers of samples: \[2, 0\]"),
        ([0, 1, 0], r"inconsistent numbers of samples: \[2, 3\]. y needs one entry for each of the 2 rows, got 3"),
    ],
)
def test_what_is_no_label_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        LabelCodec().fit(y, 2)


@pytest.mark.parametrize("y", [np.array([[1], [-1]]), [["a"], [None]], pd.DataFrame({"y": pd.array([1, None])})])
def test_a_column_is_flattened_with_scikit_learns_warning(y):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        assert is_unlabeled(y).tolist() == [False, True]


def test_labels_outside_the_classes_are_named():
    codec = LabelCodec(classes=["cat", "dog"])
    with pytest.raises(ValueError, match=r"not among the classes: \['bird'\]. Classes: \['cat', 'dog'\]"):
        codec.fit(["cat", "bird", None], 3)
    with pytest.raises(ValueError, match=r"not among the classes: \[10, 11, 12, 13, 14, ...\]"):
        LabelCodec(classes=10).fit(np.arange(20), 20)
    with pytest.raises(ValueError, match=r"not among the classes: \[0\]. Classes: \[\]"):
        LabelCodec().fit(None, 1).encode([0], 1)


@pytest.mark.parametrize(
    "y, codes",
    [("dog", [1, 1, 1]), (np.str_("cat"), [0, 0, 0]), (np.array("dog"), [1, 1, 1]), (["dog", "cat", "dog"], [1, 0, 1])],
)
def test_one_label_is_asked_for_all_rows(y, codes):
    assert LabelCodec(["cat", "dog"]).fit(None, 0).indices_of(y, 3).tolist() == codes


@pytest.mark.parametrize(
    "y, message",
    [
        ("bird", "y holds labels that are not among the classes"),
        (None, "y must name a class for every row"),
        (["cat", None, -1], "y must name a class for every row, got 2 unlabelled"),
        (["cat", "dog"], r"inconsistent numbers of samples: \[3, 2\]"),
    ],
)
def test_only_classes_can_be_asked_for(y, message):
    with pytest.raises(ValueError, match=message):
        LabelCodec(["cat", "dog"]).fit(None, 0).indices_of(y, 3)


@pytest.mark.parametrize(
    "classes, unlabeled, decoded, dtype",
    [
        (np.array(["a"]), "gap", ["a", "gap"], "<U3"),
        (np.array(["a"]), -1, ["a", -1], object),
        (np.array([0]), None, [0, None], object),
        (np.array([0], dtype=np.uint8), -1, [0, -1], object),
        (np.array([0], dtype=np.int8), -1, [0, -1], np.int8),
        (np.array([False]), -1, [False, -1], object),
    ],
)
def test_decoded_gaps_hold_the_sentinel_itself(classes, unlabeled, decoded, dtype):
    labels = LabelCodec(classes, unlabeled).fit(None, 0).decode([0, -1])
    assert labels.tolist() == decoded
    assert [type(label) for label in labels.tolist()] == [type(label) for label in decoded]
    assert labels.dtype == dtype


def test_a_million_objects_take_about_a_second():
    y = np.array(["cat", "dog", None, -1], dtype=object)[np.arange(1_000_000) % 4]
    start = time.process_time()
    codes = LabelCodec().fit(y, len(y)).encode(y, len(y))
    assert time.process_time() - start < 2
    assert codes[:4].tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize("module", ["data.labels", "model_selection"])
def test_tensorflow_is_not_imported(module):
    code = f"import sys, keras_ssvae.{module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_float_column_of_nan_alone_is_refused_unless_it_is_meant():
    lost = np.full(4, np.nan)
    with pytest.raises(ValueError, match="y contains NaN only"):
        LabelCodec().fit(lost, 4)
    assert LabelCodec(unlabeled=np.nan).fit(lost, 4).encode(lost, 4).tolist() == [-1] * 4
    assert LabelCodec(classes=["a"]).fit(lost, 4).encode(lost, 4).tolist() == [-1] * 4
    assert len(LabelCodec().fit([None] * 4, 4).classes_) == 0


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">U3"])
def test_labels_in_the_other_byte_order_are_the_same_labels(dtype):
    y = np.array([3, 1, 3])
    codec = LabelCodec().fit(y.astype(dtype), 3)
    assert codec.classes_.dtype.isnative
    np.testing.assert_array_equal(codec.encode(y.astype(dtype), 3), [1, 0, 1])
