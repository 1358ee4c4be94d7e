"""Partial labels among scikit-learn's meta-estimators: a classifier that brings its unlabelled rows along."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_predict
from sklearn.semi_supervised import LabelSpreading

import keras_ssvae as ks

X, TRUTH = make_blobs(60, 3, centers=3, cluster_std=0.5, random_state=0)
Y = ks.mask_labels(TRUTH, labeled=24, random_state=0)
LABELED, LABELS, OTHERS = ks.split_unlabeled(X, Y)
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 2, "experts": None, "random_state": 0}


class Remembers(ClassifierMixin, BaseEstimator):
    """A classifier that keeps what it was fitted to."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.weight_ = X, y, sample_weight
        self.classes_ = np.unique([label for label in y if label not in (-1, None)])
        return self

    def predict(self, X):
        return np.full(X.shape[0], self.classes_[0])


def test_a_fit_sees_labelled_and_unlabelled_rows():
    fitted = ks.WithUnlabeled(Remembers(), OTHERS).fit(LABELED, LABELS, sample_weight=np.full(24, 2.0)).estimator_
    np.testing.assert_array_equal(fitted.X_, np.concatenate([LABELED, OTHERS]))
    assert fitted.y_.tolist() == [*LABELS.tolist(), *[-1] * 36]
    assert fitted.weight_.tolist() == [2.0] * 24 + [1.0] * 36
    assert clone(fitted).fit(X, Y).weight_ is None


@pytest.mark.parametrize("unlabeled", [-1, None])
def test_labels_that_are_text_stay_text(unlabeled):
    text = np.array(["a", "b", "c"])[LABELS]
    fitted = ks.WithUnlabeled(Remembers(), OTHERS, unlabeled=unlabeled).fit(LABELED, text)
    assert fitted.estimator_.y_.tolist() == [*text.tolist(), *[unlabeled] * 36]
    assert fitted.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "wrap",
    [np.asarray, pd.DataFrame, sparse.csr_matrix, lambda X: pl.DataFrame(X, ["a", "b", "c"])],
    ids=["array", "DataFrame", "sparse", "polars"],
)
def test_rows_stay_in_their_container(wrap):
    read = ks.WithUnlabeled(Remembers(), wrap(OTHERS)).fit(wrap(LABELED), LABELS).estimator_.X_
    assert isinstance(read, type(wrap(LABELED)))
    np.testing.assert_array_equal(read.toarray() if sparse.issparse(read) else read, np.concatenate([LABELED, OTHERS]))


@pytest.mark.parametrize(
    ("more", "given", "message"),
    [
        (OTHERS, LABELED[:, :2], r"rows of the shape of X_unlabeled, \(3,\); got \(2,\)"),
        (pd.DataFrame(OTHERS, columns=list("abc")), pd.DataFrame(LABELED, columns=list("abd")), r"\['a', 'b', 'c'\]; got"),
    ],
)
def test_other_columns_are_refused(more, given, message):
    with pytest.raises(ValueError, match=message):
        ks.WithUnlabeled(Remembers(), more).fit(given, LABELS)


def test_it_is_the_semi_supervised_fit():
    model = ks.SemiSupervisedVAE(**SMALL)
    together = model.fit(np.concatenate([LABELED, OTHERS]), np.append(LABELS, np.full(36, -1)))
    brought = ks.WithUnlabeled(model, OTHERS).fit(LABELED, LABELS)
    np.testing.assert_array_equal(brought.predict_proba(X), together.predict_proba(X))
    np.testing.assert_array_equal(brought.transform(X), together.transform(X))
    assert brought.n_features_in_ == 3
    assert not hasattr(brought, "decision_function")


@pytest.mark.parametrize(
    "combine",
    [
        lambda semi: VotingClassifier([("semi", semi), ("linear", LogisticRegression())], voting="soft"),
        lambda semi: StackingClassifier([("semi", semi)], cv=2),
        lambda semi: CalibratedClassifierCV(semi, cv=2),
        lambda semi: GridSearchCV(semi, {"estimator__kernel": ["knn", "rbf"]}, cv=2, scoring="accuracy"),
    ],
)
def test_meta_estimators_know_the_true_classes(combine):
    combined = combine(ks.WithUnlabeled(LabelSpreading(), OTHERS)).fit(LABELED, LABELS)
    assert combined.classes_.tolist() == [0, 1, 2]
    assert combined.score(X, TRUTH) > 0.95


def test_predictions_across_folds():
    semi = ks.WithUnlabeled(LabelSpreading(), OTHERS)
    assert cross_val_predict(semi, LABELED, LABELS, cv=2, method="predict_proba").shape == (24, 3)


# Folds


def test_halving_takes_the_folds_as_they_are():
    search = HalvingGridSearchCV(
        LabelSpreading(), {"gamma": [1, 20]}, cv=ks.SemiSupervisedKFold(2), min_resources=40, random_state=0
    )
    assert search.fit(X, Y).best_score_ > 0.8


def test_a_partition_tests_every_row_once_and_trains_on_all_without_a_label():
    splits = list(ks.SemiSupervisedKFold(3, partition=True).split(X, Y))
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(60))
    unlabeled = set(np.flatnonzero(Y == -1))
    for (train, test), (plain_train, plain_test) in zip(splits, ks.SemiSupervisedKFold(3).split(X, Y), strict=True):
        np.testing.assert_array_equal(train, plain_train)
        assert set(test) - unlabeled == set(plain_test) and len(test) == 20
    assert cross_val_predict(LabelSpreading(), X, Y, cv=ks.SemiSupervisedKFold(3, partition=True)).shape == (60,)


def test_folds_are_the_same_at_every_call():
    first, second = (list(ks.SemiSupervisedKFold(2).split(X, Y)) for _ in range(2))
    assert all((a[1] == b[1]).all() for a, b in zip(first, second, strict=True))


# Rows with and without a label


@pytest.mark.parametrize(
    "wrap", [np.asarray, pd.DataFrame, sparse.csr_matrix, np.ndarray.tolist], ids=["array", "frame", "sparse", "list"]
)
def test_rows_are_told_apart_in_their_containers(wrap):
    labeled, labels, others = ks.split_unlabeled(wrap(X), pd.Series(Y, name="kind"))
    assert type(labeled) is type(others) is type(wrap(X))
    read = labeled.toarray() if sparse.issparse(labeled) else np.asarray(labeled)
    np.testing.assert_array_equal(read, X[Y >= 0])
    pd.testing.assert_series_equal(labels, pd.Series(Y, name="kind")[Y >= 0], check_dtype=False)
