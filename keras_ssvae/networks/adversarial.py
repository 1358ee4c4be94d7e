"""What networks share in which critics judge a generator: a decoder of latent variables and a class, and draws of both.

To define such a family, subclass `AdversarialNetwork`, call ``_make_decoder`` in the constructor, and define ``_logits`` and
``objectives``.
"""

import math

import tensorflow as tf

from keras_ssvae.networks.base import Stage
from keras_ssvae.networks.classifier import ClassifierNetwork
from keras_ssvae.nn import backbones
from keras_ssvae.nn.layers import LabelMerge

__all__ = ["AdversarialNetwork", "real_or_not"]


def real_or_not(real_logits, fake_logits):
    """Cross-entropies -log D of real rows and -log(1 - D) of fake ones, D being the sigmoid of a logit.

    Parameters
    ----------
    real_logits, fake_logits : (rows,) tensors
        log D / (1 - D).

    Returns
    -------
    two (rows,) tensors
    """
    return tf.math.softplus(-real_logits), tf.math.softplus(fake_logits)


class AdversarialNetwork(ClassifierNetwork):
    """Base of all networks with a decoder or generator p(x | z, y) and critics.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    latent_dim : int
        Number of dimensions of z.
    noise : float
        Standard deviation of the noise on what the encoder reads in training.
    **kwargs
        As in `ClassifierNetwork`.
    """

    def __init__(self, seed, *, latent_dim, noise, **kwargs):
        super().__init__(seed, **kwargs)
        self.latent_dim = latent_dim
        self.noise_scale = noise

    def _make_decoder(self, decoder, hidden_layer_sizes, activation, conv):
        """Make the decoder, whose first layer reads z together with the class."""
        sizes = tuple(reversed(hidden_layer_sizes))
        units, self.bottom = self._split_decoder(decoder, self.latent_dim, sizes, activation, conv)
        self.bottom_model = self.bottom.model
        self.merge = LabelMerge(self.n_classes, units, activation, name="merge")
        self.likelihood = self.observation.after(self.bottom.gives)
        self.compiles = not (conv or backbones.has_convolutions(self.bottom_model))

    def stages(self):
        return [Stage("train", self.objectives(), compiles=self.compiles, opposed=True)]

    def class_variables(self):
        return [(self.merge.shift, 0), *super().class_variables()]

    @property
    def _decoder_layers(self):
        return [self.merge, self.bottom_model, self.likelihood]

    def _location(self, z, r):
        return self.likelihood(self.bottom_model(self.merge(z, r)))

    def _disturbed(self, inputs):
        """What the encoder reads of rows in training."""
        return inputs + self.noise_scale * self.normal(inputs) if self.noise_scale and not self.is_testing else inputs

    def _drawn_classes(self, x):
        """A class for each row of x, drawn from p(y): (rows, n_classes), one-hot. The same for all rows while testing."""
        quantile = 0.5 + 0.5 * tf.math.erf(self.normal(x[:, :1]) / math.sqrt(2.0))
        below = tf.cumsum(tf.exp(self.log_prior))[:-1]
        return tf.one_hot(tf.reduce_sum(tf.cast(quantile > below, tf.int32), axis=-1), self.n_classes)

    # After training: functions of rows, each row by itself

    def _read(self, x, observed):
        return self.observation.features(x, observed)

    def class_logits(self, x, observed):
        """Logits of q(y | x)."""
        return self._logits(self._read(x, observed))

    def sample(self, codes, rng, as_means):
        """Rows of x of the given classes: draws, but means of p(x | z, y) in the columns where `as_means` is true."""
        labels = tf.one_hot(codes, self.n_classes)
        z = self._latent_draw(rng, len(codes), self.latent_dim) + self._prior_mean(labels)
        return self._draw_rows(self._location(z, labels), rng, as_means)

    def _prior_mean(self, labels):
        """Means of p(z | y), (rows, latent_dim), for one-hot labels."""
        return 0.0
