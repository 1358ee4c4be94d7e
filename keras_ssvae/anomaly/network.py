"""What a trained network says of how strange rows are, in one deterministic pass."""

import typing

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.models.vae import VAENetwork
from keras_ssvae.networks import inference
from keras_ssvae.nn import losses

__all__ = ["network_scores"]

N_DRAWS = 10  # of families that have no bound in closed form


def bound_at_mean(network: VAENetwork, batch: dict) -> dict[str, tf.Tensor]:
    """The negative bound on log p(x) with z at its posterior mean, and its KL term, in nats: (rows,) each."""
    seen = network.read(batch)
    mean, log_variance = network.posterior(seen)
    kl = tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)
    return {"bound": kl - network.log_prob(seen, network.location(mean)), "kl": kl}


def network_scores(network: typing.Any, rows: PreparedRows) -> np.ndarray:
    """Scores of rows, (n, k), higher = stranger.

    Of a `VAENetwork`, its negative bound, and how far the code is from the prior. Of another network, its -log p(x) or score.
    """
    if isinstance(network, VAENetwork):
        said = inference.run(network, bound_at_mean, rows, alike=True)
        return np.stack([said["bound"], said["kl"]], axis=1).astype(float)
    if hasattr(network, "log_likelihood"):
        return -inference.run(network, "log_likelihood", rows, alike=True, n_draws=N_DRAWS).astype(float)[:, None]
    return -inference.run(network, "score", rows, alike=True).astype(float)[:, None]
