"""M2: a generative semi-supervised model, with the class among what the encoder of z reads."""

import typing

import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import DensityMixin, SemiSupervisedMixin, StyleMixin
from keras_ssvae.estimators.parameters import POSITIVE, estimator, param
from keras_ssvae.networks.autoencoder import as_rows
from keras_ssvae.networks.latent_class import ClassConditionalNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import losses
from keras_ssvae.nn.layers import Dense

__all__ = ["M2", "M2Network"]


class M2Network(ClassConditionalNetwork):
    """p(y) p(z) p(v | z, y), with q(y | v) q(z | v, y); v is x itself, or the code of a VAE below it.

    q(y | v) and q(z | v, y) read the same features of v.

    Parameters
    ----------
    seed, **kwargs
        As in `keras_ssvae.networks.latent_class.LatentClassNetwork`, and in `M2`.
    """

    shares_steps = True

    def make_posterior(self, units: int | None) -> None:
        self.pi = Dense(self.n_classes, name="pi")
        super().make_posterior(units)

    def posterior_layers(self) -> list:
        return [*super().posterior_layers(), self.pi]

    def class_variables(self) -> list[tuple]:
        return [(self.pi.kernel, 1), (self.pi.bias, 0), *super().class_variables()]

    def logits(self, seen: dict) -> tf.Tensor:
        return self.pi(self.features(seen))

    def bound(self, seen: dict, y: tf.Tensor, step: StepContext) -> tuple[dict, tf.Tensor, tf.Tensor]:
        features = self.features(seen)
        logits = self.pi(features)
        r = losses.responsibilities(y, logits)
        parts, merged, kl = self.parts(y, r, step, self.choice(r, logits, step)), [], []
        eps = step.normal(tf.tile(logits[:, :1], (1, self.latent_dim)))  # one for all classes of a row
        by_part = zip(parts, self.by_part(parts, features), self.by_part(parts, eps), strict=True)
        for part, part_features, part_eps in by_part:
            mean, log_variance = self.latents(part_features, part.classes)
            z = losses.gaussian_draw(mean, log_variance, tf.tile(part_eps, (part.count, 1)))
            merged.append(self.merge(z, classes=part.classes, n_copies=part.count))
            kl.append(tf.reshape(self.kl_latent(mean, log_variance, step), (part.count, -1)))
        values = {
            "reconstruction": -self.averaged(parts, self.log_prob_of_parts(parts, seen, merged)),
            "kl_latent": self.averaged(parts, kl),
            "kl_label": losses.categorical_kl(r, self.log_prior),
        }
        return values, logits, r

    def latent_means(self, features: tf.Tensor) -> list[tf.Tensor]:
        """E[z | v, y] of every class: a list of (rows, latent_dim)."""
        return tf.split(self.latents(features)[0], self.n_classes)

    def latent_mean(self, seen: dict) -> tf.Tensor:
        return self._style_and_logits(self.features(seen))[0]

    def style_and_logits(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        return self._style_and_logits(self.features(self.read(batch)))

    def _style_and_logits(self, features):
        logits = self.pi(features)
        return tf.einsum("rk,krd->rd", tf.nn.softmax(logits), tf.stack(self.latent_means(features))), logits

    def reconstruction(self, seen: dict) -> tf.Tensor:
        features = self.features(seen)
        return self.decoded(self.latent_means(features), tf.nn.softmax(self.pi(features)))

    def weighted(self, seen: dict, eps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | float, tf.Tensor]:
        """log p(y) p(v | z_y, y) p(z_y) / q(z_y | v, y): a z for every class, from the same noise."""
        moments = self.latents(self.features(seen))
        mean, log_variance = (tf.reshape(values, (self.n_classes, 1, -1, self.latent_dim)) for values in moments)
        z = losses.gaussian_draw(mean, log_variance, eps)
        location = self.likelihood(self.decoder(self.merge(as_rows(z), n_copies=self.n_classes)))
        log_p_v = tf.reshape(self.log_prob_stacked(seen, location), (self.n_classes, eps.shape[0], -1))
        by_class = log_p_v + losses.gaussian_log_ratio(z, mean, log_variance)
        return by_class + self.log_prior[:, None, None], 0.0, location


@estimator
class M2(SemiSupervisedMixin, StyleMixin, DensityMixin, GenerativeEstimator):
    """M2 of Kingma et al.: the class is a latent variable of rows without a label, and the encoder of z reads it.

    The model is ``p(y) p(z) p(x | z, y)`` with ``q(y | x) q(z | x, y)``. With r(y) the label of a row where it is known and
    q(y | x) where it is not, the loss of a row, in nats, is ::

        sum_y r(y) [-log p(x | z, y) + KL[q(z | x, y) || p(z)]] + KL[r(y) || p(y)]
            + classification_weight * rows / labelled rows * [-log q(label | x)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    Parameters
    ----------
    n_enumerated : int or None, default=None
        Number of classes, the most probable ones of each row, over which the sum over y is computed. One of the other
        classes is drawn for all of them; the loss and its gradient keep their expectations. None: all classes. With it, the
        cost of a step hardly depends on the number of classes.

    See Also
    --------
    M1M2 : The same model on the code of a variational autoencoder, the better choice for images.
    SemiSupervisedVAE : q(z | x) does not read the class: cheaper, as z is one for all classes.

    References
    ----------
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, eq. 6-9.
    R. Liu et al. (2019), "Rao-Blackwellized Stochastic Gradients for Discrete Distributions", arXiv 1810.04777: the sum over
    some classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import M2, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> model = M2(latent_dim=2, random_state=0).fit(X, mask_labels(y, labeled=15, random_state=0))
    >>> model.score(X, y) > 0.85
    True
    """

    n_enumerated: int | None = param(default=None, accepts=[None, POSITIVE])

    _network_class: typing.ClassVar[typing.Any] = M2Network
