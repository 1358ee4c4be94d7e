"""Keras layers between the bodies: they return tensors, never distributions."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = ["Dense", "GaussianHead", "LabelMerge", "Layer", "PiLayer"]

Dense = functools.partial(keras.layers.Dense, dtype="float32")  # as `Layer`


class Layer(keras.layers.Layer):
    """A layer that computes in single precision, whatever dtype policy the user has set; what it reads is converted.

    One that has layers of its own and is called builds them in ``build``: Keras would trace its ``call`` to learn their shapes.
    """

    def __init__(self, **kwargs: object):
        super().__init__(dtype="float32", **kwargs)


class GaussianHead(Layer):
    """Features -> mean and log variance of a diagonal Gaussian.

    Parameters
    ----------
    dim : int
        Number of dimensions of the Gaussian.
    """

    def __init__(self, dim: int, **kwargs: object):
        super().__init__(**kwargs)
        self.mean = Dense(dim, name="mean")
        self.log_variance = Dense(dim, kernel_initializer="zeros", name="log_variance")

    def build(self, shape):
        self.mean.build(shape)
        self.log_variance.build(shape)

    def call(self, features):
        # smooth bounds: a variance below exp(-12) or above exp(6) only ever comes from a diverging start
        return self.mean(features), 9.0 * tf.tanh((self.log_variance(features) + 3.0) / 9.0) - 3.0


class PiLayer(Layer):
    """The topmost encoder layer: features -> mean, log variance and the logits of pi, the class probabilities.

    So it is in Berkhahn et al. (2019), arXiv 1908.03015: the encoder's last layer splits into mu, sigma and pi.

    Parameters
    ----------
    latent_dim, n_classes : int
        Number of latent dimensions, and of classes.
    """

    def __init__(self, latent_dim: int, n_classes: int, **kwargs: object):
        super().__init__(**kwargs)
        self.gaussian = GaussianHead(latent_dim, name="gaussian")
        self.pi = Dense(n_classes, name="pi")

    def build(self, shape):
        self.gaussian.build(shape)
        self.pi.build(shape)

    def call(self, features):
        return *self.gaussian(features), self.pi(features)


class LabelMerge(Layer):
    """The decoder's first layer: reads z together with the class.

    With `units`, an affine map of the concatenation [z, y] with an activation; the part of z is computed once for all classes.
    Without, ``z + shift[y]``: a decoder that was made for z alone reads it unchanged, and each class moves the prior of what
    it reads. The shifts start at zero, so that a trained decoder starts as it was.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    units : int or None
        Width of the layer.
    activation : str or None
        Keras activation, used with `units`.
    """

    def __init__(self, n_classes: int, units: int | None = None, activation: str | Callable | None = None, **kwargs: object):
        super().__init__(**kwargs)
        self.n_classes = n_classes
        self.dense = None if units is None else Dense(units, name="dense")
        self.activation = keras.activations.get(activation if units else None)

    def build(self, z_shape, labels_shape=None):
        if self.dense is not None:
            self.dense.build(z_shape)
        units = z_shape[-1] if self.dense is None else self.dense.units
        initializer = "zeros" if self.dense is None else "glorot_uniform"
        self.shift = self.add_weight(shape=(self.n_classes, units), initializer=initializer, name="shift")

    def call(self, z, labels=None, classes=None, n_copies=1):
        """Join rows of z with classes: (rows, units), or (n * rows, units) for n classes a row.

        z is (n_copies * rows, dim): one copy of the rows for all n classes, or a copy for each, those of the first class first.
        The classes are `labels`, (rows, n_classes), one-hot or soft, one class or mixture of classes a row; or `classes`,
        (n, rows) integers, several a row; without both all of them.
        """
        base = z if self.dense is None else self.dense(z)
        if labels is not None:
            return self.activation(base + tf.matmul(labels, self.shift))
        base = tf.reshape(base, (n_copies, -1, base.shape[-1]))
        shift = tf.expand_dims(self.shift, 1) if classes is None else tf.gather(self.shift, classes)
        merged = self.activation(base + shift)
        return tf.reshape(merged, (-1, merged.shape[-1]))


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Make layers under this dtype policy of Keras, which each thread has of its own, inside the block."""
    before = keras.config.dtype_policy()
    if before.name == name:
        yield
        return
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def constant_variable(name: str, value: npt.ArrayLike) -> keras.Variable:
    """A float32 variable for numbers that the data decide and training does not.

    A compiled step reads it where a Python number would be built into it, so that the step serves other data too.
    """
    return keras.Variable(np.asarray(value, "float32"), dtype="float32", trainable=False, name=name)


def plain_activation(activation: str | Callable) -> str | Callable:
    """An activation without a gradient of its own; a ValueError where Keras knows none of a name.

    TensorFlow keeps the gradient function of `tf.nn.silu`, and every graph in which it stands, until the process ends.
    """
    if isinstance(activation, str):
        try:
            keras.activations.get(activation)
        except ValueError as error:
            raise ValueError(
                f"activation must be a function or its name in Keras, such as 'relu'; got {activation!r}."
            ) from error
    return _silu if activation in ("silu", "swish") else activation


@keras.saving.register_keras_serializable("keras_ssvae", "silu")
def _silu(x):
    return x * tf.sigmoid(x)
