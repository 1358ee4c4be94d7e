"""A variational autoencoder as a layer: the code that models of labels read instead of x itself."""

import math

import tensorflow as tf

from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import GaussianHead, Layer

__all__ = ["LowerVAE"]


class LowerVAE(Layer):
    """The VAE below the pi layer: x <-> code u, with q(u | x) Gaussian and p(x | u).

    Parameters
    ----------
    encoder, decoder : backbones.Body
        Bodies of q(u | x) and p(x | u).
    code_dim : int
        Number of dimensions of u.
    likelihood : MixedLikelihood
        p(x | u).
    """

    def __init__(self, encoder, decoder, code_dim, likelihood, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.encoder_model, self.decoder_model = encoder.model, decoder.model
        self.head = GaussianHead(code_dim, name="code") if encoder.gives == "features" else None
        self.likelihood = likelihood
        # the code as the pi layer reads it: standardised, dimensions that carry nothing switched off
        self.shift = self.add_weight(shape=(code_dim,), initializer="zeros", trainable=False, name="shift")
        self.spread = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="spread")
        self.active = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="active")

    def encode(self, features):
        out = backbones.run(self.encoder, features)
        return self.head(out) if self.head is not None else out[1:]

    def decode(self, u):
        return self.likelihood(self.decoder_model(u))

    def standardise(self, u):
        return (u - self.shift) / self.spread * self.active

    def unstandardise(self, v):
        return v * self.spread + self.shift

    def negative_entropy(self, mean, log_variance):
        """E[log q(u | x)] less the log prior of the dimensions switched off; in units of the standardised code: (rows,)."""
        active = -0.5 * (log_variance + math.log(2 * math.pi) + 1.0) + tf.math.log(self.spread)
        switched_off = losses.gaussian_kl(mean, log_variance)
        return tf.reduce_sum(tf.where(self.active > 0, active, switched_off), axis=-1)

    def log_prob_inactive(self, u):
        """What turns log p of the standardised code into log p of the code: (rows,)."""
        by_dim = -self.active * tf.math.log(self.spread) + (1 - self.active) * losses.gaussian_log_prob(u)
        return tf.reduce_sum(by_dim, axis=-1)
