"""One line an estimator: constructor arguments that make it quick, and the checks it is not expected to pass, with reasons."""

import functools
import random
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import keras_ssvae as ks
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.noise import FixedNoise
from keras_ssvae.training.optimizers import FlatAdamW
from keras_ssvae.training.step import Execution, TrainingStep

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from own_family import PeakClassifier

SMALL = {"latent_dim": 2, "hidden_layer_sizes": (16,), "epochs": 12, "batch_size": 128, "learning_rate": 3e-2}
GAME = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2}  # players need more and smaller steps
FAST = {
    ks.SemiSupervisedVAE: SMALL,
    ks.SemiSupervisedVAERegressor: {**SMALL, "experts": None},  # these take longer than the rest of the fit
    ks.VAE: SMALL,
    ks.M1: {**SMALL, "epochs": 40, "beta": 0.1},  # or z says too little of rows with four columns
    ks.M2: SMALL,
    ks.M1M2: {**SMALL, "code_layer_sizes": (16,), "epochs": 60, "batch_size": 64, "learning_rate": 1e-2},
    ks.ConditionalVAE: SMALL,
    ks.LadderVAE: {**SMALL, "epochs": 40},
    ks.AdversarialAutoencoder: {**SMALL, **GAME},
    ks.SemiSupervisedGAN: {**SMALL, **GAME, "generator_class_weight": 1.0},
    PeakClassifier: {**SMALL, "epochs": 40},
}

MINUS_ONE = {
    "check_classifiers_classes": "uses -1 as a class, which here marks a row without a label; see the parameter unlabeled"
}
XFAIL = {cls: MINUS_ONE if hasattr(cls, "predict_proba") else {} for cls in FAST}

# Checks of what an estimator has learned. In all others it makes one epoch, as estimators make few steps in scikit-learn's own
# tests: they ask what methods accept and return. `CHECKED_TRAINED` is trained in all of them.
CHECKS_OF_LEARNING = {
    "check_classifiers_train",
    "check_class_weight_classifiers",
    "check_regressors_train",
    "check_sample_weight_equivalence_on_dense_data",
}
CHECKED_TRAINED = ks.SemiSupervisedVAE


def families(*methods):
    """Parametrize a test over the families that have all these methods."""
    having = [cls for cls in FAST if all(hasattr(cls, method) for method in methods)]
    return pytest.mark.parametrize("cls", [pytest.param(cls, marks=one_worker(cls), id=cls.__name__) for cls in having])


def one_worker(cls):
    """The mark of tests of a family: they run in one process, where fits of the same shape share what was traced."""
    return pytest.mark.xdist_group(cls.__name__)


def make(cls, **settings):
    """A quick estimator of a class."""
    return cls(**{**FAST[cls], "random_state": 0, **settings})


def questions(model, X, y):
    """Name -> function without arguments, of all that a fitted estimator can be asked of rows and labels."""
    fields = {"score_samples": {"n_draws": 2}} if hasattr(model, "kl_warmup") else {}
    of_rows = (
        *("predict", "predict_proba", "predict_log_proba", "transform", "reconstruct", "impute", "score_samples"),
        *("anomaly_score", "loss_terms"),
    )
    asked = {
        name: functools.partial(getattr(model, name), X, **fields.get(name, {})) for name in of_rows if hasattr(model, name)
    }
    asked["sample"] = functools.partial(model.sample, 5, random_state=0)
    if hasattr(model, "predict"):
        asked["score"] = functools.partial(model.score, X, y)
    if hasattr(model, "predict_proba"):
        asked["label_quality"] = functools.partial(ks.label_quality, model, X, y)
    if hasattr(model, "inverse_transform"):
        asked["inverse_transform"] = functools.partial(model.inverse_transform, np.ones((4, model.latent_dim)))
        asked["get_feature_names_out"] = model.get_feature_names_out
    if isinstance(model, ks.LadderVAE):
        asked["levels"] = functools.partial(model.transform, X, level="all")
    return asked


def same(first, second):
    """Whether two answers are the same, bit for bit, in the same columns."""
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, pd.DataFrame):
        return list(first.columns) == list(second.columns) and same(first.to_numpy(), second.to_numpy())
    return np.array_equal(np.asarray(first), np.asarray(second))


def states_of_generators():
    """Where the generators of random numbers stand that belong to the process: equal while nothing is drawn from them."""
    _, numbers, position, *normal = np.random.get_state()
    return random.getstate(), numbers.tolist(), position, *normal


def assert_same_weights(first, second):
    """Assert that two fitted estimators have networks of equal weights, bit for bit."""
    for a, b in zip(first.network_.get_weights(), second.network_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def step_of(network, mode="evaluate", noise=None, **settings):
    """What a loss is told of a step of the last stage, by default to judge rows, with noise that is the same for all."""
    return StepContext(mode, network.stages()[-1], FixedNoise(0) if noise is None else noise, **settings)


def training_step(network, stage):
    """The step that trains a network by hand, ready for a stage."""
    step = TrainingStep(network)
    step.prepare(stage, Execution(jit_compile=False, run_eagerly=True), lambda: FlatAdamW(1e-2), 10, 1)
    return step
