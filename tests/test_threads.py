"""Several threads: answers are those of one, a refit beside them is seen as a whole, and nothing of the process is touched."""

import os
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from instances import assert_same_weights, families, make, one_worker, questions, same, states_of_generators

import keras_ssvae as ks
from keras_ssvae.networks import inference

FEW = {"epochs": 2, "batch_size": 64}
some = pytest.mark.parametrize(
    "cls", [pytest.param(cls, marks=one_worker(cls)) for cls in (ks.SemiSupervisedVAE, ks.M1, ks.AdversarialAutoencoder)]
)


@pytest.fixture(scope="module")
def data():
    """Two data sets of the same columns, with other classes and scales: (X, y) each."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=40)
    X = pd.DataFrame(rng.standard_normal((40, 4)) + 3 * y[:, None], columns=list("abcd"))
    return (X, np.where(np.arange(40) < 25, y, -1)), (1000 * X + 5000, np.where(np.arange(40) < 25, 10 + y % 2, -1))


class Fitted(dict):
    """Class -> the estimators of both data sets, fitted when they are asked for, and not to be changed."""

    def __init__(self, data):
        self.data = data

    def __missing__(self, cls):
        self[cls] = [make(cls, **FEW).fit(*rows) for rows in self.data]
        return self[cls]


@pytest.fixture(scope="module")
def fitted(data):
    return Fitted(data)


def state(model):
    """The attributes of a fit."""
    return {name: value for name, value in vars(model).items() if name not in model.get_params(deep=False)}


# Answers


@families()
def test_the_answers_of_eight_threads_are_those_of_one(cls, data, fitted):
    model = fitted[cls][0]
    asked = questions(model, *data[0])
    expected = {name: ask() for name, ask in asked.items()}
    with ThreadPoolExecutor(8) as pool:
        answers = [(name, pool.submit(ask)) for _ in range(2) for name, ask in asked.items()]
    assert [name for name, answer in answers if not same(answer.result(), expected[name])] == []


@families()
def test_an_answer_is_of_one_fit_even_if_another_ends_meanwhile(cls, data, fitted, monkeypatch):
    X, y = data[0]
    first, second = fitted[cls]
    model, expected = first._snapshot(), {name: ask() for name, ask in questions(first, X, y).items()}
    run, draw = inference.run, cls._draw

    def while_fitted(function):
        def ends_meanwhile(*args, **kwargs):
            model._publish(state(second))
            return function(*args, **kwargs)

        return ends_meanwhile

    monkeypatch.setattr(inference, "run", while_fitted(run))
    monkeypatch.setattr(cls, "_draw", while_fitted(draw))
    for name, ask in questions(model, X, y).items():
        model._publish(state(first))
        assert same(ask(), expected[name]), name
        if name not in ("label_quality", "get_feature_names_out"):
            assert model.network_ is second.network_


@one_worker(ks.SemiSupervisedVAE)
def test_columns_are_named_by_the_fit_that_gives_them(data, fitted, monkeypatch):
    first, second = fitted[ks.SemiSupervisedVAE]
    model, run = first._snapshot().set_output(transform="pandas"), inference.run

    def ends_meanwhile(*args, **kwargs):
        model._publish(state(second))
        return run(*args, **kwargs)

    monkeypatch.setattr(inference, "run", ends_meanwhile)
    assert list(model.transform(data[0][0]).columns) == list(first.get_feature_names_out())


@one_worker(ks.SemiSupervisedVAE)
def test_whatever_is_asked_beside_refits_is_of_one_of_them(data, fitted, tmp_path):
    X, y = data[0]
    models = fitted[ks.SemiSupervisedVAE]
    states, expected = [state(model) for model in models], [questions(model, X, y) for model in models]
    model, path, ends = models[0]._snapshot(), tmp_path / "model", threading.Event()

    def refit():
        while not ends.is_set():
            for fit in states:
                model._publish(fit)

    def saved():
        model.save(path)
        return ks.load(path)

    thread = threading.Thread(target=refit)
    thread.start()
    try:
        for name in ("predict", "transform", "reconstruct", "loss_terms", "sample"):
            either = [asked[name]() for asked in expected]
            assert not same(*either)
            for _ in range(10):
                answer = questions(model, X, y)[name]()
                assert same(answer, either[0]) or same(answer, either[1]), name
        for copied in [*(pickle.loads(pickle.dumps(model)) for _ in range(5)), saved(), saved()]:
            of_first = copied.history_.equals(models[0].history_)
            assert_same_weights(copied, models[0 if of_first else 1])
            assert list(copied.classes_) == list(models[0 if of_first else 1].classes_)
    finally:
        ends.set()
        thread.join()


# Fits


@one_worker(ks.SemiSupervisedVAE)
def test_parameters_set_while_it_is_fitted_are_for_the_next_fit(data, fitted):
    X, y = data[0]

    def change(epoch, logs):
        model.set_params(latent_dim=3, representation="style", classes=7)

    model = make(ks.SemiSupervisedVAE, **FEW, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=change)])
    model.fit(X, y)
    assert_same_weights(model, fitted[ks.SemiSupervisedVAE][0])
    assert model.get_params()["latent_dim"] == 3
    assert model.transform(X).shape == (40, 2)
    assert same(pickle.loads(pickle.dumps(model.set_params(callbacks=None))).predict_proba(X), model.predict_proba(X))


@some
def test_fits_side_by_side_are_those_one_after_the_other(cls, data, fitted):
    jobs = [joblib.delayed(make(cls, **FEW).fit)(*data[i % 2]) for i in range(4)]
    for i, model in enumerate(joblib.Parallel(4, backend="threading")(jobs)):
        assert_same_weights(model, fitted[cls][i % 2])


@one_worker(ks.SemiSupervisedVAE)
def test_graphs_are_shared_by_fits_side_by_side(data):
    settings = {**FEW, "epochs": 12, "jit_compile": False}
    expected = [make(ks.SemiSupervisedVAE, **settings).fit(*rows) for rows in data]
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda i: make(ks.SemiSupervisedVAE, **settings).fit(*data[i % 2]), range(8)))
    for i, model in enumerate(models):
        assert_same_weights(model, expected[i % 2])


@one_worker(ks.SemiSupervisedVAE)
@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_one_estimator_that_two_threads_fit_is_as_one_of_them_leaves_it(way, data):
    expected = [getattr(make(ks.SemiSupervisedVAE, **FEW), way)(*rows) for rows in data]
    model = make(ks.SemiSupervisedVAE, **FEW)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda rows: getattr(model, way)(*rows), data))
    last = expected[0 if len(model.classes_) == 3 else 1]
    assert_same_weights(model, last)
    assert same(model.loss_terms(data[0][0]), last.loss_terms(data[0][0]))


# What belongs to the process


def settings_of_the_process():
    """All that is set for the whole process and that libraries are apt to change."""
    return (
        dict(os.environ), np.geterr(), keras.config.floatx(), keras.config.dtype_policy().name, keras.config.epsilon(),
        keras.config.image_data_format(), tf.config.functions_run_eagerly(), pd.get_option("mode.string_storage"),
    )  # fmt: skip


@some
def test_another_thread_draws_its_own_numbers_while_models_are_fitted(cls, data):
    drawn, changed, ends, before = [], [], threading.Event(), settings_of_the_process()

    def draw():
        return random.random(), np.random.random_sample(), float(tf.random.uniform(()))

    def work():
        keras.utils.set_random_seed(3)
        started.set()
        while not ends.is_set():
            drawn.append(draw())
            if settings_of_the_process() != before:
                changed.append(settings_of_the_process())

    started, thread = threading.Event(), threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        model = make(cls, **FEW).fit(*data[0])
        pickle.loads(pickle.dumps(model)).sample(3)
    finally:
        ends.set()
        thread.join()
    keras.utils.set_random_seed(3)
    assert len(drawn) > 10
    assert drawn == [draw() for _ in drawn]
    assert not changed


@families()
def test_nothing_that_belongs_to_the_process_is_set_or_drawn_from(cls, data, monkeypatch, tmp_path):
    def refused(*args, **kwargs):
        raise AssertionError("this belongs to the process")

    X, y = data[0]
    states = states_of_generators()
    with monkeypatch.context() as patch:
        for place, name in (
            *((random, name) for name in ("seed", "setstate", "random", "randint")),
            (np.random, "seed"), (np.random, "set_state"),
            (tf.random, "set_seed"), (keras.utils, "set_random_seed"), (keras.config, "set_dtype_policy"), (np, "seterr"),
            (os, "putenv"), (os, "unsetenv"),
        ):  # fmt: skip
            patch.setattr(place, name, refused)
        model = make(cls, **FEW, encoder=encoder if hasattr(cls, "transform") else None).fit(X, y)
        for ask in questions(model, X, y).values():
            ask()
        model.save(tmp_path / "model")
        ks.load(tmp_path / "model")
    assert states_of_generators() == states


def encoder():
    """A body of the user's, whose layers are given no seed."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dropout(0.2)])
