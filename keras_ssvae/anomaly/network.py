"""What a trained network says of how strange rows are, in one deterministic pass."""

import typing

import numpy as np

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.networks import inference

__all__ = []

N_DRAWS = 10  # of families that have no bound in closed form


def network_scores(network: typing.Any, rows: PreparedRows) -> np.ndarray:
    """Scores of rows, (n, k), higher = stranger.

    Of a network with `bound_at_mean`, its negative bound, and how far the code is from the prior. Of another, its -log p(x), or
    its score.
    """
    if hasattr(network, "bound_at_mean"):
        said = inference.run(network, "bound_at_mean", rows)
        return np.stack([said["bound"], said["kl"]], axis=1).astype(float)
    if hasattr(network, "log_likelihood"):
        return -inference.run(network, "log_likelihood", rows, n_draws=N_DRAWS).astype(float)[:, None]
    return -inference.run(network, "score", rows).astype(float)[:, None]


def codes(network: typing.Any, rows: PreparedRows) -> typing.Any:
    """Posterior means of the latent variables, (n, latent_dim), or None without a network that encodes."""
    return inference.run(network, "encode", rows) if hasattr(network, "encode") else None
