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
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn.noise import Noise, shape_of
from keras_ssvae.training.distribution import Group, Layout, Parts

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
    group : Group or None
        The workers that train the network together, if several do.
    """

    def __init__(self, network: Network, functions: collections.OrderedDict | None = None, group: Group | None = None):
        self.network, self.group, self.is_shared = network, group, functions is not None
        self._adds_up = group is not None and group.local_steps == 1
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
        self._average = None
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
            values = self._values_of(next(iterator))
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

    def _values_of(self, chunk):
        """Train on a chunk; the values of the terms at each step, of all workers."""
        if self.group is None or self._adds_up:
            return self._run(self.train_chunk, chunk)
        steps, values = self.group.local_steps, []
        for start in range(0, len(chunk["weight"]), steps):
            block = {name: arrays[start : start + steps] for name, arrays in chunk.items()}
            values.append(self._averaged(self._run(self.train_chunk, block)))
        return np.concatenate(values)

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
            jit_compile = execution.jit_compile and not (self._adds_up and function.__name__ == "train_chunk")
            graph = tf.function(function, autograph=False, jit_compile=jit_compile)
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
        step = StepContext("evaluate", self._prepared.stage, self.noise)
        loss, means = self._loss(batch, next(iter(self._prepared.optimizers)), step)
        values = {"loss": loss, **means}
        return tf.stack([values.get(name, 0.0) for name in self._prepared.names])[None]

    def _update(self, batch):
        """One optimizer step per objective; returns the loss and the value of every term."""
        values = {"loss": 0.0}
        gradients_of = self._gradients_of_all if self._adds_up else self._gradients
        for objective, optimizer in self._prepared.optimizers.items():
            variables = _variables(self._prepared.stage, objective)
            gradients, loss, means = gradients_of(batch, objective, variables)
            pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
            optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
            values["loss"] += loss
            values |= means
        self.steps_done.assign_add(1.0)
        return tf.stack([values[name] for name in self._prepared.names])

    def _gradients(self, batch, objective, variables, share=None):
        """Of an objective on a batch, or a share of one: a gradient or None for each variable, the loss, the mean terms."""
        stage, execution, optimizer = self._prepared.stage, self._prepared.execution, self._prepared.optimizers[objective]
        progress = tf.minimum(self.steps_done / self.total_steps, 1.0)
        labeled = execution.n_leading_labeled, execution.all_labeled
        rate = functools.partial(getattr, optimizer, "learning_rate")
        share = self.group.rank if share is None and self.group is not None else share
        noise = self.noise if share is None else self.noise.of_share(share)
        step = StepContext("train", stage, noise, *labeled, progress, rate)
        with tf.GradientTape() as tape:
            loss, means = self._loss(batch, objective, step)
            scaled = optimizer.scale_loss(loss)  # itself, but in half precision
        return tape.gradient(scaled, variables), loss, means

    # What several workers do together

    def _gradients_of_all(self, batch, objective, variables):
        """As `_gradients`, the weighted means over the shares of all workers; they move running means by their mean, too."""
        others = self.network.non_trainable_variables
        moving = [v for v in others if tf.as_dtype(v.dtype).is_floating]
        counting = [v for v in others if not tf.as_dtype(v.dtype).is_floating] + [self.noise.state]
        before, counts = ([tf.identity(v) for v in group] for group in (moving, counting))
        layouts = []

        def packed(part, share):
            start = [tf.identity(v) for v in moving]
            gradients, loss, means = self._gradients(part, objective, variables, share)
            # a tensor: that of gathered rows comes as slices, of other rows for each share
            dense = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
            moves = [tf.convert_to_tensor(v) - value for v, value in zip(moving, start, strict=True)]
            parts = Parts(dense, moves, {"loss": loss, **means}, tf.reduce_sum(part["weight"]))
            layouts.append(Layout.of(parts))
            return parts.pack()

        if self._prepared.execution.jit_compile:  # what is sent cannot be compiled, what is computed can
            packed = tf.function(packed, autograph=False, jit_compile=True)
        vectors = []
        for i, share in enumerate(self.group.shares):
            if i:
                _assign([*moving, *counting], [*before, *counts])
            part = {name: values[i :: self.group.micro_batches] for name, values in batch.items()}
            vectors.append(packed(part, tf.constant(share, tf.uint32)))
        means = layouts[0].unpack(self.group.all_reduce(functools.reduce(tf.add, vectors)))
        _assign(moving, [value + move for value, move in zip(before, means.moves, strict=True)])
        loss = means.terms.pop("loss")
        return means.gradients, loss, means.terms

    def _averaged(self, values):
        """Let all workers go on from the mean of what they have come to; the mean of their values."""
        if self._average is None:
            self._average = tf.function(self._take_means, autograph=False)
        return self._average(values).numpy()

    def _take_means(self, values):
        prepared = self._prepared
        changing = [v for objective in prepared.stage.objectives for v in _variables(prepared.stage, objective)]
        changing += self.network.non_trainable_variables
        changing += [v for optimizer in prepared.optimizers.values() for v in optimizer.variables if len(v.shape)]
        changing = [v for v in {id(v): v for v in changing}.values() if tf.as_dtype(v.dtype).is_floating]
        parts = Parts([tf.convert_to_tensor(v) for v in changing], [], {"values": tf.constant(0.0)}, tf.constant(1.0))
        flat = tf.concat([parts.pack(), tf.reshape(values, [-1])], axis=0)
        both = self.group.all_reduce(flat)
        count = values.shape[0] * values.shape[1]
        _assign(changing, Layout.of(parts).unpack(both[:-count]).gradients)
        return tf.reshape(both[-count:] / self.group.size, values.shape)

    def _loss(self, batch, objective, step):
        """The loss of an objective and the weighted means of its terms."""
        terms = self.network(batch, objective=objective, step=step, training=step.mode == "train")
        share = batch["weight"] / tf.maximum(tf.reduce_sum(batch["weight"]), 1e-12)
        # a row of weight 0 may hold anything, and 0 times infinity is no number
        means = {name: tf.reduce_sum(tf.math.multiply_no_nan(values, share)) for name, values in terms.items()}
        penalties = [tf.cast(penalty, tf.float32) for penalty in self.network.losses]  # regularizers of the user's own layers
        return tf.add_n([*means.values(), *penalties]), means


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tf.cast(value, variable.dtype))


def _variables(stage, objective):
    """What an objective trains, each variable once."""
    _, layers = stage.objectives[objective]
    return list({id(v): v for layer in layers for v in layer.trainable_variables}.values())
