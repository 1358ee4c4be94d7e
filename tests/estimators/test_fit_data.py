"""The four steps of a fit: what is prepared, and that an estimator has all of a fit or nothing of it."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from instances import families, make
from sources import blocks_of

import keras_ssvae as ks
from keras_ssvae.estimators.fit_data import prepare
from keras_ssvae.models.vae import VAENetwork

# All or nothing


class Failed(Exception):
    """What a step raises."""


def fail(*args, **kwargs):
    raise Failed


def fails_in(step, cls, monkeypatch):
    """(parameters, X) with which `fit` raises in one of its steps, and the error."""
    X = np.zeros((60, 5), np.float32)
    X[:30] = 1.0
    params, error = {}, Failed
    if step == "prepare":
        X[7, 2], error = np.inf, ValueError
    elif step == "build":
        monkeypatch.setattr(cls, "_resolve", fail)
    elif step == "train":
        params["callbacks"] = [keras.callbacks.LambdaCallback(on_epoch_end=fail)]
    elif step == "fit_head":
        monkeypatch.setattr(cls, "_fit_head", fail)
    return params, X, error


STEPS = pytest.mark.parametrize("step", ["prepare", "build", "train", "fit_head"])


@STEPS
@pytest.mark.parametrize("way", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("cls", [ks.SemiSupervisedVAE, ks.M1])
def test_a_fit_that_raises_changes_nothing(cls, way, step, rows, monkeypatch):
    X, y_partial = rows
    model = make(cls, epochs=1).fit(X, y_partial)
    params, X, error = fails_in(step, cls, monkeypatch)
    model.set_params(warm_start=way == "warm fit", **params)
    attributes, before, weights = vars(model), dict(vars(model)), model.network_.get_weights()
    history = model.history_.copy()
    with pytest.raises(error):
        getattr(model, way.removeprefix("warm "))(X, y_partial)
    assert vars(model) is attributes
    assert list(attributes) == list(before)
    assert all(attributes[name] is before[name] for name in before)
    assert all((mine == theirs).all() for mine, theirs in zip(model.network_.get_weights(), weights, strict=True))
    assert model.history_.equals(history)


@STEPS
@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_a_first_fit_that_raises_leaves_an_unfitted_estimator(way, step, rows, monkeypatch):
    params, X, error = fails_in(step, ks.SemiSupervisedVAE, monkeypatch)
    model = make(ks.SemiSupervisedVAE, epochs=1, **params)
    attributes, before = vars(model), dict(vars(model))
    with pytest.raises(error):
        getattr(model, way)(X, rows[1])
    assert vars(model) is attributes
    assert list(attributes) == list(before)
    assert all(attributes[name] is before[name] for name in before)


@families()
@pytest.mark.parametrize("again", [False, True])
def test_all_attributes_appear_at_once(cls, again, rows, monkeypatch):
    model, published = make(cls, epochs=1), []
    publish = cls._publish

    def record(self, fitted):
        published.append((dict(fitted), dict(vars(self))))
        return publish(self, fitted)

    if again:
        model.fit(*rows)
    before = dict(vars(model))
    monkeypatch.setattr(cls, "_publish", record)
    assert model.fit(*rows) is model
    ((fitted, meanwhile),) = published
    assert list(meanwhile) == list(before)
    assert all(meanwhile[name] is before[name] for name in before)
    assert set(fitted) >= {"network_", "table_", "classes_", "history_", "n_iter_", "n_features_in_"}
    after = vars(model)
    assert set(after) == set(model.get_params(deep=False)) | set(fitted)
    assert all(after[name] is value for name, value in fitted.items())
    assert all(after[name] is before[name] for name in model.get_params(deep=False))


def test_names_of_columns_do_not_outlive_the_fit_that_had_them(rows):
    X, y_partial = rows
    model = make(ks.VAE, epochs=1).fit(pd.DataFrame(X, columns=list("abcde")))
    assert model.feature_names_in_.tolist() == list("abcde")
    assert not hasattr(model.fit(X), "feature_names_in_")


# What is prepared


def test_the_data_of_a_fit_do_not_change(rows):
    data = prepare(make(ks.SemiSupervisedVAE), *rows, None, warm=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.weight = None


def test_preparing_changes_nothing_and_is_the_same_each_time(rows):
    model = make(ks.SemiSupervisedVAE)
    before = dict(vars(model))
    first, second = (prepare(model, *rows, None, warm=False) for _ in range(2))
    assert vars(model) == before
    assert first.seeds == second.seeds
    for name in ("x", "y"):
        np.testing.assert_array_equal(first.rows.arrays[name], second.rows.arrays[name])
    np.testing.assert_array_equal(first.rows.y, rows[1])
    np.testing.assert_array_equal(first.weight, 1)
    assert (first.stream, first.columns, first.label_column) == (None, {"n_features_in_": 5}, None)
    assert (first.goes_on, first.warm, first.one_pass) == (False, False, False)


def test_rows_of_weight_zero_are_left_out(rows):
    X, y_partial = rows
    weight = np.arange(60) % 3
    data = prepare(make(ks.SemiSupervisedVAE), X, y_partial, weight, warm=False)
    kept = prepare(make(ks.SemiSupervisedVAE), X[weight > 0], y_partial[weight > 0], weight[weight > 0], warm=False)
    for one, other in ((data.rows.x, kept.rows.x), (data.rows.y, kept.rows.y), (data.weight, weight[weight > 0])):
        np.testing.assert_array_equal(one, other)


# Arrays of a family

batches = []


class DomainNetwork(VAENetwork):
    """A VAE that looks at what it is given."""

    def loss_terms(self, batch, step):
        if step.mode != "build" and tf.executing_eagerly():
            batches.append((step.mode, {name: values.numpy() for name, values in batch.items()}))
        return {**super().loss_terms(batch, step), "domain": 0.0 * tf.cast(batch["domain"], tf.float32)}


class DomainVAE(ks.VAE):
    """Rows come from domains, which the first column tells."""

    _network_class = DomainNetwork

    def _extra_arrays(self, X, **extra):
        return {"domain": np.asarray(X)[:, 0].astype(np.int32)}


class ToldDomainVAE(ks.VAE):
    """Rows come from domains, which `fit` is told."""

    _network_class = DomainNetwork

    def fit(self, X, y=None, sample_weight=None, domain=None):
        return self._fit(X, y, sample_weight, warm=False, domain=domain)

    def _extra_arrays(self, X, domain=None):
        return {"domain": np.zeros(len(X), np.int32) if domain is None else domain}


def domain_rows(n=200):
    X = np.random.RandomState(0).standard_normal((n, 3)).round(3)
    X[:, 0] = np.random.RandomState(1).permutation(n)
    return X


def assert_seen(model, X, domain, mode="train"):
    """Assert that every row of all batches came with its own domain; the set of the domains that were seen."""
    expected = dict(zip(map(bytes, model.table_.encode(X).x), domain, strict=True))
    seen = [batch for kind, batch in batches if kind == mode]
    assert seen
    for batch in seen:
        assert batch["domain"].dtype == np.int32
        assert batch["domain"].shape == batch["weight"].shape
        np.testing.assert_array_equal(batch["domain"], [expected[bytes(row)] for row in batch["x"]])
    return set(np.concatenate([batch["domain"][batch["weight"] > 0] for batch in seen]))


SETTINGS = {"latent_dim": 2, "hidden_layer_sizes": (4,), "epochs": 1, "batch_size": 50, "random_state": 0}


@pytest.fixture(autouse=True)
def _forget():
    batches.clear()
    yield
    batches.clear()


@pytest.mark.parametrize("streams", [False, True], ids=["array", "source"])
def test_a_loss_sees_the_arrays_of_its_family(streams):
    X = domain_rows()
    model = DomainVAE(**SETTINGS, buffer_size=60).fit(blocks_of(X) if streams else X)
    assert assert_seen(model, X, X[:, 0]) == set(range(200))
    assert model._spec["domain"] == ((), "int32")
    assert (model.history_["domain"] == 0).all()
    assert len(model.loss_terms(X)) == len(model.loss_terms(blocks_of(X))) == 200


@pytest.mark.parametrize("streams", [False, True], ids=["array", "source"])
def test_held_out_rows_have_the_arrays_of_their_family(streams):
    X = domain_rows()
    model = DomainVAE(**SETTINGS, buffer_size=60, early_stopping=True).fit(blocks_of(X) if streams else X)
    trained, held = (assert_seen(model, X, X[:, 0], mode) for mode in ("train", "evaluate"))
    assert trained | held == set(range(200))
    assert not trained & held


def test_what_fit_is_told_of_rows_of_weight_zero_is_left_out():
    X = domain_rows()
    domain = np.arange(1000, 1200, dtype=np.int32)
    weight = (np.arange(200) % 4 > 0).astype(float)
    model = ToldDomainVAE(**SETTINGS).fit(X, sample_weight=weight, domain=domain)
    assert assert_seen(model, X, domain) == set(domain[weight > 0])
    kept = prepare(model, X, None, weight, warm=False, domain=domain).rows
    np.testing.assert_array_equal(kept.arrays["domain"], domain[weight > 0])
