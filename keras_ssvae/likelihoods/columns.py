"""p(x | z), one class a kind of column: what the decoder's values mean, and what the encoder reads of such columns.

To add a kind, subclass `Likelihood`, define its distribution, say in the class's body what is known of such columns, as a
`ColumnKind`, and add a line ``LIKELIHOODS["name"] = cls``. Nothing else needs to know of it.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from keras_ssvae.likelihoods.base import Likelihood, ScaledLikelihood, above_floor
from keras_ssvae.likelihoods.kinds import FAR, SMALLEST, ColumnKind

__all__ = [
    "LIKELIHOODS", "Bernoulli", "Beta", "Categorical", "Codes", "Constant", "ContinuousBernoulli", "Discretized", "Gaussian",
    "LogNormal", "NegativeBinomial", "Ordinal", "Poisson", "StudentT",
]  # fmt: skip

LARGEST_LOG = 30.0  # of the mean of a count: e**30 is far above any count, and its square is still a float
CLOSEST = 1e-5  # a mean that a decoder gives is kept this far inside the interval in which a distribution has one
FLOATS = np.finfo("float32")
UNIT = ColumnKind((0.0, 1.0), accepts="values between 0 and 1", within=(0.0, 1.0), scaling="none")
COUNT = ColumnKind((0.0, FAR), accepts="whole numbers from 0", within=(0.0, math.inf), is_whole=True, scaling="log1p")


class Gaussian(ScaledLikelihood):
    """A standardised column: ``p(x) = exp(-((x - l) / s)**2 / 2) / (s sqrt(2 pi))``, the location l from the decoder."""

    kind = ColumnKind(for_images=True)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Normal(parameters, self.scale())

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return mean


class StudentT(ScaledLikelihood):
    """A standardised column with outliers: p(x) proportional to ``(1 + ((x - l) / s)**2 / df)**(-(df + 1) / 2) / s``.

    The location l comes from the decoder; the scale s and df > 2 degrees of freedom, 5 at first, are learned for each column.
    """

    kind = ColumnKind()

    def build(self, shape: tuple | None) -> None:
        super().build(shape)
        self.raw_df = self.add_weight(shape=(self.n_columns,), initializer="zeros", name="raw_df")

    def df(self) -> tf.Tensor:
        """The degrees of freedom of each column, (n_columns,)."""
        return 2.0 + 3.0 * tf.exp(self.raw_df)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.StudentT(self.df(), parameters, self.scale())

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return mean


class LogNormal(ScaledLikelihood):
    """A positive column: ``p(x) = exp(-((log x - l) / s)**2 / 2) / (x s sqrt(2 pi))``.

    The location l of log x comes from the decoder through the link, in whose units the scale is: ``s = link_scale * scale``.
    """

    kind = ColumnKind((1 / FAR, FAR), accepts="values above 0", within=(SMALLEST, math.inf), scaling="log")

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return self._unlink(tf.math.log(x))

    def sigma(self) -> tf.Tensor:
        """The standard deviation of log x in each column, (n_columns,)."""
        return self.link.scale * self.scale()

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.LogNormal(self._link(parameters), self.sigma())

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        return _positive_float(super().mean(parameters))

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _positive_float(super().draw(parameters, seed))

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return self._unlink(tf.math.log(_positive_float(mean)) - self.sigma() ** 2 / 2.0)


class Bernoulli(Likelihood):
    """x in [0, 1], a probability of one by column: ``p(x) = exp(x l) / (1 + exp(l))``, the logit l from the decoder.

    Grey values are resampled to zeros and ones in every training step.
    """

    kind = dataclasses.replace(UNIT, scaling="two values", for_images=True, is_drawn=True)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Bernoulli(logits=parameters, dtype=parameters.dtype)

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        return x * parameters - tf.math.softplus(parameters)  # also right for grey x, and one pass over the pixels

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return _logit(mean)

    def noisy(self, x: tf.Tensor, uniform: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.cast(uniform(x) < x, x.dtype)


class ContinuousBernoulli(Likelihood):
    """x in [0, 1] without atoms: ``p(x) = exp(x l) l / (exp(l) - 1)``, the logit l from the decoder.

    See Loaiza-Ganem and Cunningham (2019), arXiv 1907.06845, section 3.
    """

    kind = dataclasses.replace(UNIT, for_images=True)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.ContinuousBernoulli(logits=parameters)

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        mean = _inside(mean)
        spread = mean * (1.0 - mean)
        logit = (mean - 0.5) * (2.0 + 4.0 * spread) / spread  # the limits at 0, 1/2 and 1: Newton's method does the rest
        for _ in range(3):
            p_x = self.distribution(logit)
            logit += (mean - p_x.mean()) / p_x.variance()
        return logit


class Beta(ScaledLikelihood):
    """A share: p(x) proportional to ``x**(c m - 1) (1 - x)**(c (1 - m) - 1)``.

    The mean ``m = sigmoid(parameter)`` comes from the decoder; the concentration ``c = scale**-2``, at most 400, is learned for
    each column. The density can be infinite at 0 and 1, so `log_prob` takes x to be between 0.001 and 0.999.
    """

    kind = UNIT

    def concentration(self) -> tf.Tensor:
        """The sum c of both exponents of each column, (n_columns,)."""
        return self.scale() ** -2

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        logit = tf.clip_by_value(parameters, -LARGEST_LOG, LARGEST_LOG)  # an exponent that rounds to zero has no density
        c = self.concentration()
        return tfd.Beta(c * tf.sigmoid(logit), c * tf.sigmoid(-logit))

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        return super().log_prob(tf.clip_by_value(x, 1e-3, 1.0 - 1e-3), parameters)

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return _logit(mean)


class _Count(Likelihood):
    """What counts have in common: the logarithm of the mean comes from the decoder through the link."""

    kind = COUNT

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return self._unlink(tf.math.log1p(x))

    def _log_mean(self, parameters):
        return tf.minimum(self._link(parameters), LARGEST_LOG)

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        return self._unlink(tf.math.log(tf.maximum(mean, CLOSEST)))


class Poisson(_Count):
    """A count: ``p(x) = r**x exp(-r) / x!``, the logarithm of the rate r from the decoder through the link."""

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Poisson(log_rate=self._log_mean(parameters))


class NegativeBinomial(_Count, ScaledLikelihood):
    """A count more spread than Poisson's: ``p(x) = binomial(x + n - 1, x) (n / (n + m))**n (m / (n + m))**x``.

    The logarithm of the mean m comes from the decoder through the link. The total count ``n = scale**-2``, at most 400, is
    learned for each column; the scale is the standard deviation of large counts, relative to their mean.
    """

    def total_count(self) -> tf.Tensor:
        """The n of each column, (n_columns,)."""
        return self.scale() ** -2

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        n, log_mean = self.total_count(), self._log_mean(parameters)
        return tfd.NegativeBinomial(n, logits=log_mean - tf.math.log(n), require_integer_total_count=False)


class Codes(Likelihood):
    """Codes 0 ... n_levels - 1: their mean says nothing, their probabilities may be averaged."""

    kind = dataclasses.replace(
        COUNT, accepts="whole numbers from 0 to at most 255", within=(0.0, 255.0), scaling="none", levels="column",
        is_drawn=True,
    )  # fmt: skip

    def probabilities(self, parameters: tf.Tensor) -> tf.Tensor:
        """The probability of each level, (..., n_columns, n_levels)."""
        raise TypeError(f"{type(self).__name__} defines no probabilities")

    @property
    def n_expectations(self) -> int:
        return self.n_columns * self.n_levels

    def expectation(self, parameters: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(parameters)[:-1], (self.n_expectations,)], axis=0)
        return tf.reshape(self.probabilities(parameters), shape)

    def value(self, expectation: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(expectation)[:-1], (self.n_columns, self.n_levels)], axis=0)
        return tf.cast(tf.argmax(tf.reshape(expectation, shape), axis=-1), tf.float32)

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        return self.value(self.expectation(parameters))


class Categorical(Codes):
    """Codes 0 ... n_levels - 1 without order: ``p(x) = exp(l[x]) / sum_k exp(l[k])``.

    The decoder gives the logits l of a column's levels one after another: (..., n_columns, n_levels) with its last two axes
    made one. The encoder reads indicators in the same order.
    """

    kind = dataclasses.replace(Codes.kind, is_ordered=False)

    @property
    def n_parameters(self) -> int:
        return self.n_levels

    @property
    def n_features(self) -> int:
        return self.n_columns * self.n_levels

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(_indicators(x, self.n_levels), (-1, self.n_features))

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        shape = tf.concat([tf.shape(parameters)[:-1], (self.n_columns, self.n_levels)], axis=0)
        return tfd.Categorical(logits=tf.reshape(parameters, shape))

    def probabilities(self, parameters: tf.Tensor) -> tf.Tensor:
        return self.distribution(parameters).probs_parameter()

    def expected_features(self, parameters: tf.Tensor) -> tf.Tensor:
        return self.expectation(parameters)


class Ordinal(Codes):
    """Codes 0 ... n_levels - 1 in order: ``p(x) = sigmoid(c[x] - l) - sigmoid(c[x - 1] - l)``.

    A logistic variable around the location l, from the decoder, falls between two of the n_levels - 1 increasing cutpoints c
    that are learned for each column; the lowest level has no cutpoint below it and the highest none above. They start evenly
    spaced, with a probability of 1 / n_levels for each end at l = 0. The code shown for a row is its most probable one.
    """

    kind = Codes.kind

    def build(self, shape: tuple | None) -> None:
        shape = (self.n_columns, self.n_levels - 1)
        self.raw_cutpoints = self.add_weight(shape=shape, initializer="zeros", name="raw_cutpoints")

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return 2.0 * x / (self.n_levels - 1) - 1.0

    def expected_features(self, parameters: tf.Tensor) -> tf.Tensor:
        return self.features(tf.reduce_sum(self.probabilities(parameters) * np.arange(self.n_levels, dtype="float32"), axis=-1))

    def gaps(self) -> tf.Tensor:
        """The distances between neighbouring cutpoints, (n_columns, n_levels - 2)."""
        at_first = 2.0 * np.log(self.n_levels - 1) / max(self.n_levels - 2, 1)
        return at_first * above_floor(self.raw_cutpoints[:, 1:])

    def cutpoints(self) -> tf.Tensor:
        """The cutpoints of each column, (n_columns, n_levels - 1)."""
        return tf.cumsum(tf.concat([self.raw_cutpoints[:, :1] - np.log(self.n_levels - 1), self.gaps()], axis=1), axis=1)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.OrderedLogistic(self.cutpoints(), parameters)

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        # tfd.OrderedLogistic has gradients that are not a number from a location of about 17 upwards
        cutpoints, one = self.cutpoints(), tf.ones((self.n_columns, 1))
        upper = tf.concat([cutpoints, cutpoints[:, -1:] + one], axis=1)  # the intervals at both ends are given a width of one,
        width = tf.concat([one, self.gaps(), one], axis=1)  # so that all numbers are finite where they are not used
        is_x = _indicators(x, self.n_levels)
        upper, width = (tf.reduce_sum(is_x * of_level, axis=-1) for of_level in (upper, width))
        return _log_logistic_mass(upper - parameters, width, x == 0, x == self.n_levels - 1)

    def probabilities(self, parameters: tf.Tensor) -> tf.Tensor:
        return self.distribution(parameters).categorical_probs()


class Discretized(ScaledLikelihood):
    """x on the grid 0, h, ..., 1 of n_levels points: ``p(x) = sigmoid((x + h/2 - l) / s) - sigmoid((x - h/2 - l) / s)``.

    A logistic variable is rounded to the grid; at 0 and 1, which stand for all beyond, the second term is 0 and the first 1
    (Salimans et al. 2017, arXiv 1701.05517, equation 2).
    The location ``l = (1 + parameter) / 2`` comes from the decoder: -1 and 1 are the ends of the grid. The scale
    ``s = h / 5 + scale / 10`` is learned for each column.

    `mean` is that of the logistic variable put into [0, 1], which is E[x] up to h / 10: the part of s that is not learned keeps
    the rounding from mattering more. `distribution` is that of the grid points' numbers, x / h.
    """

    kind = dataclasses.replace(UNIT, levels="grid", for_images=True)

    def step(self) -> float:
        """The distance h of neighbouring grid points."""
        return 1.0 / (self.n_levels - 1)

    def logistic(self, parameters: tf.Tensor | float) -> tuple[tf.Tensor, tf.Tensor]:
        """Location, (..., n_columns), and scale, (n_columns,), of the logistic variable."""
        return (1.0 + parameters) / 2.0, self.step() / 5.0 + self.scale() / 10.0

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        location, s = self.logistic(parameters)
        p_number = tfd.TransformedDistribution(tfd.Logistic(location / self.step(), s / self.step()), tfb.Shift(-0.5))
        return tfd.QuantizedDistribution(p_number, low=0.0, high=self.n_levels - 1.0)

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        location, s = self.logistic(parameters)
        h = self.step()
        return _log_logistic_mass((x + h / 2.0 - location) / s, h / s, x < h / 2.0, x > 1.0 - h / 2.0)

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        location, s = self.logistic(parameters)
        mean = s * (tf.math.softplus(location / s) - tf.math.softplus((location - 1.0) / s))
        return tf.clip_by_value(mean, 0.0, 1.0)  # rounding can leave the interval

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return super().draw(parameters, seed) * self.step()

    def location_of_mean(self, mean: tf.Tensor) -> tf.Tensor:
        mean, (_, s) = _inside(mean), self.logistic(0.0)
        location = mean + s * (tf.math.log(-tf.math.expm1(-mean / s)) - tf.math.log(-tf.math.expm1((mean - 1.0) / s)))
        return 2.0 * location - 1.0


class Constant(Likelihood):
    """A column of one value, encoded as 0: ``p(x) = exp(-x**2 / 2) / sqrt(2 pi)``, so that another value is a strange one.

    The decoder gives it nothing, the encoder reads nothing of it, and a draw is that value.
    """

    kind = ColumnKind(scaling="lowest", by_name=False)
    n_parameters = 0

    @property
    def n_features(self) -> int:
        return 0

    def features(self, x: tf.Tensor) -> tf.Tensor:
        return x[:, :0]

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Normal(tf.zeros(tf.concat([tf.shape(parameters)[:-1], (self.n_columns,)], axis=0)), 1.0)

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self.mean(parameters)


def _positive_float(x):
    """Zero and infinity, where exp left the range of a float32, become the numbers next to them."""
    return tf.clip_by_value(x, FLOATS.tiny, FLOATS.max)


def _inside(mean):
    return tf.clip_by_value(mean, CLOSEST, 1.0 - CLOSEST)


def _logit(mean):
    mean = _inside(mean)
    return tf.math.log(mean) - tf.math.log1p(-mean)


def _indicators(codes, n_levels):
    """One-hot, (..., n_levels)."""
    return tf.one_hot(tf.cast(codes, tf.int32), n_levels)


def _log_logistic_mass(upper, width, is_lowest, is_highest):
    """log P(upper - width < v <= upper) of a standard logistic v; the lowest interval is open below, the highest above.

    ``sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))`` has no difference of nearly equal numbers.
    """
    below_upper = tf.where(is_highest, 0.0, tf.math.log_sigmoid(upper))
    above_lower = tf.where(is_lowest, 0.0, tf.math.log_sigmoid(width - upper))
    return below_upper + above_lower + tf.where(is_lowest | is_highest, 0.0, tf.math.log(-tf.math.expm1(-width)))


LIKELIHOODS = {
    "gaussian": Gaussian,
    "student_t": StudentT,
    "log_normal": LogNormal,
    "bernoulli": Bernoulli,
    "beta": Beta,
    "continuous_bernoulli": ContinuousBernoulli,
    "discretized": Discretized,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "categorical": Categorical,
    "ordinal": Ordinal,
    "constant": Constant,
}
