"""What `Network` promises whoever writes a family: variables from a dry call, a state to copy, steps shared on request."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from instances import FAST, families, make, step_of, training_step

import keras_ssvae as ks
from keras_ssvae.models.vae import VAENetwork
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn.layers import Dense
from keras_ssvae.nn.noise import NoNoise
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.step_cache import step_key

SPEC = {"x": ((3,), "float32"), "y": ((), "int32"), "extra": ((2, 2), "float32")}


class Linear(Network):
    """Two stages, of which each draws noise a known number of times."""

    shares_steps = True
    data_constants = ("rate",)

    def __init__(self, seed, *, units=2, rate=1.0):
        super().__init__(seed)
        self.first, self.second = Dense(units, name="first"), Dense(1, name="second")
        self.set_constants(rate=rate)
        self.batches = []

    def stages(self):
        return [
            Stage("prepare", {"loss": (self.loss_terms, [self.first])}, 0.5),
            Stage("play", {"one": (self.one_terms, [self.second]), "other": (self.loss_terms, [self.first])}, 0.5),
        ]

    def loss_terms(self, batch, step):
        self.batches.append((batch, step))
        h = self.first(batch["x"])
        return {"square": self.constants.rate * tf.reduce_sum(tf.square(h + step.normal(h) * step.uniform(h)), axis=-1)}

    def one_terms(self, batch, step):
        h = self.second(batch["x"])
        return {"size": tf.abs(h[:, 0]), "noise": tf.reduce_sum(step.normal(h), axis=-1)}


def batch_of(n, seed=0):
    rng = np.random.RandomState(seed)
    x, extra = (tf.constant(rng.standard_normal((n, *shape)), tf.float32) for shape in ((3,), (2, 2)))
    return {"x": x, "y": tf.fill([n], -1), "extra": extra, "weight": tf.ones(n)}


# The dry call


def test_build_for_makes_all_variables_and_counts_terms_and_draws_of_every_stage():
    network = Linear(0)
    assert not network.weights
    network.build_for(SPEC)
    assert network.built
    assert [tuple(v.shape) for v in network.weights] == [(3, 2), (2,), (3, 1), (1,)]
    assert network.held.terms == {"prepare": ["square"], "play": ["size", "noise", "square"]}
    assert network.held.draws == {"prepare": 2, "play": 3}


def test_the_dry_call_shows_empty_rows_with_every_array_of_a_batch():
    network = Linear(0)
    network.build_for(SPEC)
    for batch, step in network.batches:
        assert {name: (values.shape[1:], values.dtype.name) for name, values in batch.items()} == {
            **SPEC,
            "weight": ((), "float32"),
        }
        assert not np.any(batch["x"])
        assert (batch["y"].numpy() < 0).all()
        assert step.mode == "build"
        assert isinstance(step.noise, NoNoise)
    assert [step.stage.name for _, step in network.batches] == ["prepare", "play"]


@families()
def test_draws_of_a_step_are_those_that_build_for_counted(cls, rows):
    """So the noise of a stage starts where it would without a cache, and no two stages read the same."""
    model = make(cls, epochs=1).fit(*rows)
    network = model.network_
    own = {name: tf.zeros([60, *shape], dtype) for name, (shape, dtype) in network.held.spec.items()}
    own |= {name: tf.constant(v) for name, v in model._extra_arrays(rows[0]).items()}
    for stage in network.stages():
        noise = NoNoise()
        step = StepContext("build", stage, noise)
        batch = {**own, "x": tf.constant(rows[0]), "y": tf.fill([60], -1), "weight": tf.ones(60)}
        terms = [name for objective in stage.objectives for name in network(batch, objective=objective, step=step)]
        assert noise.calls == network.held.draws[stage.name] > 0
        assert terms == network.held.terms[stage.name]


def test_training_starts_its_noise_after_the_draws_of_the_dry_call():
    network = Linear.make(7, 1, SPEC)
    step = training_step(network, network.stages()[1])
    np.testing.assert_array_equal(step.noise.state, [7, 2 + 3 + 3])  # all stages, and once more the one that is prepared


def test_make_is_a_pure_function_of_its_seeds():
    first, same, other = (Linear.make(0, seed, SPEC, units=4) for seed in (1, 1, 2))
    for a, b, c in zip(first.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.path.rpartition("/")[2] == "bias" or not np.array_equal(a, c)


# State


def test_constants_are_no_weights():
    network = Linear.make(0, 0, SPEC, rate=3.0)
    assert network.constant_variables() == [network.constants.rate]
    assert id(network.constants.rate) not in {id(v) for v in network.variables}


# Shared steps


class SilentVAENetwork(VAENetwork):
    """A family of a user's that changes a loss, and promises nothing."""


class PromisingVAENetwork(VAENetwork):
    shares_steps = True


def trained_as(network_class, rows):
    estimator = type("Users", (ks.VAE,), {"_network_class": network_class, "__module__": __name__})
    return estimator(latent_dim=2, hidden_layer_sizes=(4,), epochs=1, random_state=0).fit(rows[0]).network_


def test_the_promise_to_share_steps_is_not_inherited(rows):
    config = TrainingConfig()
    silent, promising = (trained_as(cls, rows) for cls in (SilentVAENetwork, PromisingVAENetwork))
    assert silent.shares_steps  # Python inherits the attribute, and so it is not what is asked
    assert step_key(silent, config) is None
    assert step_key(promising, config) is not None
    assert step_key(promising, config) != step_key(trained_as(VAENetwork, rows), config)


@pytest.mark.parametrize("cls", FAST)
def test_every_family_of_ours_promises_it_in_its_own_body(cls):
    assert vars(cls._network_class)["shares_steps"] is True


# What a loss is told


def test_a_step_context_is_frozen():
    step = step_of(Linear.make(0, 0, SPEC))
    for field in dataclasses.fields(step):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, field.name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.another = None


def test_a_weight_warms_up_with_the_progress_of_the_stage():
    network = Linear.make(0, 0, SPEC)
    weights = [[float(step_of(network, "train", progress=p).warm(share)) for p in (0.0, 0.25, 0.5, 1.0)] for share in (0, 0.5)]
    assert weights == [[1, 1, 1, 1], [0, 0.5, 1, 1]]
    assert step_of(network).warm(0.5) == 1  # rows are judged by the final loss


def test_there_is_a_learning_rate_where_a_step_trains():
    network = Linear.make(0, 0, SPEC)
    assert step_of(network).learning_rate == 0
    assert step_of(network, "train", current_rate=lambda: 0.5).learning_rate == 0.5
