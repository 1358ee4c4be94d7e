"""Noise for the training step: a function of a seed and a position, alike in eager, graph and XLA execution.

TensorFlow's stateless generators give other numbers under XLA than outside it, which would make results depend on how a step is
executed. Here each element is a hash of the seed and its index: the finaliser of MurmurHash3 with the constants of C. Wellons'
search for low bias ("hash prospector", 2018), applied twice.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

__all__ = ["Noise", "normal", "uniform"]


def _hasher():
    """Return a bijection of uint32 in which every input bit flips every output bit half of the time.

    Its constants are made here, once for all its calls: an operation of a graph takes longer to make than to execute.
    """
    sixteen, fifteen, first, second = (tf.constant(c, tf.uint32) for c in (16, 15, 0x7FEB352D, 0x846CA68B))

    def mixed(h, bits):
        return tf.bitwise.bitwise_xor(h, tf.bitwise.right_shift(h, bits))

    return lambda h: mixed(mixed(mixed(h, sixteen) * first, fifteen) * second, sixteen)


def uniform(seed: tf.Tensor | tuple[int, int], shape: tuple[int, ...] | tf.Tensor) -> tf.Tensor:
    """Uniform noise on (0, 1), float32: odd multiples of 2**-24, never 0 or 1, where a quantile is infinite.

    Parameters
    ----------
    seed : (2,) integer tensor
        Equal seeds give equal noise.
    shape : tuple of int or tensor
        Shape of the noise.
    """
    scramble = _hasher()
    first, second = tf.unstack(tf.cast(seed, tf.uint32))
    key = scramble(tf.bitwise.bitwise_xor(scramble(first + tf.constant(0x9E3779B9, tf.uint32)), second))
    size = math.prod(shape) if isinstance(shape, tuple) else tf.reduce_prod(shape)
    index = tf.bitcast(tf.range(size), tf.uint32)
    bits = scramble(tf.bitwise.bitwise_xor(scramble(index + key), key))
    # through int32: the upper 23 bits fit (with the half, a float holds no more), and its conversion to float is the fast one
    upper = tf.cast(tf.bitcast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.int32), tf.float32)
    return tf.reshape((upper + 0.5) * 2.0**-23, shape)


def normal(seed: tf.Tensor | tuple[int, int], shape: tuple[int, ...] | tf.Tensor) -> tf.Tensor:
    """Standard normal noise, float32, alike in all modes of execution up to the rounding of the inverse error function.

    Parameters
    ----------
    seed, shape
        As in `uniform`.
    """
    return math.sqrt(2.0) * tf.math.erfinv(2.0 * uniform(seed, shape) - 1.0)


def shape_of(tensor: tf.Tensor) -> tuple[int, ...] | tf.Tensor:
    """The static shape where it is known: XLA turns it into constants, and gradients need fewer operations."""
    return tuple(tensor.shape) if tensor.shape.is_fully_defined() else tf.shape(tensor)


class Noise:
    """New noise at every call, from a seed that counts: the variable `state` holds it and the number of calls so far.

    Parameters
    ----------
    seed : int, default=0
        In [0, 2**31).
    """

    def __init__(self, seed: int = 0):
        self._generator = keras.random.SeedGenerator(seed)
        self.state = self._generator.state

    def normal(self, like: tf.Tensor) -> tf.Tensor:
        """Standard normal noise of the shape of a tensor."""
        return self._drawn(normal, like)

    def uniform(self, like: tf.Tensor) -> tf.Tensor:
        """Uniform noise on (0, 1) of the shape of a tensor."""
        return self._drawn(uniform, like)

    def of_share(self, share: int | tf.Tensor) -> Noise:
        """Noise that counts as this one, and is other noise for each share of a batch; for share 0 it is this."""
        return NoiseOfShare(self._generator, share)

    def _drawn(self, draw, like):
        return draw(self._generator.next(), shape_of(like))


class NoiseOfShare(Noise):
    """As `Noise`, from the same counter, with the number of a share in the seed."""

    def __init__(self, generator: keras.random.SeedGenerator, share: int | tf.Tensor):
        self._generator, self.state, self._share = generator, generator.state, share

    def _drawn(self, draw, like):
        seed, count = tf.unstack(tf.cast(self._generator.next(), tf.uint32))
        apart = tf.cast(self._share, tf.uint32) * tf.constant(0x9E3779B1, tf.uint32)
        return draw(tf.stack([seed + apart, count]), shape_of(like))


class FixedNoise(Noise):
    """Noise that depends on a seed, the number of calls and the column, and not on the row: the same for every row."""

    def __init__(self, seed: int):
        self._seed, self._calls = seed, 0

    def _drawn(self, draw, like):
        self._calls += 1
        return tf.broadcast_to(draw((self._seed, self._calls), (1, *like.shape[1:])), tf.shape(like))


class NoNoise(Noise):
    """The middle of every distribution; `calls` counts how often it was asked for."""

    def __init__(self):
        self.calls = 0

    def _drawn(self, draw, like):
        self.calls += 1
        return tf.zeros_like(like) if draw is normal else tf.fill(tf.shape(like), 0.5)
