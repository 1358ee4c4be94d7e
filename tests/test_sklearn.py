"""The estimators among scikit-learn's own: its check suite, and the tools that users combine them with."""

import numpy as np
import pandas as pd
import pytest
from instances import CHECKED_TRAINED, CHECKS_OF_LEARNING, FAST, XFAIL, families, make
from joblib import Parallel, delayed
from sklearn.base import clone, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import keras_ssvae as ks

OURS = {cls: settings for cls, settings in FAST.items() if hasattr(ks, cls.__name__)}


@parametrize_with_checks([cls(**settings) for cls, settings in OURS.items()], expected_failed_checks=lambda e: XFAIL[type(e)])
def test_scikit_learn_check(estimator, check):
    if type(estimator) is not CHECKED_TRAINED and check.func.__name__ not in CHECKS_OF_LEARNING:
        estimator = clone(estimator).set_params(epochs=1)
    check(estimator)
    assert estimator.get_params()["random_state"] is None  # the check worked on a clone


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.RandomState(0)
    y = np.repeat(["a", "b", "c"], 40)
    X = rng.standard_normal((120, 4)) + 5 * (y[:, None] == np.array(["a", "b", "c", "d"]))
    return X, y


@families("predict_proba")
def test_pipeline_and_grid_search(cls, blobs):
    X, y = blobs
    y_partial = ks.mask_labels(y, labeled=30, unlabeled="?", random_state=0)
    pipeline = make_pipeline(StandardScaler(), make(cls, unlabeled="?"))
    name = cls.__name__.lower()
    search = GridSearchCV(
        pipeline,
        {f"{name}__latent_dim": [2, 3]},
        cv=ks.SemiSupervisedKFold(3, unlabeled="?", random_state=0),
        scoring=ks.labeled_scorer("accuracy", unlabeled="?"),
        error_score="raise",
    ).fit(X, y_partial)
    assert search.best_score_ > 0.9
    assert search.predict(X).dtype.kind in "OU"


@pytest.mark.parametrize("cls", FAST)
def test_clone_is_unfitted_and_equal(cls, blobs):
    X, y = blobs[0], np.arange(120) % 2
    fitted = make(cls, epochs=1).fit(X, y)
    twin = clone(fitted)
    assert not hasattr(twin, "network_")
    assert twin.get_params() == fitted.get_params()


@families("transform")
def test_set_output_gives_frames_of_the_users_rows(cls, blobs):
    X, y = blobs[0], np.arange(120) % 3
    frame = pd.DataFrame(X, columns=list("pqrs"), index=np.arange(120) + 7)
    Z = make(cls, epochs=1).set_output(transform="pandas").fit(frame, y).transform(frame)
    name = cls.__name__.lower()
    told = [f"class_{label}" for label in range(3)] if hasattr(cls, "predict_proba") else ["target"]
    beside = [f"{name}_{what}" for what in told] if hasattr(cls, "representation") else []
    assert list(Z.columns) == [f"{name}{i}" for i in range(2)] + beside
    assert Z.index.equals(frame.index)


@pytest.mark.parametrize("cls", FAST)
def test_html_repr_names_the_estimator(cls):
    assert cls.__name__ in make(cls)._repr_html_()


@families("predict_proba")
def test_sample_weight_is_routed_through_cross_validation(cls, blobs):
    import sklearn

    X, y = blobs
    weight = np.where(y == "c", 0.0, 1.0)  # fitted without the last class, and scored without it
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(cls).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = cross_val_score(model, X, y, cv=2, params={"sample_weight": weight}, error_score="raise")
    plain = cross_val_score(make(cls), X, y, cv=2)
    assert (routed > 0.9).all() and (plain > 0.9).all()


def _fit_and_ask(cls, X, y):
    model = make(cls, epochs=2)
    model.fit(X, X[:, 0] if is_regressor(model) else y)
    return model.predict_proba(X) if hasattr(cls, "predict_proba") else model.transform(X)


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(blobs):
    X, y = blobs
    there = Parallel(n_jobs=2)(delayed(_fit_and_ask)(cls, X, y) for cls in FAST for _ in range(2))
    for i, cls in enumerate(FAST):
        here = _fit_and_ask(cls, X, y)
        np.testing.assert_allclose(there[2 * i : 2 * i + 2], [here, here], rtol=1e-5, atol=1e-6, err_msg=cls.__name__)
