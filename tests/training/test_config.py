"""What training reads of an estimator, and how that decides the execution of a stage."""

import dataclasses

import pytest
from instances import families, make

from keras_ssvae.networks.stages import Stage
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.distribution import Group
from keras_ssvae.training.step import Execution
from keras_ssvae.training.trainer import EAGER_STEPS, EAGER_STEPS_IF_SHARED, GRAPH_STEPS, execution_of

STAGE = Stage("train", {}, compiles=True)


@families()
def test_the_parameters_are_those_of_the_estimator(cls):
    params = {"optimizer": "sgd", "batch_size": 7, "epochs": 3, "early_stopping": True, "jit_compile": False, "verbose": 1}
    estimator = make(cls, **params)
    config = TrainingConfig.of(estimator, seed=5, one_pass=True)
    assert {name: getattr(config, name) for name in params} == params
    known = {field.name for field in dataclasses.fields(config)} & set(estimator.get_params(deep=False))
    assert all(getattr(config, name) is getattr(estimator, name) for name in known)
    assert (config.seed, config.one_pass, config.prepared, config.goes_on, config.group) == (5, True, False, False, None)


def test_it_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingConfig().seed = 1


def test_a_worker_has_its_share_of_every_batch():
    assert TrainingConfig().share == slice(None)
    shares = [TrainingConfig(group=Group(rank, 3)).share for rank in range(3)]
    assert [list(range(8)[share]) for share in shares] == [[0, 3, 6], [1, 4, 7], [2, 5]]


@pytest.mark.parametrize(
    ("settings", "steps", "is_kept", "jit_compile", "run_eagerly"),
    [
        ({}, EAGER_STEPS, False, False, True),
        ({}, EAGER_STEPS + 1, False, False, False),
        ({}, EAGER_STEPS_IF_SHARED, True, False, True),
        ({}, EAGER_STEPS_IF_SHARED + 1, True, False, False),
        ({}, GRAPH_STEPS, False, False, False),
        ({}, GRAPH_STEPS + 1, False, True, False),
        ({"one_pass": True}, 1, True, False, True),
        ({"one_pass": True, "goes_on": True}, 1, True, False, False),
        ({"one_pass": True, "goes_on": True}, 1, False, False, True),
        ({"jit_compile": True}, 1, False, True, False),
        ({"jit_compile": False}, GRAPH_STEPS + 1, False, False, False),
    ],
)
def test_the_execution_suits_the_number_of_steps(settings, steps, is_kept, jit_compile, run_eagerly):
    assert execution_of(STAGE, TrainingConfig(**settings), steps, 0, is_kept) == Execution(jit_compile, run_eagerly)


def test_a_stage_may_not_be_compiled():
    stage = dataclasses.replace(STAGE, compiles=False)
    assert not execution_of(stage, TrainingConfig(), GRAPH_STEPS + 1, 0, False).jit_compile
    assert execution_of(stage, TrainingConfig(jit_compile=True), 1, 0, False).jit_compile


@pytest.mark.parametrize(
    ("n_labeled", "known", "all_labeled"), [(0, 0, False), (15, 0, False), (16, 16, False), (63, 48, False), (64, 64, True)]
)
def test_labelled_rows_are_known_in_quarters_of_a_batch(n_labeled, known, all_labeled):
    execution = execution_of(STAGE, TrainingConfig(batch_size=64), 1, n_labeled, False)
    assert (execution.n_leading_labeled, execution.all_labeled) == (known, all_labeled)


def test_shares_know_of_as_many_labels_each():
    for group in (Group(0, 2), Group(1, 2), Group(micro_batches=2), Group(0, 1, 2)):
        execution = execution_of(STAGE, TrainingConfig(batch_size=64, group=group), 1, 63, False)
        assert (execution.n_leading_labeled, execution.all_labeled, execution.run_eagerly) == (24, False, False)
