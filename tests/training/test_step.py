"""The step: gradients pass `reduce`, and what judges changes nothing."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from descent import MEAN, SPEC, Mean, X, data_of, descent, train
from instances import families, make

import keras_ssvae as ks
from keras_ssvae._compat.tensorflow import TransferableFunction
from keras_ssvae.estimators.fit_data import prepare
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.distribution import Group
from keras_ssvae.training.held_out import held_out_chunks
from keras_ssvae.training.optimizers import make_optimizer
from keras_ssvae.training.step import Execution, TrainingStep
from keras_ssvae.training.step_cache import step_key
from keras_ssvae.training.trainer import complete_stages


def built(**settings):
    network = Mean(**settings)
    network.build_for(SPEC)
    return network


def prepared(network, stage, run_eagerly=True, **settings):
    """A step of a network, ready for a stage."""
    step = TrainingStep(network, **settings)
    step.prepare(stage, Execution(False, run_eagerly), lambda: make_optimizer("sgd", 0.1, None), total_steps=1, chunk_epochs=1)
    return step


@pytest.mark.parametrize("jit_compile", ["auto", False, True], ids=["graph by default", "graph", "xla"])
@pytest.mark.parametrize("shares", [2, 3])
def test_gradients_and_losses_are_the_means_over_all_shares(jit_compile, shares):
    """Of eight rows, of which a share may have one more than another."""
    network = Mean()
    history = train(network, jit_compile=jit_compile, group=Group(micro_batches=shares))
    path = descent([0.1] * 8 + [0.02] * 2)
    np.testing.assert_allclose(network.w, path[-1], rtol=1e-5)
    np.testing.assert_allclose(history["loss"], X.var() + (path[:-1] - MEAN) ** 2, rtol=1e-4)


def test_workers_share_no_step(rows):
    model = make(ks.VAE)
    network = model._build(prepare(model, *rows, None, warm=False))
    assert step_key(network, TrainingConfig()) is not None
    assert step_key(network, TrainingConfig(group=Group(micro_batches=2))) is None


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_a_loss_is_told_of_its_step(mode):
    contexts = []

    class Told(Mean):
        def _terms(self, batch, step):
            contexts.append(step)
            return super()._terms(batch, step)

    network = Told()
    network.build_for(SPEC)
    (stage,) = complete_stages(network)
    step = prepared(network, stage)
    (chunk,) = held_out_chunks(data_of(X).rows, np.ones(8), False, 8)
    (step.train_chunk if mode == "train" else step.evaluate_chunk)(chunk)
    assert [context.mode for context in contexts] == ["build", mode]
    assert contexts[-1].stage is stage
    assert contexts[-1].noise is step.noise
    assert float(contexts[-1].progress) == (0.0 if mode == "train" else 1.0)
    assert float(contexts[-1].learning_rate) == pytest.approx(0.1 if mode == "train" else 0.0)


@families()
def test_what_judges_changes_no_variable_of_the_network(cls, rows):
    model = make(cls)
    data = prepare(model, *rows, None, warm=False)
    network = model._build(data)
    chunk = next(iter(held_out_chunks(data.rows, data.weight, True, 16)))
    for stage in complete_stages(network):
        step = prepared(network, stage)
        attributes, before = dict(vars(network)), values_of(network)
        assert np.isfinite(step.evaluate_chunk(chunk).numpy()).all()
        assert vars(network).keys() == attributes.keys()
        assert all(value is attributes[name] for name, value in vars(network).items())
        assert all((mine == theirs).all() for mine, theirs in zip(values_of(network), before, strict=True))
        assert float(step.steps_done) == 0
        step.train_chunk(chunk)
        assert any((mine != theirs).any() for mine, theirs in zip(values_of(network), before, strict=True))
        assert float(step.steps_done) == 1


def values_of(network):
    """All variables of a network, weights or not."""
    return [v.numpy() for v in [*network.variables, *network.constant_variables()]]


# Functions that networks of one architecture share


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_networks_of_one_architecture_train_by_the_same_function_on_their_own_variables(jit_compile):
    traced = []

    class Traced(Mean):
        def _terms(self, batch, step):
            traced.append(step.mode)
            return super()._terms(batch, step)

    functions, chunk = collections.OrderedDict(), {"x": X[None], "y": np.full((1, 8), -1), "weight": np.ones((1, 8), "float32")}
    networks = [Traced(start=start) for start in (0.0, 10.0)]
    for network in networks:
        network.build_for(SPEC)
    traced.clear()
    for network in networks:
        step = TrainingStep(network, functions)
        (stage,) = complete_stages(network)
        step.prepare(stage, Execution(jit_compile, False), lambda: make_optimizer("sgd", 0.1, None), 1, 1)
        step.run((chunk for _ in range(2)), epochs=2, chunks_per_epoch=1, end_epoch=lambda means: False)
        assert float(step.steps_done) == 2
    assert len(functions) == 1
    assert traced.count("train") == 1
    for network, start in zip(networks, (0.0, 10.0), strict=True):
        np.testing.assert_allclose(network.w, descent([0.1, 0.1], start=start)[-1], rtol=1e-5)


def test_a_function_that_reads_an_unknown_variable_is_not_shared():
    known, unknown = tf.Variable(1.0), tf.Variable(2.0)
    function = tf.function(lambda tensors: tensors["x"] * known * unknown)
    function = function.get_concrete_function({"x": tf.TensorSpec((), tf.float32)})
    with pytest.raises(ValueError, match="a variable that is not in the list"):
        TransferableFunction(function, [known])
    other = tf.Variable(5.0)
    assert float(TransferableFunction(function, [known, unknown])({"x": tf.constant(3.0)}, [other, unknown])) == 30.0
