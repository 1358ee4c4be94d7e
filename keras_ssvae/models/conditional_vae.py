"""ConditionalVAE: a variational autoencoder that reads the label, or that there is none."""

import dataclasses

import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.estimators.mixins import CodeMixin, DensityMixin, EncoderMixin, SemiSupervisedMixin
from keras_ssvae.networks.latent_class import ClassConditionalNetwork
from keras_ssvae.nn import losses
from keras_ssvae.serialization import register

__all__ = ["ConditionalVAE", "ConditionalVAENetwork"]


class ConditionalVAENetwork(ClassConditionalNetwork):
    """p(z) p(v | z, c), with q(z | v, c); the condition c is a class, or that the class is unknown.

    Half of the loss is that of an unknown class, the other half that of the label, or of a mixture of all classes without one.

    Where encoder and decoder read the class, the bias is the code of "unknown", and the code of a class is what it adds to
    that.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    **kwargs
        As in `LatentClassNetwork`.
    """

    shares_steps = True

    def _bound(self, inputs, target, codes):
        features = self._features(inputs)
        mean, log_variance = self._posterior(features)
        eps = self.normal(mean)
        z = losses.gaussian_draw(mean, log_variance, eps)
        reconstruction = -self._log_prob_active(target, self._location(z, self._unknown(z)))
        kl = self._kl_latent(mean, log_variance)
        log_p, kl_by_class = self._by_class(features, target, eps)
        logits = self.log_prior - kl_by_class + log_p
        r = losses.responsibilities(codes, logits)
        values = {
            "reconstruction": 0.5 * (reconstruction - tf.reduce_sum(r * log_p, axis=-1)),
            "kl_latent": 0.5 * (kl + self._warm(self.kl_warmup) * tf.reduce_sum(r * kl_by_class, axis=-1)),
            "kl_label": 0.5 * losses.categorical_kl(r, self.log_prior),
        }
        return values, self._tempered(logits), r

    def _by_class(self, features, target, eps):
        """log p(v | z, y) and KL[q(z | v, y) || p(z)] of every class, at z from the noise: two tensors (rows, n_classes)."""
        mean, log_variance = self._latents(features)
        z = losses.gaussian_draw(mean, log_variance, tf.tile(eps, (self.n_classes, 1)))
        log_p = self._log_prob_each(target, z)
        kl = tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)
        return tf.transpose(log_p), tf.transpose(tf.reshape(kl, (self.n_classes, -1)))

    def _bayes(self, features, target):
        """log p(y) plus the bound on log p(v | y) at the mean of q(z | v, y), tempered: (rows, n_classes)."""
        log_p, kl = self._by_class(features, target, tf.zeros((tf.shape(features)[0], self.latent_dim)))
        return self._tempered(self.log_prior + log_p - kl)

    def _tempered(self, logits):
        """A sum over n values, taken to be as sure as the square root of n of them."""
        return logits / tf.sqrt(tf.cast(self._nats(), logits.dtype))

    def _logits(self, inputs):
        """Of codes, or of rows (x, observed): what is read has to be explained, too."""
        if self.code is not None:
            return self._bayes(self._features(inputs), {"x": inputs})
        x, observed = inputs
        return self._bayes(self._features(self._read(x, observed)), {"x": x, "observed": observed})

    def _joint_terms(self, batch):
        if self.code is not None:
            return super()._joint_terms(batch)
        seen = self._seen(batch)
        values, r = self._bound_terms(seen["inputs"], seen, batch["y"])
        x = self.observation.noisy(batch.get("view", batch["x"]), self.uniform)
        return values | self._label_terms(batch, r, lambda: (x, batch.get("observed", tf.ones_like(x))))

    def _mixed(self, v, partner, share):
        if self.code is not None:
            return super()._mixed(v, partner, share)
        x, observed = v
        mixed = self.observation.mixed(x, tf.gather(x, partner), share, self.uniform)
        return mixed, observed * tf.gather(observed, partner)

    def class_logits(self, x, observed):
        """log p(y) plus the bound on log p(x | y), tempered, up to a constant."""
        return self._logits((x, observed)) if self.code is None else super().class_logits(x, observed)

    def _posterior(self, features):
        """q(z | v) of an unknown class."""
        return self.latent_head(self.latent_merge(features, self._unknown(features)))

    def _unknown(self, rows):
        return tf.zeros((tf.shape(rows)[0], self.n_classes))

    def _latent_mean(self, inputs):
        return self._posterior(self._features(inputs))[0]

    def _reconstruct(self, inputs):
        z = self._latent_mean(inputs)
        return self.observation.value(self._expectation_at(self._location(z, self._unknown(z))))

    def _log_weight(self, inputs, target, eps):
        """log p(v | z) p(z) / q(z | v) of an unknown class, at z from the noise eps: (rows,)."""
        mean, log_variance = self._posterior(self._features(inputs))
        z = losses.gaussian_draw(mean, log_variance, eps)
        log_p_v = self._log_prob_active(target, self._location(z, self._unknown(z)))
        return log_p_v + losses.gaussian_log_ratio(z, mean, log_variance)


@register
@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class ConditionalVAE(CodeMixin, SemiSupervisedMixin, EncoderMixin, DensityMixin, GenerativeEstimator):
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

    Parameters
    ----------
    latent_dim : int, default=10
        Number of dimensions of z.

    Notes
    -----
    `transform`, `reconstruct` and `score_samples` treat every row as one of an unknown class.

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

    _network_class = ConditionalVAENetwork
