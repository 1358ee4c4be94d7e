"""The training step: objectives, gradients and optimizers, many steps in one call, traced once a shape of chunks."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np
import tensorflow as tf

from keras_ssvae._compat.tensorflow import TransferableFunction
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import Stage, StepContext, unreduced
from keras_ssvae.nn.noise import Noise, shape_of

__all__ = ["TrainingStep"]

FUNCTIONS = 4  # that are kept of a stage and way to execute it: of training and of judging, for chunks of several shapes


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the step of a stage is executed; equal ones share what was traced."""

    jit_compile: bool
    run_eagerly: bool  # nothing is traced at all
    n_leading_labeled: int = 0  # so many rows at the beginning of every batch have a label; others may have one, too
    all_labeled: bool = False


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """What one stage needs while it is trained."""

    stage: Stage
    execution: Execution
    names: list
    optimizers: dict
    chunk_epochs: int


class TrainingStep:
    """The optimizer steps of one network, as Keras' `fit` calls them.

    What is traced reads the batch, the network's variables and those here alone, so it serves every network of the same
    architecture, each with variables of its own.

    Parameters
    ----------
    network : Network
        The network.
    functions : OrderedDict or None, default=None
        What was traced for others of its architecture; what is traced here joins it. None: nothing is shared.
    all_reduce : function
        Tensor -> its mean over all workers; the identity unless several train.
    """

    def __init__(self, network: Network, functions: collections.OrderedDict | None = None, all_reduce: Callable = unreduced):
        self.network, self.all_reduce, self.is_shared = network, all_reduce, functions is not None
        self._functions = collections.OrderedDict() if functions is None else functions
        self.noise = Noise(network.seed)  # it starts where the network's dry call would leave it
        self.noise.state.assign_add([0, sum(network.held.draws.values())])
        # optimizer steps of the stage so far, and planned; and the learning rate that a callback has set, if any
        self.steps_done, self.total_steps, self.given_rate = (tf.Variable(v, trainable=False) for v in (0.0, 1.0, math.nan))
        self._ahead: collections.deque = collections.deque()
        self.fault: str | None = None  # what is not finite, in words, since when training has stopped
        self.first_loss = math.nan  # of the stage

    def prepare(
        self, stage: Stage, execution: Execution, make_optimizer: Callable, total_steps: int, chunk_epochs: int
    ) -> None:
        """Make ready to train a stage, with a new Keras optimizer for each objective.

        A chunk has `chunk_epochs` epochs; an epoch of several chunks counts as one.
        """
        self.total_steps.assign(total_steps)
        self.steps_done.assign(0)
        self.given_rate.assign(math.nan)
        self.noise.state.assign_add([0, self.network.held.draws[stage.name]])
        names = list(dict.fromkeys(["loss", *self.network.held.terms[stage.name]]))
        optimizers = {objective: make_optimizer() for objective in stage.objectives}
        self._prepared = _Prepared(stage, execution, names, optimizers, chunk_epochs)
        for objective, optimizer in optimizers.items():
            optimizer.build(_variables(stage, objective))
        self._ahead.clear()
        self.fault, self.first_loss = None, math.nan
        self.network.drive(self, next(iter(optimizers.values())), execution.run_eagerly)

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the stage."""
        return self._prepared.names[1:]

    @property
    def is_ahead(self) -> bool:
        """Whether later epochs are trained already whose means were not told yet."""
        return bool(self._ahead)

    def variables(self) -> list:
        """All that changes in the course of a stage, of the network and here."""
        return list({id(v): v for v in [*self.network.variables, *self._state()]}.values())

    def has_diverged(self) -> bool:
        """Whether anything that training goes on from is not finite; `fault` says what."""
        if self.fault is None:
            optimizers = self._prepared.optimizers.values()
            moments = [v for optimizer in optimizers for v in optimizer.variables if v.dtype.startswith("float")]
            parts = {"a weight": self.network.trainable_variables, "a moment of the gradients": moments}
            bad = [name for name, part in parts.items() if not all(np.isfinite(v.numpy()).all() for v in part)]
            self.fault = bad[0] if bad else None
        return self.fault is not None

    def run(
        self, chunks: Generator[dict], epochs: int, chunks_per_epoch: int, end_epoch: Callable, held_out: Iterable | None = None
    ) -> None:
        """What Keras' `fit` does, in a tenth of its time: trains and judges, and tells `end_epoch` the means of each epoch.

        It ends after `epochs`, or where `end_epoch` says so.
        """
        with contextlib.closing(chunks):
            for _ in range(epochs):
                self.reset()
                for _ in range(chunks_per_epoch):
                    means = self.train(chunks)
                    if self.fault is not None:
                        break
                means = dict(sorted(means.items()))  # as by Keras
                if held_out is not None and self.fault is None:
                    self.reset()
                    for chunk in held_out:
                        judged = self.evaluate(iter([chunk]))
                    means |= {f"val_{name}": value for name, value in sorted(judged.items())}
                if end_epoch(means):
                    break

    # What Keras' `fit` calls

    def train(self, iterator: Iterator) -> dict[str, float]:
        """The means of the epoch so far; what a chunk holds of later epochs is trained at once, and told when they come."""
        if not self._ahead:
            values = self._run(self.train_chunk, next(iterator))
            self._check(values)
            self._ahead.extend(np.split(values, self._prepared.chunk_epochs))
        values = self._ahead.popleft()
        return self._track(values.mean(axis=0), len(values))

    def evaluate(self, iterator: Iterator) -> dict[str, float]:
        """The means over the held-out rows so far."""
        chunk = next(iterator)
        return self._track(self._run(self.evaluate_chunk, chunk)[0], float(tf.reduce_sum(chunk["weight"])))

    def reset(self) -> None:
        """Start the means anew."""
        self._sums = np.zeros(len(self._prepared.names) + 1)

    def _check(self, values):
        """Note the first term that is not finite, and have Keras stop."""
        if math.isnan(self.first_loss):
            self.first_loss = float(values[0, 0])
        finite = np.isfinite(values)
        if not finite.all():
            steps = np.flatnonzero(~finite.all(axis=1))
            bad = [name for name, is_finite in zip(self._prepared.names, finite[steps[0]], strict=True) if not is_finite]
            self.fault, self.network.stop_training = f"the term {bad[-1]!r}", True

    def _track(self, values, weight):
        """The means so far, with these values in them."""
        self._sums += weight * np.append(values, 1.0)
        return dict(zip(self._prepared.names, (self._sums[:-1] / max(self._sums[-1], 1e-12)).tolist(), strict=True))

    def _run(self, function, chunk):
        """Values of the terms, (steps, n_terms) array, from one graph function, made once a stage and shape of chunks."""
        stage, execution = self._prepared.stage, self._prepared.execution
        chunk = {name: tf.convert_to_tensor(values) for name, values in chunk.items()}
        if execution.run_eagerly:
            return function(chunk).numpy()
        # without XLA, for any number of steps: so no other fit decides how this one computes
        steps = chunk["weight"].shape[0] if execution.jit_compile else None
        shapes = {key: tf.TensorSpec((steps, *values.shape[1:]), values.dtype) for key, values in chunk.items()}
        kind, variables = (stage.name, execution, function.__name__, *shapes.items()), self._state()
        traced = self._functions.pop(kind, None)
        if traced is None:
            graph = tf.function(function, autograph=False, jit_compile=execution.jit_compile)
            traced = TransferableFunction(graph.get_concrete_function(shapes), variables)
        self._functions[kind] = traced  # the last that was used
        for old in [other for other in list(self._functions) if other[:2] == kind[:2]][:-FUNCTIONS]:
            self._functions.pop(old, None)
        return traced(chunk, variables).numpy()

    def _state(self):
        """All variables that a step reads or writes."""
        optimizers = self._prepared.optimizers.values()
        own = *(v for optimizer in optimizers for v in optimizer.variables), self.given_rate
        own = self.noise.state, self.steps_done, self.total_steps, *own
        return [*self.network.weights, *self.network.constant_variables(), *own]

    # What is traced

    def train_chunk(self, chunk: dict) -> tf.Tensor:
        """All optimizer steps of a chunk; the values of the terms at each, (steps, n_terms)."""
        steps = shape_of(chunk["weight"])[0]
        values = tf.TensorArray(tf.float32, steps, element_shape=(len(self._prepared.names),))

        def one_step(i, values):
            return i + 1, values.write(i, self._update({k: v[i] for k, v in chunk.items()}))

        return tf.while_loop(lambda i, _: i < steps, one_step, (0, values), maximum_iterations=steps)[1].stack()

    def evaluate_chunk(self, chunk: dict) -> tf.Tensor:
        """The terms of the first objective on the held-out rows of a chunk of one batch, (1, n_terms)."""
        batch = {k: v[0] for k, v in chunk.items()}
        step = StepContext("evaluate", self._prepared.stage, self.noise, all_reduce=self.all_reduce)
        loss, means = self._loss(batch, next(iter(self._prepared.optimizers)), step)
        values = {"loss": loss, **means}
        return tf.stack([values.get(name, 0.0) for name in self._prepared.names])[None]

    def _update(self, batch):
        """One optimizer step per objective; returns the loss and the value of every term."""
        stage, execution, values = self._prepared.stage, self._prepared.execution, {"loss": 0.0}
        progress = tf.minimum(self.steps_done / self.total_steps, 1.0)
        for objective, optimizer in self._prepared.optimizers.items():
            labeled = execution.n_leading_labeled, execution.all_labeled
            rate = functools.partial(getattr, optimizer, "learning_rate")
            step = StepContext("train", stage, self.noise, *labeled, progress, rate, self.all_reduce)
            variables = _variables(stage, objective)
            with tf.GradientTape() as tape:
                loss, means = self._loss(batch, objective, step)
                scaled = optimizer.scale_loss(loss)  # itself, but in half precision
            gradients = self.reduce(tape.gradient(scaled, variables))
            pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
            optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
            values["loss"] += loss
            values |= means
        self.steps_done.assign_add(1.0)
        return tf.stack([values[name] for name in self._prepared.names])

    def reduce(self, gradients: list) -> list:
        """The gradients of all workers together, one or None a variable; those of one worker as they are."""
        if self.all_reduce is unreduced:
            return gradients
        # a tensor: that of gathered rows comes as slices, of other rows for each worker
        return [None if gradient is None else self.all_reduce(tf.convert_to_tensor(gradient)) for gradient in gradients]

    def _loss(self, batch, objective, step):
        """The loss of an objective and the weighted means of its terms."""
        terms = self.network(batch, objective=objective, step=step, training=step.mode == "train")
        share = batch["weight"] / tf.maximum(tf.reduce_sum(batch["weight"]), 1e-12)
        # a row of weight 0 may hold anything, and 0 times infinity is no number
        means = {name: tf.reduce_sum(tf.math.multiply_no_nan(values, share)) for name, values in terms.items()}
        penalties = [tf.cast(penalty, tf.float32) for penalty in self.network.losses]  # regularizers of the user's own layers
        return tf.add_n([*means.values(), *penalties]), means


def _variables(stage, objective):
    """What an objective trains, each variable once."""
    _, layers = stage.objectives[objective]
    return list({id(v): v for layer in layers for v in layer.trainable_variables}.values())
