"""Layers of which the features are standardised over a batch, each row as often as it counts."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_ssvae.nn.layers import Dense, Layer

__all__ = ["BatchNormalization", "NormalizedDense"]


class BatchNormalization(Layer):
    """Features standardised over the rows of a batch, each as often as it counts; afterwards by running means of the same.

    The layer of Keras knows no weights, so that a row of weight 2 would not be a row given twice, and one of weight 0 not
    nothing. The running means are exponential averages, without the bias of their start and so right after a short training
    too. They forget at the pace at which the weights can move: where the learning rate falls, they average over more batches.

    Parameters
    ----------
    epsilon : float, default=1e-3
        Added to variances.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: object):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, x_shape, share_shape=None, pace_shape=None):
        units = (x_shape[-1],)
        self.scale = self.add_weight(shape=units, initializer="ones", name="scale")
        self.shift = self.add_weight(shape=units, initializer="zeros", name="shift")
        self.mean = self.add_weight(shape=units, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=units, initializer="ones", trainable=False, name="variance")
        self.evidence = self.add_weight(shape=(), initializer="zeros", trainable=False, name="evidence")  # 1 in the long run

    def call(self, x, share=None, pace=None):
        """Standardise features, (rows, units).

        Inside an optimizer step `share`, (rows,), is the share of each row in the weight of the batch, sums to one, and `pace`,
        a scalar, the weight of this batch in the exponential averages. Without them, the running means are used, and stay as
        they are.
        """
        mean, variance = self.mean, self.variance
        if share is not None:
            mean = tf.einsum("r,ru->u", share, x)
            variance = tf.einsum("r,ru->u", share, tf.square(x - mean))
            self._remember(mean, variance, pace)
        factor = self.scale * tf.math.rsqrt(variance + self.epsilon)
        return x * factor + (self.shift - mean * factor)

    def _remember(self, mean, variance, pace):
        self.evidence.assign_add(pace * (1.0 - self.evidence))
        rate = pace / self.evidence
        self.mean.assign_add(rate * (mean - self.mean))
        self.variance.assign_add(rate * (variance - self.variance))


class NormalizedDense(Layer):
    """A dense layer, `BatchNormalization` of its features, and an activation.

    Parameters
    ----------
    units : int
        Width of the layer.
    activation : str or callable
        Keras activation.
    """

    def __init__(self, units: int, activation: str | Callable, **kwargs: object):
        super().__init__(**kwargs)
        self.dense = Dense(units, name="dense")
        self.normalize = BatchNormalization(name="normalize")
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        self.dense.build(shape)
        self.normalize.build((*shape[:-1], self.dense.units))

    def call(self, x, share=None, pace=None):
        """(rows, dim) -> (rows, units); `share` and `pace` as in `BatchNormalization`."""
        return self.activation(self.normalize(self.dense(x), share, pace))
