"""Optimizers of the training step: the one that the user chose, with a learning rate that falls towards the end."""

import math

import keras
import tensorflow as tf

from keras_ssvae._compat.keras import learning_rate_of, variables_of

__all__ = ["FlatAdamW"]

LARGE = 20_000  # weights of a variable, from which on copying them costs more than some operations


def make_optimizer(
    optimizer: str | keras.optimizers.Optimizer, rate: float, total_steps: tf.Variable | None, opposed: bool = False,
    settable: tuple[tf.Variable, tf.Variable] | None = None,
) -> keras.optimizers.Optimizer:  # fmt: skip
    """A fresh optimizer of the user's choice: a copy of the one given, or by name with this learning rate.

    The rate falls towards the end of `total_steps`, None keeps it constant. One that plays against others has no momentum.
    `settable` are the arguments `steps_done` and `given` of a `SettableRate`, where callbacks may set the rate. Under the
    policy "mixed_float16" the loss is scaled, or small gradients would vanish.
    """
    made = _copy_or_make(optimizer, rate, total_steps, opposed, settable)
    in_half_precision = keras.config.dtype_policy().compute_dtype == "float16"
    return keras.optimizers.LossScaleOptimizer(made) if in_half_precision else made


def _copy_or_make(optimizer, rate, total_steps, opposed, settable):
    if not isinstance(optimizer, str):
        return type(optimizer).from_config(optimizer.get_config())
    name = optimizer.lower()
    planned = rate if total_steps is None else LateDrop(rate, total_steps)
    config = {"learning_rate": planned if settable is None else SettableRate(planned, *settable)}
    if name == "adamw":
        config["weight_decay"] = 1e-3
    if opposed and "adam" in name:
        config["beta_1"] = 0.0
    if name in ("adam", "adamw"):
        return FlatAdamW(**config)
    try:
        return keras.optimizers.get({"class_name": optimizer, "config": config})
    except ValueError as error:
        raise ValueError(f"optimizer must be one of Keras, or its name, such as 'adam' or 'sgd'; got {optimizer!r}.") from error


@keras.saving.register_keras_serializable("keras_ssvae")
class LateDrop(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, and a fifth of it in the last three tenths of the steps.

    `total_steps` is read at every step, so that the same compiled step serves trainings of any length.
    """

    def __init__(self, rate: float, total_steps: tf.Variable):
        self.rate, self.total_steps = rate, total_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        early = tf.cast(step, tf.float32) <= 0.7 * tf.convert_to_tensor(self.total_steps)
        return tf.where(early, self.rate, 0.2 * self.rate)

    def get_config(self) -> dict:
        return {"rate": self.rate, "total_steps": float(self.total_steps)}


class SettableRate:
    """A learning rate that is as planned until a callback sets it, and then what was set, to the end of the stage.

    Keras lets nobody set the rate of an optimizer that was made with one of its schedules. What it lets be set is a function
    without arguments that has a method `assign`.

    Parameters
    ----------
    planned : float or LearningRateSchedule
        The rate, or the rate at each step.
    steps_done : Variable
        Optimizer steps so far.
    given : Variable
        The rate that was set, NaN where none was; those of players of one game share it.
    """

    def __init__(
        self, planned: float | keras.optimizers.schedules.LearningRateSchedule, steps_done: tf.Variable, given: tf.Variable
    ):
        self.planned, self.steps_done, self.given = planned, steps_done, given

    def __call__(self) -> tf.Tensor:
        planned = self.planned(self.steps_done) if callable(self.planned) else self.planned
        return tf.where(tf.math.is_nan(self.given), planned, self.given)

    def assign(self, value: float) -> None:
        """Set the rate."""
        self.given.assign(value)


@keras.saving.register_keras_serializable("keras_ssvae")
class FlatAdamW(keras.optimizers.Optimizer):
    """`keras.optimizers.AdamW` on all small variables as one vector: a few operations in place of twenty for each of them.

    Keras' own also keeps every graph in which it stands until the process ends.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate.
    weight_decay : float, default=0
        Share of itself, in units of the learning rate, that a weight loses at every step (Loshchilov & Hutter 2019,
        arXiv:1711.05101).
    beta_1, beta_2, epsilon : float
        As in `keras.optimizers.AdamW`.
    """

    def __init__(
        self, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule, weight_decay: float = 0.0,
        beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
    ):  # fmt: skip
        super().__init__(learning_rate=learning_rate, name="flat_adamw")
        self.weight_decay, self.beta_1, self.beta_2, self.epsilon = weight_decay, beta_1, beta_2, epsilon

    def build(self, variables: list) -> None:
        if self.built:
            return
        super().build(variables)
        sizes = [math.prod(v.shape) for v in variables]
        small = [i for i, size in enumerate(sizes) if size < LARGE]
        # numbers of variables, not variables, which Keras would take for the optimizer's own
        self.blocks = [[i] for i, size in enumerate(sizes) if size >= LARGE] + ([small] if small else [])
        shapes = [variables[b[0]].shape if len(b) == 1 else (sum(sizes[i] for i in b),) for b in self.blocks]
        self.means = [self.add_variable(shape, dtype="float32", name="mean") for shape in shapes]
        self.squares = [self.add_variable(shape, dtype="float32", name="square") for shape in shapes]

    def apply(self, grads: list, trainable_variables: list | None = None) -> None:
        # in single precision; the gradient of rows that were gathered comes as slices
        dense = [tf.cast(tf.convert_to_tensor(gradient), tf.float32) for gradient in grads]
        given = dict(zip(map(id, trainable_variables or variables_of(self)), dense, strict=True))
        rate, step = tf.cast(self.learning_rate, tf.float32), tf.cast(self.iterations + 1, tf.float32)
        pace = rate * tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        decay = rate * self.weight_decay
        for chosen, mean, square in zip(self.blocks, self.means, self.squares, strict=True):
            block = [variables_of(self)[i] for i in chosen]
            # no gradient, no change: the moments of such a variable stay zero
            gradient = self._flat([given[id(v)] if id(v) in given else tf.zeros(v.shape) for v in block])
            # variables of TensorFlow: much faster than Keras' when executed eagerly
            mean, square = mean.value, square.value
            mean.assign_add((gradient - mean) * (1.0 - self.beta_1))
            square.assign_add((gradient * gradient - square) * (1.0 - self.beta_2))
            change = pace * mean / (tf.sqrt(square) + self.epsilon)
            for variable, own_change in zip(block, self._apart(change, block), strict=True):
                if id(variable) not in given:
                    continue
                if self.weight_decay:
                    own_change += decay * tf.cast(variable.value, tf.float32)
                variable.value.assign_sub(tf.cast(own_change, variable.dtype))
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
        self.iterations.assign_add(1)

    @staticmethod
    def _flat(values):
        """Several tensors as one vector; a single one as it is."""
        if len(values) == 1:
            return values[0]
        vector = tf.constant([-1])
        return tf.concat([v if len(v.shape) == 1 else tf.reshape(v, vector) for v in values], axis=0)

    @staticmethod
    def _apart(flat, variables):
        """What `_flat` joined, in the shapes of the variables."""
        if len(variables) == 1:
            return [flat]
        parts = zip(tf.split(flat, [math.prod(v.shape) for v in variables]), variables, strict=True)
        return [part if len(v.shape) == 1 else tf.reshape(part, v.shape) for part, v in parts]

    def get_config(self) -> dict:
        rate = learning_rate_of(self)
        is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        rate = rate if is_schedule else self.learning_rate
        own = {name: getattr(self, name) for name in ("weight_decay", "beta_1", "beta_2", "epsilon")}
        return {"learning_rate": keras.optimizers.schedules.serialize(rate) if is_schedule else float(rate), **own}
