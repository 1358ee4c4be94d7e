"""ConditionalVAE: a variational autoencoder that reads the label, or that there is none."""

import typing

import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import CodeMixin, DensityMixin, SemiSupervisedMixin, StyleMixin
from keras_ssvae.estimators.parameters import estimator
from keras_ssvae.networks.autoencoder import as_rows
from keras_ssvae.networks.latent_class import ClassConditionalNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import losses

__all__ = ["ConditionalVAE", "ConditionalVAENetwork"]


class ConditionalVAENetwork(ClassConditionalNetwork):
    """p(z) p(v | z, c), with q(z | v, c); the condition c is a class, or that the class is unknown.

    Half of the loss is that of an unknown class, the other half that of the label, or of a mixture of all classes without one.

    Where encoder and decoder read the class, the bias is the code of "unknown", and the code of a class is what it adds to
    that.

    Parameters
    ----------
    seed, **kwargs
        As in `keras_ssvae.networks.latent_class.LatentClassNetwork`.
    """

    shares_steps = True

    def bound(self, seen: dict, y: tf.Tensor, step: StepContext) -> tuple[dict, tf.Tensor, tf.Tensor]:
        features = self.features(seen)
        mean, log_variance = self.posterior(features)
        eps = step.normal(mean)
        z = losses.gaussian_draw(mean, log_variance, eps)
        reconstruction = -self.log_prob(seen, self.location(z, self.unknown(z)))
        kl = self.kl_latent(mean, log_variance, step)
        log_p, kl_by_class = self.by_class(features, seen, eps)
        logits = self.log_prior - kl_by_class + log_p
        r = losses.responsibilities(y, logits)
        values = {
            "reconstruction": 0.5 * (reconstruction - tf.reduce_sum(r * log_p, axis=-1)),
            "kl_latent": 0.5 * (kl + step.warm(self.kl_warmup) * tf.reduce_sum(r * kl_by_class, axis=-1)),
            "kl_label": 0.5 * losses.categorical_kl(r, self.log_prior),
        }
        return values, self.tempered(logits), r

    def by_class(self, features: tf.Tensor, seen: dict, eps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log p(v | z, y) and KL[q(z | v, y) || p(z)] of every class, at z from the noise: two tensors (rows, n_classes)."""
        mean, log_variance = self.latents(features)
        z = losses.gaussian_draw(mean, log_variance, tf.tile(eps, (self.n_classes, 1)))
        log_p = self.log_prob_each(seen, z)
        kl = tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)
        return tf.transpose(log_p), tf.transpose(tf.reshape(kl, (self.n_classes, -1)))

    def logits(self, seen: dict) -> tf.Tensor:
        """log p(y) plus the bound on log p(v | y) at the mean of q(z | v, y), tempered: (rows, n_classes)."""
        features = self.features(seen)
        log_p, kl = self.by_class(features, seen, tf.zeros((tf.shape(features)[0], self.latent_dim)))
        return self.tempered(self.log_prior + log_p - kl)

    def tempered(self, logits: tf.Tensor) -> tf.Tensor:
        """A sum over n values, taken to be as sure as the square root of n of them."""
        return logits / tf.sqrt(tf.cast(self.loss_scale(), logits.dtype))

    def view(self, batch: dict, seen: dict, step: StepContext) -> dict:
        """Rows and not features: what is read has to be explained, too."""
        x = self.observation.noisy(batch.get("view", batch["x"]), step.uniform)
        return {"x": x, "observed": batch.get("observed", tf.ones_like(x))}

    def mixed(self, view: dict, partner: tf.Tensor, share: tf.Tensor, step: StepContext) -> dict:
        if self.lower is not None:
            codes = super().mixed(view, partner, share, step)["inputs"]
            return {"inputs": codes, "x": codes}
        x = self.observation.mixed(view["x"], tf.gather(view["x"], partner), share, step.uniform)
        return self.read({"x": x, "observed": view["observed"] * tf.gather(view["observed"], partner)})

    def posterior(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z | v) of an unknown class."""
        return self.latent_head(self.latent_merge(features, self.unknown(features)))

    def unknown(self, rows: tf.Tensor) -> tf.Tensor:
        """The condition of rows of an unknown class."""
        return tf.zeros((tf.shape(rows)[0], self.n_classes))

    def latent_mean(self, seen: dict) -> tf.Tensor:
        return self.posterior(self.features(seen))[0]

    def reconstruction(self, seen: dict) -> tf.Tensor:
        z = self.latent_mean(seen)
        return self.observation.value(self.expectation_at(self.location(z, self.unknown(z))))

    def weighted(self, seen: dict, eps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | float, tf.Tensor]:
        """log p(v | z) and log p(z) / q(z | v) of an unknown class, at z from the noise eps."""
        mean, log_variance = self.posterior(self.features(seen))
        z = losses.gaussian_draw(mean, log_variance, eps)
        rows = as_rows(z)
        location = self.location(rows, self.unknown(rows))
        log_p_v = tf.reshape(self.log_prob_stacked(seen, location), (1, eps.shape[0], -1))
        return log_p_v, losses.gaussian_log_ratio(z, mean, log_variance), location


@estimator
class ConditionalVAE(CodeMixin, SemiSupervisedMixin, StyleMixin, DensityMixin, GenerativeEstimator):
    """A variational autoencoder with label information: encoder and decoder read the label, or a code for "unknown".

    The model is ``p(z) p(v | z, c)`` with ``q(z | v, c)``, where the condition c is the label of a row or "unknown", and v is
    the row x itself or, for images, the code u of a variational autoencoder below. With
    ``F(c) = -log p(v | z, c) + KL[q(z | v, c) || p(z)]`` the loss of a row, in nats, is ::

        [F(unknown) - log sum_y p(y) exp(-F(y))] / 2                              (rows without a label)
        [F(unknown) + F(label) - log p(label)] / 2
            + classification_weight * rows / labelled rows * [-log p(label | v)]  (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, p(y | mixture of the two rows)]

    Classes are predicted by Bayes' rule, ``p(y | v) ~ [p(y) exp(-F(y))] ** (1 / sqrt(n))`` at the mean of q(z | v, y). Without
    the root, n being the number of values in v, small misfits of the model would add up to certainty.

    Notes
    -----
    `reconstruct`, `score_samples` and the z of `transform` treat every row as one of an unknown class.

    References
    ----------
    K. Sohn, H. Lee, X. Yan (2015), "Learning Structured Output Representation using Deep Conditional Generative Models", NIPS.
    D. P. Kingma et al. (2014), arXiv 1406.5298, section 4.2: generation conditioned on the class.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import ConditionalVAE, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ConditionalVAE(latent_dim=2, random_state=0).fit(X, mask_labels(y, labeled=30, random_state=0))
    >>> model.score(X, y) > 0.85
    True
    """

    _network_class: typing.ClassVar[typing.Any] = ConditionalVAENetwork
