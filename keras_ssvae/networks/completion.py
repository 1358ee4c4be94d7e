"""What cells may hold that were not observed, given those that were: importance sampling of the latent variables.

The encoder proposes latent variables of a row, and weights turn what it proposes into draws of p(z | observed cells), of which
the decoder gives the other cells (P.-A. Mattei, J. Frellsen 2019, "MIWAE", arXiv 1812.02633, on imputation). Where a few of the
proposals would outweigh all others, weights are tempered, a row at a time: what they say is a matter of luck then, and the
encoder knows better, which has learned with gaps.
"""

import math
import typing

import tensorflow as tf

from keras_ssvae.networks.autoencoder import parts_of
from keras_ssvae.nn import noise

__all__ = ["drawn_cells", "expected_cells"]

POWERS = (1.0, 0.5, 0.25, 0.125, 0.0)  # of the weights, of which the first is taken that lets enough proposals count
ENOUGH = 0.25  # effective share of the proposals


def expected_cells(network: typing.Any, batch: dict, n_draws: int) -> tf.Tensor:
    """E[x | observed cells], of codes the most probable ones: (rows, n_columns).

    Parameters
    ----------
    network : AutoencoderNetwork
        With `proposals`.
    batch : dict
        Rows, with "observed".
    n_draws : int
        Number of proposals a row; fixed noise, the same for all rows.
    """
    observation = network.observation

    def part(log_weight, location):
        share = tf.nn.softmax(log_weight, axis=0)
        return tf.einsum("nr,nrd->rd", share, observation.expectation(location))

    log_weight, expectations = _by_part(network, batch, n_draws, part)
    return observation.value(tf.einsum("pr,prd->rd", tf.nn.softmax(log_weight, axis=0), expectations))


def drawn_cells(
    network: typing.Any, batch: dict, uniform: tf.Tensor, seeds: tf.Tensor, n_draws: int, means: tuple = ()
) -> tf.Tensor:
    """Draws of p(x | observed cells), (rows, m, n_columns); a row's depend on its own noise alone.

    Parameters
    ----------
    network, batch
        As of `expected_cells`.
    uniform : (rows, m, 2) tensor
        Noise on (0, 1) that chooses among the proposals.
    seeds : (rows, 2) int32 tensor
        Of the draws of the cells.
    n_draws : int
        Number of proposals a row.
    means : tuple of int, default=()
        Columns of which the mean at the proposal comes back, in place of a draw.
    """
    observation = network.observation

    def part(log_weight, location):
        return _chosen(log_weight, location, uniform[..., 0])

    log_weight, locations = _by_part(network, batch, n_draws, part)
    location = _chosen_of_each(log_weight, locations, uniform[..., 1])
    as_means = tf.reduce_sum(tf.one_hot(means, observation.n_columns), axis=0) > 0 if means else None

    def row(given):
        parameters, seed = given
        calls = iter(range(observation.n_columns))
        draws = observation.draw(parameters, lambda: tf.random.experimental.stateless_fold_in(seed, next(calls)))
        return draws if as_means is None else tf.where(as_means, observation.mean(parameters), draws)

    return tf.map_fn(row, (location, seeds), fn_output_signature=tf.float32)


def _by_part(network, batch, n_draws, function):
    """log of the summed weights of each part of the proposals, (parts, rows), and what the function says of them."""
    propose, dim = network.proposals(batch)
    n_parts, size = parts_of(n_draws, network.n_classes)
    eps = noise.normal((network.seed, 0), (n_parts, size, 1, dim))

    def of_draws(log_weight):  # summed over classes, which are not what luck decides about
        return tf.reduce_logsumexp(tf.reshape(log_weight, (-1, size, tf.shape(log_weight)[1])), axis=0)

    def log_weights(some):
        return of_draws(propose(some)[0])

    power = _power(tf.reshape(tf.map_fn(log_weights, eps), (n_parts * size, -1)))

    def part(some):
        log_weight, location = propose(some)
        log_weight -= tf.tile((1.0 - power) * of_draws(log_weight), (log_weight.shape[0] // size, 1))
        return tf.reduce_logsumexp(log_weight, axis=0), function(log_weight, location)

    return tf.map_fn(part, eps, fn_output_signature=(tf.float32, tf.float32))


def _power(log_weight):
    """The power of weights (n, rows) that lets enough of them count, (rows,)."""
    tempered = tf.reshape(POWERS, (-1, 1, 1)) * log_weight
    log_size = 2.0 * tf.reduce_logsumexp(tempered, axis=1) - tf.reduce_logsumexp(2.0 * tempered, axis=1)
    enough = log_size >= math.log(ENOUGH * log_weight.shape[0])
    return tf.gather(POWERS, tf.argmax(enough, axis=0))


def _chosen(log_weight, values, uniform):
    """Of values (n, rows, d), those that noise (rows, m) chooses in proportion to weights (n, rows): (rows, m, d)."""
    below = tf.cumsum(tf.transpose(tf.nn.softmax(log_weight, axis=0)), axis=1)[:, None, :-1]
    index = tf.reduce_sum(tf.cast(uniform[..., None] > below, tf.int32), axis=-1)
    return tf.gather(tf.transpose(values, (1, 0, 2)), index, batch_dims=1)


def _chosen_of_each(log_weight, values, uniform):
    """The same of values (n, rows, m, d) that differ from choice to choice: (rows, m, d)."""
    n_rows, m = tf.shape(uniform)[0], uniform.shape[1]
    flat = tf.reshape(values, (values.shape[0] or tf.shape(values)[0], n_rows * m, values.shape[-1]))
    chosen = _chosen(tf.repeat(log_weight, m, axis=1), flat, tf.reshape(uniform, (-1, 1)))
    return tf.reshape(chosen, (n_rows, m, values.shape[-1]))
