"""Loss terms as pure functions of tensors: one value a row, in nats."""

import math

import tensorflow as tf

__all__ = ["categorical_kl", "gaussian_kl", "gaussian_log_prob", "label_cross_entropy", "responsibilities"]


def responsibilities(codes, logits):
    """r(y): the label where it is known, q(y | x) where it is not.

    Parameters
    ----------
    codes : (rows,) integer tensor
        Class codes, negative where the label is unknown.
    logits : (rows, n_classes) tensor
        Unnormalised log q(y | x).

    Returns
    -------
    (rows, n_classes) tensor
        Rows sum to one. No gradient flows to `logits` from rows whose label is known.
    """
    known = tf.one_hot(codes, logits.shape[-1], dtype=logits.dtype)
    return tf.where((codes >= 0)[:, None], known, tf.nn.softmax(logits))


def label_cross_entropy(codes, logits):
    """-log q(y | x) of rows with a known label, 0 with zero gradient elsewhere, shape (rows,).

    ``tf.nn.softmax_cross_entropy_with_logits`` would not do: its gradient for an all-zero row of labels is softmax(logits).

    Parameters
    ----------
    codes, logits
        As in `responsibilities`.
    """
    known = tf.one_hot(codes, logits.shape[-1], dtype=logits.dtype)  # a negative code gives a row of zeros
    return -tf.reduce_sum(known * tf.nn.log_softmax(logits), axis=-1)


def categorical_kl(probabilities, log_prior):
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


def gaussian_kl(mean, log_variance):
    """KL[N(mean, exp(log_variance)) || N(0, 1)] by element.

    Parameters
    ----------
    mean, log_variance : tensors of one shape
        The Gaussian.
    """
    return 0.5 * (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)


def gaussian_log_prob(x, mean=0.0, log_variance=0.0):
    """log N(x | mean, exp(log_variance)) by element.

    Parameters
    ----------
    x, mean, log_variance : tensors or numbers
        The point and the Gaussian; standard normal by default.
    """
    return -0.5 * (tf.square(x - mean) * tf.exp(-log_variance) + log_variance + math.log(2 * math.pi))
