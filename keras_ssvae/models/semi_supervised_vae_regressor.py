"""SemiSupervisedVAERegressor: a VAE whose decoder reads a number that is known for some rows."""

import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import DensityMixin
from keras_ssvae.estimators.parameters import NOT_NEGATIVE, estimator, param
from keras_ssvae.estimators.regression import TargetMixin
from keras_ssvae.models.vae import VAENetwork
from keras_ssvae.networks.autoencoder import as_rows, stacked
from keras_ssvae.networks.regressor import RegressorNetwork
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn import backbones, losses

__all__ = ["SemiSupervisedVAERegressor", "SemiSupervisedVAERegressorNetwork"]


class SemiSupervisedVAERegressorNetwork(RegressorNetwork, VAENetwork):
    """p(t) p(z) p(x | z, t), with q(z | x) q(t | x).

    Parameters
    ----------
    seed, **kwargs
        As in `keras_ssvae.networks.regressor.RegressorNetwork` and `keras_ssvae.models.vae.VAENetwork`.
    """

    shares_steps = True

    def __init__(self, seed: int, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.is_joined = not isinstance(self.entry, keras.layers.Identity)
        if not self.is_joined:  # a decoder of the user's, which reads as many values as z has
            self.shift = self.add_weight(shape=(1, self.latent_dim), initializer="zeros", name="target_shift")

    def stages(self) -> list[Stage]:
        return [Stage("train", self.objectives(), labeled_rows=True)]

    def features_and_posterior(self, seen: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What heads read of x, and q(z | x): mean and log variance."""
        out = backbones.run(self.encoder_body, seen["inputs"])
        return (out, *self.head(out)) if self.head is not None else out

    def target_moments(self, seen: dict) -> tuple[tf.Tensor, tf.Tensor]:
        return self.target_head(self.features_and_posterior(seen)[0])

    def joined(self, z: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        """z and t, (rows, 1), as the decoder reads them."""
        return tf.concat([z, t], axis=-1) if self.is_joined else z + t * self.shift

    def loss_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        seen = self.seen(batch, step)
        features, mean, log_variance = self.features_and_posterior(seen)
        t_mean, t_log_variance = self.target_head(features)
        z = losses.gaussian_draw(mean, log_variance, step.normal(mean))
        t = self.known_or_drawn(batch, t_mean, t_log_variance, step.normal(t_mean))
        return {
            "reconstruction": -self.log_prob(seen, self.location(self.joined(z, t))),
            "kl_latent": self.beta * self.kl_latent(mean, log_variance, step),
            "kl_target": self.kl_target(batch, t_mean, t_log_variance),
            "regression": self.regression(batch, t_mean, t_log_variance),
        }

    # After training: functions of rows, each row by itself

    def encode_with_target(self, batch: dict) -> tf.Tensor:
        """E[z | x] and E[t | x], in standard units: (rows, latent_dim + 1)."""
        features, mean, _ = self.features_and_posterior(self.read(batch))
        return tf.concat([mean, self.target_head(features)[0]], axis=-1)

    def bound_at_mean(self, batch: dict) -> dict[str, tf.Tensor]:
        """The negative bound on log p(x) with z and t at their posterior means, and its KL terms, in nats: (rows,) each."""
        seen = self.read(batch)
        features, mean, log_variance = self.features_and_posterior(seen)
        t_mean, t_log_variance = self.target_head(features)
        kl = tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1) + losses.gaussian_kl(t_mean, t_log_variance)[:, 0]
        return {"bound": kl - self.log_prob(seen, self.location(self.joined(mean, t_mean))), "kl": kl}

    def decode(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """E[x | z, t], where t is r, (rows, 1)."""
        return self.observation.mean(self.location(self.joined(z, r)))

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | posterior means of z and t]."""
        both = self.encode_with_target(batch)
        return self.decode(both[:, :-1], both[:, -1:])

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        seen = self.read(batch)
        features, mean, log_variance = self.features_and_posterior(seen)
        t_mean, t_log_variance = self.target_head(features)
        mean, log_variance = tf.concat([mean, t_mean], axis=-1), tf.concat([log_variance, t_log_variance], axis=-1)

        def propose(eps):
            both = losses.gaussian_draw(mean, log_variance, eps)
            location = self.location(self.joined(as_rows(both)[:, :-1], as_rows(both)[:, -1:]))
            log_weight = self.log_prob_stacked(seen, location) + losses.gaussian_log_ratio(both, mean, log_variance)
            return log_weight, stacked(location, seen["x"])

        return propose, self.latent_dim + 1

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Rows of x of the given targets, in standard units: draws, but means of p(x | z, t) where `as_means` is true."""
        z = self.latent_draw(rng, len(y_index), self.latent_dim)
        return self.sample_at(self.joined(z, tf.constant(y_index[:, None], tf.float32)), rng, as_means)


@estimator
class SemiSupervisedVAERegressor(TargetMixin, DensityMixin, GenerativeEstimator):
    """A variational autoencoder that predicts a number: one model from no known target to all of them.

    The model is ``p(t) p(z) p(x | z, t)`` with ``q(z | x) q(t | x)``, all of z and t Gaussian: it is that of
    `SemiSupervisedVAE` with a number in place of the class. Targets are read in standard units, in which p(t) is standard
    normal. With t the target of a row where it is known and a draw of q(t | x) where it is not, the loss of a row, in nats,
    is ::

        -log p(x | z, t) + beta * KL[q(z | x) || p(z)] + KL[q(t | x) || p(t)]       (-log p(t), where t is known)
            + regression_weight * rows / rows with a target * [-log q(t | x)]        (rows with a target)

    Parameters
    ----------
    encoder : ...
        It may also return [features, mean, log variance] of z.
    beta : float, default=1.0
        Weight of the KL term of z.
    representation : {"features", "style"}, default="features"
        What `transform` gives of a row. "features": z, and beside it E[t | x]. "style": z alone, which leaves the target out.
        It is read when `transform` is called.
    experts : None or "auto", default="auto"
        Who else says what target a row has. "auto" asks ridge regressions, forests, nearest neighbours, support vectors and
        Gaussian processes of the rows with a target; targets that are left out in turn decide how much each counts, and how far
        all of them may be off (`keras_ssvae.evidence.numbers`). p(t) of a row is then what they say, and every row has a
        target in the last term, its own or theirs, of which q(t | x) is to be as uncertain as they are: `predict` asks nobody
        else. None: the known targets alone.

    Attributes
    ----------
    classes_ : (0,) array
        Empty.
    evidence_ : DataFrame or None
        What left-out targets say of each expert and, as "all", of their mixture: "weight", "log_loss" in nats, of targets in
        standard units, and "r2". None where none was asked: without `experts`, in `partial_fit`, with fewer than five targets.
    unlabeled_distance_ : float
        As of `SemiSupervisedVAE`: how far rows without a target are proved to lie from those with one, from 0 to 2.

    See Also
    --------
    SemiSupervisedVAE : The same with classes.

    Notes
    -----
    y is numbers; NaN, None and pd.NA mark unknown ones, and -1 is a number. There is one target a row.

    References
    ----------
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, eq. 6-9: the bound.
    F. Berkhahn et al. (2019), "Augmenting Variational Autoencoders with Sparse Labels", arXiv 1908.03015: the decoder reads z
    and what is to be predicted, the encoder's last layer gives both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from keras_ssvae import SemiSupervisedVAERegressor
    >>> X, t = load_diabetes(return_X_y=True)
    >>> t_partial = np.where(np.arange(442) % 10 == 0, t, np.nan)
    >>> model = SemiSupervisedVAERegressor(epochs=40, random_state=0).fit(X, t_partial)
    >>> model.score(X, t) > 0.35
    True
    >>> mean, std = model.predict(X[:3], return_std=True)
    >>> mean.shape, std.shape
    ((3,), (3,))
    """

    beta: float = param(default=1.0, accepts=[NOT_NEGATIVE])

    _network_class: typing.ClassVar[typing.Any] = SemiSupervisedVAERegressorNetwork
