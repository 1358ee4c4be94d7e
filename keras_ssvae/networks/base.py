"""The contract of a network: named loss terms of a batch, and answers about rows.

To define a network, subclass `Network`, or one of the bases beside it that give the pieces: `AutoencoderNetwork`,
`ClassifierNetwork`, `LatentClassNetwork`, `AdversarialNetwork`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae._compat.keras import TrainableModel, isolated_seed
from keras_ssvae._compat.tensorflow import check_runtime
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn.layers import constant_variable, plain_activation
from keras_ssvae.nn.noise import NoNoise

__all__ = ["Network"]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"keras_ssvae needs Keras on TensorFlow; here it runs on {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow "
        "before Keras is first imported."
    )


class Network(TrainableModel):
    """Named loss terms of a batch, and answers about rows.

    A batch is a dict of tensors with a leading axis of rows: "x" (rows, n_columns); "y" (rows,) class index, negative where
    unknown; "weight" (rows,) in training; "observed" (rows, n_columns) where cells are missing; and the estimator's extra
    arrays. The loss of an objective is the weighted mean over rows of the sum of its terms.

    Sharing a step: ``shares_steps = True`` in a class's own body (not inherited) promises that what is traced reads only the
    constructor's arguments, the batch, `step` and variables. Arguments named in `data_constants` are numbers of the data, read
    as ``self.constants.name``, a variable: fits with other numbers share the step. All other arguments are part of its key. A
    Python number computed from the data would be built into the step of other data: make it a constant, or leave the promise
    out.

    Answers, each row by itself: a mixin of the estimator asks for them, a family defines those of its mixins.
    ``encode(batch)``, ``reconstruct(batch)``, ``decode(z, r)``, ``class_logits(batch)``, ``log_likelihood(batch, n_draws)`` or
    ``score(batch)``, ``proposals(batch)``, ``sample(y_index, rng, as_means)``.

    Parameters
    ----------
    seed : int
        Seed of all noise in training and in answers.
    **kwargs
        As in `keras.Model`.

    Attributes
    ----------
    constants : SimpleNamespace of Variables
        See `set_constants`.
    n_classes : int
        Number of classes; 0 where the network has none.
    """

    shares_steps: bool = False
    data_constants: tuple[str, ...] = ()
    n_classes: int = 0
    label_term: str = "classification"

    def __init__(self, seed: int, **kwargs: typing.Any):
        super().__init__(dtype="float32", **kwargs)  # all but bodies, which follow the user's policy
        self.seed = seed
        self.constants = types.SimpleNamespace()  # no weights: they come anew from the data, and Keras must not track them

    # What a family defines

    def loss_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """The addends of the loss by name, (rows,) each, in nats: names are columns of ``history_``."""
        raise TypeError(f"{type(self).__name__} defines no loss_terms")

    def objectives(self) -> dict[str, tuple[Callable, list]]:
        """Objective name -> (terms, layers it trains), in training order; one player unless it is a game."""
        return {"loss": (self.loss_terms, [self])}

    def stages(self) -> list[Stage]:
        """What is trained one after the other; one stage unless a family says otherwise."""
        return [Stage("train", self.objectives())]

    def last_stage(self) -> Stage:
        """The stage of whose terms questions about rows are asked."""
        return self.stages()[-1]

    def end_stage(self, name: str, sample: Callable) -> None:
        """Called after a stage; ``sample()`` gives training rows, `PreparedRows`, each as often as it counts."""

    def rows_of_stage(self, name: str, rows: PreparedRows) -> PreparedRows:
        """The training rows as a stage is to see them: the same arrays, with other values where a family says so."""
        return rows

    def class_variables(self) -> list[tuple]:
        """[(variable, axis of classes)]: so that classes may come later."""
        return []

    def constant_variables(self) -> list:
        """The variables of `constants`; a family whose layers have such variables adds them."""
        return list(vars(self.constants).values())

    def monitors_labels(self, terms: Iterable[str]) -> bool:
        """Whether held-out labels say, by `label_term`, how good a stage of these terms is."""
        return self.label_term in terms

    # What all share

    def get_config(self) -> dict:
        return {}  # so that `keras.callbacks.ModelCheckpoint` can write it, for `load_weights` to read

    def set_constants(self, **values: typing.Any) -> None:
        """Set numbers that the data decide and training does not, as variables of the namespace `constants`."""
        vars(self.constants).update((name, constant_variable(name, value)) for name, value in values.items())

    @classmethod
    def make(cls, seed: int, weights_seed: int, spec: dict, **arguments: typing.Any) -> typing.Self:
        """A built network of untrained weights: a pure function of two seeds, `spec` and the constructor's arguments.

        `spec` describes the arrays of a batch but its weight, as name -> (shape of a row, name of the dtype).
        """
        check_runtime(makes_variables=True)
        with isolated_seed(weights_seed):
            own = {"activation": plain_activation(arguments["activation"])} if "activation" in arguments else {}
            network = cls(seed, **{**arguments, **own})
            network.build_for(spec)
        network.held.arguments, network.held.policy = arguments, keras.config.dtype_policy().name
        return network

    def call(self, batch: dict, objective: str, step: StepContext, training: bool = False) -> dict[str, tf.Tensor]:
        """The terms of an objective, with the layers in or out of training."""
        terms, _ = step.stage.objectives[objective]
        return terms(batch, step)

    def build_for(self, spec: dict) -> None:
        """Create all variables, by one dry call of every objective of every stage; `spec` as in `make`."""
        ones = {name: tf.ones((2, *shape), dtype) for name, (shape, dtype) in {**spec, "weight": ((), "float32")}.items()}
        batch = {**ones, "x": tf.zeros_like(ones["x"]), "y": tf.fill([2], -1)}
        self.built = True  # or Keras would warn of layers that only a later stage calls
        self.held.spec, self.held.terms, self.held.draws = spec, {}, {}
        for stage in self.stages():
            noise = NoNoise()
            step = StepContext("build", stage, noise, progress=0.0)
            terms = [name for objective in stage.objectives for name in self(batch, objective=objective, step=step)]
            self.held.terms[stage.name], self.held.draws[stage.name] = terms, noise.calls

    def inherit(self, trained: Network, sources: list[int | None]) -> None:
        """Take over every weight of a network of the same architecture; a ValueError is raised if it has another.

        `sources` has for each class of this network its index there, or None for a new class, which starts from the mean of the
        classes there.
        """
        axes = {id(v): axis for v, axis in self.class_variables()}
        if len(self.weights) != len(trained.weights):
            raise ValueError("The trained model has other layers: parameters that shape the network must stay as they were.")
        for mine, theirs in zip(self.weights, trained.weights, strict=True):
            value = theirs.numpy()
            if id(mine) in axes:
                value = self._inherit_classes(mine.numpy(), value, axes[id(mine)], sources)
            if mine.shape != value.shape:
                raise ValueError(
                    f"The trained model has {tuple(theirs.shape)} weights in {theirs.path!r} where this one has "
                    f"{tuple(mine.shape)}: parameters that shape the network must stay as they were."
                )
            mine.assign(value)

    @staticmethod
    def _inherit_classes(mine, theirs, axis, sources):
        """Known classes as they were; a new one at the mean of those, with noise of its own that tells it from others."""
        value = mine - mine.mean(axis=axis, keepdims=True) + theirs.mean(axis=axis, keepdims=True)
        for target, source in enumerate(sources):
            if source is not None:
                value[(slice(None),) * axis + (target,)] = np.take(theirs, source, axis)
        return value
