"""VAE: a variational autoencoder, the plain one."""

import dataclasses
import math
import numbers

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils._param_validation import Interval

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.estimators.mixins import DensityMixin, EncoderMixin
from keras_ssvae.networks.autoencoder import AutoencoderNetwork
from keras_ssvae.networks.base import Stage
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, GaussianHead
from keras_ssvae.serialization import register

__all__ = ["VAE", "VAENetwork"]


class VAENetwork(AutoencoderNetwork):
    """p(z) p(x | z), with q(z | x).

    Parameters
    ----------
    seed : int
        Seed of the noise.
    table : TablePreprocessor
        Kinds and scaling of the columns of x.
    latent_dim, hidden_layer_sizes, activation, encoder, decoder, beta, n_importance
        As in `VAE`.
    **kwargs
        As in `AutoencoderNetwork`.
    """

    shares_steps = True

    def __init__(
        self, seed, *, table, latent_dim, hidden_layer_sizes, activation, encoder, decoder, beta=1.0, n_importance=1, **kwargs
    ):
        super().__init__(seed, table=table, **kwargs)
        self.latent_dim = latent_dim
        self.beta = beta
        self.n_importance = n_importance
        self.top = self._encoder_body(encoder, hidden_layer_sizes, activation, ("latent_dim", latent_dim))
        conv = backbones.has_convolutions(self.top.model)
        sizes = tuple(reversed(hidden_layer_sizes))
        units, self.bottom = self._split_decoder(decoder, latent_dim, sizes, activation, conv)
        self.entry = Dense(units, activation, name="entry") if units else keras.layers.Identity(name="entry", dtype="float32")
        self.head = GaussianHead(latent_dim, name="head") if self.top.gives == "features" else None
        self.likelihood = self.observation.after(self.bottom.gives)
        self.top_model, self.bottom_model = self.top.model, self.bottom.model
        self.compiles = not (conv or backbones.has_convolutions(self.bottom_model))

    def stages(self):
        return [Stage("train", self.objectives(), labeled_rows=False, compiles=self.compiles)]

    def _posterior(self, inputs):
        """q(z | x): mean and log variance."""
        out = backbones.run(self.top, inputs)
        return self.head(out) if self.head is not None else out[1:]

    def _location(self, z):
        return self.likelihood(self.bottom_model(self.entry(z)))

    def loss_terms(self, batch):
        seen = self._seen(batch)
        mean, log_variance = self._posterior(seen["inputs"])
        if self.n_importance > 1:
            return {"bound": -self._importance_bound(seen, mean, log_variance)}
        z = self._draw(mean, log_variance)
        return {
            "reconstruction": -self._log_prob(self.likelihood, seen, self._location(z)),
            "kl_latent": self.beta * self._kl_latent(mean, log_variance),
        }

    def _importance_bound(self, seen, mean, log_variance):
        """log of the mean of `n_importance` weights, from as many draws of each row: (rows,)."""
        eps = self.normal(tf.tile(mean, (1, self.n_importance)))
        eps = tf.transpose(tf.reshape(eps, (-1, self.n_importance, self.latent_dim)), (1, 0, 2))
        z = losses.gaussian_draw(mean, log_variance, eps)
        log_p_x = self._log_prob_stacked(seen, self._location(tf.reshape(z, (-1, self.latent_dim))))
        weight = self.beta * self._warm(self.kl_warmup)
        log_weight = log_p_x + weight * losses.gaussian_log_ratio(z, mean, log_variance)
        return tf.reduce_logsumexp(log_weight, axis=0) - math.log(self.n_importance)

    # After training: functions of rows, each row by itself

    @property
    def class_prior(self):
        """One class, which has no name."""
        return np.ones(1)

    def encode(self, x, observed):
        """E[z | x]."""
        return self._posterior(self.observation.features(x, observed))[0]

    def posterior(self, x, observed):
        """q(z | x): mean and log variance side by side."""
        return tf.concat(self._posterior(self.observation.features(x, observed)), axis=-1)

    def decode(self, z, r):
        """E[x | z]; there are no classes for r to tell apart."""
        return self.observation.mean(self._location(z))

    def reconstruct(self, x, observed):
        """E[x | posterior mean]."""
        return self.observation.mean(self._location(self.encode(x, observed)))

    def log_likelihood(self, x, observed, n_draws):
        """log of the mean importance weight, (rows,)."""
        batch = {"x": x, "observed": observed}
        mean, log_variance = self._posterior(self.observation.features(x, observed))

        def log_weight(eps):
            z = losses.gaussian_draw(mean, log_variance, eps)
            log_p_x = self._log_prob(self.likelihood, batch, self._location(z))
            return log_p_x + losses.gaussian_log_ratio(z, mean, log_variance)

        return self._log_mean_weight(log_weight, n_draws, self.latent_dim)

    def sample(self, codes, rng, as_means):
        """As many rows of x as there are codes: draws, but means of p(x | z) in the columns where `as_means` is true."""
        return self.sample_at(self._latent_draw(rng, len(codes), self.latent_dim), rng, as_means)

    def sample_at(self, z, rng, as_means):
        """A row of x for each row of z."""
        return self._draw_rows(self._location(tf.constant(z, tf.float32)), rng, as_means)


@register
@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class VAE(EncoderMixin, DensityMixin, GenerativeEstimator):
    """A variational autoencoder: latent variables, reconstructions and samples of rows, without labels.

    The model is ``p(z) p(x | z)`` with ``q(z | x)``, standard normal p(z), and the loss of a row, in nats, is ::

        -log p(x | z) + beta * KL[q(z | x) || p(z)],    z drawn from q(z | x)

    and, with k = `n_importance` draws, ``-log mean_k [p(x | z_k) p(z_k) / q(z_k | x)]``.

    Parameters
    ----------
    encoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        Body that reads x. None takes convolutions for images of 12 pixels a side or more, dense layers elsewhere. A Keras
        model gives the architecture, and is trained afresh in every fit; a callable returns the model, weights included. It
        may return features, or the outputs [mean, log variance, ...] of a variational autoencoder's encoder as it is.
    beta : float, default=1.0
        Weight of the KL term; above 1, fewer latent variables carry more independent information.
    n_importance : int, default=1
        Draws of z for each row and step; more make the bound tighter.

    Attributes
    ----------
    classes_ : (0,) array
        Empty.

    See Also
    --------
    SemiSupervisedVAE.from_vae : Goes on from a fitted VAE when labels arrive.
    M1 : A classifier on the latent variables.

    Notes
    -----
    `fit` takes y, as every estimator of a pipeline does, and does not read it.

    References
    ----------
    D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", arXiv 1312.6114, eq. 10.
    I. Higgins et al. (2017), "beta-VAE", ICLR, eq. 4: the weight of the KL term.
    Y. Burda et al. (2016), "Importance Weighted Autoencoders", arXiv 1509.00519, eq. 8: several draws.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import VAE
    >>> X, _ = load_iris(return_X_y=True)
    >>> vae = VAE(latent_dim=2, epochs=30, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (150, 2)
    >>> vae.sample(5, random_state=0)[0].shape
    (5, 4)
    """

    beta: float = 1.0
    n_importance: int = 1

    _constraints = {
        "beta": [Interval(numbers.Real, 0, None, closed="left")],
        "n_importance": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    _network_class = VAENetwork
