"""From prepared rows and a network to a trained network: stages, execution, validation, history."""

import contextlib
import dataclasses
import functools
import math
import typing

import keras
import numpy as np
import pandas as pd

from keras_ssvae._compat.keras import isolated_seed
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import BatchSampler
from keras_ssvae.data.streaming import StreamingSampler
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import Stage
from keras_ssvae.nn import backbones
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.held_out import held_out_chunks, split_validation
from keras_ssvae.training.optimizers import make_optimizer
from keras_ssvae.training.step import Execution
from keras_ssvae.training.step_cache import StepCache

__all__ = ["train"]

EAGER_STEPS = 20  # below, tracing a graph (about 1 s) costs more than it saves
EAGER_STEPS_IF_SHARED = 5  # the same, where later fits use the graph again
GRAPH_STEPS = 1000  # below, compiling with XLA (about 3 s) costs more than it saves
ENOUGH_LABELS = 50  # held-out labels from which on a label metric is less noisy than it is useful


class TrainingData(typing.Protocol):
    """What `train` reads of the data of a fit: rows with "y", their weights, and where more rows stream from."""

    rows: PreparedRows
    weight: np.ndarray
    stream: typing.Any


def train(network: Network, data: TrainingData, config: TrainingConfig, cache: StepCache) -> pd.DataFrame:
    """Train all stages of a network; the history has one row an epoch.

    Its columns are "stage", "loss" and the terms, in nats a row, and with early stopping "val_...".

    Parameters
    ----------
    network : Network
        Built network.
    data : TrainingData
        The rows.
    config : TrainingConfig
        How it is trained.
    cache : StepCache
        Where traced steps are lent from.
    """
    rng = np.random.RandomState(config.seed)
    rows, weight, held_out = data.rows, data.weight, None
    if config.early_stopping and not config.one_pass:
        training, validation = split_validation(rows.y, config.validation_fraction, rng)
        held_out, rows, weight = (rows[validation], weight[validation]), rows[training], weight[training]
    if config.augmentation is not None and rows.observed is not None and network.image_shape:
        raise ValueError("augmentation cannot move the gaps of images with missing pixels; fill them or leave it out.")
    augmentation_seed = None if config.augmentation is None else rng.randint(2**30)
    make_sampler = BatchSampler if data.stream is None else functools.partial(StreamingSampler, data.stream)
    telling = contextlib.nullcontext() if data.stream is None else data.stream.telling()
    with cache.lend(network, config) as step, telling:
        frames, stages = [], complete_stages(step.network, config.prepared)
        for i, stage in enumerate(stages):
            augment = None
            if augmentation_seed is not None:  # a new one each, since the sampler of the last stage may have drawn ahead
                with isolated_seed(augmentation_seed + i):
                    augment = backbones.resolve_augmentation(config.augmentation, network.image_shape)
            rows = step.network.rows_of_stage(stage.name, rows)
            labeled = config.labeled_batch_size if stage.labeled_rows else None
            seed = rng.randint(2**31 - 1)
            sampler = make_sampler(rows, weight, config.batch_size, labeled, seed, augment, config.share)
            with contextlib.closing(sampler):
                record = _train_stage(step, stages, stage, sampler, held_out, config)
                step.network.end_stage(stage.name, sampler.sample)
            frames.append(pd.DataFrame(record).assign(stage=stage.name))
    history = pd.concat(frames, ignore_index=True)
    return history[["stage", "loss", *[c for c in history if c not in ("stage", "loss")]]]


def _train_stage(step, stages, stage, sampler, held_out, config):
    """Train one stage; the means of every epoch, as Keras records them."""
    chunks, steps = sampler.chunks()
    has_gaps = "observed" in step.network.held.spec
    epochs = number_of_epochs(config, sampler.steps_per_epoch, has_gaps, "advice" in step.network.held.spec)
    epochs = 1 if config.one_pass else max(1, round(epochs * stage.share / sum(s.share for s in stages)))
    unseen = not config.callbacks and held_out is None and not config.verbose  # what is between two epochs
    chunk_epochs = sampler.joint_epochs(epochs) if unseen else 1
    total_steps, rate = epochs * chunks * steps, config.learning_rate * stage.learning_rate
    until = None if config.one_pass else step.total_steps
    execution = execution_of(stage, config, total_steps, sampler.n_labeled, step.is_shared)
    make = functools.partial(make_optimizer, config.optimizer, rate, until, stage.opposed)
    step.prepare(stage, execution, make, total_steps, chunk_epochs)
    callbacks, chunks_held_out = list(config.callbacks or []), None
    if held_out is not None:
        rows, weight = held_out
        by_label = (rows.y >= 0).sum() >= ENOUGH_LABELS and step.network.monitors_labels(step.term_names)
        chunks_held_out = held_out_chunks(rows, weight, by_label, config.batch_size)
        monitor, patience = "val_classification" if by_label else "val_loss", config.n_iter_no_change
        callbacks.append(keras.callbacks.EarlyStopping(monitor, 0.0, patience, mode="min", restore_best_weights=True))
    if unseen:
        return step.run(sampler.stream(epochs, chunk_epochs), epochs, chunks)
    return step.network.fit(
        sampler.dataset(epochs, chunk_epochs), epochs=epochs, steps_per_epoch=chunks, verbose=int(config.verbose),
        callbacks=callbacks, validation_data=chunks_held_out, shuffle=False,
    ).history  # fmt: skip


def complete_stages(network: Network, prepared: bool = False) -> list[Stage]:
    """The stages of a network with what they leave open: labels where it has classes, XLA without convolutions.

    Of a prepared network without the stages that only prepare.
    """
    conv = backbones.has_convolutions(network)
    return [
        dataclasses.replace(
            stage,
            labeled_rows=network.n_classes > 0 if stage.labeled_rows is None else stage.labeled_rows,
            compiles=not conv if stage.compiles is None else stage.compiles,
            opposed=len(stage.objectives) > 1 if stage.opposed is None else stage.opposed,
        )
        for stage in network.stages()
        if not (prepared and stage.prepares)
    ]


def execution_of(stage: Stage, config: TrainingConfig, total_steps: int, n_labeled: int, is_shared: bool) -> Execution:
    """The execution that suits the number of steps, unless the user has set `jit_compile`.

    `n_labeled` rows, the first of each batch, have a label; `is_shared` says whether later fits use what is traced again.
    """
    eager_steps = EAGER_STEPS
    if is_shared:  # a second pass will hardly be the last
        eager_steps = 0 if config.one_pass and config.goes_on else EAGER_STEPS_IF_SHARED
    eager = config.jit_compile == "auto" and total_steps <= eager_steps
    jit = total_steps > GRAPH_STEPS and stage.compiles if config.jit_compile == "auto" else config.jit_compile
    quarter = max(1, config.batch_size // 4)
    n_known = quarter * (n_labeled // quarter)  # in quarters: fits with a label more or less are to share a traced step
    return Execution(bool(jit), eager, n_known, n_labeled == config.batch_size)


def number_of_epochs(config: TrainingConfig, steps_per_epoch: int, has_gaps: bool, is_advised: bool = False) -> int:
    """The number of epochs of all stages; "auto" makes about 2500 steps, 1500 of advised rows, more where cells are missing."""
    if config.epochs != "auto":
        return config.epochs
    most = 1000 if has_gaps else np.clip(25 * steps_per_epoch, 100, 200)
    return int(np.clip(math.ceil((1500 if is_advised else 2500) / steps_per_epoch), 40, most))
