import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from keras_ssvae import SemiSupervisedVAE
from keras_ssvae.evidence.suggestion import suggest_labels


class Known(BaseEstimator):
    """Codes are the rows; the second class is the more probable the larger the first column is."""

    unlabeled = -1

    def __init__(self):
        self.classes_ = np.array(["a", "b"])

    def fit(self, X=None, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return np.asarray(X, dtype=float)

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-np.asarray(X, dtype=float)[:, 0]))
        return np.column_stack([1 - p, p])


def two_groups(n=40):
    """Uncertain rows in two places, n each, and as many certain ones."""
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((4 * n, 2))
    return noise + np.repeat([[0.0, -5.0], [0.0, 5.0], [9.0, 0.0], [-9.0, 0.0]], n, axis=0)


def test_uncertain_rows_are_suggested_from_each_place():
    found = suggest_labels(Known(), two_groups(), n=4)
    assert len(found) == 4 and found.between(0.9, 1).all()
    assert found.is_monotonic_decreasing
    assert sorted(set(found.index // 40)) == [0, 1]


def test_rows_with_a_label_are_left_out():
    y = np.full(160, -1)
    y[:40] = 1
    assert set(suggest_labels(Known(), two_groups(), n=4, y=y).index // 40) == {1}
    y[:] = 0
    assert len(suggest_labels(Known(), two_groups(), n=4, y=y)) == 0


def test_the_index_is_that_of_the_frame_and_the_same_number_gives_the_same_rows():
    X = pd.DataFrame(two_groups(), index=[f"row {i}" for i in range(160)])
    first = suggest_labels(Known(), X, n=6)
    assert set(first.index) <= set(X.index)
    pd.testing.assert_series_equal(first, suggest_labels(Known(), X, n=6, random_state=0))


def test_fewer_rows_than_asked_for_are_all_suggested():
    assert sorted(suggest_labels(Known(), two_groups(1), n=10).index) == [0, 1, 2, 3]


def test_without_any_class_rows_stand_for_groups():
    X = two_groups()
    model = Known()
    model.classes_ = np.array([])
    assert sorted(suggest_labels(model, X, n=4).index // 40) == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError)])
def test_how_many_has_to_be_a_number(n, error):
    with pytest.raises(error, match="n"):
        suggest_labels(Known(), two_groups(), n=n)


def test_labels_have_to_fit_the_rows_and_the_model_to_be_fitted():
    with pytest.raises(ValueError, match="each of the 160 rows of X; got 3"):
        suggest_labels(Known(), two_groups(), y=[-1, 0, 1])
    with pytest.raises(NotFittedError):
        suggest_labels(SemiSupervisedVAE(), two_groups())
    with pytest.raises(TypeError, match="n must be a number of rows; got True"):
        suggest_labels(Known(), two_groups(), n=True)
    with pytest.raises(TypeError, match="estimator must have transform, which gives codes of rows; DummyClassifier has none"):
        suggest_labels(DummyClassifier().fit(two_groups(), np.zeros(160)), two_groups())


def test_a_pipeline_marks_rows_without_label_as_usual():
    rows = two_groups()
    pipeline = make_pipeline(FunctionTransformer(), Known()).fit(rows)
    suggested = suggest_labels(pipeline, rows, 3, y=np.where(np.arange(160) < 100, 0, -1))
    assert (suggested.index >= 100).all() and len(suggested) == 3
