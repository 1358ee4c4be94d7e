"""A network whose rows come from several domains: the decoder reads which, and the latent variables leave it out."""

import typing

import numpy as np
import tensorflow as tf

from keras_ssvae.networks.latent_class import LatentClassNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.layers import Dense

__all__ = ["DomainNetwork"]

BANDWIDTHS = (0.25, 1.0, 4.0)  # of the kernels, in units of the distance of two draws of the prior


def discrepancy(z: tf.Tensor, domain: tf.Tensor) -> tf.Tensor:
    """Squared maximum mean discrepancy between the rows of each domain and all rows, averaged over the domains of the batch.

    A. Gretton et al. (2012), "A Kernel Two-Sample Test", eq. 3, with a sum of Gaussian kernels.

    Parameters
    ----------
    z : (rows, latent_dim) tensor
        Latent variables.
    domain : (rows, n_domains) tensor
        One-hot domains.
    """
    square = tf.reduce_sum(tf.square(z), axis=-1)
    apart = tf.maximum(square[:, None] + square[None] - 2.0 * tf.matmul(z, z, transpose_b=True), 0.0) / (2.0 * z.shape[-1])
    kernel = sum(tf.exp(-apart / width) for width in BANDWIDTHS) / len(BANDWIDTHS)
    count = tf.reduce_sum(domain, axis=0)
    share = domain / tf.maximum(count, 1.0) - tf.reduce_sum(domain, axis=-1, keepdims=True) / tf.reduce_sum(count)
    by_domain = tf.reduce_sum(share * tf.matmul(kernel, share), axis=0)
    present = tf.cast(count > 0, z.dtype)
    return tf.reduce_sum(present * by_domain) / tf.reduce_sum(present)


class DomainNetwork(LatentClassNetwork):
    """A `LatentClassNetwork` whose rows may come from several domains: p(y) p(z) p(v | z, y, d).

    q never reads the domain d, so that questions need not know it; z is trained to look alike in all domains, and q(d | v), a
    linear classifier beside all else, tells where a row comes from if it is not said. With a code below, d moves the code.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    n_domains : int, default=0
        Number of domains; 0: the model knows of none.
    **kwargs
        As in `LatentClassNetwork`.
    """

    def __init__(self, seed: int, *, n_domains: int = 0, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.n_domains = n_domains
        if n_domains:
            self.domain_head = Dense(n_domains, name="domain_head")
            if self.merge.dense is None:  # a decoder of the user's reads as many values as z has
                shape = n_domains, self.latent_dim
                self.domain_shift = self.add_weight(shape=shape, initializer="zeros", name="domain_shift")

    def domain_layers(self) -> list:
        """The layers of q(d | v)."""
        return [self.domain_head] if self.n_domains else []

    def domain_logits(self, seen: dict) -> tf.Tensor:
        """Unnormalised log q(d | v), (rows, n_domains)."""
        inputs = seen["inputs"]
        return self.domain_head(tf.stop_gradient(tf.reshape(inputs, (-1, int(np.prod(inputs.shape[1:]))))))

    def domain_of(self, seen: dict) -> tf.Tensor:
        """The domain of rows where it is given, and q(d | v) where it is not: (rows, n_domains)."""
        return seen["domain"] if "domain" in seen else tf.nn.softmax(self.domain_logits(seen))

    def joined(self, z: tf.Tensor, domain: tf.Tensor) -> tf.Tensor:
        """z and domains as the decoder reads them."""
        if self.merge.dense is None:
            return z + tf.matmul(domain, self.domain_shift)
        return tf.concat([z, domain], axis=-1)

    def with_domain(self, z: tf.Tensor, seen: dict) -> tf.Tensor:
        """z of rows, or several z of all of them below each other, as the decoder reads it; as it is without domains."""
        if not self.n_domains:
            return z
        domain = self.domain_of(seen)
        return self.joined(z, tf.tile(domain, (tf.shape(z)[0] // tf.shape(domain)[0], 1)))

    def domain_terms(self, seen: dict, z: tf.Tensor, step: StepContext) -> dict[str, tf.Tensor]:
        """What domains add to the loss: -log q(d | v), and the discrepancy of z, a nat for each value."""
        if not self.n_domains or step.mode == "evaluate":
            return {}
        apart = self.loss_scale() * discrepancy(z, seen["domain"])
        told = -tf.reduce_sum(seen["domain"] * tf.nn.log_softmax(self.domain_logits(seen)), axis=-1)
        return {"domain": told, "domain_discrepancy": tf.fill(tf.shape(told), apart)}

    # After training

    def decode(self, z: tf.Tensor, r: tf.Tensor, domain: tf.Tensor | None = None) -> tf.Tensor:
        return super().decode(z if domain is None else self.joined(z, domain), r)

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | posterior mean] as if of the batch's "domain", through z, where there is one; else of the row's own domain."""
        return self.reconstruction(self.read(batch)) if "domain" in batch else super().reconstruct(batch)

    def reconstruction(self, seen: dict) -> tf.Tensor:
        r = tf.nn.softmax(self.logits(seen))
        return self.decode(self.latent_mean(seen), r, self.domain_of(seen) if self.n_domains else None)

    def sample(
        self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray, domain: np.ndarray | None = None
    ) -> np.ndarray:
        """As in `LatentClassNetwork`; `domain` is the index of each row's, where the model knows of any."""
        if domain is None:
            return super().sample(y_index, rng, as_means)
        z = self.joined(self.latent_draw(rng, len(y_index), self.latent_dim), tf.one_hot(domain, self.n_domains))
        location = self.location(z, tf.one_hot(y_index, self.n_classes))
        if self.lower is not None:
            location = self.lower.decode(self.code_at(location, rng))
        return self.draw_rows(location, rng, as_means)
