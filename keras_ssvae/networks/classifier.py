"""A network with classes: their prior, the responsibilities of rows without a label, and the terms that labels add."""

import math

import numpy as np
import tensorflow as tf

from keras_ssvae.networks.autoencoder import AutoencoderNetwork
from keras_ssvae.networks.base import shape_of
from keras_ssvae.nn import losses

__all__ = ["ClassifierNetwork"]

CANDIDATES = 20  # rows that are generated for each row of a sample, where the first of its class is taken
BLOCK_CELLS = 2**21  # of candidates at a time: bounded memory
SHARPENING = 2.0  # of the targets for augmented views: a temperature of 1/2, as in MixMatch (arXiv 1905.02249, section 3.2)


class ClassifierNetwork(AutoencoderNetwork):
    """Base of all networks with q(y | x): a family defines `_logits`, and asks for `_label_terms` in its own terms.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    class_prior : (n_classes,) array
        p(y).
    label_weight : float
        Rows by labelled row; with `classification_weight` the weight of a known label.
    classification_weight : float or "auto"
        Weight of the mean cross-entropy of the labels against the mean loss of a row; "auto" is `_nats`.
    consistency_weight : float, default=0
        Weight of the consistency term, in units of `_nats`.
    **kwargs
        As in `AutoencoderNetwork`.
    """

    data_constants = ("class_prior", "label_weight", "consistency_weight")

    def __init__(self, seed, *, class_prior, label_weight, classification_weight, consistency_weight=0.0, **kwargs):
        super().__init__(seed, **kwargs)
        self.n_classes = len(class_prior)
        self.classification_weight = classification_weight
        self.is_consistent = consistency_weight > 0
        self.give(log_prior=np.log(class_prior), label_weight=label_weight, consistency_weight=consistency_weight)
        # how often each class is predicted, a running mean over batches
        self.class_usage = self.add_weight(shape=(self.n_classes,), initializer="zeros", trainable=False, name="class_usage")
        self.class_usage.assign(class_prior)

    # What a family defines

    def _logits(self, inputs):
        """Unnormalised log q(y | inputs), of what the classifier reads: (rows, n_classes)."""
        raise TypeError(f"{type(self).__name__} defines no _logits")

    def _nats(self):
        """How many nats a row has, to the order of magnitude: one for each of its values."""
        return float(self.observation.n_columns)

    def class_variables(self):
        return [(self.class_usage, 0)]

    # What all share

    @property
    def log_prior(self):
        """log p(y), (n_classes,)."""
        return self.given.log_prior.value

    @property
    def class_prior(self):
        """p(y), (n_classes,) array."""
        return np.exp(self.log_prior.numpy())

    @property
    def judges_labels(self):
        return self.classification_weight != 0 and super().judges_labels

    def inherit(self, trained, sources):
        super().inherit(trained, sources)
        if sources != list(range(trained.n_classes)):  # how often other classes were predicted says nothing of these
            self.class_usage.assign(self.class_prior)

    def _classification(self, codes, logits):
        """The weighted cross-entropy of known labels, 0 without one: (rows,)."""
        weight = self._nats() if self.classification_weight == "auto" else self.classification_weight
        return weight * self.given.label_weight * losses.label_cross_entropy(codes, logits)

    def _label_terms(self, batch, r, read):
        """The consistency term, where it is in use; `read` gives what is mixed."""
        if not self.is_consistent or self.is_testing:
            return {}
        weight = self.given.consistency_weight * self._nats()
        if not self.stage.continues:  # at first, q(y) of unlabelled rows is not worth agreeing with
            weight *= self._warm(0.4)
        return {"consistency": weight * self._consistency(batch, tf.stop_gradient(r), read())}

    def _consistency(self, batch, r, v):
        """Cross-entropy between the mixture of two rows' responsibilities and q(y) of the mixture of the rows v."""
        if self.is_learning:
            mean = tf.einsum("r,rk->k", batch["weight"], r) / tf.reduce_sum(batch["weight"])
            self.class_usage.assign_add(0.01 * (mean - self.class_usage))
        r = self._aligned(r, batch["y"], SHARPENING if "view" in batch else 1.0)
        partner = tf.math.top_k(-self.uniform(r[:, 0]), shape_of(r)[0]).indices
        share = self.uniform(r[:, :1])
        mixed = self._mixed(v, partner, share)
        target = share * r + (1 - share) * tf.gather(r, partner)
        return -tf.reduce_sum(target * tf.nn.log_softmax(self._logits(mixed)), axis=-1)

    def _mixed(self, v, partner, share):
        """Mixtures of rows with their partners, which `_logits` reads."""
        return share * v + (1 - share) * tf.gather(v, partner)

    def _mean_over_classes(self, expectations, r):
        """x from `MixedLikelihood.expectation` of every class, (n_classes, rows, n_expectations), weighted by r."""
        return self.observation.value(tf.einsum("rk,krd->rd", r, expectations))

    def _aligned(self, r, codes, power):
        """Responsibilities of unlabelled rows, scaled so that over all rows each class is used as often as the prior says.

        Without it, an early mistake about a whole cluster of rows confirms itself. Where an augmented view of the row is to
        agree with them, a power above 1 makes them more certain.
        """
        aligned = (r * tf.exp(self.log_prior) / tf.maximum(self.class_usage, 1e-6)) ** power
        aligned /= tf.reduce_sum(aligned, axis=-1, keepdims=True)
        return tf.where(tf.expand_dims(codes >= 0, 1), r, aligned)

    # After training

    def _first_of_class(self, codes, draw):
        """Of several candidates for each class code the first that is predicted to be of the class, or the likeliest one.

        Parameters
        ----------
        codes : (n,) array
            Class codes.
        draw : function
            Class codes of k rows -> latent variables (k, dim), and logits of q(y | x) of the rows made of them.

        Returns
        -------
        (n, dim) tensor
            Latent variables.
        """
        chosen, cells = [], len(codes) * CANDIDATES * self.observation.n_columns
        for part in np.array_split(codes, max(1, min(len(codes), math.ceil(cells / BLOCK_CELLS)))):
            rows = np.arange(len(part))
            latents, logits = draw(np.repeat(part, CANDIDATES))
            log_q = tf.nn.log_softmax(logits).numpy().reshape(len(part), CANDIDATES, logits.shape[-1])
            of_class = log_q.argmax(axis=-1) == part[:, None]
            likeliest = log_q[rows, :, part].argmax(axis=1)
            first = np.where(of_class.any(axis=1), of_class.argmax(axis=1), likeliest)
            chosen.append(tf.gather(latents, rows * CANDIDATES + first))
        return tf.concat(chosen, axis=0)
