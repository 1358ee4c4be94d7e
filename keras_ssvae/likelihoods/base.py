"""p(x | z) of columns of one kind: what every likelihood is and can do."""

import types
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy import typing as npt
from tensorflow_probability import distributions as tfd

from keras_ssvae.likelihoods.kinds import ColumnKind
from keras_ssvae.nn.layers import Layer, constant_variable

__all__ = ["Likelihood", "ScaledLikelihood"]

FLOOR = 0.05  # of a learned scale, whose start is one


class Likelihood(Layer):
    """The distribution of a group of columns of one kind, given the decoder's values: p(x | z), independent by column.

    A column has `n_parameters` values from the decoder; what is learned for a whole column is a weight of the layer.

    Parameters
    ----------
    n_columns : int
        Number of columns of the group.
    n_levels : int, default 0
        Number of values that a column of codes or of grid points can take; 0 for all other kinds.
    link_center, link_scale : (n_columns,) arrays or None, default None
        Centre and spread of log x, for the kinds whose location is a logarithm: ``location = link_center + link_scale *
        parameter``, so that a parameter of 0 +- 1 is the middle of its column. None is 0 and 1.
    """

    kind = ColumnKind()

    def __init__(
        self, n_columns: int, n_levels: int = 0, link_center: npt.ArrayLike | None = None,
        link_scale: npt.ArrayLike | None = None, **kwargs: object,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.n_columns = n_columns
        self.n_levels = n_levels
        center, scale = 0.0 if link_center is None else link_center, 1.0 if link_scale is None else link_scale
        # in a namespace, or Keras would take them for weights, which fits that go on from others take over
        self.link = types.SimpleNamespace(center=constant_variable("center", center), scale=constant_variable("scale", scale))

    @property
    def n_parameters(self) -> int:
        """Number of the decoder's values for each column."""
        return 1

    @property
    def n_features(self) -> int:
        """Number of values that the encoder reads, all columns together."""
        return self.n_columns

    def features(self, x: tf.Tensor) -> tf.Tensor:
        """What the encoder reads, roughly standardised: (rows, n_columns) -> (rows, n_features)."""
        return x

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        """The TFP distribution, batch shape (..., n_columns), of (..., n_columns * n_parameters) values of the decoder."""
        raise TypeError(f"{type(self).__name__} defines no distribution")

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """log p(x | parameters), one value a row and column: (..., n_columns)."""
        return self.distribution(parameters).log_prob(x)

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        """What stands for the distribution, (..., n_columns): E[x], and the most probable code where codes have no mean."""
        return self.distribution(parameters).mean()

    @property
    def n_expectations(self) -> int:
        """Number of values of `expectation`, all columns together."""
        return self.n_columns

    def expectation(self, parameters: tf.Tensor) -> tf.Tensor:
        """What may be averaged over several parameters, (..., n_expectations): E[x], or the probabilities of codes."""
        return self.mean(parameters)

    def value(self, expectation: tf.Tensor) -> tf.Tensor:
        """What stands for the column, from an average of expectations: (..., n_columns)."""
        return expectation

    def expected_features(self, parameters: tf.Tensor) -> tf.Tensor:
        """`features` of a row that is not drawn but expected, with gradients to its parameters: (rows, n_features)."""
        return self.features(self.mean(parameters))

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw of x, (..., n_columns) float32, that depends only on the two integers of the seed."""
        return tf.cast(self.distribution(parameters).sample(seed=seed), tf.float32)

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        """The parameters whose distribution has this mean."""
        raise TypeError(f"{type(self).__name__} has no parameters that follow from a mean")

    def noisy(self, x: tf.Tensor, uniform: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """What the encoder and the decoder's target see of encoded rows x, (rows, n_columns), in a training step.

        `uniform` is a function, tensor -> noise on (0, 1) of its shape.
        """
        return x

    def _link(self, parameters):
        return self.link.center + self.link.scale * parameters

    def _unlink(self, location):
        return (location - self.link.center) / self.link.scale


class ScaledLikelihood(Likelihood):
    """A likelihood with one learned scale a column, from 0.05 upwards, 1 at first.

    Without the floor a column that is a function of the others would take the whole bound to infinity.
    """

    def build(self, shape: tuple | None) -> None:
        self.raw_scale = self.add_weight(shape=(self.n_columns,), initializer="zeros", name="raw_scale")

    def scale(self) -> tf.Tensor:
        """The scale of each column, (n_columns,)."""
        return above_floor(self.raw_scale)

    def set_scale(self, scale: np.ndarray) -> None:
        """Make the scale of each column this, (n_columns,), all above the floor."""
        self.raw_scale.assign(np.log((scale - FLOOR) / (1.0 - FLOOR)))


def above_floor(raw: tf.Tensor) -> tf.Tensor:
    """From the floor upwards, 1 at 0."""
    return FLOOR + tf.exp(raw) * (1.0 - FLOOR)
