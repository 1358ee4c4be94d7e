"""A network with classes: their prior, the responsibilities of rows without a label, and the terms that labels add."""

import math
import typing
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.evidence.teaching import taught
from keras_ssvae.networks import inference
from keras_ssvae.networks.autoencoder import AutoencoderNetwork
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import losses
from keras_ssvae.nn.noise import shape_of

__all__ = ["ClassifierNetwork"]

TEACH = "teach"  # the stage in which q(y | x) learns what experts and it say together

CANDIDATES = 20  # rows that are generated for each row of a sample, where the first of its class is taken
BLOCK_CELLS = 2**21  # of candidates at a time: bounded memory
SHARPENING = 2.0  # of the targets for augmented views: a temperature of 1/2, as in MixMatch (arXiv 1905.02249, section 3.2)


def _is_advised(seen):
    return tf.reduce_any(seen["advice"] != 0, axis=-1, keepdims=True)


class ClassifierNetwork(AutoencoderNetwork):
    """Base of all networks with q(y | x): a family defines `logits`, and asks for what labels add in its own terms.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    class_prior : (n_classes,) array
        p(y).
    label_weight : float
        Rows by labelled row; with `classification_weight` the weight of a known label.
    classification_weight : float or "auto"
        Weight of the mean cross-entropy of the labels against the mean loss of a row; "auto" is `loss_scale`.
    consistency_weight : float, default=0
        Weight of the consistency term, in units of `loss_scale`.
    **kwargs
        As in `AutoencoderNetwork`.
    """

    data_constants = ("class_prior", "label_weight", "consistency_weight")

    def __init__(
        self, seed: int, *, class_prior: np.ndarray, label_weight: float, classification_weight: float | str,
        consistency_weight: float = 0.0, **kwargs: typing.Any,
    ):  # fmt: skip
        super().__init__(seed, **kwargs)
        self.n_classes = len(class_prior)
        self.classification_weight = classification_weight
        self.is_consistent = consistency_weight > 0
        self.set_constants(log_prior=np.log(class_prior), label_weight=label_weight, consistency_weight=consistency_weight)
        # how often each class is predicted, a running mean over batches
        self.class_usage = self.add_weight(shape=(self.n_classes,), initializer="zeros", trainable=False, name="class_usage")
        self.class_usage.assign(class_prior)

    # What a family defines

    def logits(self, seen: dict) -> tf.Tensor:
        """Unnormalised log q(y | x) of rows as `seen` or `read` shows them, or as `mixed` makes them: (rows, n_classes)."""
        raise TypeError(f"{type(self).__name__} defines no logits")

    def loss_scale(self) -> float | tf.Tensor:
        """How many nats a row has, to the order of magnitude: one for each of its values."""
        return float(self.observation.n_columns)

    def mixed(self, view: dict, partner: tf.Tensor, share: tf.Tensor, step: StepContext) -> dict:
        """Mixtures of rows with their partners, which `logits` reads."""
        v = view["inputs"]
        return {"inputs": share * v + (1 - share) * tf.gather(v, partner)}

    def class_variables(self) -> list[tuple]:
        return [(self.class_usage, 0)]

    # What all share

    @property
    def log_prior(self) -> tf.Tensor:
        """log p(y), (n_classes,)."""
        return self.constants.log_prior.value

    @property
    def class_prior(self) -> np.ndarray:
        """p(y), (n_classes,) array."""
        return np.exp(self.log_prior.numpy())

    def monitors_labels(self, terms: Iterable[str]) -> bool:
        return self.classification_weight != 0 and super().monitors_labels(terms)

    def inherit(self, trained: Network, sources: list[int | None]) -> None:
        super().inherit(trained, sources)
        if sources != list(range(trained.n_classes)):  # how often other classes were predicted says nothing of these
            self.class_usage.assign(self.class_prior)

    def classification(self, y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The weighted cross-entropy of known labels, 0 without one: (rows,)."""
        return self._label_scale() * self.constants.label_weight * losses.label_cross_entropy(y, logits)

    def _label_scale(self):
        return self.loss_scale() if self.classification_weight == "auto" else self.classification_weight

    # What experts say: a batch may have "advice", (rows, n_classes), the log of a posterior, or zeros where none was asked

    def row_log_prior(self, seen: dict) -> tf.Tensor:
        """log p(y) of each row: what experts say where they were asked, (rows or 1, n_classes)."""
        if "advice" not in seen:
            return self.log_prior[None]
        return tf.where(_is_advised(seen), seen["advice"], self.log_prior)

    def told_responsibilities(self, seen: dict, y: tf.Tensor, logits: tf.Tensor, step: StepContext) -> tf.Tensor:
        """r(y) as in `losses.responsibilities`; in the stage that teaches, for unlabelled rows what they are told."""
        r = losses.responsibilities(y, logits)
        if step.stage.name != TEACH or "advice" not in seen:
            return r
        return tf.where(_is_advised(seen) & (y < 0)[:, None], tf.exp(seen["advice"]), r)

    def told_classification(self, seen: dict, y: tf.Tensor, logits: tf.Tensor, step: StepContext) -> tf.Tensor:
        """As `classification`, as far as experts trust the label; in the stage that teaches, of all advised rows."""
        known = self.classification(y, logits)
        if "advice" not in seen:
            return known
        if step.stage.name != TEACH:
            return known * tf.exp(tf.reduce_sum(tf.one_hot(y, self.n_classes) * seen["advice"], axis=-1))
        told = -tf.reduce_sum(tf.exp(seen["advice"]) * tf.nn.log_softmax(logits), axis=-1)
        return tf.where(_is_advised(seen)[:, 0], self._label_scale() * told, known)

    def rows_of_stage(self, name: str, rows: PreparedRows) -> PreparedRows:
        if name != TEACH or "advice" not in rows.arrays:
            return rows
        log_q = tf.nn.log_softmax(inference.run(self, "class_logits", rows, once=True)).numpy()
        return rows.joined(advice=taught(rows.arrays["advice"], log_q, rows.y))

    def consistency_terms(self, batch: dict, r: tf.Tensor, view: Callable[[], dict], step: StepContext) -> dict[str, tf.Tensor]:
        """The consistency term, where it is in use; `view` gives what is mixed."""
        if not self.is_consistent or step.mode == "evaluate" or step.stage.name == TEACH:
            return {}
        weight = self.constants.consistency_weight * self.loss_scale()
        if not step.stage.continues:  # at first, q(y) of unlabelled rows is not worth agreeing with
            weight *= step.warm(0.4)
        return {"consistency": weight * self._consistency(batch, tf.stop_gradient(r), view(), step)}

    def _consistency(self, batch, r, view, step):
        """Cross-entropy between the mixture of two rows' responsibilities and q(y) of the mixture of the rows."""
        self._note_usage(batch, r, step)
        if "advice" not in batch or "view" in batch:  # experts know better how often a class is there
            r = self._aligned(r, batch["y"], SHARPENING if "view" in batch else 1.0)
        partner = tf.math.top_k(-step.uniform(r[:, 0]), shape_of(r)[0]).indices
        share = step.uniform(r[:, :1])
        target = share * r + (1 - share) * tf.gather(r, partner)
        return -tf.reduce_sum(target * tf.nn.log_softmax(self.logits(self.mixed(view, partner, share, step))), axis=-1)

    def _note_usage(self, batch, r, step):
        """Let how often each class is used go on from these responsibilities, in training."""
        if step.mode == "train":
            mean = tf.einsum("r,rk->k", batch["weight"], r) / tf.reduce_sum(batch["weight"])
            self.class_usage.assign_add(0.01 * (mean - self.class_usage))

    def _aligned(self, r, y, power):
        """Responsibilities of unlabelled rows, scaled so that over all rows each class is used as often as the prior says.

        Without it, an early mistake about a whole cluster of rows confirms itself. Where an augmented view of the row is to
        agree with them, a power above 1 makes them more certain.
        """
        aligned = (r * tf.exp(self.log_prior) / tf.maximum(self.class_usage, 1e-6)) ** power
        aligned /= tf.reduce_sum(aligned, axis=-1, keepdims=True)
        return tf.where(tf.expand_dims(y >= 0, 1), r, aligned)

    # After training

    def class_logits(self, batch: dict) -> tf.Tensor:
        """Logits of q(y | x) at the posterior mean."""
        return self.logits(self.read(batch))

    def style_and_logits(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """E[z | x] and the logits of q(y | x); a family may compute once what both read."""
        return self.encode(batch), self.class_logits(batch)

    def encode_with_class(self, batch: dict) -> tf.Tensor:
        """What `encode` gives, and the logits of q(y | x), centred: (rows, latent_dim + n_classes)."""
        z, logits = self.style_and_logits(batch)
        return tf.concat([z, logits - tf.reduce_mean(logits, axis=-1, keepdims=True)], axis=-1)

    def mean_over_classes(self, expectations: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """x from `MixedLikelihood.expectation` of every class, (n_classes, rows, n_expectations), weighted by r."""
        return self.observation.value(tf.einsum("rk,krd->rd", r, expectations))

    def first_of_class(self, y_index: np.ndarray, draw: Callable) -> tf.Tensor:
        """Of several candidates for each of n classes the first that is predicted to be of the class, or the likeliest one.

        `draw` maps classes of k rows to latent variables (k, dim), and logits of q(y | x) of the rows made of them. What comes
        back are the latent variables, (n, dim).
        """
        chosen, cells = [], len(y_index) * CANDIDATES * self.observation.n_columns
        for part in np.array_split(y_index, max(1, min(len(y_index), math.ceil(cells / BLOCK_CELLS)))):
            rows = np.arange(len(part))
            latents, logits = draw(np.repeat(part, CANDIDATES))
            log_q = tf.nn.log_softmax(logits).numpy().reshape(len(part), CANDIDATES, logits.shape[-1])
            of_class = log_q.argmax(axis=-1) == part[:, None]
            likeliest = log_q[rows, :, part].argmax(axis=1)
            first = np.where(of_class.any(axis=1), of_class.argmax(axis=1), likeliest)
            chosen.append(tf.gather(latents, rows * CANDIDATES + first))
        return tf.concat(chosen, axis=0)
