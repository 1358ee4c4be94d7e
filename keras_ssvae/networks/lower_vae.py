"""A variational autoencoder as a layer: the code that models of labels read instead of x itself."""

import math
import typing

import tensorflow as tf

from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import GaussianHead, Layer

__all__ = ["LowerVAE"]


class LowerVAE(Layer):
    """The VAE below a model with classes: x <-> code u, with q(u | x) Gaussian and p(x | u).

    Parameters
    ----------
    encoder_body, decoder_body : backbones.Body
        Bodies of q(u | x) and p(x | u).
    code_dim : int
        Number of dimensions of u.
    likelihood : MixedLikelihood
        p(x | u).
    **kwargs
        As in `Layer`.
    """

    def __init__(
        self, encoder_body: backbones.Body, decoder_body: backbones.Body, code_dim: int, likelihood: MixedLikelihood,
        **kwargs: typing.Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.encoder_body, self.decoder_body = encoder_body, decoder_body
        self.encoder, self.decoder = encoder_body.model, decoder_body.model
        self.head = GaussianHead(code_dim, name="code") if encoder_body.output_kind == "features" else None
        self.likelihood = likelihood
        # the code as the model above reads it: standardised, dimensions that carry nothing switched off
        self.shift = self.add_weight(shape=(code_dim,), initializer="zeros", trainable=False, name="shift")
        self.spread = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="spread")
        self.active = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="active")

    def encode(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """q(u | x): mean and log variance, (rows, code_dim)."""
        out = backbones.run(self.encoder_body, features)
        return self.head(out) if self.head is not None else out[1:]

    def decode(self, u: tf.Tensor) -> tf.Tensor:
        """The parameters of p(x | u)."""
        return self.likelihood(self.decoder(u))

    def standardise(self, u: tf.Tensor) -> tf.Tensor:
        """v, as the model above reads u."""
        return (u - self.shift) / self.spread * self.active

    def unstandardise(self, v: tf.Tensor) -> tf.Tensor:
        """u, in the dimensions in use."""
        return v * self.spread + self.shift

    def negative_entropy(self, mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
        """E[log q(u | x)] less the log prior of the dimensions switched off; in units of the standardised code: (rows,)."""
        active = -0.5 * (log_variance + math.log(2 * math.pi) + 1.0) + tf.math.log(self.spread)
        switched_off = losses.gaussian_kl(mean, log_variance)
        return tf.reduce_sum(tf.where(self.active > 0, active, switched_off), axis=-1)

    def log_prob_inactive(self, u: tf.Tensor) -> tf.Tensor:
        """What turns log p of the standardised code into log p of the code: (rows,)."""
        by_dim = -self.active * tf.math.log(self.spread) + (1 - self.active) * losses.gaussian_log_prob(u)
        return tf.reduce_sum(by_dim, axis=-1)
