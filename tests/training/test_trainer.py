"""The training loop on a model whose every step is known: one number that descends to the mean of the rows."""

import gc
import math
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_ssvae as ks
from keras_ssvae.data.samplers import BatchSampler
from keras_ssvae.data.tables import PreparedRows
from keras_ssvae.networks.base import Network, Stage
from keras_ssvae.training import trainer
from keras_ssvae.training.trainer import split_validation

# Held-out rows


def indices_of(**counts):
    """Codes by class; `unknown` counts the rows without a label."""
    codes = [np.full(n, -1 if name == "unknown" else int(name[1:])) for name, n in counts.items()]
    return np.random.RandomState(0).permutation(np.concatenate(codes)).astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_labelled_and_unlabelled_rows_are_held_out_in_proportion(fraction, seed):
    codes = indices_of(unknown=200, c0=40, c1=100, c2=20)
    train, held = split_validation(codes, fraction, np.random.RandomState(seed))
    assert sorted([*train, *held]) == list(range(360))
    for code, count in ((-1, 200), (0, 40), (1, 100), (2, 20)):
        assert abs((codes[held] == code).sum() - fraction * count) <= 1


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_no_class_loses_its_last_label(fraction):
    codes = indices_of(unknown=50, c0=1, c1=2, c2=3, c3=30)
    for seed in range(10):
        train, _ = split_validation(codes, fraction, np.random.RandomState(seed))
        assert set(codes[train]) == {-1, 0, 1, 2, 3}


def test_many_small_classes_are_held_out_in_proportion_too():
    codes = np.repeat(np.arange(20), 4)
    _, held = split_validation(codes, 0.1, np.random.RandomState(0))
    assert 4 <= len(held) <= 12


def test_the_split_follows_its_generator():
    codes = indices_of(unknown=50, c0=50)
    splits = [split_validation(codes, 0.2, np.random.RandomState(seed))[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_every_row_is_as_likely_to_be_held_out():
    codes, times = indices_of(unknown=20, c0=20), 500
    rng = np.random.RandomState(0)
    held = np.bincount(np.concatenate([split_validation(codes, 0.25, rng)[1] for _ in range(times)]), minlength=40)
    assert (np.abs(held / times - 0.25) < 5 * math.sqrt(0.25 * 0.75 / times)).all()


@pytest.mark.parametrize("codes", [[-1], [0], [0, 1, 2], [-1, -1, 0]])
def test_no_row_to_hold_out_is_an_error(codes):
    message = f"early_stopping=True needs rows to hold out: validation_fraction=0.1 of {len(codes)} rows leaves none"
    with pytest.raises(ValueError, match=message):
        split_validation(np.array(codes), 0.1, np.random.RandomState(0))


@pytest.mark.parametrize("n, batch_size, size, steps", [(10, 100, 10, 1), (100, 10, 40, 3), (80, 10, 40, 2), (1, 2, 1, 1)])
@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
def test_held_out_rows_are_judged_once_each_with_their_weights(n, batch_size, size, steps, with_labels, gaps):
    x = np.arange(2.0 * n, dtype=np.float32).reshape(n, 2)
    codes, weight = (np.arange(n, dtype=np.int32) % 3) - 1, np.linspace(1, 2, n)
    observed = (x % 3 > 0).astype(np.float32) if gaps else None
    data = trainer._validation_data(PreparedRows(x, observed), codes, weight, with_labels, batch_size)
    chunks = list(data.as_numpy_iterator())
    assert len(chunks) == steps
    assert {chunk["x"].shape for chunk in chunks} == {(1, size, 2)}
    batch = {name: np.concatenate([chunk[name][0] for chunk in chunks]) for name in chunks[0]}
    assert set(batch) == {"x", "y", "weight", *(["observed"] if gaps else [])}
    np.testing.assert_array_equal(batch["x"][:n], x)
    np.testing.assert_array_equal(batch["y"][:n], codes if with_labels else -1)
    np.testing.assert_allclose(batch["weight"][:n], weight, rtol=1e-6)
    np.testing.assert_array_equal(batch["weight"][n:], 0)
    if gaps:
        np.testing.assert_array_equal(batch["observed"][:n], observed)


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
    assert trainer._epochs(requested, steps_per_epoch, has_gaps) == expected


# Training of a model with a known path


class Mean(Network):
    """loss(w) = mean_i (x_i - w)**2: a step of gradient descent at rate a takes w to m + (1 - 2 a) (w - m)."""

    def __init__(self, stages=None, start=0.0):
        super().__init__(seed=0)
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(start), name="w")
        self._stages = stages or {"train": {}}

    def _terms(self, batch):
        square = tf.square(batch["x"][:, 0] - self.w)
        return {"half": 0.5 * square, "other_half": 0.5 * square}

    def stages(self):
        return [Stage(name, {"loss": (self._terms, [self])}, **settings) for name, settings in self._stages.items()]


X = np.random.RandomState(0).standard_normal((8, 1)).astype(np.float32) + 3
MEAN = X.mean()


def settings_of(**changes):
    defaults = dict(  # noqa: C408
        optimizer="sgd", learning_rate=0.1, batch_size=8, labeled_batch_size="auto", epochs=10, callbacks=None,
        augmentation=None, validation_fraction=0.25, early_stopping=False, n_iter_no_change=3, jit_compile="auto", verbose=0,
    )  # fmt: skip
    return SimpleNamespace(**{**defaults, **changes})


def train(network, x=X, codes=None, weight=None, prepared=False, one_pass=False, **changes):
    encoded = PreparedRows(x)
    network.build_for(x.shape[1])
    codes = np.full(len(x), -1, np.int32) if codes is None else codes
    weight = np.ones(len(x)) if weight is None else weight
    return trainer.train(network, encoded, codes, weight, settings_of(**changes), seed=0, prepared=prepared, one_pass=one_pass)


def descent(rates, mean=MEAN, start=0.0):
    """w before each step, and after the last."""
    path = [start]
    for rate in rates:
        path.append(mean + (1 - 2 * rate) * (path[-1] - mean))
    return np.array(path)


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
    ks.SemiSupervisedVAE(callbacks=[look], **settings).fit(X, y)
    assert len(with_rows) == 1
    with_rows.clear()
    assert feeds_since(of_other_tests) == []


def feeds_since(known):
    """Feeds that hold rows, but for those known."""
    gc.collect()
    feeds = [thing for thing in gc.get_objects() if isinstance(thing, BatchSampler) and thing._arrays]
    return [feed for feed in feeds if not any(feed is other for other in known)]
