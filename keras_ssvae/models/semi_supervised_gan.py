"""SemiSupervisedGAN: a classifier that also tells rows from those of a generator."""

import math
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import ScoreMixin, SemiSupervisedMixin
from keras_ssvae.estimators.parameters import NOT_NEGATIVE, estimator, param
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.networks.adversarial import AdversarialNetwork, real_or_not
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, Layer

__all__ = ["SemiSupervisedGAN", "SemiSupervisedGANNetwork"]

HIDDEN_NOISE = 5 / 3  # of that on the input


class WeightNormDense(Layer):
    """``gain * x V / ||V|| + bias``, the norm taken of each unit's weights, so that noise on x keeps its share.

    Source: T. Salimans, D. P. Kingma (2016), "Weight Normalization", arXiv 1602.07868, eq. 2.
    """

    def __init__(self, units: int, gain: float, **kwargs: typing.Any):
        super().__init__(**kwargs)
        self.units = units
        self.gain = gain

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), initializer="random_normal", name="direction")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x):
        kernel = tf.math.l2_normalize(self.direction, axis=0, epsilon=1e-12)
        return self.gain * tf.matmul(x, kernel) + self.bias


class NoisyBody(Layer):
    """Dense layers with weight normalisation, and Gaussian noise on what each of them gives."""

    def __init__(self, hidden_layer_sizes: tuple, activation: str | Callable, **kwargs: typing.Any):
        super().__init__(**kwargs)
        self.dense = [WeightNormDense(n, math.sqrt(2.0), name=f"dense_{i}") for i, n in enumerate(hidden_layer_sizes)]
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        for layer in self.dense:
            layer.build(shape)
            shape = (*shape[:-1], layer.units)

    def call(self, x, disturb=None):
        """Rows -> features; `disturb` adds noise to what it is given."""
        for layer in self.dense:
            x = self.activation(layer(x))
            if disturb is not None:
                x = disturb(x)
        return x


def feature_matching(real: tf.Tensor, fake: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Squared distance of the means of features (rows, n_features) of real and generated rows, both with the weights (rows,):
    once for every row of the batch, (rows,)."""
    gap = tf.einsum("r,rk->k", weight / tf.reduce_sum(weight), real - fake)
    return tf.reduce_sum(tf.square(gap)) * tf.ones_like(weight)


class SemiSupervisedGANNetwork(AdversarialNetwork):
    """A discriminator with K logits of q(y | x), whose log-sum-exp is the log odds of a row being real, and a generator.

    Parameters
    ----------
    seed, table, generator_class_weight, **kwargs
        As in `keras_ssvae.networks.adversarial.AdversarialNetwork`, and in `SemiSupervisedGAN`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, table: typing.Any, generator_class_weight: float, **kwargs: typing.Any):
        super().__init__(seed, table=table, **kwargs)
        self.generator_class_weight = generator_class_weight
        body, encoder = self.encoder_for(self.sizes), self.held.bodies[0]
        conv = backbones.has_convolutions(body.model)
        self.make_decoder(conv)
        given = conv or not (encoder is None or isinstance(encoder, str))
        self.encoder_body = body if given else None
        self.encoder = body.model if given else NoisyBody(self.sizes, self.activation, name="noisy_body")
        self.pi = Dense(self.n_classes, name="pi")
        self.drawn = np.concatenate([np.full(g.stop - g.start, LIKELIHOODS[g.kind].kind.is_drawn) for g in table.groups_])

    def loss_scale(self) -> float:
        """One: the terms of the game are cross-entropies of two sides, whatever the number of columns."""
        return 1.0

    def class_variables(self) -> list[tuple]:
        return [(self.pi.kernel, 1), (self.pi.bias, 0), *super().class_variables()]

    def objectives(self) -> dict[str, tuple]:
        return {
            "discriminator": (self.discriminator_terms, [self.encoder, self.pi]),
            "generator": (self.generator_terms, self.decoder_layers()),
        }

    def features(self, inputs: tf.Tensor) -> tf.Tensor:
        """The last hidden layer of the discriminator, without noise."""
        return self.encoder(inputs) if self.encoder_body is None else backbones.run(self.encoder_body, inputs)

    def noisy_features(self, inputs: tf.Tensor, step: StepContext) -> tf.Tensor:
        """The same in training."""
        inputs = self.disturbed(inputs, step)
        if self.encoder_body is not None or step.mode == "evaluate":
            return self.features(inputs)
        return self.encoder(inputs, disturb=lambda h: h + HIDDEN_NOISE * self.noise_scale * step.normal(h))

    def logits(self, seen: dict) -> tf.Tensor:
        return self.pi(self.features(seen["inputs"]))

    def generated(self, batch: dict, labels: tf.Tensor, step: StepContext) -> tf.Tensor:
        """What the discriminator reads of generated rows of these classes, with the gaps of the rows of the batch."""
        z = step.normal(tf.repeat(batch["x"][:, :1], self.latent_dim, axis=1))
        return self.observation.expected_features(self.location(z, labels), batch.get("observed"))

    def discriminator_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the discriminator minimises."""
        seen = self.read(batch)
        generated = self.generated(batch, self.drawn_classes(batch["x"], step), step)
        logits = self.pi(self.noisy_features(seen["inputs"], step))
        fake_logits = self.pi(self.noisy_features(tf.stop_gradient(generated), step))
        real, fake = real_or_not(tf.reduce_logsumexp(logits, axis=-1), tf.reduce_logsumexp(fake_logits, axis=-1))
        values = {"classification": self.classification(batch["y"], logits), "real": real, "fake": fake}
        r = losses.responsibilities(batch["y"], logits)
        view = self.read({**batch, "x": batch["view"]}) if "view" in batch else seen
        return values | self.consistency_terms(batch, r, lambda: view, step)

    def generator_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the generator minimises."""
        labels = self.drawn_classes(batch["x"], step)
        fake = self.noisy_features(self.generated(batch, labels, step), step)
        real = self.noisy_features(self.read(batch)["inputs"], step)
        class_loss = -tf.reduce_sum(labels * tf.nn.log_softmax(self.pi(fake)), axis=-1)
        return {
            "feature_matching": feature_matching(tf.stop_gradient(real), fake, batch["weight"]),
            "generated_class": self.generator_class_weight * class_loss,
        }

    # After training

    def score(self, batch: dict) -> tf.Tensor:
        """log D / (1 - D), (rows,)."""
        return tf.reduce_logsumexp(self.class_logits(batch), axis=-1)

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Rows of x of the given classes: means in all columns but those of categories and truth values, which are drawn.

        Each is the first of several candidates that the discriminator takes for a row of the class, or the likeliest one.
        """

        def draw(y_index):
            z, labels = self.latent_draw(rng, len(y_index), self.latent_dim), tf.one_hot(y_index, self.n_classes)
            return z, self.logits({"inputs": self.observation.expected_features(self.location(z, labels))})

        location = self.location(self.first_of_class(y_index, draw), tf.one_hot(y_index, self.n_classes))
        return self.draw_rows(location, rng, as_means | ~self.drawn)


@estimator
class SemiSupervisedGAN(SemiSupervisedMixin, ScoreMixin, GenerativeEstimator):
    """A classifier that learns from rows without a label by telling them from those of a generator.

    The discriminator gives a logit l_k(x) for each of K classes, and "generated" is one class more whose logit is 0: with
    ``Z(x) = sum_k exp l_k(x)``, a row is real with probability ``D(x) = Z(x) / (Z(x) + 1)``, and then of class k with
    ``q(k | x) = exp l_k(x) / Z(x)``. The generator G makes a row of a standard normal z and a class y from p(y). Two players
    take turns, each with an optimizer of its own. The discriminator minimises, in nats a row, ::

        -log D(x) - log(1 - D(G(z, y)))
            + classification_weight * rows / labelled rows * [-log q(label | x)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    where r(y) is the label of a row if it is known and q(y | x) if not; and the generator, with the last hidden layer f of the
    discriminator, ::

        |mean f(x) - mean f(G(z, y))|^2 + generator_class_weight * [-log q(y | G(z, y))],    means over the batch

    The term of the means is one number a batch, and stands beside each of its rows. Generated categories are probabilities,
    where rows have ones and zeros; and each generated row has the gaps of a row of the batch, so that they tell nothing.

    Parameters
    ----------
    latent_dim : int, default=10
        Number of dimensions of z, the generator's noise.
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Units of the dense layers of the discriminator; the generator mirrors them.
    encoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        The discriminator's body, as in `M2`; its dense layers are weight-normalised where it is None or "mlp".
    decoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        The generator's body: reads (latent_dim,) values. If it returns as many values as a row has, they are the row.
    likelihood : "auto", str or dict of column to str, default="auto"
        The kind of each column, as in `SemiSupervisedVAE`: how it is scaled, and what the generator's values mean, of which
        the mean is the row.
    classification_weight : float or "auto", default="auto"
        Weight of the mean cross-entropy of the labels; "auto" is 1, since all terms are cross-entropies.
    noise : float, default=0.3
        Standard deviation of the Gaussian noise on what the discriminator reads in training, in units of standardised
        columns; that of its hidden layers, which are about standardised too, is 5 / 3 of it. A body of yours gets none inside.
    generator_class_weight : float, default=0.3
        Weight of the cross-entropy that makes the generator's rows those of their class. More costs accuracy: a generator as
        good as the rows leaves the discriminator nothing to learn.

    Attributes
    ----------
    history_ : DataFrame
        One row an epoch: "stage", "loss" and its terms, in nats a row; the loss is the sum over the players, and does not say
        how far the game has come.

    Notes
    -----
    `sample` generates 20 candidates for each row, and takes the first that is predicted to be of its class: the one with the
    largest q(y | candidate) where none is. The most certain of all would be a caricature of its class. Values are what the
    generator emits; categories and truth values are drawn with the probabilities that it emits.

    The score of `score_samples` is ``log Z(x)``, the log odds of a row being real and not generated. It is no density: where
    the generator is as good as the rows it is 0, and of rows unlike both it knows little.

    References
    ----------
    T. Salimans et al. (2016), "Improved Techniques for Training GANs", arXiv 1606.03498, section 3.1: feature matching;
    section 5: D from K logits; the noise is that of its experiments on MNIST.
    A. Odena et al. (2017), "Conditional Image Synthesis With Auxiliary Classifier GANs", arXiv 1610.09585, eq. 3: the
    generator's class.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import SemiSupervisedGAN, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_partial = mask_labels(y, labeled=15, random_state=0)
    >>> model = SemiSupervisedGAN(epochs=100, random_state=0).fit(X, y_partial)
    >>> model.score(X, y) > 0.85
    True
    >>> model.sample(3, y=0, random_state=0)[0].shape
    (3, 4)
    """

    noise: float = param(default=0.3, accepts=[NOT_NEGATIVE])
    generator_class_weight: float = param(default=0.3, accepts=[NOT_NEGATIVE])

    _network_class: typing.ClassVar[typing.Any] = SemiSupervisedGANNetwork
