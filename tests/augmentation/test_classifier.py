import numpy as np
import pytest
from generators import MEANS, ClassMeans, Recorder, X, Y, tiny
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import keras_ssvae as ks
from keras_ssvae.augmentation.classifier import AugmentedClassifier

XFAIL = {"check_classifiers_classes": "uses -1 as a class, which here marks a row without a label"}


@parametrize_with_checks([AugmentedClassifier(LogisticRegression(), tiny())], expected_failed_checks=lambda estimator: XFAIL)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_the_classifier_gets_labeled_and_generated_rows():
    model = AugmentedClassifier(Recorder(), ClassMeans()).fit(X, Y)
    known = [*range(8), 10]
    np.testing.assert_array_equal(model.classifier_.X_, [*X[known], *[MEANS["a"]] * 2, *[MEANS["c"]] * 4])
    assert model.classifier_.y_.tolist() == [*Y[known], *"aacccc"]
    assert model.n_samples_ == {"a": 2, "b": 0, "c": 4}
    assert model.classes_.tolist() == ["a", "b", "c"]


def test_frames_reach_the_classifier_as_frames(table):
    model = AugmentedClassifier(Recorder(), tiny()).fit(*table)
    assert model.classifier_.X_.dtypes.equals(table[0].dtypes)
    assert len(model.classifier_.X_) == 40 and model.feature_names_in_.tolist() == list(table[0])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[0].iloc[:, ::-1])


def test_questions_go_to_the_classifier(blobs):
    X, y = blobs
    model = AugmentedClassifier(LogisticRegression(), ClassMeans()).fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(model, method)(X), getattr(model.classifier_, method)(X))
    assert model.score(X, y) == model.classifier_.score(X[y >= 0], y[y >= 0])  # unlabelled rows do not count
    assert not hasattr(AugmentedClassifier(RidgeClassifier()), "predict_proba")
    assert hasattr(AugmentedClassifier(RidgeClassifier()), "decision_function")


def test_a_fitted_estimator_is_fitted_anew_unless_it_is_frozen():
    fitted = ClassMeans().fit(X + 100, Y)
    anew, frozen = (AugmentedClassifier(Recorder(), estimator).fit(X, Y) for estimator in (fitted, FrozenEstimator(fitted)))
    np.testing.assert_array_equal(anew.classifier_.X_[-1], MEANS["c"])
    np.testing.assert_allclose(frozen.classifier_.X_[-1], MEANS["c"] + 100)


def test_random_state_reaches_generator_and_classifier():
    fits = [AugmentedClassifier(Recorder(), ClassMeans(noise=1), random_state=seed).fit(X, Y) for seed in (0, 0, 1)]
    assert np.array_equal(fits[0].classifier_.X_, fits[1].classifier_.X_)
    assert not np.array_equal(fits[0].classifier_.X_, fits[2].classifier_.X_)
    nested = AugmentedClassifier(make_pipeline(StandardScaler(), LogisticRegression()), ClassMeans(), random_state=0).fit(X, Y)
    assert nested.classifier_.get_params()["logisticregression__random_state"] is not None
    assert nested.classifier.get_params()["logisticregression__random_state"] is None


@pytest.mark.parametrize("generator", [ClassMeans(noise=1), tiny()], ids=["means", "network"])
def test_no_test_row_reaches_the_generated_rows(generator, blobs):
    X, y = blobs
    model = AugmentedClassifier(Recorder(), generator, n_samples=20, random_state=0)
    folds = list(KFold(2, shuffle=True, random_state=0).split(X))
    train, test = folds[0]
    X_other, y_other = X.copy(), y.copy()
    X_other[test], y_other[test] = 1e6, 0
    first, other = (
        cross_validate(model, *rows, cv=folds, return_estimator=True, error_score="raise")["estimator"][0]
        for rows in ((X, y), (X_other, y_other))
    )
    np.testing.assert_array_equal(first.classifier_.X_, other.classifier_.X_)
    np.testing.assert_array_equal(first.classifier_.X_[: np.sum(y[train] >= 0)], X[train][y[train] >= 0])
    assert len(first.classifier_.X_) == np.sum(y[train] >= 0) + 20
    if isinstance(generator, ClassMeans):
        np.testing.assert_array_equal(first.estimator_.seen_[0], X[train])
        np.testing.assert_array_equal(first.estimator_.seen_[1], y[train])


def test_searches_reach_both_inner_estimators(blobs):
    X, y = blobs
    model = AugmentedClassifier(LogisticRegression(), tiny(), random_state=0)
    search = GridSearchCV(
        model,
        {"classifier__C": [1.0], "estimator__epochs": [2]},
        cv=ks.SemiSupervisedKFold(2, random_state=0),
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert search.best_estimator_.estimator_.n_iter_ == 2
    model = clone(model).set_params(estimator=ClassMeans())
    assert cross_val_score(model, X, y, cv=ks.SemiSupervisedKFold(2, random_state=0), error_score="raise").min() > 0.9
