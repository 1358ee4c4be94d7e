"""Keras' own callbacks with default settings: each fits, fits again, and its estimator can be cloned, searched and pickled."""

import copy
import pickle
import threading

import keras
import numpy as np
import pandas as pd
import pytest
from descent import MEAN, Mean, descent, train
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate

import keras_ssvae as ks

R = np.random.RandomState(0)
X = R.standard_normal((90, 3))
Y = np.where(np.arange(90) % 3, -1, np.arange(90) % 2)
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 4, "random_state": 0, "experts": None}
ALL = {
    "EarlyStopping": lambda path: keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True),
    "ReduceLROnPlateau": lambda path: keras.callbacks.ReduceLROnPlateau("loss", patience=1),
    "LearningRateScheduler": lambda path: keras.callbacks.LearningRateScheduler(halved),
    "CSVLogger": lambda path: keras.callbacks.CSVLogger(path / "log.csv"),
    "TensorBoard": lambda path: keras.callbacks.TensorBoard(path / "board", histogram_freq=1),
    "ModelCheckpoint": lambda path: keras.callbacks.ModelCheckpoint(path / "model.keras"),
    "weights": lambda path: keras.callbacks.ModelCheckpoint(path / "best.weights.h5", "loss", 0, True, save_weights_only=True),
    "BackupAndRestore": lambda path: keras.callbacks.BackupAndRestore(path / "backup"),
    "TerminateOnNaN": lambda path: keras.callbacks.TerminateOnNaN(),
    "LambdaCallback": lambda path: keras.callbacks.LambdaCallback(on_epoch_end=print),
}


def halved(epoch, rate):
    return rate / 2


@pytest.mark.parametrize("name", ALL)
def test_every_callback_works_with_defaults(name, tmp_path):
    if name == "TensorBoard":
        pytest.importorskip("tensorboard")
    model = ks.SemiSupervisedVAE(**SMALL, callbacks=[ALL[name](tmp_path)])
    proba = model.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, Y).predict_proba(X), proba)
    np.testing.assert_array_equal(clone(model).fit(X, Y).predict_proba(X), proba)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict_proba(X), proba)
    assert model.callbacks[0].model is model.network_  # the user's own keeps what it saw


def test_searches_and_cross_validation_of_a_fitted_estimator_with_callbacks(tmp_path):
    stops = keras.callbacks.EarlyStopping("loss", patience=1)
    model = ks.SemiSupervisedVAE(**SMALL, callbacks=[stops, keras.callbacks.CSVLogger(tmp_path / "log.csv")]).fit(X, Y)
    folds = ks.SemiSupervisedKFold(2)
    found = GridSearchCV(model, {"latent_dim": [1, 2]}, cv=folds, error_score="raise").fit(X, Y)
    assert found.best_estimator_.callbacks[0] is not stops
    scores = cross_validate(model, X, Y, cv=folds, return_estimator=True, error_score="raise")
    assert len({id(fitted.callbacks[0]) for fitted in scores["estimator"]}) == 2


def test_what_the_user_changes_in_a_callback_is_in_its_clones():
    class Counts(keras.callbacks.Callback):
        def __init__(self, step):
            super().__init__()
            self.step, self.count = step, 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += self.step

    counts = Counts(2)
    model = ks.VAE(**{k: v for k, v in SMALL.items() if k != "experts"}, callbacks=[counts]).fit(X)
    counts.step = 3
    twin = clone(model).fit(X)
    assert (counts.count, twin.callbacks[0].count) == (8, 12)


# The learning rate


def test_what_cannot_be_copied_in_a_callback_is_named():
    class Guarded(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.guard = threading.Lock()

    with pytest.raises(TypeError, match="callbacks holds a Guarded whose attribute 'guard' cannot be copied: .*thread.lock"):
        clone(ks.VAE(callbacks=[Guarded()]))


def test_a_rate_that_a_callback_sets_holds_to_the_end_of_the_stage():
    """From the fourth of ten epochs on, through the late drop; the next stage starts from its own rate again."""
    network = Mean({"first": {"share": 0.5}, "second": {"share": 0.5, "learning_rate": 2.0}})
    told = []
    sets = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: (
            told.append(float(network.optimizer.learning_rate)),
            setattr(network.optimizer, "learning_rate", 0.05) if epoch == 3 and len(told) < 10 else None,
        )
    )
    train(network, epochs=20, callbacks=[sets])
    rates = [0.1] * 3 + [0.05] * 7 + [0.2] * 8 + [0.04] * 2
    np.testing.assert_allclose(network.w, descent(rates)[-1], rtol=1e-5)
    np.testing.assert_allclose(told, [0.1] * 4 + [0.05] * 6 + [0.2] * 8 + [0.04] * 2, rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "rmsprop"])
def test_a_plateau_lowers_the_rate_of_any_optimizer(optimizer):
    network, told = Mean(start=MEAN), []
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(float(network.optimizer.learning_rate)))
    history = train(network, epochs=4, optimizer=optimizer, callbacks=[plateau, look])
    np.testing.assert_allclose(told, [0.1, 0.05, 0.025, 0.0125], rtol=1e-6)
    assert list(history) == ["stage", "loss", "half", "other_half"]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_players_of_one_game_share_the_rate_that_is_set(jit_compile):
    rates = []
    never = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    settings = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 2, "random_state": 0, "jit_compile": jit_compile}
    model = ks.AdversarialAutoencoder(**settings, callbacks=[never])
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: rates.append(look.model.get_weights()))
    model.set_params(callbacks=[never, look]).fit(X, Y)
    trained = [v.path for v in model.network_.trainable_variables]
    for variable, start in zip(model.network_.weights, rates[0], strict=True):
        if variable.path in trained:
            np.testing.assert_array_equal(variable.numpy(), start)


# Files of callbacks


def test_weights_of_a_model_checkpoint_can_be_read_again(tmp_path):
    path = tmp_path / "model.keras"
    model = ks.SemiSupervisedVAE(**SMALL, callbacks=[keras.callbacks.ModelCheckpoint(path)]).fit(X, Y)
    proba = model.predict_proba(X)
    for variable in model.network_.trainable_variables:
        variable.assign(variable * 0)
    model.network_.load_weights(path)
    np.testing.assert_array_equal(model.predict_proba(X), proba)


# Rows to judge by


@pytest.mark.parametrize("odd", [5, None, keras.callbacks.Callback, print])
def test_what_is_no_callback_is_named(odd):
    model = ks.VAE(**{k: v for k, v in SMALL.items() if k != "experts"}, callbacks=[odd])
    with pytest.raises(TypeError, match="callbacks must be None or a list of keras.callbacks.Callback; it holds"):
        clone(model).fit(X)


def test_validation_data_judge_every_epoch():
    seen = []
    model = ks.VAE(latent_dim=1, hidden_layer_sizes=(4,), epochs=3, random_state=0)
    model.set_params(callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]))])
    rows, judged = X[:60], X[60:]
    plain = ks.VAE(latent_dim=1, hidden_layer_sizes=(4,), epochs=3, random_state=0).fit(rows)
    model.fit(rows, validation_data=(judged, None))
    np.testing.assert_allclose(model.transform(rows), plain.transform(rows), atol=2e-3)  # on all rows; judging draws noise, too
    assert seen == model.history_["val_loss"].tolist()
    expected = model.loss_terms(judged).sum(axis=1).mean()
    assert seen[-1] == pytest.approx(expected, rel=0.2)  # with noise of its own


def test_early_stopping_by_validation_data_holds_out_no_row():
    judged = X[:60], np.arange(60) % 2
    model = ks.SemiSupervisedVAE(**{**SMALL, "epochs": 60, "learning_rate": 0.1}, early_stopping=True, n_iter_no_change=2)
    model.fit(X, Y, validation_data=judged)
    values = model.history_["val_classification"]
    assert len(values) < 60 and values.argmin() == len(values) - 3
    gaps = X.copy()
    gaps[0, 0] = np.nan
    assert "val_loss" in ks.VAE(latent_dim=1, epochs=1).fit(X, validation_data=(gaps, None)).history_
    assert "val_loss" in ks.VAE(latent_dim=1, epochs=1).fit(gaps, validation_data=(X, None)).history_


def test_validation_data_of_a_frame_with_its_labels():
    frame = pd.DataFrame(X, columns=list("abc")).assign(kind=np.where(Y < 0, None, Y))
    fits = [
        ks.SemiSupervisedVAE(**SMALL).fit(frame, "kind", validation_data=given)
        for given in ((frame[:50], "kind"), (frame[:50], None), (frame[:50].drop(columns="kind"), Y[:50]))
    ]
    for fit in fits[1:]:
        pd.testing.assert_frame_equal(fit.history_, fits[0].history_)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X, r"validation_data must be a tuple \(X, y\)"),
        ((X[:, :2], None), r"validation_data has rows of shape \(2,\); those of X have \(3,\)"),
        ((X, Y + 7), "labels that are not among the classes"),
        ((X, Y[:3]), "inconsistent numbers of samples"),
    ],
)
def test_other_validation_data_are_refused_before_training(given, message):
    with pytest.raises(ValueError, match=message):
        ks.SemiSupervisedVAE(**SMALL).fit(X, Y, validation_data=given)


def test_validation_data_need_the_columns_of_the_frame():
    frame = pd.DataFrame(X, columns=list("abc"))
    with pytest.raises(
        ValueError, match=r"validation_data must have the columns of X, \['a', 'b', 'c'\]; got \['c', 'b', 'a'\]"
    ):
        ks.SemiSupervisedVAE(**SMALL).fit(frame, Y, validation_data=(frame[list("cba")], Y))
