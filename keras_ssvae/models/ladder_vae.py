"""LadderVAE: a hierarchy of latent variables, with the class at its top."""

import numbers
import typing
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

from keras_ssvae._compat.sklearn import get_output_config
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.blockwise import blockwise
from keras_ssvae.estimators.mixins import DensityMixin, SemiSupervisedMixin, StyleMixin
from keras_ssvae.estimators.parameters import Interval, estimator, param
from keras_ssvae.networks.autoencoder import stacked
from keras_ssvae.networks.classifier import ClassifierNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, GaussianHead, LabelMerge
from keras_ssvae.nn.normalization import NormalizedDense

__all__ = ["LadderVAE", "LadderVAENetwork"]


class LadderVAENetwork(ClassifierNetwork):
    """p(y) p(z_L) p(z_L-1 | z_L, y) p(z_L-2 | z_L-1) ... p(x | z_1), with q(y | x) q(z_L | x) q(z_L-1 | x, z_L, y) ... in turn.

    Bottom up, dense layers give features of x, one layer a level, and of these what each level says of its own z. Top down,
    the prior of each z follows from the z above, and its posterior is the product of both Gaussians. All tensors of levels
    below the top hold every row once for each class, the rows with the first class coming first.

    Parameters
    ----------
    seed, level_dims, **kwargs
        As in `keras_ssvae.networks.classifier.ClassifierNetwork`, and in `LadderVAE`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, level_dims: tuple | None = None, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        (encoder, decoder), sizes, lower = self.held.bodies, self.sizes, range(len(self.sizes) - 1)
        self.level_dims = _level_dims(self.latent_dim, sizes, level_dims)
        self.encoder_body = self.encoder_for(sizes[:1] if encoder == "conv" else (), default="mlp")
        self.encoder = self.encoder_body.model
        conv, activation = backbones.has_convolutions(self.encoder), self.activation
        self.up = [NormalizedDense(units, activation, name=f"up_{i + 1}") for i, units in enumerate(sizes)]
        self.heads = [GaussianHead(dim, name=f"posterior_{i + 1}") for i, dim in enumerate(self.level_dims)]
        self.pi = Dense(self.n_classes, name="pi")

        dense = decoder == "mlp" or (decoder is None and not conv)  # else the body below reads z_1 itself
        self.merge = LabelMerge(self.n_classes, sizes[-1] if dense or lower else None, activation, name="merge")
        self.prior_heads = [GaussianHead(self.level_dims[i], name=f"prior_{i + 1}") for i in lower]
        self.down = [Dense(sizes[i], activation, name=f"down_{i + 1}") for i in lower]
        if lower and not dense:
            self.down[0] = keras.layers.Identity(name="down_1", dtype="float32")
        input_dim, body_sizes = (sizes[0], ()) if dense else (self.level_dims[0], sizes[:1])
        decoder_body = self.decoder_for(input_dim, body_sizes, conv, "mlp" if dense else None)
        self.decoder = decoder_body.model
        self.likelihood = self.observation.after(decoder_body.output_kind)

    def class_variables(self) -> list[tuple]:
        return [(self.pi.kernel, 1), (self.pi.bias, 0), (self.merge.shift, 0), *super().class_variables()]

    # The two passes

    def ascend(self, seen: dict, *learning: tf.Tensor) -> list[tf.Tensor]:
        """The features of each level; `learning` is what `nn.normalization.BatchNormalization` reads inside a step."""
        d = backbones.run(self.encoder_body, seen["inputs"])
        levels = []
        for layer in self.up:
            d = layer(d, *learning)
            levels.append(d)
        return levels

    def likely(self, features: list[tf.Tensor]) -> list[tuple]:
        """What x says of each level: means and log variances, by level."""
        return [head(d) for head, d in zip(self.heads, features, strict=True)]

    def logits(self, seen: dict) -> tf.Tensor:
        return self.pi(self.ascend(seen)[-1])

    def descend(self, z: tf.Tensor, choose: Callable, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Parameters of p(x | z_1), from the topmost z and `choose`: (level below the top, counted from 0, mean and log
        variance of its prior) -> z of this level. Each row with its `labels`, (rows, n_classes); None: with every class."""
        h = self.merge(z, labels)
        for i in reversed(range(len(self.down))):
            h = self.down[i](choose(i, *self.prior_heads[i](h)))
        return self.likelihood(self.decoder(h))

    def posterior(self, likely: list[tuple], i: int, mean: tf.Tensor, log_variance: tf.Tensor, n_each: int) -> tuple:
        """q(z | x, z above, y) of a level below the top, from its prior, of `n_each` copies of each row."""
        of_x, log_variance_of_x = (tf.tile(values, (n_each, 1)) for values in likely[i])
        return losses.precision_weighted(of_x, log_variance_of_x, mean, log_variance)

    # Training

    def loss_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        seen = self.seen(batch, step)
        features = self.ascend(seen, *self._learning(batch, step))
        logits, likely = self.pi(features[-1]), self.likely(features)
        r = losses.responsibilities(batch["y"], logits)
        values = self._bound(seen, likely, r, step)
        values["kl_label"] = losses.categorical_kl(r, self.log_prior)
        values["classification"] = self.classification(batch["y"], logits)
        return values | self.consistency_terms(batch, r, lambda: seen["view"], step)

    def _learning(self, batch, step):
        """Inside an optimizer step, each row's share of the batch, and the pace of running means; nothing outside."""
        if step.mode != "train":
            return ()
        pace = tf.minimum(10.0 * tf.cast(step.learning_rate, tf.float32), 0.1)  # Adam moves a weight by the learning rate
        return batch["weight"] / tf.maximum(tf.reduce_sum(batch["weight"]), 1e-12), pace

    def _bound(self, seen, likely, r, step):
        """The addends of the negative bound on log p(x | y), averaged over y with weights r."""
        kl, weights, n_each = {}, r, self.n_classes
        if step.all_labeled:
            weights, n_each = tf.ones_like(r[:, :1]), 1

        def mean_over_classes(values):
            return tf.reduce_sum(tf.transpose(weights) * tf.reshape(values, (n_each, -1)), axis=0)

        def draw(i, prior_mean, prior_log_variance):
            mean, log_variance = self.posterior(likely, i, prior_mean, prior_log_variance, n_each)
            by_dim = losses.relative_gaussian_kl(mean, log_variance, prior_mean, prior_log_variance)
            kl[i] = step.warm(self.kl_warmup) * mean_over_classes(tf.reduce_sum(by_dim, axis=-1))
            eps = step.normal(likely[i][0])  # one noise for all classes: their differences are then no matter of luck
            return losses.gaussian_draw(mean, log_variance, tf.tile(eps, (n_each, 1)))

        top_kl = self.kl_latent(*likely[-1], step)
        z = losses.gaussian_draw(*likely[-1], step.normal(likely[-1][0]))
        location = self.descend(z, draw, r if step.all_labeled else None)
        reconstruction = -tf.reduce_sum(tf.transpose(weights) * self.log_prob_stacked(seen, location), axis=0)
        names = {f"kl_latent_{i + 1}": kl[i] for i in sorted(kl)}
        return {"reconstruction": reconstruction, **names, f"kl_latent_{len(likely)}": top_kl}

    # After training: functions of rows, each row by itself

    def encode(self, batch: dict) -> tf.Tensor:
        """E[z_L | x]."""
        return self.heads[-1](self.ascend(self.read(batch))[-1])[0]

    def style_and_logits(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        top = self.ascend(self.read(batch))[-1]
        return self.heads[-1](top)[0], self.pi(top)

    def encode_levels(self, batch: dict) -> tf.Tensor:
        """Posterior means of all levels side by side, the lowest first: each given the means above, averaged over q(y | x)."""
        means, _, probabilities = self._means(batch)
        averages = [
            tf.einsum("rk,krd->rd", probabilities, tf.reshape(mean, (self.n_classes, -1, mean.shape[-1])))
            for mean in means[:-1]
        ]
        return tf.concat([*averages, means[-1]], axis=-1)

    def _means(self, batch):
        """Posterior means by level, those below the top for every class; the parameters of p(x | z_1) there; and q(y | x)."""
        features = self.ascend(self.read(batch))
        likely = self.likely(features)
        means = [mean for mean, _ in likely]

        def choose(i, prior_mean, prior_log_variance):
            means[i], _ = self.posterior(likely, i, prior_mean, prior_log_variance, self.n_classes)
            return means[i]

        location = self.descend(means[-1], choose)
        return means, location, tf.nn.softmax(self.pi(features[-1]))

    def _mix(self, location, r):
        """The mean over classes, weighted by r, of E[x | z_1]."""
        expectation = self.observation.expectation(tf.reshape(location, (self.n_classes, -1, location.shape[-1])))
        return self.mean_over_classes(expectation, r)

    def decode(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """E[x | z_L] with class probabilities r; the levels below are at the means of their priors."""
        return self._mix(self.descend(z, lambda i, mean, log_variance: mean), r)

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | posterior means], weighted by q(y | x)."""
        _, location, probabilities = self._means(batch)
        return self._mix(location, probabilities)

    def log_likelihood(self, batch: dict, n_draws: int) -> tf.Tensor:
        """log of the mean importance weight, (rows,); a weight is a sum over y, and every class has its own z below the top."""
        likely = self.likely(self.ascend(self.read(batch)))

        def log_weight(eps):
            by_class, of_all, _ = self._weighted(batch, likely, eps)
            return tf.reshape(of_all + tf.reduce_logsumexp(by_class, axis=0), (eps.shape[0], -1))

        return self.log_mean_weight(log_weight, n_draws, sum(self.level_dims))

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        likely = self.likely(self.ascend(self.read(batch)))

        def propose(eps):
            by_class, of_all, location = self._weighted(batch, likely, eps)
            log_weight = tf.reshape(by_class + of_all, (self.n_classes * eps.shape[0], -1))
            return log_weight, stacked(location, batch["x"])

        return propose, sum(self.level_dims)

    def _weighted(self, batch, likely, eps):
        """`_weighted_each` of all rows, once for each draw of the noise, (draws, 1, all levels)."""
        n_draws = eps.shape[0]
        each = [tuple(tf.tile(values, (n_draws, 1)) for values in level) for level in likely]
        rows = tf.repeat(eps[:, 0], tf.shape(batch["x"])[0], axis=0)
        return self._weighted_each(batch, each, tf.split(rows, self.level_dims, axis=-1))

    def _weighted_each(self, batch, likely, eps):
        """log p(y) p(x, z below | y) / q(z below | x, y) of every class, log p(z) / q(z | x) at the top, and the parameters of
        p(x | z), at z from the noise eps of each level, (rows, ..)."""
        log_ratios = []

        def draw(i, prior_mean, prior_log_variance):
            mean, log_variance = self.posterior(likely, i, prior_mean, prior_log_variance, self.n_classes)
            z = losses.gaussian_draw(mean, log_variance, tf.tile(eps[i], (self.n_classes, 1)))
            log_ratio = losses.gaussian_log_ratio(z, mean, log_variance, prior_mean, prior_log_variance)
            log_ratios.append(tf.reshape(log_ratio, (self.n_classes, -1)))
            return z

        z = losses.gaussian_draw(*likely[-1], eps[-1])
        location = self.descend(z, draw)
        log_p_x = tf.reshape(self.log_prob_stacked(batch, location), (self.n_classes, -1))
        by_class = tf.add_n([log_p_x, *log_ratios]) + self.log_prior[:, None]
        return by_class, losses.gaussian_log_ratio(z, *likely[-1]), location

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Rows of x of the given classes: draws, but means of p(x | z_1) in the columns where `as_means` is true."""

        def draw(i, mean, log_variance):
            return losses.gaussian_draw(mean, log_variance, self.latent_draw(rng, *mean.shape))

        z = self.latent_draw(rng, len(y_index), self.level_dims[-1])
        return self.draw_rows(self.descend(z, draw, tf.one_hot(y_index, self.n_classes)), rng, as_means)


def _level_dims(latent_dim, sizes, lower):
    """Number of dimensions of z by level, the lowest first."""
    if not sizes:
        raise ValueError("hidden_layer_sizes must hold at least one size, one a level; got ().")
    if lower is None:
        lower = [min(latent_dim * 2**k, size) for k, size in zip(range(len(sizes) - 1, 0, -1), sizes, strict=False)]
    elif len(lower) != len(sizes) - 1 or not all(isinstance(dim, numbers.Integral) and dim >= 1 for dim in lower):
        raise ValueError(
            f"level_dims must hold a positive integer for each of the {len(sizes) - 1} levels below the top (there are as many "
            f"levels as hidden_layer_sizes has entries); got {lower!r}."
        )
    return [*map(int, lower), latent_dim]


@estimator
class LadderVAE(SemiSupervisedMixin, StyleMixin, DensityMixin, GenerativeEstimator):
    """A ladder of latent variables: several levels, each with the one above as its prior, and the class at the top.

    The model of L levels is ``p(y) p(z_L) p(z_L-1 | z_L, y) p(z_L-2 | z_L-1) ... p(x | z_1)`` with standard normal p(z_L); with
    one level it is ``p(y) p(z_1) p(x | z_1, y)``. Of x, the encoder makes features level by level, bottom up, and from each
    level's features a Gaussian of its z. The posterior ``q(z_l | x, z_l+1, y)`` is the product of this Gaussian and of the
    prior that comes from above: the mean weighted by precision, the precision the sum of both. The topmost features give
    ``q(z_L | x)`` and ``q(y | x)``. With r(y) the label of a row where it is known and q(y | x) where it is not, the loss of a
    row, in nats, is ::

        sum_y r(y) [-log p(x | z_1) + sum_l KL[q(z_l | x, z_l+1, y) || p(z_l | z_l+1, y)]] + KL[q(z_L | x) || p(z_L)]
            + KL[r(y) || p(y)]
            + classification_weight * rows / labelled rows * [-log q(label | x)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    The sum over y is exact: what lies below the top is computed for every class, with the same noise, while the encoder
    and z_L are there once.

    Parameters
    ----------
    latent_dim : int, default=10
        Number of dimensions of the topmost z.
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Units of the dense layers of the encoder, one layer a level, the lowest first; so their number is that of the levels.
        The way down mirrors them.
    encoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        Body that reads x, below the layers of the levels: as in `SemiSupervisedVAE`, but None and "mlp" are none, and "conv"
        is convolutions and a dense layer. It returns features.
    decoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        Body that reads z_1. None takes convolutions if the encoder does, and a dense layer elsewhere. If it returns as many
        values as a row has, they are the mean of x.
    level_dims : None or tuple of int, default=None
        Number of dimensions of z in the levels below the top, the lowest first. None doubles them from level to level
        downwards, but to no more than the level's units.
    kl_warmup : float, default=0.3
        Share of the steps over which the weight of the KL terms of all levels rises from 0 to 1. From the start at full weight,
        upper levels are switched off before they have learned anything.

    Attributes
    ----------
    network_ : LadderVAENetwork
        The trained Keras model; its ``level_dims`` are the dimensions of all levels, the lowest first.
    history_ : DataFrame
        One row an epoch: "stage", "loss" and its terms, in nats a row; "kl_latent_1" is the KL of the lowest level.

    See Also
    --------
    SemiSupervisedVAE : One level; for images in three stages.

    Notes
    -----
    The encoder's features are standardised over each batch in training, every row as often as it counts, and by running
    means afterwards, which move in optimizer steps only: predictions of a row do not depend on other rows. The rows that the
    consistency term mixes are read as in prediction.

    References
    ----------
    C. K. Sonderby et al. (2016), "Ladder Variational Autoencoders", arXiv 1602.02282, eq. 12-19: the two passes; section 2.3:
    the warm-up.
    Y. Burda et al. (2016), "Importance Weighted Autoencoders", arXiv 1509.00519, eq. 8: `score_samples`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import LadderVAE, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LadderVAE(latent_dim=2, hidden_layer_sizes=(32, 16), random_state=0)
    >>> model = model.fit(X, mask_labels(y, labeled=15, random_state=0))
    >>> model.score(X, y) > 0.85
    True
    >>> model.transform(X).shape, model.transform(X, level=1).shape
    ((150, 5), (150, 4))
    """

    level_dims: tuple | None = param(default=None, accepts=[None, "array-like"])
    kl_warmup: float = param(default=0.3, accepts=[Interval(numbers.Real, 0, 1, closed="both")])

    _network_class: typing.ClassVar[typing.Any] = LadderVAENetwork

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        lower = params["level_dims"]
        return {**params, "level_dims": None if lower is None else tuple(lower)}

    @blockwise
    def transform(self, X: npt.ArrayLike, level: int | str | None = None) -> np.ndarray:
        """What the encoder says of rows, or the posterior means of the latent variables of a level.

        Parameters
        ----------
        level : None, int or "all", default=None
            None: z of the topmost level and, unless `representation` is "style", the class; it is what `get_feature_names_out`
            names. 1 is the lowest level; "all" puts all levels side by side, the lowest first. Of a level there is z alone;
            below the top, the means are those given the means above, averaged over q(y | x).

        Returns
        -------
        Z : (n, latent_dim + n_classes) or (n, dimensions of the level) array
            E[z | x]; with level=None, beside it log q(y | x) of each class less its mean, as in `SemiSupervisedVAE`.

        Raises
        ------
        ValueError
            If there is no such level, or if `set_output` asks for a container with names of columns, which levels do not have.
        """
        if level is None:
            return super().transform(X)
        check_is_fitted(self)
        columns = self._columns_of(level)
        if get_output_config("transform", self)["dense"] != "default":
            raise ValueError(f"level must be None where set_output asks for a frame: its columns have no names; got {level!r}.")
        return self._latent_means(X, "encode_levels")[:, columns]

    def _columns_of(self, level):
        """Where a level stands among all of them side by side."""
        if isinstance(level, str) and level == "all":
            return slice(None)
        ends = np.cumsum(self.network_.level_dims)
        if not isinstance(level, numbers.Integral) or not 1 <= level <= len(ends):
            raise ValueError(f'level must be None, "all" or an integer from 1 to {len(ends)}; got {level!r}.')
        return slice(ends[level - 1] - self.network_.level_dims[level - 1], ends[level - 1])
