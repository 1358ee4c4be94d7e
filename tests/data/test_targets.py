"""Targets: what is known, its scale by weight, and the way back."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from keras_ssvae.data.targets import TargetCodec, distinct_targets

KNOWN = [1.0, 5.0]
WITH_GAPS = {
    "NaN": np.array([1.0, np.nan, 5.0]),
    "None": [1, None, 5],
    "pd.NA": pd.array([1, pd.NA, 5], dtype="Int64"),
    "objects": pd.Series([1.0, pd.NA, 5], dtype=object),
    "float32": np.array([1, np.nan, 5], np.float32),
    "masked": np.ma.masked_array([1.0, 7.0, 5.0], [False, True, False]),
}


@pytest.mark.parametrize("mark", WITH_GAPS)
def test_whatever_marks_a_gap_the_targets_are_the_same(mark):
    y = WITH_GAPS[mark]
    codec = TargetCodec().fit_weighted(y, np.ones(3))
    arrays = codec.arrays(y, 3)
    assert (codec.center_, codec.scale_) == (3.0, 2.0)
    assert arrays["y"].tolist() == [0, -1, 0]
    assert arrays["target"].tolist() == [-1.0, 0.0, 1.0]
    assert codec.known(y).tolist() == KNOWN


def test_minus_one_is_a_target():
    assert TargetCodec().fit_weighted([-1, 1], np.ones(2)).encode([-1, 1], 2).tolist() == [0, 0]


def test_the_scale_counts_rows_as_often_as_their_weight_says():
    t, weight = np.array([1.0, 4.0, np.nan, 9.0]), np.array([2, 1, 5, 0])
    weighted, repeated = TargetCodec().fit_weighted(t, weight), TargetCodec().fit_weighted(t.repeat(weight), np.ones(8))
    assert weighted.center_ == pytest.approx(2.0) == repeated.center_
    assert weighted.scale_ == pytest.approx(np.sqrt(2.0)) == pytest.approx(repeated.scale_)


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e300])
def test_targets_of_any_size_come_back(factor):
    t = factor * np.array([1.0, 2.0, 4.0])
    codec = TargetCodec().fit_weighted(t, np.ones(3))
    np.testing.assert_allclose(codec.standardised(t).std(), 1.0)
    np.testing.assert_allclose(codec.decode(codec.standardised(t)), t, rtol=1e-12)


def test_targets_that_are_all_alike_have_scale_one():
    codec = TargetCodec().fit_weighted([0.1] * 7, np.ones(7))
    assert codec.scale_ == 1.0
    np.testing.assert_allclose(codec.decode([0.0, 1.0]), [0.1, 1.1], atol=1e-6)


@pytest.mark.parametrize("y", [None, [None, None], [np.nan, np.nan]])
def test_without_a_target_there_is_no_scale_and_nothing_to_decode(y):
    codec = TargetCodec().fit_weighted(y, np.ones(2))
    assert codec.encode(y, 2).tolist() == [-1, -1]
    assert np.isnan(codec.decode([0.0, 1.0])).all()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0], "inconsistent numbers of samples"),
        ([1.0, np.inf], "infinity"),
        (["a", "b"], "must hold numbers"),
        (["a", 1.0], "must hold numbers"),
        (np.array(["2020-01-01"] * 2, "M8[D]"), "must hold numbers"),
        (np.array([1j, 2.0]), "Complex data not supported"),
        (np.ones((2, 2)), "1d array"),
        (np.full(2, np.nan), "NaN only"),
    ],
    ids=["length", "infinite", "text", "some text", "dates", "complex", "two columns", "lost"],
)
def test_what_is_no_column_of_numbers_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        TargetCodec().fit_weighted(y, np.ones(2))


def test_a_column_vector_is_flattened_with_a_warning():
    with pytest.warns(DataConversionWarning):
        assert TargetCodec().fit_weighted(np.array([[1.0], [5.0]]), np.ones(2)).center_ == 3.0


def test_targets_that_are_asked_for():
    codec = TargetCodec().fit_weighted([1.0, 5.0], np.ones(2))
    assert codec.indices_of(7.0, 2).tolist() == [2.0, 2.0]
    assert codec.indices_of([3.0, 5.0], 2).tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="a target for every row; got 1 missing"):
        codec.indices_of([3.0, np.nan], 2)
    with pytest.raises(ValueError, match=r"within 1e\+06 standard deviations of the known targets; got 1e\+300"):
        codec.indices_of([3.0, 1e300], 2)


def test_later_targets_stay_numbers_in_single_precision():
    codec = TargetCodec().fit_weighted([1.0, 5.0], np.ones(2))
    assert codec.arrays([7.0, 1e300, -1e300], 3)["target"].tolist() == [2.0, 1e6, -1e6]


def test_all_targets_are_one_kind():
    labels, positions = distinct_targets([3.5, None, 7.25])
    assert len(labels) == 1
    assert positions.tolist() == [0, -1, 0]
    assert len(distinct_targets([None])[0]) == 0
