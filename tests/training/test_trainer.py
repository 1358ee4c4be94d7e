"""The training loop on a model whose every step is known: one number that descends to the mean of the rows."""

import gc

import keras
import numpy as np
import pandas as pd
import pytest
from descent import MEAN, Mean, X, descent, train

import keras_ssvae as ks
from keras_ssvae.data.samplers import BatchSampler
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.held_out import split_validation
from keras_ssvae.training.trainer import number_of_epochs

# Epochs


@pytest.mark.parametrize(
    ("requested", "steps_per_epoch", "has_gaps", "expected"),
    [
        (7, 1, False, 7),
        (7, 1000, True, 7),
        ("auto", 1, False, 100),
        ("auto", 6, False, 150),
        ("auto", 8, False, 200),
        ("auto", 25, False, 100),
        ("auto", 1000, False, 40),
        ("auto", 1, True, 1000),
        ("auto", 5, True, 500),
        ("auto", 25, True, 100),
        ("auto", 1000, True, 40),
    ],
)
def test_number_of_epochs(requested, steps_per_epoch, has_gaps, expected):
    assert number_of_epochs(TrainingConfig(epochs=requested), steps_per_epoch, has_gaps) == expected


@pytest.mark.parametrize(("steps_per_epoch", "expected"), [(1, 160), (20, 200), (1000, 40)])
def test_epochs_of_a_network_that_takes_more_steps(steps_per_epoch, expected):
    assert number_of_epochs(TrainingConfig(), steps_per_epoch, has_gaps=False, more_steps=1500) == expected
    assert number_of_epochs(TrainingConfig(epochs=3), steps_per_epoch, has_gaps=False, more_steps=1500) == 3


# Training of a model with a known path


@pytest.mark.parametrize("jit_compile", ["auto", False, True], ids=["eager", "graph", "xla"])
def test_gradient_descent_takes_the_known_path(jit_compile):
    """Ten epochs of one batch with all rows; the learning rate falls to a fifth after 70 % of the steps."""
    network = Mean()
    history = train(network, jit_compile=jit_compile)
    path = descent([0.1] * 8 + [0.02] * 2)
    np.testing.assert_allclose(network.w, path[-1], rtol=1e-5)
    losses = X.var() + (path[:-1] - MEAN) ** 2
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(history["half"], losses / 2, rtol=1e-4)
    assert list(history.columns) == ["stage", "loss", "half", "other_half"]
    assert set(history["stage"]) == {"train"}


@pytest.mark.parametrize("jit_compile", ["auto", False, True], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("epochs", [6, 7])
def test_epochs_that_are_trained_at_once_are_those_that_somebody_watches(jit_compile, epochs):
    x = np.arange(24.0, dtype=np.float32)[:, None] / 24
    watched, unwatched = Mean(), Mean()
    path = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: path.append(float(watched.w.numpy())))
    expected = train(watched, x, epochs=epochs, jit_compile=jit_compile, callbacks=[watch])
    history = train(unwatched, x, epochs=epochs, jit_compile=jit_compile)
    assert len(set(path)) == epochs
    assert float(unwatched.w.numpy()) == path[-1]
    pd.testing.assert_frame_equal(history, expected)


def test_many_steps_a_chunk_take_the_same_path():
    """Rows that are all alike: each of the three steps of a chunk is one on the curve."""
    network = Mean()
    history = train(network, x=np.full((24, 1), 3, np.float32), epochs=3)
    path = descent([0.1] * 7 + [0.02] * 2, mean=3)
    np.testing.assert_allclose(network.w, path[-1], rtol=1e-5)
    np.testing.assert_allclose(history["loss"], ((path[:-1] - 3) ** 2).reshape(3, 3).mean(axis=1), rtol=1e-4)


def test_weights_of_rows_are_how_often_they_are_drawn():
    network = Mean()
    x = np.array([[0.0], [4.0]], np.float32)
    history = train(network, x=x, weight=np.array([1.0, 3.0]), optimizer=keras.optimizers.SGD(0.5), epochs=1)
    np.testing.assert_allclose(network.w, 3.0, rtol=1e-5)  # a step of 1/2 jumps to the weighted mean
    np.testing.assert_allclose(history["loss"], [(1 * 0 + 3 * 16) / 4], rtol=1e-5)


def test_stages_share_the_epochs_and_scale_the_learning_rate():
    stages = {"first": {"share": 0.25, "learning_rate": 2.0}, "second": {"share": 0.75}}
    network = Mean(stages)
    history = train(network, epochs=8)
    assert history["stage"].tolist() == ["first"] * 2 + ["second"] * 6
    assert history.index.tolist() == list(range(8))
    path = descent([0.2] * 2 + [0.1] * 5 + [0.02])
    np.testing.assert_allclose(network.w, path[-1], rtol=1e-5)
    np.testing.assert_allclose(history["loss"], X.var() + (path[:-1] - MEAN) ** 2, rtol=1e-4)


def test_every_stage_has_an_epoch():
    history = train(Mean({"first": {"share": 0.01}, "second": {"share": 0.99}}), epochs=2)
    assert history["stage"].tolist() == ["first", "second", "second"]


def test_a_warm_start_leaves_out_what_only_prepares():
    stages = {"first": {"share": 0.5, "prepares": True}, "second": {"share": 0.5}}
    history = train(Mean(stages), epochs=4, prepared=True)
    assert history["stage"].tolist() == ["second"] * 4


def test_one_pass_is_an_epoch_a_stage_at_a_constant_rate():
    network = Mean({"first": {"share": 0.9}, "second": {"share": 0.1}})
    history = train(network, epochs=50, one_pass=True, early_stopping=True)
    assert history["stage"].tolist() == ["first", "second"]
    assert not any(name.startswith("val_") for name in history)
    np.testing.assert_allclose(network.w, descent([0.1] * 2)[-1], rtol=1e-5)


def test_the_end_of_a_stage_is_told_with_all_training_rows():
    told = []

    class Told(Mean):
        def end_stage(self, name, sample):
            told.append((name, len(sample().x)))

    train(Told({"first": {"share": 0.5}, "second": {"share": 0.5}}), epochs=2)
    assert told == [("first", 8), ("second", 8)]


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD(0.1, momentum=0.9), keras.optimizers.Adam(0.1)])
def test_the_users_optimizer_does_the_work_and_is_not_touched(optimizer):
    before = optimizer.get_config()
    results = []
    for _ in range(2):
        network = Mean()
        train(network, optimizer=optimizer, epochs=3)
        results.append(float(network.w))
    assert results[0] == results[1] > 0  # the second fit does not start with the momentum of the first
    assert not optimizer.built
    assert int(optimizer.iterations) == 0
    assert optimizer.get_config() == before


def test_the_users_callbacks_are_called_and_their_list_is_not_touched():
    seen = []
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(sorted(logs)))]
    train(Mean(), x=np.tile(X, (5, 1)), epochs=2, callbacks=callbacks, early_stopping=True)
    assert len(callbacks) == 1
    assert seen == [["half", "loss", "other_half", "val_half", "val_loss", "val_other_half"]] * 2


@pytest.mark.parametrize("patience", [3, 100])
def test_early_stopping_goes_back_to_the_best_epoch(patience):
    """w passes the mean of the held-out rows on its way: the loss on them falls and rises again."""
    x = np.random.RandomState(1).standard_normal((40, 1)).astype(np.float32)
    trained, held = split_validation(np.full(40, -1), 0.25, np.random.RandomState(0))
    x[trained] += 3 - x[trained].mean()
    x[held] += 2 - x[held].mean()
    path = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: path.append(float(network.w)))
    network = Mean()
    stopping = {"early_stopping": True, "n_iter_no_change": patience}
    history = train(network, x=x, batch_size=30, epochs=14, callbacks=[record], **stopping)
    rates = [0.1] * 10 + [0.02] * 4
    np.testing.assert_allclose(path, descent(rates[: len(path)], mean=3)[1:], rtol=1e-4)
    np.testing.assert_allclose(history["val_loss"], x[held].var() + (np.array(path) - 2) ** 2, rtol=1e-4)
    best = int(history["val_loss"].argmin())
    assert len(history) == min(best + 1 + patience, 14)
    assert best < 9
    assert float(network.w) == path[best]


def test_the_history_is_a_frame_of_epochs():
    history = train(Mean(), epochs=2)
    assert isinstance(history, pd.DataFrame)
    assert history.drop(columns="stage").dtypes.eq(float).all()


def test_a_fit_leaves_none_of_its_rows_in_memory():
    X, y = np.random.RandomState(0).standard_normal((64, 3)), np.arange(64) % 2
    of_other_tests = [thing for thing in gc.get_objects() if isinstance(thing, BatchSampler)]
    with_rows = []
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: with_rows.extend(feeds_since(of_other_tests)))
    settings = {"hidden_layer_sizes": (4,), "latent_dim": 1, "epochs": 1, "random_state": 0}
    ks.SemiSupervisedVAE(callbacks=[look], experts=None, **settings).fit(X, y)
    assert len(with_rows) == 1
    with_rows.clear()
    assert feeds_since(of_other_tests) == []


def feeds_since(known):
    """Feeds that hold rows, but for those known."""
    gc.collect()
    feeds = [thing for thing in gc.get_objects() if isinstance(thing, BatchSampler) and thing._arrays]
    return [feed for feed in feeds if not any(feed is other for other in known)]
