"""Steps that train in the place of others: what they keep, what they must not, and who shares one."""

import gc
import threading

import keras
import numpy as np
import pytest
from instances import assert_same_weights, make

import keras_ssvae as ks
from keras_ssvae.nn import backbones
from keras_ssvae.training.step_cache import STEP_CACHE


@pytest.fixture(autouse=True)
def _empty():
    STEP_CACHE.clear()
    yield
    STEP_CACHE.clear()


def count(name):
    """How many objects of a class of this name are alive, of this test and of all before it."""
    gc.collect()
    return sum(type(o).__name__ == name for o in gc.get_objects())


def test_numbers_of_mixed_columns_are_not_shared():
    rng = np.random.RandomState(0)

    def table(scale):
        columns = rng.lognormal(scale, 1.0 + scale, 120), rng.poisson(3 + 5 * scale, 120), rng.standard_normal(120)
        return np.column_stack(columns)

    kinds = {0: "log_normal", 1: "poisson"}
    first, second = table(0.0), table(2.0)
    alone = make(ks.VAE, likelihood=kinds).fit(second)
    STEP_CACHE.clear()
    make(ks.VAE, likelihood=kinds).fit(first)
    after = make(ks.VAE, likelihood=kinds).fit(second)
    assert len(STEP_CACHE) == 1
    assert_same_weights(after, alone)


@pytest.mark.parametrize(
    "cls, settings",
    [(ks.SemiSupervisedVAE, {"label_input": "soft"}), (ks.SemiSupervisedVAE, {"code_dim": 3}), (ks.M2, {"n_enumerated": 1})],
    ids=["soft", "code", "enumerated"],
)
def test_second_fits_are_those_of_first_ones_where_cells_are_missing(cls, settings, rows):
    X, y_partial = rows
    X = np.column_stack([X, np.arange(60) % 2, np.exp(X[:, 0])])
    X[::7, 1] = X[::5, 6] = np.nan
    first = make(cls, epochs=2, **settings).fit(X, y_partial)
    assert_same_weights(make(cls, epochs=2, **settings).fit(X, y_partial), first)


def test_old_graphs_are_freed(rows, monkeypatch):
    monkeypatch.setattr(STEP_CACHE, "size", 3)
    X, y_partial = rows
    counts = []
    for i in range(STEP_CACHE.size + 4):
        make(ks.SemiSupervisedVAE, hidden_layer_sizes=(8 + i,)).fit(X, y_partial)
        counts.append(count("FuncGraph"))
    assert len(STEP_CACHE) == STEP_CACHE.size
    assert counts[-1] == counts[STEP_CACHE.size - 1] > counts[0]


def test_a_label_more_or_less_does_not_trace_anew():
    X, y = np.random.RandomState(0).standard_normal((150, 4)), np.arange(150) % 2
    for n_labeled in (58, 60, 63):
        make(ks.SemiSupervisedVAE, batch_size=64, experts=None).fit(X, np.where(np.arange(150) < n_labeled, y, -1))
    (functions,) = STEP_CACHE._functions.values()
    assert len(functions) == 1


def test_a_growing_table_does_not_collect_graphs(rows):
    counts = []
    for n in range(2, 9):
        X = np.repeat(rows[0], n, axis=0)[: 30 * n]
        make(ks.VAE, batch_size=16, jit_compile=True, epochs=1).fit(X)
        counts.append(count("FuncGraph"))
    assert len(STEP_CACHE) == 1
    assert counts[-1] == counts[-2]


def test_a_trained_network_lets_go_of_its_training(rows):
    X, y_partial = rows
    layers = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, activation="relu")])
    before = count("FuncGraph"), count("FlatAdamW")
    alone = make(ks.SemiSupervisedVAE, encoder=layers).fit(X, y_partial)  # one that shares no step
    assert len(STEP_CACHE) == 0
    assert (count("FuncGraph"), count("FlatAdamW")) == before
    assert not alone.network_.compiled


def test_a_trained_body_can_be_copied_and_used_again(rows):
    X, y_partial = rows
    body = make(ks.VAE).fit(X).network_.encoder
    copied = keras.models.clone_model(body)
    copied.set_weights(body.get_weights())
    np.testing.assert_allclose(copied(X), body(X), rtol=1e-6)
    make(ks.SemiSupervisedVAE, encoder=body).fit(X, y_partial)


def test_numbers_of_numpy_share_as_those_of_python(rows):
    X, _ = rows
    for latent_dim in (2, np.int64(2)):
        make(ks.VAE, latent_dim=latent_dim).fit(X)
    assert len(STEP_CACHE) == 1


def test_another_kind_of_body_under_the_same_name_is_not_shared(rows, monkeypatch):
    X, _ = rows
    make(ks.VAE, encoder="mlp").fit(X)
    monkeypatch.setitem(backbones.ENCODERS, "mlp", lambda *args: backbones.mlp(*args))
    make(ks.VAE, encoder="mlp").fit(X)
    assert len(STEP_CACHE) == 2


def test_an_estimator_of_another_class_shares_the_step_of_the_same_network(rows):
    X, _ = rows

    class Mine(ks.VAE):
        pass

    make(ks.VAE).fit(X)
    Mine(**make(ks.VAE).get_params()).fit(X)
    assert len(STEP_CACHE) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": keras.optimizers.Adam(1e-2)},
        {"callbacks": [keras.callbacks.TerminateOnNaN()]},
        {"activation": keras.ops.tanh},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_belongs_to_the_user_is_not_kept(settings, rows):
    make(ks.SemiSupervisedVAE, **settings).fit(*rows)
    assert len(STEP_CACHE) == 0


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 1e-3}, {"optimizer": "sgd"}, {"beta": 0.5}, {"hidden_layer_sizes": (16, 8)}, {"latent_dim": 3}],
    ids=lambda settings: next(iter(settings)),
)
def test_other_settings_have_a_step_of_their_own(settings, rows):
    X, _ = rows
    alone = make(ks.VAE, **settings).fit(X)
    STEP_CACHE.clear()
    make(ks.VAE).fit(X)
    after = make(ks.VAE, **settings).fit(X)
    assert len(STEP_CACHE) == 2
    assert_same_weights(after, alone)


def test_a_fit_that_fails_leaves_nothing_behind(rows):
    X, y_partial = rows

    class Broken(ks.SemiSupervisedVAE):
        def _fit_head(self, *args, **kwargs):
            raise RuntimeError("beyond")

    expected = make(ks.SemiSupervisedVAE).fit(X, y_partial)
    with pytest.raises(RuntimeError, match="beyond"):
        Broken(**make(ks.SemiSupervisedVAE, random_state=3).get_params()).fit(X, y_partial)
    assert_same_weights(make(ks.SemiSupervisedVAE).fit(X, y_partial), expected)


def test_threads_do_not_disturb_each_other(rows):
    X, y_partial = rows
    expected = [make(ks.SemiSupervisedVAE, random_state=i).fit(X, y_partial).network_.get_weights() for i in range(2)]
    fitted = {}

    def fit(i):
        fitted[i] = make(ks.SemiSupervisedVAE, random_state=i).fit(X, y_partial)

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        for a, b in zip(fitted[i].network_.get_weights(), expected[i], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_network_of_another_package_trains_itself(rows):
    X, _ = rows

    class Network(ks.VAE._network_class):
        pass

    Network.__module__ = "elsewhere"

    class Mine(ks.VAE):
        _network_class = Network

    Mine(**make(ks.VAE).get_params()).fit(X)
    assert len(STEP_CACHE) == 0


def test_a_network_of_another_class_that_shares_has_a_step_of_its_own(rows):
    X, _ = rows

    class Network(ks.VAE._network_class):
        shares_steps = True

    class Mine(ks.VAE):
        _network_class = Network

    expected = make(ks.VAE).fit(X)
    mine = Mine(**make(ks.VAE).get_params()).fit(X)
    assert len(STEP_CACHE) == 2
    assert_same_weights(mine, expected)
    Mine(**make(ks.VAE).get_params()).fit(X)
    assert len(STEP_CACHE) == 2


def test_a_fit_after_one_of_another_class_of_estimator_is_that_of_a_first_one(rows):
    X, y_partial = rows

    class Mine(ks.SemiSupervisedVAE):
        @classmethod
        def _resolve(cls, params, table, summary):
            return {**super()._resolve(params, table, summary), "consistency_weight": 0.0}

    first = Mine(**make(ks.SemiSupervisedVAE).get_params()).fit(X, y_partial)
    STEP_CACHE.clear()
    other = make(ks.SemiSupervisedVAE).fit(X, y_partial)
    assert_same_weights(Mine(**make(ks.SemiSupervisedVAE).get_params()).fit(X, y_partial), first)
    assert any((a != b).any() for a, b in zip(other.network_.get_weights(), first.network_.get_weights(), strict=True))
