"""AdversarialAutoencoder: an autoencoder whose codes two critics make look like draws from the prior."""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import ScoreMixin, SemiSupervisedMixin, StyleMixin
from keras_ssvae.estimators.parameters import NOT_NEGATIVE, StrOptions, estimator, param
from keras_ssvae.networks.adversarial import AdversarialNetwork, real_or_not
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, LabelMerge, Layer

__all__ = ["AdversarialAutoencoder", "AdversarialAutoencoderNetwork"]

APART = 4.0  # standard deviations between the means of neighbouring classes: their Gaussians hardly overlap


def mixture_means(n_classes: int, latent_dim: int) -> np.ndarray:
    """Means of one Gaussian a class, (n_classes, latent_dim), those of neighbours four standard deviations apart.

    They lie on a circle in the first two dimensions; on a line where there is one dimension, or two classes.
    """
    means = np.zeros((n_classes, latent_dim))
    k = np.arange(n_classes)
    if latent_dim == 1 or n_classes < 3:
        means[:, 0] = APART * (k - k.mean())
    else:
        angle = 2.0 * math.pi * k / n_classes
        means[:, :2] = 0.5 * APART / math.sin(math.pi / n_classes) * np.column_stack([np.cos(angle), np.sin(angle)])
    return means


class Critic(Layer):
    """Dense layers that tell draws of a prior from what an encoder gives: rows of `dim` values, and one-hot labels unless
    `n_classes` is None, -> the logit of being a draw, (rows,)."""

    def __init__(
        self, dim: int, hidden_layer_sizes: tuple, activation: str | Callable, n_classes: int | None = None, **kwargs: object
    ):  # fmt: skip
        super().__init__(**kwargs)
        first, *rest = hidden_layer_sizes or (128,)
        self.merge: typing.Any = None if n_classes is None else LabelMerge(n_classes, first, activation, name="merge")
        sizes = (first, *rest) if n_classes is None else rest
        self.body = backbones.mlp((dim if n_classes is None else first,), sizes, activation, "body")
        self.logit = Dense(1, name="logit")

    def build(self, values_shape, labels_shape=None):
        if self.merge is not None:
            self.merge.build(values_shape)
        self.logit.build(self.body.output_shape)

    def call(self, values, labels=None):
        return self.logit(self.body(values if self.merge is None else self.merge(values, labels)))[:, 0]


class AdversarialAutoencoderNetwork(AdversarialNetwork):
    """p(y) p(z | y) p(x | z, y), with z and q(y | x) functions of x, and a critic of each.

    Parameters
    ----------
    seed, prior, **kwargs
        As in `keras_ssvae.networks.adversarial.AdversarialNetwork`, and in `AdversarialAutoencoder`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, prior: str, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.encoder_body = self.encoder_for(self.sizes, ("latent_dim", self.latent_dim))
        self.encoder = self.encoder_body.model
        self.make_decoder(backbones.has_convolutions(self.encoder))
        self.z_head = Dense(self.latent_dim, name="z") if self.encoder_body.output_kind == "features" else None
        self.pi = Dense(self.n_classes, name="pi")
        self.mixture = prior == "mixture"
        means = mixture_means(self.n_classes, self.latent_dim)
        self.prior_means = tf.constant(means if self.mixture else np.zeros_like(means), tf.float32)
        body = self.sizes, self.activation
        self.z_critic = Critic(self.latent_dim, *body, self.n_classes, name="z_critic")
        self.y_critic = Critic(self.n_classes, *body, name="y_critic")

    def class_variables(self) -> list[tuple]:
        critics = [(self.z_critic.merge.shift, 0), (self.y_critic.body.weights[0], 0)]
        return [(self.pi.kernel, 1), (self.pi.bias, 0), *critics, *super().class_variables()]

    def objectives(self) -> dict[str, tuple]:
        encoder = [layer for layer in (self.encoder, self.z_head, self.pi) if layer is not None]
        return {
            "reconstruction": (self.reconstruction_terms, [*encoder, *self.decoder_layers()]),
            "critic": (self.critic_terms, [self.z_critic, self.y_critic]),
            "regularisation": (self.regularisation_terms, encoder),
        }

    def code(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z and the logits of q(y | x)."""
        out = backbones.run(self.encoder_body, inputs)
        if self.z_head is not None:
            return self.z_head(out), self.pi(out)
        features, mean, _ = out
        return mean, self.pi(features)

    def logits(self, seen: dict) -> tf.Tensor:
        return self.code(seen["inputs"])[1]

    # Training

    def reconstruction_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the autoencoder minimises."""
        seen = self.seen(batch, step)
        z, logits = self.code(self.disturbed(seen["inputs"], step))
        r = losses.responsibilities(batch["y"], logits)
        values = {
            "reconstruction": -self.log_prob(seen, self.location(z, r)),
            "classification": self.classification(batch["y"], logits),
        }
        return values | self.consistency_terms(batch, r, lambda: seen["view"], step)

    def _training_code(self, batch, step):
        """z and q(y | x) of disturbed rows."""
        z, logits = self.code(self.disturbed(self.seen(batch, step)["inputs"], step))
        return z, tf.nn.softmax(logits)

    def _labels_read(self, y, q):
        """The class that the critic of z reads: with a normal prior the most probable, which z is then independent of; with a
        mixture the label, zeros where it is unknown."""
        known = tf.one_hot(y, self.n_classes)
        if self.mixture:
            return known
        return tf.where((y >= 0)[:, None], known, tf.one_hot(tf.argmax(q, axis=-1), self.n_classes))

    def critic_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the critics minimise."""
        z, q = map(tf.stop_gradient, self._training_code(batch, step))
        drawn, labels = self.drawn_classes(batch["x"], step), self._labels_read(batch["y"], q)
        component = tf.where((batch["y"] >= 0)[:, None], labels, drawn)
        prior_z = step.normal(z) + self.prior_mean(component)
        return {
            "critic_z": tf.add_n(real_or_not(self.z_critic(prior_z, labels), self.z_critic(z, labels))),
            "critic_y": tf.add_n(real_or_not(self.y_critic(drawn), self.y_critic(q))),
        }

    def regularisation_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the encoder minimises to mislead the critics."""
        z, q = self._training_code(batch, step)
        return {
            "regularisation_z": tf.math.softplus(-self.z_critic(z, self._labels_read(batch["y"], q))),
            "regularisation_y": tf.math.softplus(-self.y_critic(q)),
        }

    # After training: functions of rows, each row by itself

    def prior_mean(self, labels: tf.Tensor) -> tf.Tensor:
        return tf.matmul(labels, self.prior_means)

    def _soft_code(self, batch):
        """z and q(y | x)."""
        z, logits = self.code(self.read(batch)["inputs"])
        return z, tf.nn.softmax(logits)

    def encode(self, batch: dict) -> tf.Tensor:
        """z of rows."""
        return self._soft_code(batch)[0]

    def style_and_logits(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        return self.code(self.read(batch)["inputs"])

    def decode(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """E[x | z] with class probabilities r."""
        by_class = []
        for k in range(self.n_classes):
            labels = tf.one_hot(tf.fill(tf.shape(z)[:1], k), self.n_classes)
            by_class.append(self.observation.expectation(self.location(z, labels)))
        return self.mean_over_classes(tf.stack(by_class), r)

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | z, q(y | x)] at the row's own code."""
        return self.observation.mean(self.location(*self._soft_code(batch)))

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        location = self.location(*self._soft_code(batch))  # the code is a function of the row: there is nothing to weigh

        def propose(eps):
            n_rows, n_parameters = tf.shape(location)[0], location.shape[1]
            return tf.zeros((eps.shape[0], n_rows)), tf.broadcast_to(location, (eps.shape[0], n_rows, n_parameters))

        return propose, 1

    def score(self, batch: dict) -> tf.Tensor:
        """log p(x | z, q(y | x)) + log p(z) at the row's own code, (rows,)."""
        z, q = self._soft_code(batch)
        by_class = tf.reduce_sum(losses.gaussian_log_prob(z[:, None], self.prior_means), axis=-1)
        return self.log_prob(batch, self.location(z, q)) + tf.reduce_logsumexp(by_class + self.log_prior, axis=-1)


@estimator
class AdversarialAutoencoder(SemiSupervisedMixin, StyleMixin, ScoreMixin, GenerativeEstimator):
    """An autoencoder with a label among its codes, which critics hold to their prior: from no label to all labels.

    The model is ``p(y) p(z) p(x | z, y)``. The encoder gives z and q(y | x) without drawing, from a row to whose values noise
    is added. With r(y) the label of a row where it is known and q(y | x) where it is not, three players take turns, each with
    an optimizer and layers of its own. The autoencoder minimises, in nats a row, ::

        -log p(x | z, r) + classification_weight * rows / labelled rows * [-log q(label | x)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    then two critics, with probabilities C of being a draw of the prior, learn to tell codes from such draws, ::

        -log C(z', c) - log(1 - C(z, c)) - log C(y') - log(1 - C(q)),    z' from p(z) and one-hot y' from p(y)

    and at last the encoder to mislead both: ``-log C(z, c) - log C(q)``. So the codes of all rows together come to follow p(z)
    and p(y), and q(y | x) is close to one-hot. The critic of z also reads c, the most probable class in r: the codes of every
    class follow p(z), and what the class says is not said by z again. Without labels, `classes` makes it a clustering.

    Parameters
    ----------
    encoder : ...
        It may also return the outputs [mean, log variance, ...] of a variational autoencoder's encoder as it is,
        of which the mean is z.
    prior : {"normal", "mixture"}, default="normal"
        p(z). "mixture" gives each class a Gaussian of its own, ``p(z | y) = N(m_y, I)``, with means on a circle in the first
        two dimensions, neighbours 4 apart; c is then the label, zeros where it is unknown.
    noise : float, default=0.3
        Standard deviation of the Gaussian noise on what the encoder reads, in units of standardised columns.

    Attributes
    ----------
    history_ : DataFrame
        One row an epoch: "stage", "loss" and its terms, in nats a row; the loss is the sum over the players, and does not say
        how far the game has come.

    Notes
    -----
    The score of `score_samples` is ``log p(x | z, q(y | x)) + log p(z)`` at the row's own code: it ranks rows, but is no
    density, since nothing is integrated over z.

    References
    ----------
    A. Makhzani et al. (2015), "Adversarial Autoencoders", arXiv 1511.05644, section 5: labels; section 6: clusters; section
    2.3: the mixture. There the noise has a standard deviation of 0.3 too, the labels have a turn of their own, and the critic
    of z reads z alone unless the prior is the mixture.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import AdversarialAutoencoder, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_partial = mask_labels(y, labeled=15, random_state=0)
    >>> model = AdversarialAutoencoder(latent_dim=2, epochs=100, random_state=0).fit(X, y_partial)
    >>> model.score(X, y) > 0.85
    True
    >>> model.transform(X).shape  # two latent variables and three classes
    (150, 5)
    """

    prior: str = param(default="normal", accepts=[StrOptions({"normal", "mixture"})])
    noise: float = param(default=0.3, accepts=[NOT_NEGATIVE])

    _network_class: typing.ClassVar[typing.Any] = AdversarialAutoencoderNetwork
