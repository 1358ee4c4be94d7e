"""A network with a target, a number of each row that is known for some of them."""

import typing

import tensorflow as tf

from keras_ssvae.networks.autoencoder import AutoencoderNetwork
from keras_ssvae.nn import losses
from keras_ssvae.nn.layers import GaussianHead

__all__ = ["RegressorNetwork"]


class RegressorNetwork(AutoencoderNetwork):
    """Base of networks with a Gaussian q(t | x): a family defines `target_moments`, and asks for what targets add to its terms.

    A batch has "target", (rows,), in standard units, where "y" is 0; "y" is -1 elsewhere. It may have "advice", (rows, 2), the
    mean and log variance that experts give to a target they were not shown, or zeros where none was asked.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    label_weight : float
        Rows by row with a target.
    regression_weight : float or "auto"
        Weight of the mean -log q(target | x) against the mean loss of a row; "auto" is the number of columns.
    **kwargs
        As in `AutoencoderNetwork`.
    """

    data_constants = ("label_weight",)
    label_term = "regression"

    def __init__(self, seed: int, *, label_weight: float, regression_weight: float | str, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.regression_weight = regression_weight
        self.set_constants(label_weight=label_weight)
        self.target_head = GaussianHead(1, name="target_head")

    # What a family defines

    def target_moments(self, seen: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """q(t | x) of rows as `seen` or `read` shows them: mean and log variance, (rows, 1)."""
        raise TypeError(f"{type(self).__name__} defines no target_moments")

    # What all share

    def told(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """p(t) of each row, mean and log variance, (rows, 1): what experts say, else standard normal; and where they say it."""
        if "advice" not in batch:
            nothing = tf.zeros_like(batch["x"][:, :1])
            return nothing, nothing, nothing > 0
        mean, log_variance = tf.split(batch["advice"], 2, axis=-1)
        return mean, log_variance, tf.reduce_any(batch["advice"] != 0, axis=-1, keepdims=True)

    def known_or_drawn(self, batch: dict, mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """The target where it is known, a draw of q(t | x) where it is not: (rows, 1)."""
        return tf.where(batch["y"][:, None] >= 0, batch["target"][:, None], losses.gaussian_draw(mean, log_variance, noise))

    def kl_target(self, batch: dict, mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
        """KL[q(t | x) || p(t)] without a known target, and -log p(t) of it where it is known: (rows,)."""
        prior_mean, prior_log_variance, _ = self.told(batch)
        kl = losses.relative_gaussian_kl(mean, log_variance, prior_mean, prior_log_variance)[:, 0]
        known = -losses.gaussian_log_prob(batch["target"][:, None], prior_mean, prior_log_variance)[:, 0]
        return tf.where(batch["y"] >= 0, known, kl)

    def regression(self, batch: dict, mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
        """The weighted -log q(target | x), (rows,), 0 without a target.

        Where experts are asked, every row has one: what they say, which is uncertain by their variance.
        """
        y, target = batch["y"][:, None] >= 0, batch["target"][:, None]
        weight = float(self.observation.n_columns) if self.regression_weight == "auto" else self.regression_weight
        known = tf.where(y, -self.constants.label_weight * losses.gaussian_log_prob(target, mean, log_variance), 0.0)
        said, said_log_variance, is_told = self.told(batch)
        said = tf.where(y, target, said)
        told = 0.5 * tf.exp(said_log_variance - log_variance) - losses.gaussian_log_prob(said, mean, log_variance)
        return weight * tf.where(is_told, told, known)[:, 0]

    # After training

    def target(self, batch: dict) -> tf.Tensor:
        """q(t | x): mean and standard deviation, (rows, 2)."""
        mean, log_variance = self.target_moments(self.read(batch))
        return tf.concat([mean, tf.exp(0.5 * log_variance)], axis=-1)
