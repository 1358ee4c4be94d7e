"""A network that reads rows: what the encoder is shown of them, and the distribution of what the decoder gives."""

import math

import tensorflow as tf

from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.networks.base import Network, shape_of
from keras_ssvae.nn import backbones, losses, noise

__all__ = ["AutoencoderNetwork"]


class AutoencoderNetwork(Network):
    """Base of all networks of rows: encoder and decoder bodies on the columns of a table or the pixels of images.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    table : TablePreprocessor
        Kinds and scaling of the columns of x.
    mask_rate : float, default=0
        Largest share of the cells of a row that training hides from the encoder.
    kl_warmup : float, default=0
        Share of a stage's steps over which the weight of the latent variables' KL terms rises from 0 to 1.
    """

    data_constants = ("mask_rate",)

    def __init__(self, seed, *, table, mask_rate=0.0, kl_warmup=0.0, **kwargs):
        super().__init__(seed, **kwargs)
        self.image_shape = table.image_shape_
        self.masks = mask_rate > 0
        self.give(mask_rate=mask_rate)
        self.kl_warmup = kl_warmup
        self.observation = MixedLikelihood.of_table(table, name="likelihood")

    def given_variables(self):
        return super().given_variables() + self.observation.given_variables()

    # Bodies

    def _encoder_body(self, encoder, sizes, activation, latent=None):
        """The body that reads what `MixedLikelihood.features` gives; `latent` is (parameter name, number of dimensions)."""
        body = backbones.resolve_encoder(encoder, self.image_shape, self.observation.n_features, sizes, activation)
        given = [output.shape[-1] for output in body.model.outputs[1:]]
        if any(latent is None or dim != latent[1] for dim in given):
            wanted = "features alone" if latent is None else f"{latent[0]}={latent[1]}"
            raise ValueError(f"encoder gives a mean and log variance of {given} dimensions; it needs {wanted}.")
        return body

    def _decoder_body(self, decoder, input_dim, sizes, activation, conv):
        """The body below p(x | latent variables)."""
        n_columns = self.observation.n_columns
        return backbones.resolve_decoder(decoder, input_dim, self.image_shape, n_columns, sizes, activation, conv)

    def _split_decoder(self, decoder, latent_dim, sizes, activation, conv):
        """(units, body): the width of the layer that reads the latent variables first, None without one, and all after it.

        A decoder of the user's reads the latent variables itself; one of ours leaves its first layer to the network, which may
        read the class there, too.
        """
        own = decoder is None or isinstance(decoder, str)
        units = sizes[0] if own and sizes else None
        body_sizes = sizes[1:] if own and units and not conv else sizes
        return units, self._decoder_body(decoder, units or latent_dim, body_sizes, activation, conv)

    # Pieces of the terms

    def _warm(self, share):
        """A weight that rises from 0 to 1 over a share of the steps."""
        return 1.0 if share == 0 else tf.minimum(self.progress / share, 1.0)

    def _draw(self, mean, log_variance):
        return losses.gaussian_draw(mean, log_variance, self.normal(mean))

    def _kl_latent(self, mean, log_variance):
        """KL[q(z) || N(0, 1)] under warm-up, summed over dimensions."""
        return self._warm(self.kl_warmup) * tf.reduce_sum(losses.gaussian_kl(mean, log_variance), axis=-1)

    def _log_prob(self, likelihood, batch, location):
        """log p(x | location) of the observed cells, summed: (rows,)."""
        by_column = likelihood.log_prob(batch["x"], location)
        return tf.reduce_sum(by_column * batch["observed"] if "observed" in batch else by_column, axis=-1)

    def _log_prob_active(self, target, location):
        """log p(x | location), of what the latent variables are to explain."""
        return self._log_prob(self.likelihood, target, location)

    def _log_prob_stacked(self, target, location):
        """log p(x | location) for several locations of each row, (n * rows, n_parameters): (n, rows)."""
        location = tf.reshape(location, (-1, shape_of(target["x"])[0], location.shape[-1]))
        spread = {name: tf.expand_dims(target[name], 0) for name in ("x", "observed") if name in target}
        return self._log_prob_active(spread, location)

    def _seen(self, batch):
        """The batch as a training step sees it; "inputs" is what the encoder reads of x, "view" what consistency mixes."""
        observed = batch.get("observed")
        if self.is_testing:
            return {**batch, "inputs": self.observation.features(batch["x"], observed)}
        x = self.observation.noisy(batch["x"], self.uniform)
        seen = {**batch, "x": x, "inputs": self.observation.features(x, self._mask(x, observed))}
        if "view" in batch:
            view = self.observation.noisy(batch["view"], self.uniform)
            return {**seen, "view": self.observation.features(view, observed)}
        return {**seen, "view": seen["inputs"]}

    def _mask(self, x, observed):
        """What the encoder is shown of the observed cells."""
        if not self.masks:
            return observed
        shown = tf.cast(self.uniform(x) > self.given.mask_rate * self.uniform(x[:, :1]), x.dtype)
        return shown if observed is None else shown * observed

    # After training

    def _log_mean_weight(self, log_weight, n_draws, dim):
        """log of the mean importance weight, (rows,); `log_weight` maps noise (1, dim), the same for all rows, to (rows,)."""
        draws = noise.normal((self.seed, 0), (n_draws, 1, dim))
        one_by_one = tf.executing_eagerly()  # where map_fn would translate the function at every call
        log_weights = tf.stack([log_weight(draw) for draw in draws]) if one_by_one else tf.map_fn(log_weight, draws)
        return tf.reduce_logsumexp(log_weights, axis=0) - math.log(n_draws)

    @staticmethod
    def _seeds(rng):
        """A function that gives a new (2,) int32 tensor at every call."""
        return lambda: tf.constant(rng.randint(2**31 - 1, size=2), tf.int32)

    @staticmethod
    def _latent_draw(rng, n_rows, dim):
        return tf.constant(rng.standard_normal((n_rows, dim)), tf.float32)

    def _draw_rows(self, location, rng, as_means):
        """Draws of x, but means of p(x | location) in the columns where `as_means` is true: an array."""
        draws = self.observation.draw(location, self._seeds(rng))
        return tf.where(as_means, self.observation.mean(location), draws).numpy()
