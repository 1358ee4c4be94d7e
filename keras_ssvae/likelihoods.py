"""p(x | z): what a decoder's output means, by name.

To add a likelihood, subclass `Likelihood`, define its distribution, and add a line to `LIKELIHOODS`.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood", "make_likelihood"]

tfd = tfp.distributions


class Likelihood(keras.layers.Layer):
    """A head on the decoder and the distribution of x that it parametrises.

    Parameters
    ----------
    n_columns : int
        Number of columns of the encoded x.
    reads : {"features", "location", "mean"}
        What the decoder hands over: features that need a dense head; the unconstrained location, one value a column;
        or the mean of x itself, as decoders that end in an activation do.
    """

    def __init__(self, n_columns, reads="features", **kwargs):
        super().__init__(**kwargs)
        self.n_columns = n_columns
        self.reads = reads
        self.head = keras.layers.Dense(n_columns, name="location") if reads == "features" else None

    def call(self, decoded):
        """Decoder output -> unconstrained location, (rows, n_columns)."""
        if self.reads == "features":
            return self.head(decoded)
        return self.location_of_mean(decoded) if self.reads == "mean" else decoded

    def location_of_mean(self, mean):
        """The location whose distribution has this mean."""
        return mean

    def distribution(self, location):
        """The TFP distribution of x, batch shape (rows, n_columns)."""
        raise TypeError(f"{type(self).__name__} defines no distribution")

    def log_prob(self, x, location):
        """log p(x | location), one value a row and column: (rows, n_columns)."""
        return self.distribution(location).log_prob(x)

    def mean(self, location):
        """E[x | location], (rows, n_columns)."""
        return self.distribution(location).mean()

    def noisy(self, x, uniform):
        """What the encoder and the decoder's target see of x in a training step.

        Parameters
        ----------
        x : (rows, n_columns) tensor
            Encoded rows.
        uniform : function
            Tensor -> noise on (0, 1) of its shape.
        """
        return x


class Gaussian(Likelihood):
    """x ~ N(location, sigma**2) with one learned sigma a column.

    The standard deviation has a floor of `floor` in units of the standardised column: without one a column that is a
    function of the others would take the whole bound to infinity.
    """

    floor = 0.05

    def build(self, shape):
        if self.head is not None:
            self.head.build(shape)
        self.raw_scale = self.add_weight(shape=(self.n_columns,), initializer="zeros", name="raw_scale")

    def scale(self):
        """The standard deviation of each column, (n_columns,)."""
        return self.floor + tf.exp(self.raw_scale) * (1.0 - self.floor)

    def distribution(self, location):
        return tfd.Normal(location, self.scale())


class Bernoulli(Likelihood):
    """x in [0, 1], a probability of one by column; grey values are resampled to zeros and ones in every training step."""

    def location_of_mean(self, mean):
        mean = tf.clip_by_value(mean, 1e-5, 1 - 1e-5)
        return tf.math.log(mean) - tf.math.log1p(-mean)

    def distribution(self, location):
        return tfd.Bernoulli(logits=location, dtype=location.dtype)

    def log_prob(self, x, location):
        return x * location - tf.math.softplus(location)  # also right for grey x, and one pass over the pixels

    def noisy(self, x, uniform):
        return tf.cast(uniform(x) < x, x.dtype)


LIKELIHOODS = {"gaussian": Gaussian, "bernoulli": Bernoulli}


def make_likelihood(kind, n_columns, reads="features", **kwargs):
    """The likelihood of that name, with its head.

    Parameters
    ----------
    kind : str
        A key of `LIKELIHOODS`.
    n_columns : int
        Number of columns of the encoded x.
    reads : {"features", "location", "mean"}
        What the decoder hands over.
    **kwargs
        Passed on to the Keras layer.
    """
    return LIKELIHOODS[kind](n_columns, reads, **kwargs)
