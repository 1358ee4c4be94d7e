"""A network that reads rows: what the encoder is shown of them, and the distribution of what the decoder gives."""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae.data.tables import N_QUANTILES
from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses, noise

__all__ = ["AutoencoderNetwork"]

AT_A_TIME = 100  # draws times classes of a row that are decoded side by side: more no longer fit the caches of processors


def observed_log_prob(likelihood: MixedLikelihood, batch: dict, location: tf.Tensor) -> tf.Tensor:
    """log p(x | location) of the observed cells of a batch, summed: (...,), for what the decoder gives, (..., n_parameters)."""
    by_column = likelihood.log_prob(batch["x"], location)
    return tf.reduce_sum(by_column * batch["observed"] if "observed" in batch else by_column, axis=-1)


def as_rows(values: tf.Tensor) -> tf.Tensor:
    """All leading axes as one: (n, ...) -> (rows, n_columns)."""
    return tf.reshape(values, (-1, values.shape[-1]))


def stacked(location: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Several locations of each row, (n * rows, n_parameters), by the leading axes of x: (n, ..., n_parameters)."""
    axes = x.shape[:-1] if x.shape.is_fully_defined() else tf.unstack(tf.shape(x))[:-1]
    return tf.reshape(location, (-1, *axes, location.shape[-1]))


def parts_of(n_draws: int, n_classes: int) -> tuple[int, int]:
    """Into how many parts draws of the latent variables are cut, and how many each has, so that few are decoded at a time."""
    n_parts = math.ceil(n_draws * max(1, n_classes) / AT_A_TIME)
    return n_parts, math.ceil(n_draws / n_parts)


class AutoencoderNetwork(Network):
    """Base of all networks of rows: encoder and decoder bodies on the columns of a table or the pixels of images.

    A family makes its bodies with `encoder_for`, `decoder_for` or `split_decoder`, sets `likelihood`, and writes its terms
    with `seen`, `log_prob` and `kl_latent`. It finds the columns of x, a `MixedLikelihood`, as `observation`, and
    `hidden_layer_sizes` as `sizes`.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    table : TablePreprocessor
        Kinds and scaling of the columns of x.
    latent_dim, hidden_layer_sizes, activation, encoder, decoder, mask_rate, kl_warmup
        As in the estimators.
    piecewise : bool, default=False
        Whether the encoder reads each number once more, piece by piece; see `encoder_inputs`.
    **kwargs
        As in `Network`.
    """

    data_constants: tuple[str, ...] = ("mask_rate", "edges")

    def __init__(
        self, seed: int, *, table: typing.Any, latent_dim: int, hidden_layer_sizes: tuple, activation: str | Callable,
        encoder: typing.Any = None, decoder: typing.Any = None, mask_rate: float = 0.0, kl_warmup: float = 0.0,
        piecewise: bool = False, **kwargs: typing.Any,
    ):  # fmt: skip
        super().__init__(seed, **kwargs)
        self.image_shape = table.image_shape_
        self.latent_dim, self.sizes, self.activation, self.kl_warmup = latent_dim, hidden_layer_sizes, activation, kl_warmup
        self.held.bodies = encoder, decoder  # of the user's: models of which copies become layers
        self.masks = mask_rate > 0
        self.numbers = np.flatnonzero(~np.isnan(table.quantiles_).any(axis=1)).tolist() if piecewise else []
        self.set_constants(mask_rate=mask_rate, edges=table.quantiles_[self.numbers])
        self.observation = MixedLikelihood.of_table(table, name="likelihood")

    def constant_variables(self) -> list:
        return super().constant_variables() + self.observation.constant_variables()

    # Bodies

    def encoder_for(self, sizes: tuple, latent: tuple | None = None, default: str | None = None) -> backbones.Body:
        """The body that reads what `MixedLikelihood.features` gives; `latent` is (parameter name, number of dimensions)."""
        encoder = self.held.bodies[0] or default
        n_features = self.observation.n_features + len(self.numbers) * (N_QUANTILES - 1)
        body = backbones.resolve_encoder(encoder, self.image_shape, n_features, sizes, self.activation)
        given = [output.shape[-1] for output in body.model.outputs[1:]]
        if any(latent is None or dim != latent[1] for dim in given):
            wanted = "features alone" if latent is None else f"{latent[0]}={latent[1]}"
            raise ValueError(f"encoder gives a mean and log variance of {given} dimensions; it needs {wanted}.")
        return body

    def decoder_for(self, input_dim: int, sizes: tuple, conv: bool, decoder: typing.Any = None) -> backbones.Body:
        """The body below p(x | latent variables), the user's unless it is given."""
        decoder, n_columns = decoder or self.held.bodies[1], self.observation.n_columns
        return backbones.resolve_decoder(decoder, input_dim, self.image_shape, n_columns, sizes, self.activation, conv)

    def split_decoder(self, conv: bool) -> tuple[int | None, backbones.Body]:
        """(units, body): the width of the layer that reads the latent variables first, None without one, and all after it.

        A decoder of the user's reads the latent variables itself; one of ours leaves its first layer to the network, which may
        read the class there, too.
        """
        own = self.held.bodies[1] is None or isinstance(self.held.bodies[1], str)
        sizes = tuple(reversed(self.sizes))
        units = sizes[0] if own and sizes else None
        body_sizes = sizes[1:] if own and units and not conv else sizes
        return units, self.decoder_for(units or self.latent_dim, body_sizes, conv)

    # What is read

    def read(self, batch: dict) -> dict:
        """The batch as questions show it: with "inputs", what the encoder reads of x."""
        return {**batch, "inputs": self.encoder_inputs(batch["x"], batch.get("observed"))}

    def seen(self, batch: dict, step: StepContext) -> dict:
        """The batch as training shows it, with "inputs", and with "view", what consistency mixes: a dict with "inputs", too."""
        if step.mode == "evaluate":
            return AutoencoderNetwork.read(self, batch)
        observed = batch.get("observed")
        x = self.observation.noisy(batch["x"], step.uniform)
        inputs = view = self.encoder_inputs(x, self._shown(x, observed, step))
        if "view" in batch:
            view = self.encoder_inputs(self.observation.noisy(batch["view"], step.uniform), observed)
        return {**batch, "x": x, "inputs": inputs, "view": {"inputs": view}}

    def encoder_inputs(self, x: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
        """What the encoder reads of x: `MixedLikelihood.features`, and how far each number has come between its quantiles.

        With such pieces a network draws borders across a column as easily as a tree does (Y. Gorishniy et al. 2022, "On
        Embeddings for Numerical Features in Tabular Deep Learning", arXiv 2203.05556, section 3.2).
        """
        values = self.observation.features(x, observed)
        if not self.numbers:
            return values
        edges, number = self.constants.edges.value, tf.gather(x, self.numbers, axis=-1)[..., None]
        pieces = tf.clip_by_value((number - edges[:, :-1]) / tf.maximum(edges[:, 1:] - edges[:, :-1], 1e-6), 0.0, 1.0) - 0.5
        if observed is not None:
            pieces *= tf.gather(observed, self.numbers, axis=-1)[..., None]
        return tf.concat([values, tf.reshape(pieces, (-1, math.prod(pieces.shape[-2:])))], axis=-1)

    def _shown(self, x, observed, step):
        """What the encoder is shown of the observed cells."""
        if not self.masks:
            return observed
        shown = tf.cast(step.uniform(x) > self.constants.mask_rate * step.uniform(x[:, :1]), x.dtype)
        return shown if observed is None else shown * observed

    # Pieces of the terms

    def kl_latent(self, mean: tf.Tensor, log_variance: tf.Tensor, step: StepContext) -> tf.Tensor:
        """KL[q(z) || N(0, 1)] under warm-up, summed over dimensions."""
        return step.warm(self.kl_warmup) * tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)

    def log_prob(self, seen: dict, location: tf.Tensor) -> tf.Tensor:
        """log p(x | location), of what the latent variables are to explain."""
        return observed_log_prob(self.likelihood, seen, location)

    def log_prob_stacked(self, seen: dict, location: tf.Tensor) -> tf.Tensor:
        """log p(x | location) for several locations of each row, (n * rows, n_parameters): (n, rows).

        Where x is (draws, rows, n_columns): (n, draws, rows), for locations of each draw and row.
        """
        spread = {name: tf.expand_dims(seen[name], 0) for name in ("x", "observed") if name in seen}
        return self.log_prob(spread, stacked(location, seen["x"]))

    # After training

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        """(propose, dim): what says what a row may be besides what was observed of it.

        ``propose(eps)`` maps noise, (draws, 1, dim), the same for all rows, to log importance weights of draws of the latent
        variables given the observed cells, (k, rows), and the parameters of p(x) there, (k, rows, n_parameters).
        """
        raise TypeError(f"{type(self).__name__} defines no proposals")

    def log_mean_weight(self, log_weight: Callable, n_draws: int, dim: int) -> tf.Tensor:
        """log of the mean importance weight, (rows,).

        `log_weight` maps noise of some of the draws, (draws, 1, dim), the same for all rows, to (draws, rows).
        """
        n_parts, size = parts_of(n_draws, self.n_classes)
        draws = tf.pad(noise.normal((self.seed, 0), (n_draws, 1, dim)), [[0, n_parts * size - n_draws], [0, 0], [0, 0]])
        if n_parts == 1:
            log_weights = log_weight(draws)
        else:
            parts = tf.map_fn(log_weight, tf.reshape(draws, (n_parts, size, 1, dim)))
            log_weights = tf.reshape(parts, (n_parts * size, -1))[:n_draws]
        return tf.reduce_logsumexp(log_weights, axis=0) - math.log(n_draws)

    @staticmethod
    def seeds(rng: np.random.RandomState) -> Callable[[], tf.Tensor]:
        """A function that gives a new (2,) int32 tensor at every call."""
        return lambda: tf.constant(rng.randint(2**31 - 1, size=2), tf.int32)

    @staticmethod
    def latent_draw(rng: np.random.RandomState, n_rows: int, dim: int) -> tf.Tensor:
        """Standard normal, (n_rows, dim)."""
        return tf.constant(rng.standard_normal((n_rows, dim)), tf.float32)

    def draw_rows(self, location: tf.Tensor, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Draws of x, but means of p(x | location) in the columns where `as_means` is true: an array."""
        draws = self.observation.draw(location, self.seeds(rng))
        return tf.where(as_means, self.observation.mean(location), draws).numpy()
