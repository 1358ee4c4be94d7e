"""Loss terms as pure functions of tensors: one value a row, in nats."""

import dataclasses
import math

import tensorflow as tf

__all__ = [
    "ClassChoice", "categorical_kl", "choose_classes", "gaussian_draw", "gaussian_kl", "gaussian_log_prob",
    "gaussian_log_ratio", "label_cross_entropy", "precision_weighted", "relative_gaussian_kl", "responsibilities",
]  # fmt: skip


def responsibilities(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """r(y): the label where it is known, q(y | x) where it is not, (rows, n_classes).

    Rows sum to one. No gradient flows to `logits` from rows whose label is known.

    Parameters
    ----------
    y : (rows,) integer tensor
        Class indices, negative where the label is unknown.
    logits : (rows, n_classes) tensor
        Unnormalised log q(y | x).
    """
    known = tf.one_hot(y, logits.shape[-1], dtype=logits.dtype)
    return tf.where(tf.expand_dims(y >= 0, 1), known, tf.nn.softmax(logits))


def label_cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-log q(y | x) of rows with a known label, 0 with zero gradient elsewhere, shape (rows,).

    ``tf.nn.softmax_cross_entropy_with_logits`` would not do: its gradient for an all-zero row of labels is softmax(logits).

    Parameters
    ----------
    y, logits
        As in `responsibilities`.
    """
    known = tf.one_hot(y, logits.shape[-1], dtype=logits.dtype)  # a negative index gives a row of zeros
    return -tf.reduce_sum(known * tf.nn.log_softmax(logits), axis=-1)


def categorical_kl(probabilities: tf.Tensor, log_prior: tf.Tensor) -> tf.Tensor:
    """KL[r(y) || p(y)] a row; for a one-hot r it is -log p(y).

    Parameters
    ----------
    probabilities : (rows, n_classes) tensor
        r(y); zeros are fine.
    log_prior : (n_classes,) tensor
        log p(y).
    """
    safe = tf.where(probabilities > 0, probabilities, tf.ones_like(probabilities))
    return tf.reduce_sum(probabilities * (tf.math.log(safe) - log_prior), axis=-1)


def gaussian_draw(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """A draw from N(mean, exp(log_variance)) made of standard normal noise, with gradients to both.

    Parameters
    ----------
    mean, log_variance, noise : tensors of shapes that broadcast
        The Gaussian, and the noise.
    """
    return mean + tf.exp(0.5 * log_variance) * noise


def gaussian_kl(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL[N(mean, exp(log_variance)) || N(0, 1)] by element.

    Parameters
    ----------
    mean, log_variance : tensors of one shape
        The Gaussian.
    """
    return 0.5 * (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)


def gaussian_log_prob(x: tf.Tensor, mean: tf.Tensor | float = 0.0, log_variance: tf.Tensor | float = 0.0) -> tf.Tensor:
    """log N(x | mean, exp(log_variance)) by element.

    Parameters
    ----------
    x, mean, log_variance : tensors or numbers
        The point and the Gaussian; standard normal by default.
    """
    return -0.5 * (tf.square(x - mean) * tf.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def gaussian_log_ratio(
    z: tf.Tensor, mean: tf.Tensor, log_variance: tf.Tensor, prior_mean: tf.Tensor | float = 0.0,
    prior_log_variance: tf.Tensor | float = 0.0,
) -> tf.Tensor:  # fmt: skip
    """log p(z) - log q(z), summed over dimensions: what z from q adds to the log of an importance weight.

    Parameters
    ----------
    z, mean, log_variance, prior_mean, prior_log_variance : tensors or numbers that broadcast
        The point, q, and p, which is standard normal by default.
    """
    log_p = gaussian_log_prob(z, prior_mean, prior_log_variance)
    return tf.reduce_sum(log_p - gaussian_log_prob(z, mean, log_variance), axis=-1)


def precision_weighted(
    mean: tf.Tensor, log_variance: tf.Tensor, other_mean: tf.Tensor, other_log_variance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The normalised product of two Gaussians: mean and log variance by element.

    Precisions add up, and the mean is that of both means weighted by precision (Sonderby et al. 2016, arXiv 1602.02282,
    eq. 17-19).

    Parameters
    ----------
    mean, log_variance, other_mean, other_log_variance : tensors of shapes that broadcast
        The two Gaussians.
    """
    share = tf.sigmoid(other_log_variance - log_variance)  # of the first precision in their sum, without a quotient
    merged = tf.minimum(log_variance, other_log_variance) - tf.math.softplus(-tf.abs(log_variance - other_log_variance))
    return share * mean + (1.0 - share) * other_mean, merged


def relative_gaussian_kl(
    mean: tf.Tensor, log_variance: tf.Tensor, prior_mean: tf.Tensor, prior_log_variance: tf.Tensor
) -> tf.Tensor:
    """KL[N(mean, exp(log_variance)) || N(prior_mean, exp(prior_log_variance))] by element.

    Parameters
    ----------
    mean, log_variance, prior_mean, prior_log_variance : tensors of shapes that broadcast
        The two Gaussians.
    """
    log_ratio = log_variance - prior_log_variance
    return 0.5 * (tf.square(mean - prior_mean) * tf.exp(-prior_log_variance) + tf.exp(log_ratio) - 1.0 - log_ratio)


@dataclasses.dataclass
class ClassChoice:
    """For each row, the classes over which a sum over all classes is estimated: the most probable ones, and one of the others.

    The estimate and its gradient are unbiased, the gradient to the probabilities included (R. Liu et al. 2019,
    "Rao-Blackwellized Stochastic Gradients for Discrete Distributions", arXiv 1810.04777, section 3). What is drawn enters as
    its difference to the mean of what is enumerated, which takes most of the noise away and nothing of the expectation.

    Attributes
    ----------
    classes : (k + 1, rows) integer tensor
        The enumerated classes, and last the one drawn.
    weights : (k, rows) tensor
        Probabilities of the enumerated classes.
    rest, drawn_weight : (rows,) tensors
        Probability of all others together; the same with the gradient of a draw's log probability.
    """

    classes: tf.Tensor
    weights: tf.Tensor
    rest: tf.Tensor
    drawn_weight: tf.Tensor

    def sum(self, values: tf.Tensor) -> tf.Tensor:
        """sum_y r(y) value(y), estimated from values of `classes`, (k + 1, rows): (rows,)."""
        enumerated, drawn = values[:-1], values[-1]
        baseline = tf.stop_gradient(tf.reduce_mean(enumerated, axis=0))
        known = tf.reduce_sum(self.weights * enumerated, axis=0)
        return known + self.rest * baseline + self.drawn_weight * (drawn - baseline)


def choose_classes(r: tf.Tensor, logits: tf.Tensor, n_enumerated: int, noise: tf.Tensor) -> ClassChoice:
    """The `ClassChoice` of rows.

    Parameters
    ----------
    r : (rows, n_classes) tensor
        Responsibilities.
    logits : (rows, n_classes) tensor
        Unnormalised log probabilities; the responsibilities of rows without a label.
    n_enumerated : int
        Number of classes to enumerate, less than `n_classes`.
    noise : (rows, n_classes) tensor
        Uniform on (0, 1).
    """
    log_q = tf.nn.log_softmax(logits)
    top = tf.math.top_k(tf.stop_gradient(r), n_enumerated).indices
    taken = tf.reduce_sum(tf.one_hot(top, r.shape[-1]), axis=1)
    gumbel = -tf.math.log(-tf.math.log(noise))
    drawn = tf.argmax(tf.where(taken > 0, -math.inf, tf.stop_gradient(log_q) + gumbel), axis=-1, output_type=tf.int32)
    weights = tf.gather(r, top, batch_dims=1)
    rest = tf.maximum(1.0 - tf.reduce_sum(weights, axis=-1), 0.0)
    log_drawn = tf.gather(log_q, drawn, batch_dims=1)
    drawn_weight = tf.stop_gradient(rest) * tf.exp(log_drawn - tf.stop_gradient(log_drawn))
    classes = tf.concat([tf.transpose(top), drawn[None]], axis=0)
    return ClassChoice(classes, tf.transpose(weights), rest, drawn_weight)
