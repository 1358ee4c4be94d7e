"""What networks share in which critics judge a generator: a decoder of latent variables and a class, and draws of both.

To define such a family, subclass `AdversarialNetwork`, call ``make_decoder`` in the constructor, and define ``logits`` and
``objectives``.
"""

import math
import typing

import numpy as np
import tensorflow as tf

from keras_ssvae.networks.classifier import ClassifierNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.layers import LabelMerge

__all__ = ["AdversarialNetwork", "real_or_not"]


def real_or_not(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropies -log D of real rows and -log(1 - D) of fake ones, (rows,) each.

    Parameters
    ----------
    real_logits, fake_logits : (rows,) tensors
        log D / (1 - D).
    """
    return tf.math.softplus(-real_logits), tf.math.softplus(fake_logits)


class AdversarialNetwork(ClassifierNetwork):
    """Base of all networks with a decoder or generator p(x | z, y) and critics.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    noise : float
        Standard deviation of the noise on what the encoder reads in training.
    **kwargs
        As in `ClassifierNetwork`.
    """

    def __init__(self, seed: int, *, noise: float, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.noise_scale = noise

    def make_decoder(self, conv: bool) -> None:
        """Make the decoder, whose first layer reads z together with the class."""
        units, self.decoder_body = self.split_decoder(conv)
        self.decoder = self.decoder_body.model
        self.merge = LabelMerge(self.n_classes, units, self.activation, name="merge")
        self.likelihood = self.observation.after(self.decoder_body.output_kind)

    def class_variables(self) -> list[tuple]:
        return [(self.merge.shift, 0), *super().class_variables()]

    def decoder_layers(self) -> list:
        """The layers of p(x | z, y)."""
        return [self.merge, self.decoder, self.likelihood]

    def location(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """The parameters of p(x | z, y), with class probabilities r."""
        return self.likelihood(self.decoder(self.merge(z, r)))

    def disturbed(self, inputs: tf.Tensor, step: StepContext | None = None) -> tf.Tensor:
        """What the encoder reads of rows in training."""
        if not self.noise_scale or step is None or step.mode == "evaluate":
            return inputs
        return inputs + self.noise_scale * step.normal(inputs)

    def drawn_classes(self, x: tf.Tensor, step: StepContext) -> tf.Tensor:
        """A class for each row of x, drawn from p(y): (rows, n_classes), one-hot. The same for all rows under fixed noise."""
        quantile = 0.5 + 0.5 * tf.math.erf(step.normal(x[:, :1]) / math.sqrt(2.0))
        below = tf.cumsum(tf.exp(self.log_prior))[:-1]
        return tf.one_hot(tf.reduce_sum(tf.cast(quantile > below, tf.int32), axis=-1), self.n_classes)

    # After training: functions of rows, each row by itself

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Rows of x of the given classes: draws, but means of p(x | z, y) in the columns where `as_means` is true."""
        labels = tf.one_hot(y_index, self.n_classes)
        z = self.latent_draw(rng, len(y_index), self.latent_dim) + self.prior_mean(labels)
        return self.draw_rows(self.location(z, labels), rng, as_means)

    def prior_mean(self, labels: tf.Tensor) -> tf.Tensor | float:
        """Means of p(z | y), (rows, latent_dim), for one-hot labels."""
        return 0.0
