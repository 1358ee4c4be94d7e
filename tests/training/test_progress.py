"""How a stage ends: diverged, stopped, interrupted. The model is one number whose path is known."""

import os
import signal
import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from descent import MEAN, Mean, descent, train
from instances import families, make

import keras_ssvae as ks
from keras_ssvae.data.samplers import BatchSampler
from keras_ssvae.training.optimizers import FlatAdamW, make_optimizer

R = np.random.RandomState(0)
ROWS = R.standard_normal((120, 4)) + np.repeat([0.0, 3.0], 60)[:, None]
LABELS = np.where(np.arange(120) % 2, np.arange(120) // 60, -1)
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 4, "random_state": 0, "jit_compile": False}


class Breaks(Mean):
    """Its second term is not finite from the step on at which w comes to a limit."""

    def __init__(self, limit, value=np.nan, **kwargs):
        super().__init__(**kwargs)
        self.limit, self.value = limit, value

    def _terms(self, batch, step):
        terms = super()._terms(batch, step)
        extra = tf.where(self.w < self.limit, 0.0, self.value)
        return {**terms, "other_half": terms["other_half"] + extra}


# Divergence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("watched", [True, False])
def test_a_term_that_is_not_finite_goes_back_to_the_best_epoch(watched, value, monkeypatch):
    """Epochs of five steps, each a chunk of its own; the 14th step sees what is not finite."""
    monkeypatch.setattr(BatchSampler, "max_joint_steps", 5)
    x, path = np.full((40, 1), 3, np.float32), descent([0.1] * 20, mean=3)
    network = Breaks((path[12] + path[13]) / 2, value)
    told = r"stage 'train', epoch 3 of 10: the term 'other_half' is not finite\. Look at the learning rate \(0\.1 with sgd\)\."
    with pytest.warns(ks.DivergenceWarning, match=told):
        history = train(network, x, epochs=10, jit_compile=False, callbacks=[keras.callbacks.Callback()] if watched else None)
    assert len(history) == 2
    assert np.isfinite(history.drop(columns="stage")).all(axis=None)
    np.testing.assert_allclose(network.w, path[10], rtol=1e-4)


def test_training_that_never_came_to_anything_is_an_error():
    with pytest.raises(ks.DivergenceError, match=r"stage 'train', epoch 1 of 10: the term 'other_half' is not finite"):
        train(Breaks(0.5))


def test_a_weight_that_is_not_finite_is_found_after_the_last_step():
    """The loss of a step is that of before: the last one's weights were judged by none."""
    with pytest.raises(ks.DivergenceError, match=r"epoch 1 of 1: a weight is not finite"):
        train(Mean(start=1e19), learning_rate=1e38, epochs=1)


@pytest.mark.parametrize("epochs", [1, 3])
def test_weights_that_are_finite_and_of_no_use_are_found_after_the_last_step(epochs):
    """An epoch is a step, and the last one goes so far that the square of the weight is none of single precision."""
    rates = iter([0.1] * (epochs - 1) + [1e25])
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: next(rates))
    if epochs == 1:
        with pytest.raises(ks.DivergenceError, match=r"epoch 1 of 1: the loss after the last step is not finite"):
            train(Mean(), epochs=1, callbacks=[schedule])
    else:
        network = Mean()
        with pytest.warns(ks.DivergenceWarning, match=r"epoch 3 of 3: the loss after the last step is not finite.* of epoch 2"):
            history = train(network, epochs=3, callbacks=[schedule])
        assert len(history) == 2
        np.testing.assert_allclose(network.w, descent([0.1, 0.1])[-1], rtol=1e-5)


def test_moments_that_are_not_finite_would_stop_all_learning_in_silence():
    with pytest.raises(ks.DivergenceError, match=r"a moment of the gradients is not finite"):
        train(Mean(start=-1e19), optimizer=FlatAdamW(0.1), epochs=1, jit_compile=False)


def test_a_loss_that_ends_far_above_its_start_is_said():
    network = Mean(start=MEAN + 1)
    with pytest.warns(ks.DivergenceWarning, match=r"diverged in stage 'train', from a loss of 2\.\d+ to"):
        train(network, learning_rate=1.2, epochs=10)


def test_ordinary_training_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(Mean(), epochs=10)
        train(Mean(start=MEAN), epochs=2)


def test_keras_callbacks_are_told_of_the_end_of_a_diverged_fit():
    told = []
    callback = keras.callbacks.LambdaCallback(on_train_end=lambda logs: told.append("end"))
    with pytest.raises(ks.DivergenceError):
        train(Breaks(0.5), callbacks=[callback])
    assert told == ["end"]


@families()
def test_every_family_refuses_an_absurd_learning_rate_and_stays_as_it_was(cls):
    model = make(cls, epochs=2, jit_compile=False)
    model.fit(ROWS, LABELS)
    before, sampled = vars(model).copy(), model.sample(3, random_state=0)[0]
    model.set_params(learning_rate=1e30)
    with pytest.raises(ks.DivergenceError, match=r"learning rate \(1e\+30 with adamw\), and at column \d of X"):
        model.fit(ROWS, LABELS)
    changed = {key for key in vars(model) if vars(model)[key] is not before.get(key)}
    assert changed <= {"learning_rate"}
    np.testing.assert_array_equal(model.sample(3, random_state=0)[0], sampled)


# Interruption


@pytest.fixture
def ctrl_c():
    """What Python does by itself, unless it was started where interrupts are ignored, as in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupts(keras.callbacks.Callback):
    """Ctrl-C at the end of an epoch, counted over all stages."""

    def __init__(self, epoch):
        super().__init__()
        self.left = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        self.left -= 1


class Stops(keras.callbacks.Callback):
    """Ends training, in Keras' way, after some epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 == self.epochs


def test_an_interrupted_fit_hands_over_what_was_learned_and_changes_nothing(ctrl_c):
    model = ks.VAE(**SMALL, callbacks=[Interrupts(2)])
    before = vars(model).copy()
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(ROWS)
    assert vars(model) == before
    kept = caught.value.estimator
    assert isinstance(caught.value, ks.FitInterrupted)
    assert type(kept) is ks.VAE
    assert kept.n_iter_ == len(kept.history_) == 2
    shorter = ks.VAE(**SMALL, callbacks=[Stops(2)]).fit(ROWS)
    np.testing.assert_array_equal(kept.transform(ROWS), shorter.transform(ROWS))
    assert "sys.last_value.estimator" in caught.value.__notes__[0]


def test_a_fit_with_a_checkpoint_is_fitted_where_it_was_interrupted_and_goes_on(tmp_path, ctrl_c):
    model = ks.M1M2(**SMALL, callbacks=[Interrupts(3)], checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt, match=r"Interrupted after 3 epochs; stages that are not done: \['semi-supervised'"):
        model.fit(ROWS, LABELS)
    assert model.n_iter_ == 3
    assert np.isfinite(model.predict_proba(ROWS)).all()
    whole = ks.M1M2(**SMALL, callbacks=[keras.callbacks.Callback()]).fit(ROWS, LABELS)
    model.set_params(callbacks=[keras.callbacks.Callback()]).fit(ROWS, LABELS)
    np.testing.assert_array_equal(model.predict_proba(ROWS), whole.predict_proba(ROWS))
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_epoch_there_is_nothing_to_hand_over(ctrl_c):
    model = ks.VAE(**SMALL, callbacks=[Interrupts(0)])
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(ROWS)
    assert type(caught.value) is KeyboardInterrupt
    assert not hasattr(model, "network_")


def test_an_unwatched_fit_is_interrupted_as_well(ctrl_c):
    model = ks.VAE(**{**SMALL, "epochs": 10**6})
    timer = threading.Timer(2.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(ks.FitInterrupted) as caught:
        model.fit(ROWS)
    timer.join()
    assert 0 < caught.value.estimator.n_iter_ < 10**6
    assert np.isfinite(caught.value.estimator.transform(ROWS)).all()


# Half precision


def test_in_half_precision_the_loss_is_scaled():
    assert isinstance(make_optimizer("adamw", 0.1, None), FlatAdamW)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        made = make_optimizer("adamw", 0.1, None)
        assert isinstance(made, keras.optimizers.LossScaleOptimizer)
        assert isinstance(made.inner_optimizer, FlatAdamW)
        network = Mean()  # a gradient of 1e-6 of single precision stays what it is
        train(network, epochs=3, optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(network.w, descent([0.1] * 3)[-1], rtol=1e-5)
