"""skops, and MLflow by it: a fitted estimator is the bytes of our own file, and is checked as such."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn.base
from instances import assert_same_weights, make, one_worker

import keras_ssvae


@pytest.mark.parametrize("cls", [pytest.param(cls, marks=one_worker(cls)) for cls in (keras_ssvae.VAE, keras_ssvae.M1)])
def test_skops_writes_the_bytes_of_our_file_and_pickle_all_attributes(cls, tmp_path):
    skops = pytest.importorskip("skops.io")
    from skops.io.exceptions import UntrustedTypesFoundException

    X = np.random.RandomState(0).standard_normal((40, 4)) + 3 * (np.arange(40) % 3)[:, None]
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=pd.Categorical(["x", "y"] * 20))
    model = make(cls, epochs=1, jit_compile=False).fit(frame, np.arange(40) % 3)
    skops.dump(model, tmp_path / "model.skops")
    asked = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert asked == [f"{cls.__module__}.{cls.__qualname__}"]
    with pytest.raises(UntrustedTypesFoundException):
        skops.load(tmp_path / "model.skops")
    loaded = skops.load(tmp_path / "model.skops", trusted=asked)
    assert type(loaded) is cls
    assert_same_weights(loaded, model)
    assert loaded.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    if hasattr(cls, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    assert "saved" not in vars(loaded)
    clone = skops.loads(skops.dumps(sklearn.base.clone(model)), trusted=asked)
    assert clone.get_params(deep=False).keys() == model.get_params(deep=False).keys() and not hasattr(clone, "network_")


def test_a_state_for_skops_is_checked_as_a_file_is():
    model = make(keras_ssvae.VAE, epochs=1).fit(np.random.RandomState(0).standard_normal((20, 3)))
    state = model.__getstate__()
    for wrong in (state["saved"][:-5], b"", state["saved"][:200] + b"!" + state["saved"][201:]):
        with pytest.raises(keras_ssvae.ModelFileError):
            keras_ssvae.VAE.__new__(keras_ssvae.VAE).__setstate__({"saved": wrong})
    with pytest.raises(keras_ssvae.ModelFileError, match="that of a VAE, not of a M1"):
        keras_ssvae.M1.__new__(keras_ssvae.M1).__setstate__(state)


@pytest.fixture(scope="module")
def wrapped():
    X = pd.DataFrame(np.random.RandomState(0).standard_normal((40, 3)), columns=list("abc"))
    quick = make(keras_ssvae.VAE, epochs=1, jit_compile=False)
    y = np.repeat([1, 0, -1], [4, 4, 32])
    return X, [
        (keras_ssvae.AnomalyDetector(quick, random_state=0).fit(X, y), "anomaly_score"),
        (keras_ssvae.GenerativeImputer(quick, random_state=0).fit(X), "transform"),
    ]


def test_what_wraps_a_model_is_one_class_too(wrapped):
    skops = pytest.importorskip("skops.io")
    X, models = wrapped
    for model, method in models:
        written = skops.dumps(model)
        asked = skops.get_untrusted_types(data=written)
        assert asked == [f"{type(model).__module__}.{type(model).__qualname__}"]
        for read in (skops.loads(written, trusted=asked), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            np.testing.assert_array_equal(getattr(read, method)(X), getattr(model, method)(X))
            assert vars(read).keys() == vars(model).keys()
        unfitted = skops.loads(skops.dumps(sklearn.base.clone(model)), trusted=[*asked, "keras_ssvae.models.vae.VAE"])
        assert unfitted.estimator.get_params() == model.estimator.get_params() and not hasattr(unfitted, "estimator_")
    with pytest.raises(keras_ssvae.ModelFileError, match="that of a AnomalyDetector, not of a GenerativeImputer"):
        keras_ssvae.GenerativeImputer.__new__(keras_ssvae.GenerativeImputer).__setstate__(models[0][0].__getstate__())


def test_mlflow_logs_models_as_those_of_scikit_learn(wrapped, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("ours", (tmp_path / "artifacts").as_uri()))
    X, models = wrapped
    classifier = make(keras_ssvae.SemiSupervisedVAE, epochs=1, jit_compile=False).fit(X, np.where(X["a"] > 0, "up", "down"))
    for model, method in [*models, (classifier, "predict")]:
        trusted = [f"{type(model).__module__}.{type(model).__qualname__}"]
        with mlflow.start_run():  # that it need not guess requirements saves a process that reads the model
            logged = mlflow.sklearn.log_model(model, name="model", skops_trusted_types=trusted, pip_requirements=[])
        read = mlflow.sklearn.load_model(logged.model_uri)
        np.testing.assert_array_equal(getattr(read, method)(X), getattr(model, method)(X))
        if hasattr(model, "predict"):
            np.testing.assert_array_equal(mlflow.pyfunc.load_model(logged.model_uri).predict(X), model.predict(X))
