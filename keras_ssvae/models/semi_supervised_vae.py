"""SemiSupervisedVAE: the pi layer on any VAE."""

import copy
import dataclasses
import typing

import keras
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.labels import LabelCodec
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.domains import DomainMixin
from keras_ssvae.estimators.fit_data import ask_for_classes, found_by_experts
from keras_ssvae.estimators.mixins import CodeMixin, DensityMixin, SemiSupervisedMixin, StyleMixin, bodies_are_ours
from keras_ssvae.estimators.parameters import AUTO, POSITIVE, StrOptions, estimator, param
from keras_ssvae.models.vae import VAE, VAENetwork
from keras_ssvae.networks.autoencoder import as_rows
from keras_ssvae.networks.image_classifier import ImageNetwork
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import Dense, PiLayer

__all__ = ["SemiSupervisedVAE", "SemiSupervisedVAENetwork"]

SMALLEST = 8  # side of an image that convolutions are worth while for
DENSE = 1024  # numbers of an image up to which dense layers are as good a body for its code as convolutions, and far faster


class SemiSupervisedVAENetwork(ImageNetwork):
    """p(y) p(z) p(v | z, y), with q(z | v) q(y | v); v is x itself, or the code of a VAE below it.

    Parameters
    ----------
    seed, label_input, **kwargs
        As in `keras_ssvae.networks.image_classifier.ImageNetwork`, and in `SemiSupervisedVAE`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, label_input: str, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.label_input = label_input

    def make_posterior(self, units: int | None) -> None:
        if self.encoder_body.output_kind == "gaussian":
            self.pi = Dense(self.n_classes, name="pi")
        else:
            self.pi = PiLayer(self.latent_dim, self.n_classes, name="pi_layer")

    def posterior_layers(self) -> list:
        return [self.encoder, self.pi, *self.domain_layers()]

    def class_variables(self) -> list[tuple]:
        pi = self.pi if self.encoder_body.output_kind == "gaussian" else self.pi.pi
        return [(pi.kernel, 1), (pi.bias, 0), *super().class_variables()]

    def inherit_vae(self, vae: VAENetwork) -> None:
        """Take over all weights of a `VAENetwork` of the same table, bodies and latent variables; one class, without effect."""
        pairs = [(self.encoder, vae.encoder), (self.decoder, vae.decoder), (self.likelihood, vae.likelihood)]
        if vae.head is not None:
            pairs.append((self.pi.gaussian, vae.head))
        if self.merge.dense is not None:
            pairs.append((self.merge.dense, vae.entry))
        for mine, theirs in pairs:
            mine.set_weights(theirs.get_weights())
        self.merge.shift.assign(tf.zeros_like(self.merge.shift))

    def posterior(self, seen: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """q(z | v) and q(y | v): mean, log variance, logits of pi."""
        out = backbones.run(self.encoder_body, seen["inputs"])
        if self.encoder_body.output_kind == "gaussian":
            features, mean, log_variance = out
            return mean, log_variance, self.pi(features)
        return self.pi(out)

    def logits(self, seen: dict) -> tf.Tensor:
        out = backbones.run(self.encoder_body, seen["inputs"])
        return self.pi(out[0]) if self.encoder_body.output_kind == "gaussian" else self.pi.pi(out)

    def latent_mean(self, seen: dict) -> tf.Tensor:
        return self.posterior(seen)[0]

    def style_and_logits(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        mean, _, logits = self.posterior(self.read(batch))
        return mean, logits if self.image_pi is None else self.class_logits(batch)

    def bound(self, seen: dict, y: tf.Tensor, step: StepContext) -> tuple[dict, tf.Tensor, tf.Tensor]:
        mean, log_variance, logits = self.posterior(seen)
        z = losses.gaussian_draw(mean, log_variance, step.normal(mean))
        r = self.told_responsibilities(seen, y, logits, step)
        joined = self.with_domain(z, seen)
        if self.label_input == "marginal":
            parts = self.parts(y, r, step, self.choice(r, tf.math.log(r + 1e-20), step))
            z_of_parts = zip(parts, self.by_part(parts, joined), strict=True)
            merged = [self.merge(z_of_part, classes=part.classes) for part, z_of_part in z_of_parts]
            reconstruction = -self.averaged(parts, self.log_prob_of_parts(parts, seen, merged))
        else:
            reconstruction = -self.log_prob(seen, self.location(joined, r))
        values = {
            "reconstruction": reconstruction,
            "kl_latent": self.kl_latent(mean, log_variance, step),
            "kl_label": losses.categorical_kl(r, self.row_log_prior(seen)),
            **self.domain_terms(seen, z, step),
        }
        return values, logits, r

    def weighted(self, seen: dict, eps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | float, tf.Tensor]:
        """log p(y) p(v | z, y) of every class, and log p(z) / q(z | v), at z from the noise eps."""
        mean, log_variance, _ = self.posterior(seen)
        z = losses.gaussian_draw(mean, log_variance, eps)
        location = self.likelihood(self.decoder(self.merge(self.with_domain(as_rows(z), seen))))
        by_class = tf.reshape(self.log_prob_stacked(seen, location), (self.n_classes, eps.shape[0], -1))
        return by_class + self.log_prior[:, None, None], losses.gaussian_log_ratio(z, mean, log_variance), location


@estimator
class SemiSupervisedVAE(DomainMixin, CodeMixin, SemiSupervisedMixin, StyleMixin, DensityMixin, GenerativeEstimator):
    """The pi layer on any variational autoencoder: one model from no label to all labels.

    The encoder's topmost layer gives mu, sigma and pi, the class probabilities; the decoder reads z and the class. The model
    is ``p(y) p(z) p(v | z, y)`` with ``q(z | v) q(y | v)``, where v is the row x itself or, for images, the
    code u of a variational autoencoder below: ``p(y) p(z) p(u | z, y) p(x | u)`` with ``q(u | x) q(z | x) q(y | x)``.
    With r(y) the label of a row where it is known and q(y | v) where it is not, the loss of a row, in nats, is ::

        sum_y r(y) [-log p(v | z, y)] + KL[q(z | v) || p(z)] + KL[r(y) || p(y)]
            + classification_weight * rows / labelled rows * [-log q(label | v)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    Parameters
    ----------
    encoder : ...
        It may also return the outputs [mean, log variance, ...] of a variational autoencoder's encoder as it is.
    label_input : {"marginal", "soft"}, default="marginal"
        "marginal": the decoder is called with every class and weighted by r. "soft": it is called once, with r itself, as in
        the paper.
    piecewise : bool or "auto", default="auto"
        Whether the encoder reads each number of a table of up to 64 columns once more, piece by piece between its quantiles, by
        which a border across a column is as easily learned as by a tree. Needs an encoder of ours. "auto": unless
        `experts` is None, whose opinions have such borders.
    convolutional_pi : bool or "auto", default="auto"
        Whether images have one more pi, whose convolutions read the pixels, and which answers: a classifier that is taught
        the labels, and what the other pi says of other images, each shifted, turned and stretched a little, or changed by
        `augmentation`. Where there is one, `encoder` and `decoder` that are None are dense up to 1,024 numbers an image.
        "auto": for images with sides of at least 8 pixels, unless `encoder` or `decoder` is the user's own, or a weight of
        labels or consistency is 0.
    n_enumerated : int, None or "auto", default="auto"
        Number of classes, the most probable ones of each row, that the decoder is called with. One of the other classes is
        drawn for all of them; the loss and its gradient keep their expectations. None: all classes. "auto": 3 where experts
        tell which classes matter, and there are more than 5.

    Attributes
    ----------
    evidence_ : DataFrame or None
        What left-out labels say of each expert and, as "all", of their mixture: "weight", "log_loss" in nats and "accuracy"
        (NaN where every class has one label, which cannot be left out). "labelled rows alone" is the mixture of those who read
        no other rows, for comparison: what it lacks is what rows without a label were worth. None where no expert was asked.
    unlabeled_distance_ : float
        How far rows without a label are proved to lie from those with one: proxy A-distance, from 0 (as one) to 2 (a line
        divides them), leaving out the column that differs most, as a date may. NaN where no expert was asked, or no row is
        without a label. Where it is large, `fit` warns with an `UnlabeledShiftWarning`.

    Notes
    -----
    Without a code there is one stage, "train". With one there are three: "pretrain" fits the lower autoencoder to all rows,
    "semi-supervised" the pi layer's model to its codes, and "together" all layers at once. With experts, "teach" follows, and
    "images" where one more pi reads images by convolutions.

    References
    ----------
    F. Berkhahn et al. (2019), "Augmenting Variational Autoencoders with Sparse Labels", arXiv 1908.03015: the pi layer.
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, eq. 6-9: the bound.
    K. Sohn et al. (2020), "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", arXiv 2001.07685:
    how a convolutional pi is taught; here the other pi has the first word.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import SemiSupervisedVAE, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_partial = mask_labels(y, labeled=15, random_state=0)
    >>> model = SemiSupervisedVAE(latent_dim=2, random_state=0).fit(X, y_partial)
    >>> model.score(X, y) > 0.85
    True
    >>> model.transform(X).shape  # two latent variables and three classes
    (150, 5)
    >>> model.set_params(representation="style").transform(X).shape
    (150, 2)
    """

    label_input: str = param(default="marginal", accepts=[StrOptions({"marginal", "soft"})])

    experts: str | None = param(default="auto", accepts=[None, AUTO])
    piecewise: bool | str = param(default="auto", accepts=["boolean", AUTO])
    convolutional_pi: bool | str = param(default="auto", accepts=["boolean", AUTO])
    n_enumerated: int | str | None = param(default="auto", accepts=[None, POSITIVE, AUTO])

    _network_class: typing.ClassVar[typing.Any] = SemiSupervisedVAENetwork

    @classmethod
    def _resolve(cls, params, table, summary):
        advised = {
            "consistency_weight": 0.3 * summary.agreement if summary.advised and not table.image_shape_ else "auto",
            "piecewise": _piecewise(params, table),
            "n_enumerated": 3 if summary.advised and len(summary.class_weight) > 5 else None,
        }
        decided = {name: value for name, value in advised.items() if params[name] == "auto"}
        decided["convolutional_pi"] = _convolutional(params, table)
        if decided["convolutional_pi"] and table.n_columns_ <= DENSE:
            decided |= {name: "mlp" for name in ("encoder", "decoder") if params[name] is None}
        given = {name: value for name, value in params.items() if name != "experts"}
        return super()._resolve({**given, **decided}, table, summary)

    def _experts(self, table, summary):
        if self.experts is None or self._has_code(table) or (summary.class_weight > 0).sum() < 2:
            return None  # a code knows more of an image than its pixels do
        return ask_for_classes

    def _reads_pieces(self, table):
        return _piecewise(self.get_params(deep=False), table)

    def _fit_head(self, network, data):
        return {**super()._fit_head(network, data), **found_by_experts(data.evidence)}

    @classmethod
    def from_vae(cls, vae: typing.Any, **params: typing.Any) -> typing.Self:
        """A semi-supervised estimator that starts from a trained variational autoencoder.

        Parameters
        ----------
        vae : fitted VAE or SemiSupervisedVAE, or object with Keras models ``encoder`` and ``decoder``
            An estimator fitted with few labels or none: columns, scaling and all weights are taken over, and `fit` goes on
            from there; on top of a VAE the pi layer stands directly, without a code. A variational autoencoder in plain Keras:
            its encoder returns [mean, log variance, ...] or features, its decoder reads the latent variables; both are copied
            with their weights. They should have been trained on what this estimator reads: images scaled to [0, 1], columns
            standardised.
        **params
            Parameters of the new estimator, in place of those of `vae`.

        Returns
        -------
        estimator : SemiSupervisedVAE
            With ``warm_start=True`` if `vae` is an estimator.

        Raises
        ------
        TypeError
            If `vae` is neither.
        """
        if isinstance(vae, (VAE, cls)):
            check_is_fitted(vae)
            vae = vae._snapshot()
            estimator = copy.deepcopy(vae) if isinstance(vae, cls) else cls._on_top_of(vae)
            return estimator.set_params(**{"warm_start": True, **params})
        if all(isinstance(getattr(vae, part, None), keras.Model) for part in ("encoder", "decoder")):
            bodies = {part: backbones.Pretrained(getattr(vae, part)) for part in ("encoder", "decoder")}
            return cls(**{"latent_dim": vae.decoder.input_shape[-1], **bodies, **params})
        raise TypeError(
            "vae must be a fitted VAE or SemiSupervisedVAE or have Keras models as `encoder` and `decoder`; got "
            f"{type(vae).__name__}."
        )

    @classmethod
    def _on_top_of(cls, vae):
        """The fitted estimator without labels that says the same as a fitted `VAE`."""
        names = [field.name for field in dataclasses.fields(cls) if hasattr(vae, field.name)]
        estimator = cls(code_dim=None, piecewise=False, **{name: getattr(vae, name) for name in names})
        fitted = estimator._network_params()
        fitted.update({name: value for name, value in vae._fitted_params.items() if name in fitted})
        network = cls._make_network(fitted, vae.table_, vae._labels, vae._spec, vae.network_.seed, vae.network_.seed)
        network.inherit_vae(vae.network_)
        codec = LabelCodec(unlabeled=estimator.unlabeled).fit(None, 0)
        private = ("_labels", "_spec", "_marginals")
        kept = [name for name in vars(vae) if name.endswith("_") and name != "network_" or name in private]
        state = copy.deepcopy({name: vars(vae)[name] for name in kept})
        estimator._publish({**state, "network_": network, "_codec": codec, "_fitted_params": fitted, "_prepared": True})
        return estimator


def _convolutional(params, table):
    """`convolutional_pi` where it is "auto"."""
    image, asked = table.image_shape_, params["convolutional_pi"]
    if asked != "auto":
        if asked and not image:
            raise ValueError("convolutional_pi=True needs images, X of shape (n, height, width[, channels]).")
        return asked
    taught = params["classification_weight"] != 0 and params["consistency_weight"] != 0
    return bool(image) and min(image[:2]) >= SMALLEST and bodies_are_ours(params) and taught


def _piecewise(params, table):
    """`piecewise` where it is "auto"."""
    if params["piecewise"] != "auto":
        return params["piecewise"]
    own = params["encoder"] is None or isinstance(params["encoder"], str)
    return params["experts"] == "auto" and params["code_dim"] in (None, "auto") and own and not table.image_shape_
