"""From prepared rows and a network to a trained network: stages, execution, validation, history."""

import contextlib
import dataclasses
import functools
import math
import typing

import numpy as np
import pandas as pd

from keras_ssvae._compat.keras import isolated_seed, noting_changes
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import BatchSampler
from keras_ssvae.data.streaming import StreamingSampler
from keras_ssvae.networks import inference
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import Stage
from keras_ssvae.nn import backbones
from keras_ssvae.training.checkpoint import Checkpoint, FitState
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.held_out import held_out_chunks, split_validation
from keras_ssvae.training.optimizers import make_optimizer
from keras_ssvae.training.progress import EndOfEpoch, FitInterrupted, StageProgress
from keras_ssvae.training.reporting import Report
from keras_ssvae.training.step import Execution
from keras_ssvae.training.step_cache import StepCache

__all__ = ["train"]

EAGER_STEPS = 20  # below, tracing a graph (about 1 s) costs more than it saves
EAGER_STEPS_IF_SHARED = 5  # the same, where later fits use the graph again
GRAPH_STEPS = 1000  # below, compiling with XLA (about 3 s) costs more than it saves
OF_RANK = 1_000_003  # times its number, what tells the augmentation of a worker from that of others
ENOUGH_LABELS = 50  # held-out labels from which on a label metric is less noisy than it is useful
JUDGED = 32  # rows whose loss says whether large weights are of use


class TrainingData(typing.Protocol):
    """What `train` reads of the data of a fit: rows with "y", their weights, and where more rows stream from."""

    rows: PreparedRows
    weight: np.ndarray
    stream: typing.Any
    held_out: tuple[PreparedRows, np.ndarray] | None  # rows and weights to judge by that the user gave


def train(
    network: Network, data: TrainingData, config: TrainingConfig, cache: StepCache, checkpoint: Checkpoint | None = None
) -> pd.DataFrame:
    """Train all stages of a network; the history has one row an epoch.

    Its columns are "stage", "loss" and the terms, in nats a row, and "val_..." where rows are held out.

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
    checkpoint : Checkpoint or None, default=None
        Where the state of the fit is kept; training goes on from the one that is there.

    Raises
    ------
    DivergenceError
        If training came to nothing, see there.
    FitInterrupted
        In place of a KeyboardInterrupt, once an epoch is done; the network is as of its end.
    """
    rng = np.random.RandomState(config.seed)
    rows, weight, held_out = data.rows, data.weight, data.held_out
    if config.early_stopping and not config.one_pass and held_out is None:
        training, validation = split_validation(rows.y, config.validation_fraction, rng)
        held_out, rows, weight = (rows[validation], weight[validation]), rows[training], weight[training]
    if config.augmentation is not None and rows.observed is not None and network.image_shape:
        raise ValueError("augmentation cannot move the gaps of images with missing pixels; fill them or leave it out.")
    augmentation_seed = None if config.augmentation is None else rng.randint(2**30)
    make_sampler = BatchSampler if data.stream is None else functools.partial(StreamingSampler, data.stream)
    telling = contextlib.nullcontext() if data.stream is None else data.stream.telling()
    with cache.lend(network, config) as step, telling, noting_changes(config.callbacks or []):
        run = _Run(step, held_out, config, checkpoint)
        with contextlib.closing(run.report), run.keeping():
            for stage in run.stages:
                augment = None
                if augmentation_seed is not None:  # a new one each, since the sampler of the last stage may have drawn ahead
                    with isolated_seed(augmentation_seed + len(run.records) + OF_RANK * (config.share.start or 0)):
                        augment = backbones.resolve_augmentation(config.augmentation, network.image_shape)
                run.start()
                rows = network.rows_of_stage(stage.name, rows)
                labeled = config.labeled_batch_size if stage.labeled_rows else None
                seed = rng.randint(2**31 - 1)
                if run.was_done():
                    continue
                sampler = make_sampler(rows, weight, config.batch_size, labeled, seed, augment, config.share)
                with contextlib.closing(sampler):
                    run.train(stage, sampler, rows)
                    network.end_stage(stage.name, sampler.sample)
    return run.history()


class _Run:
    """The stages of a fit: which are done, what to go on from, and what to go back to."""

    def __init__(self, step, held_out, config, checkpoint):
        self.step, self.network, self.config, self.checkpoint = step, step.network, config, checkpoint
        self.held_out = held_out  # (rows, weight) or None
        self.stages = complete_stages(step.network, config.prepared)
        self.records, self.starts, self.progress = [], [], None  # of the stages that are done; and of the one that trains
        self.state = None if checkpoint is None else checkpoint.read()
        self.report = Report(config.verbose if config.leads else 0)

    def start(self):
        """Begin a stage, or come to it again on the way to where the fit was."""
        if self.checkpoint is None:
            return
        variables, number = [*self.network.variables, *self.network.constant_variables()], len(self.records)
        if self.state is not None:
            _assign(variables, self.state.starts[number])
        self.starts.append([v.numpy() for v in variables])

    def was_done(self):
        """Whether the stage was done before the fit was ended."""
        number = len(self.records)
        if self.state is None or number == self.state.stage:
            return False
        self.records.append(self.state.records[number])
        return True

    def _planned(self, stage, epochs):
        """The epochs of a stage, of those of all stages."""
        return 1 if self.config.one_pass else max(1, round(epochs * stage.share / sum(s.share for s in self.stages)))

    def train(self, stage, sampler, rows):
        """Train one stage."""
        step, config, spec = self.step, self.config, self.network.held.spec
        chunks, steps = sampler.chunks()
        more = sum(s.more_steps for s in self.stages)
        of_all = number_of_epochs(config, sampler.steps_per_epoch, "observed" in spec, "advice" in spec, more)
        epochs, later = self._planned(stage, of_all), self.stages[len(self.records) + 1 :]
        is_watched = bool(config.callbacks)  # between two epochs
        chunk_epochs = 1 if is_watched or self.held_out is not None else sampler.joint_epochs(epochs)
        total_steps, rate = epochs * chunks * steps, config.learning_rate * stage.learning_rate
        until = None if config.one_pass else step.total_steps
        execution = execution_of(stage, config, total_steps, sampler.n_labeled, step.is_shared)
        settable = (step.steps_done, step.given_rate) if is_watched else None
        make = functools.partial(make_optimizer, config.optimizer, rate, until, stage.opposed, settable)
        step.prepare(stage, execution, make, total_steps, chunk_epochs)
        progress, held_out = self._progress(rows)
        if config.group is not None:
            done, size = (len(self.records), progress.epochs), (len(rows), step.network.count_params(), total_steps)
            config.group.agree("stage, epochs done, rows, weights, steps to come, seed", *done, *size, config.seed)
            config.group.follow(step.variables())
        self.report.begin(stage.name, epochs, sum(self._planned(s, of_all) for s in later), progress.epochs)
        if not (progress.is_over or progress.epochs == epochs):
            skipped = progress.epochs * chunks // chunk_epochs
            if is_watched:
                self.network.fit(
                    sampler.dataset(epochs, chunk_epochs).skip(skipped), initial_epoch=progress.epochs, epochs=epochs,
                    steps_per_epoch=chunks, verbose=0, validation_data=held_out, shuffle=False,
                    callbacks=[*(config.callbacks or []), EndOfEpoch(progress)],
                )  # fmt: skip
            else:
                stream = sampler.stream(epochs, chunk_epochs)
                for _ in range(skipped):  # drawn again, as chance wants it
                    next(stream)
                step.run(stream, epochs - progress.epochs, chunks, progress.end_epoch, held_out)
        progress.finish(stage, epochs, functools.partial(_likely_cause, config, self.network, rows))
        self.report.end(progress.best_epoch)
        self.records.append(progress.record)
        self.progress = None

    def _progress(self, rows):
        """The progress of the stage that is prepared, and what it is judged by; as it was, where the fit goes on here."""
        config, monitor, patience, chunks = self.config, "loss", None, None
        if self.held_out is not None:
            rows, weight = self.held_out
            by_label = (rows.y >= 0).sum() >= ENOUGH_LABELS and self.network.monitors_labels(self.step.term_names)
            chunks = held_out_chunks(rows, weight, by_label, config.batch_size)
            if config.early_stopping:
                monitor, patience = f"val_{self.network.label_term}" if by_label else "val_loss", config.n_iter_no_change
        is_finite = functools.partial(_is_finite, self.network, rows[:JUDGED])
        self.progress = StageProgress(self.step, monitor, patience, self._keep, self.report.epoch, is_finite)
        if self.state is not None:
            _assign(self.step.variables(), self.state.variables)
            self.step.first_loss = self.state.first_loss
            self.progress.go_on(self.state.records[-1], self.state.best, self.state.best_weights, self.state.waited)
            self.state = None
        return self.progress, chunks

    def _keep(self, progress):
        """Write a checkpoint, where it is time to."""
        if self.checkpoint is not None and self.config.leads and self.checkpoint.is_due():
            variables = [v.numpy() for v in self.step.variables()]
            records = [*self.records, progress.record]
            best = progress.best, progress.waited, self.step.first_loss
            self.checkpoint.write(FitState(len(self.records), records, *best, variables, progress.best_weights, self.starts))

    @contextlib.contextmanager
    def keeping(self):
        """Where the user interrupts, leave the network as of the last epoch that was done."""
        try:
            yield
        except KeyboardInterrupt:
            at, done = len(self.records), self.history()
            if not len(done):
                raise
            if self.progress is not None:
                self.network.set_weights(self.progress.kept_weights())
            left = [stage.name for stage in self.stages[at:]]
            message = f"Interrupted after {len(done)} epochs; stages that are not done: {left}."
            raise FitInterrupted(message, done, not any(s.prepares for s in self.stages[at:])) from None

    def history(self):
        """The epochs so far, as in ``history_``."""
        records = self.records if self.progress is None else [*self.records, self.progress.record]
        frames = [pd.DataFrame(r).assign(stage=s.name) for r, s in zip(records, self.stages, strict=False) if r]
        history = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"stage": [], "loss": []})
        return history[["stage", "loss", *[c for c in history if c not in ("stage", "loss")]]]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _is_finite(network, rows):
    """Whether the loss of rows is."""
    terms = inference.run(network, inference.row_terms, rows, once=True)
    return all(np.isfinite(values).all() for values in terms.values())


def _likely_cause(config, network, rows):
    """Where to look when training diverges: settings, and the column of the data."""
    optimizer, rate = config.optimizer, config.learning_rate
    if not isinstance(optimizer, str):
        optimizer, rate = type(optimizer).__name__, "that of the optimizer"
    table = getattr(network.held, "arguments", {}).get("table")
    far = None if table is None else table.farthest(rows)
    column = ""
    if far is not None:
        column = f", and at column {far[0]} of X, where a value lies {far[1]:.3g} times its spread off centre"
    return f"Look at the learning rate ({rate} with {optimizer}){column}."


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
    eager = config.jit_compile == "auto" and total_steps <= eager_steps and config.group is None
    jit = total_steps > GRAPH_STEPS and stage.compiles if config.jit_compile == "auto" else config.jit_compile
    quarter = max(1, config.batch_size // config.n_shares // 4)
    # in quarters: fits with a label more or less are to share a traced step; as many for every share
    n_known = quarter * (n_labeled // config.n_shares // quarter)
    return Execution(bool(jit), eager, n_known, n_labeled == config.batch_size)


def number_of_epochs(
    config: TrainingConfig, steps_per_epoch: int, has_gaps: bool, is_advised: bool = False, more_steps: int = 0
) -> int:
    """The number of epochs of all stages; "auto" makes about 2500 steps, 1500 of advised rows, more where cells are missing.

    `more_steps` are those that stages take beside.
    """
    if config.epochs != "auto":
        return config.epochs
    most, steps = 1000 if has_gaps else np.clip(25 * steps_per_epoch, 100, 200), 1500 if is_advised else 2500
    return int(np.clip(math.ceil((steps + more_steps) / steps_per_epoch), 40, math.ceil(most * (steps + more_steps) / steps)))
