"""VAE: a variational autoencoder, the plain one."""

import math
import typing
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import DensityMixin, EncoderMixin
from keras_ssvae.estimators.parameters import NOT_NEGATIVE, POSITIVE, estimator, param
from keras_ssvae.networks.autoencoder import AutoencoderNetwork, as_rows, stacked
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, GaussianHead

__all__ = ["VAE", "VAENetwork"]


class VAENetwork(AutoencoderNetwork):
    """p(z) p(x | z), with q(z | x).

    Parameters
    ----------
    seed, beta, n_importance, **kwargs
        As in `keras_ssvae.networks.autoencoder.AutoencoderNetwork`, and in `VAE`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, beta: float = 1.0, n_importance: int = 1, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.beta, self.n_importance = beta, n_importance
        self.encoder_body = self.encoder_for(self.sizes, ("latent_dim", self.latent_dim))
        units, self.decoder_body = self.split_decoder(backbones.has_convolutions(self.encoder_body.model))
        entry = Dense(units, self.activation, name="entry") if units else None
        self.entry = entry or keras.layers.Identity(name="entry", dtype="float32")
        self.head = GaussianHead(self.latent_dim, name="head") if self.encoder_body.output_kind == "features" else None
        self.likelihood = self.observation.after(self.decoder_body.output_kind)
        self.encoder, self.decoder = self.encoder_body.model, self.decoder_body.model

    def posterior(self, seen: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z | x): mean and log variance."""
        out = backbones.run(self.encoder_body, seen["inputs"])
        return self.head(out) if self.head is not None else out[1:]

    def location(self, z: tf.Tensor) -> tf.Tensor:
        """The parameters of p(x | z)."""
        return self.likelihood(self.decoder(self.entry(z)))

    def loss_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        seen = self.seen(batch, step)
        mean, log_variance = self.posterior(seen)
        if self.n_importance > 1:
            return {"bound": -self._importance_bound(seen, mean, log_variance, step)}
        z = losses.gaussian_draw(mean, log_variance, step.normal(mean))
        return {
            "reconstruction": -self.log_prob(seen, self.location(z)),
            "kl_latent": self.beta * self.kl_latent(mean, log_variance, step),
        }

    def _importance_bound(self, seen, mean, log_variance, step):
        """log of the mean of `n_importance` weights, from as many draws of each row: (rows,)."""
        eps = step.normal(tf.tile(mean, (1, self.n_importance)))
        eps = tf.transpose(tf.reshape(eps, (-1, self.n_importance, self.latent_dim)), (1, 0, 2))
        z = losses.gaussian_draw(mean, log_variance, eps)
        log_p_x = self.log_prob_stacked(seen, self.location(tf.reshape(z, (-1, self.latent_dim))))
        weight = self.beta * step.warm(self.kl_warmup)
        log_weight = log_p_x + weight * losses.gaussian_log_ratio(z, mean, log_variance)
        return tf.reduce_logsumexp(log_weight, axis=0) - math.log(self.n_importance)

    # After training: functions of rows, each row by itself

    @property
    def class_prior(self) -> np.ndarray:
        """One class, which has no name."""
        return np.ones(1)

    def encode(self, batch: dict) -> tf.Tensor:
        """E[z | x]."""
        return self.posterior(self.read(batch))[0]

    def moments(self, batch: dict) -> tf.Tensor:
        """q(z | x): mean and log variance side by side."""
        return tf.concat(self.posterior(self.read(batch)), axis=-1)

    def bound_at_mean(self, batch: dict) -> dict[str, tf.Tensor]:
        """The negative bound on log p(x) with z at its posterior mean, and its KL term, in nats: (rows,) each."""
        seen = self.read(batch)
        mean, log_variance = self.posterior(seen)
        kl = tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)
        return {"bound": kl - self.log_prob(seen, self.location(mean)), "kl": kl}

    def decode(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """E[x | z]; there are no classes for r to tell apart."""
        return self.observation.mean(self.location(z))

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | posterior mean]."""
        return self.observation.mean(self.location(self.encode(batch)))

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        seen = self.read(batch)
        mean, log_variance = self.posterior(seen)

        def propose(eps):
            z = losses.gaussian_draw(mean, log_variance, eps)
            location = self.location(as_rows(z))
            log_weight = self.log_prob_stacked(seen, location) + losses.gaussian_log_ratio(z, mean, log_variance)
            return log_weight, stacked(location, seen["x"])

        return propose, self.latent_dim

    def log_likelihood(self, batch: dict, n_draws: int) -> tf.Tensor:
        """log of the mean importance weight, (rows,)."""
        propose, dim = self.proposals(batch)
        return self.log_mean_weight(lambda eps: propose(eps)[0], n_draws, dim)

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """As many rows of x as there are classes: draws, but means of p(x | z) in the columns where `as_means` is true."""
        return self.sample_at(self.latent_draw(rng, len(y_index), self.latent_dim), rng, as_means)

    def sample_at(self, z: npt.ArrayLike, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """A row of x for each row of z."""
        return self.draw_rows(self.location(tf.constant(z, tf.float32)), rng, as_means)


@estimator
class VAE(EncoderMixin, DensityMixin, GenerativeEstimator):
    """A variational autoencoder: latent variables, reconstructions and samples of rows, without labels.

    The model is ``p(z) p(x | z)`` with ``q(z | x)``, standard normal p(z), and the loss of a row, in nats, is ::

        -log p(x | z) + beta * KL[q(z | x) || p(z)],    z drawn from q(z | x)

    and, with k = `n_importance` draws, ``-log mean_k [p(x | z_k) p(z_k) / q(z_k | x)]``.

    Parameters
    ----------
    encoder : ...
        It may also return the outputs [mean, log variance, ...] of a variational autoencoder's encoder as it is.
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

    beta: float = param(default=1.0, accepts=[NOT_NEGATIVE])
    n_importance: int = param(default=1, accepts=[POSITIVE])

    _network_class: typing.ClassVar[typing.Any] = VAENetwork
