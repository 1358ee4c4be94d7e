"""What an estimator can do besides drawing rows: encode, score, predict labels. A family has the mixins of what it really can.

Each is a dataclass: its fields are the parameters that come with the methods.
"""

import numbers
import typing

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from keras_ssvae._compat.sklearn import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from keras_ssvae.data.containers import opened
from keras_ssvae.data.label_summary import class_prior
from keras_ssvae.data.labels import UNLABELED, LabelCodec
from keras_ssvae.data.validation import check_weight
from keras_ssvae.estimators.blockwise import blockwise, predicted_beside
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.documentation import with_rows
from keras_ssvae.estimators.imputing import ImputationMixin
from keras_ssvae.estimators.parameters import AUTO, NOT_NEGATIVE, POSITIVE, Interval, StrOptions, estimator, layer_sizes, param
from keras_ssvae.networks import inference

__all__ = [
    "AnomalyMixin", "CodeMixin", "DensityMixin", "EncoderMixin", "FeaturesMixin", "LabelPredictorMixin", "ScoreMixin",
    "SemiSupervisedMixin", "StyleMixin",
]  # fmt: skip

N_DRAWS = 10  # of a density, unless more are asked for


@estimator
class EncoderMixin(ImputationMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Latent variables of rows, and rows of latent variables: for networks with `encode`, `decode` and `reconstruct`."""

    mask_rate: float | str = param(default="auto", accepts=[Interval(numbers.Real, 0, 1, closed="left"), AUTO])

    @property
    def _n_features_out(self):
        return self._fitted_params["latent_dim"]

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        return {**params, "mask_rate": _mask_rate(table, summary) if params["mask_rate"] == "auto" else params["mask_rate"]}

    @blockwise
    def transform(self, X: typing.Any) -> np.ndarray:
        """Posterior means of the latent variables, E[z | x] of the encoder: (n, latent_dim)."""
        return self._latent_means(X, self._encoding)

    @property
    def _encoding(self):
        """The method of the network that gives what `transform` does."""
        return "encode"

    def _latent_means(self, X, method):
        """What a method of the network says of rows, in single precision where X is."""
        single = getattr(X, "dtype", None) == np.float32
        return inference.run(self.network_, method, self._rows(X)).astype(np.float32 if single else np.float64, copy=False)

    @consistent
    def inverse_transform(self, Z: npt.ArrayLike, y: typing.Any = None) -> typing.Any:
        """Decode latent variables: the mean of p(x given z, y).

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Latent variables.
        y : label or array-like of shape (n,), default=None
            Labels of the rows; by default the mean over the class prior.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        check_is_fitted(self)
        Z = check_array(opened(Z), dtype=np.float32, input_name="Z")  # cells under a mask are missing
        return self.table_.decode(inference.run(self.network_, "decode", *self._read_codes(Z, y)))

    def _read_codes(self, Z, y):
        """z and class probabilities of what `inverse_transform` is given."""
        dim = self._fitted_params["latent_dim"]
        if Z.shape[1] != dim:
            raise ValueError(f"Z has {Z.shape[1]} columns; {type(self).__name__} has latent_dim={dim}.")
        return Z, self._label_weights(y, len(Z))

    def _label_weights(self, y, n_rows):
        """Rows of class probabilities: one-hot for labels, the class prior without."""
        if y is None:
            return np.tile(self._class_prior, (n_rows, 1)).astype(np.float32)
        return np.eye(len(self._class_prior), dtype=np.float32)[self._codec.indices_of(y, n_rows)]

    @blockwise
    def reconstruct(self, X: typing.Any) -> typing.Any:
        """The model's version of X: the mean of p(x) given the posterior mean of what the encoder makes of it.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        x = inference.run(self.network_, "reconstruct", self._rows(X))
        return self.table_.decode(x, X.index if isinstance(X, pd.DataFrame) else None)


@estimator
class FeaturesMixin(EncoderMixin):
    """An `EncoderMixin` of a network whose decoder reads something beside z, which `transform` may give, too."""

    representation: str = param(default="features", accepts=[StrOptions({"features", "style"})], role="answer")

    _encoding_of_all: typing.ClassVar[str]  # the method of the network that gives z, and beside it the rest

    def _names_beside(self):
        """What the columns of `transform` beside z are called, if it gives them."""
        raise TypeError(f"{type(self).__name__} names nothing beside z")

    @property
    def _beside(self):
        return self._names_beside() if self.representation == "features" else []

    @property
    def _encoding(self):
        return self._encoding_of_all if self._beside else super()._encoding

    @property
    def _n_features_out(self):
        return super()._n_features_out + len(self._beside)

    @consistent
    def get_feature_names_out(self, input_features: typing.Any = None) -> np.ndarray:
        """Names of the columns of `transform`: the class name in lower case, with a number for z, or with what is beside it.

        Parameters
        ----------
        input_features : object
            Not read.

        Returns
        -------
        names : (n_columns,) array of str
            As in ``["m20", "m21", "m2_class_cat", "m2_class_dog"]``, or with "_target" where a number is predicted.
        """
        names, beside = super().get_feature_names_out(input_features), self._beside
        if beside:
            names[-len(beside) :] = [f"{type(self).__name__.lower()}_{name}" for name in beside]
        return names


@estimator
class StyleMixin(FeaturesMixin):
    """A `FeaturesMixin` of a `ClassifierNetwork`, whose decoder reads the class beside z, so that z leaves it out."""

    _encoding_of_all = "encode_with_class"

    def _names_beside(self):
        return [f"class_{label}" for label in self.classes_] if len(self.classes_) > 1 else []

    @blockwise
    def transform(self, X: typing.Any) -> np.ndarray:
        """What the encoder says of rows: their style, and beside it, unless `representation` is "style", their class.

        Returns
        -------
        Z : (n, latent_dim + n_classes) or (n, latent_dim) array
            First E[z | x]. Then log q(y | x) of each class, in the order of ``classes_``, less its mean over the classes: in
            nats, and softmax makes it `predict_proba`. Without classes, or with a single one, z alone.
        """
        return self._latent_means(X, self._encoding)

    @consistent
    def inverse_transform(self, Z: npt.ArrayLike, y: typing.Any = None) -> typing.Any:
        """Decode what `transform` gives, of either `representation`: the mean of p(x given z, y), averaged over classes.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim + n_classes) or (n, latent_dim)
            z, and the logarithms of class probabilities, up to a constant a row; or z alone.
        y : label or array-like of shape (n,), default=None
            Labels of the rows, in place of what Z says of the class. By default the mean over the classes as probable as Z
            says, or, of z alone, over the class prior.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.

        Notes
        -----
        It makes of the features of a row what `reconstruct` makes of the row where z and q(y | x) are all that is decoded
        there: in a `SemiSupervisedVAE` without a code. A code, levels below the top, a z for every class (`M2`) and a class
        that counts as unknown (`ConditionalVAE`) are in `reconstruct` alone.
        """
        return super().inverse_transform(Z, y)

    def _read_codes(self, Z, y):
        dim, n_classes = self._fitted_params["latent_dim"], len(self.classes_)
        if n_classes < 2 or Z.shape[1] == dim:
            return super()._read_codes(Z, y)
        if Z.shape[1] != dim + n_classes:
            raise ValueError(
                f"Z has {Z.shape[1]} columns; {type(self).__name__} reads latent_dim={dim}, or {dim + n_classes} with one for "
                "each class."
            )
        z, log_q = Z[:, :dim], Z[:, dim:]
        return z, softmax(log_q, axis=1) if y is None else self._label_weights(y, len(Z))


class AnomalyMixin:
    """How strange rows are, for estimators that have `score_samples`."""

    @with_rows
    def anomaly_score(self: typing.Any, X: typing.Any) -> np.ndarray:
        """How strange each row is, higher = stranger: ``-score_samples(X)``, (n,)."""
        return -self.score_samples(X)


class ScoreMixin(AnomalyMixin):
    """A score of rows that is no density of them: for networks with `score`."""

    @blockwise
    def score_samples(self: typing.Any, X: typing.Any) -> np.ndarray:
        """How normal each row is: not log p(x), but the score that the notes of the class state.

        Returns
        -------
        scores : (n,) array
            Higher = more normal. Deterministic, and no row depends on another.
        """
        return inference.run(self.network_, "score", self._rows(X)).astype(float)


@estimator
class DensityMixin(AnomalyMixin):
    """log p(x) of rows, by importance weighting: for networks with `log_likelihood`."""

    kl_warmup: float = param(default=0.0, accepts=[Interval(numbers.Real, 0, 1, closed="both")])

    @blockwise
    def score_samples(self, X: typing.Any, n_draws: int = N_DRAWS) -> np.ndarray:
        """log p(x) of each row, estimated by importance weighting over its observed cells.

        The draws are the same for every row and every call: the result is deterministic, and no row depends on another.

        Parameters
        ----------
        n_draws : int, default=10
            Draws from the encoder; the estimate rises towards log p(x) with their number (Burda et al. 2015,
            arXiv 1509.00519, eq. 8). Ten order rows as fifty do; to compare models, take thousands.

        Returns
        -------
        scores : (n,) array
            Nats a row, in units of the scaled columns; higher = more normal.
        """
        if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be an integer of at least 1; got {n_draws!r}.")
        return inference.run(self.network_, "log_likelihood", self._rows(X), n_draws=int(n_draws)).astype(float)


@estimator
class LabelPredictorMixin(ClassifierMixin):
    """predict and its relatives, of a `ClassifierNetwork`, or of own `_class_logits` and `_class_indices`."""

    classes: typing.Any = param(default=None, accepts=[None, "array-like", POSITIVE], role="data")
    unlabeled: typing.Any = param(default=UNLABELED, accepts="no_validation", role="data")
    class_prior: typing.Any = param(default="empirical", accepts=[StrOptions({"empirical", "uniform"}), "array-like"])
    class_weight: str | dict | None = param(default=None, accepts=[None, StrOptions({"balanced"}), dict], role="data")

    def _make_codec(self, y, weight, keep, classes):
        if keep:
            if classes is not None and list(LabelCodec(classes, self.unlabeled).fit(None, 0).classes_) != list(self.classes_):
                raise ValueError(f"classes must be those of the first call, {list(self.classes_)}; got {classes!r}.")
            if len(self.classes_):
                return self._codec
        return LabelCodec(self.classes if classes is None else classes, self.unlabeled).fit(y, len(weight))

    def _class_logits(self, X):
        rows = self._rows(X)
        self._check_has_classes()
        return inference.run(self.network_, "class_logits", rows).astype(float)

    def _class_indices(self, X):
        """The most probable class of each row, without the logits of all rows in memory."""
        rows = self._rows(X)
        self._check_has_classes()
        return inference.run(self.network_, "class_logits", rows, then=lambda logits: logits.argmax(axis=1))

    def _check_has_classes(self):
        if not len(self.classes_):
            raise ValueError(
                f"This {type(self).__name__} was fitted without a label, so there is no class to predict. Fit with some "
                "labels in y, or pass classes=[...] (or a number of classes) to cluster without labels."
            )

    @blockwise
    def predict_log_proba(self, X: typing.Any) -> np.ndarray:
        """Logarithm of `predict_proba`: (n, n_classes), columns in the order of ``classes_``."""
        logits = self._class_logits(X)
        logits = logits - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    @blockwise
    def predict_proba(self, X: typing.Any) -> np.ndarray:
        """q(y | x) at the posterior mean: (n, n_classes), columns in the order of ``classes_``; rows sum to one."""
        return np.exp(self.predict_log_proba(X))

    @blockwise
    def predict(self, X: typing.Any) -> np.ndarray:
        """The most probable label of each row, as it was given to `fit`: (n,)."""
        return self._codec.decode(self._class_indices(X))

    @consistent
    def score(self, X: typing.Any, y: typing.Any = None, sample_weight: npt.ArrayLike | None = None) -> float:
        """Accuracy on the rows of (X, y) that have a label.

        Parameters
        ----------
        X, y : as in `fit`
            Rows and labels; rows without one are left out. Where the labels of the fit were a column of X, y may be left out.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        """
        predicted, y = predicted_beside(self, X, y)
        codec = LabelCodec(None, self.unlabeled).fit(y, len(predicted))
        y_index = codec.encode(y, len(predicted))
        known = y_index >= 0
        if not known.any():
            raise ValueError("y must hold at least one label to score against; every row is unlabelled.")
        truth = codec.decode(y_index[known])
        weight = check_weight(sample_weight, predicted)[known]
        if not weight.any():
            raise ValueError("sample_weight must be positive for at least one row with a label; all of theirs are zero.")
        return _accuracy(truth, predicted[known], weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


def _accuracy(truth, predicted, weight):
    """The share of labels that were predicted. scikit-learn compares numbers and text; here all that can be a label."""
    kind, known = map(pd.api.types.infer_dtype, (truth, predicted))
    if truth.dtype != object or kind == "string":
        return accuracy_score(truth, predicted, sample_weight=weight)
    if kind != known:
        raise ValueError(f"y must hold labels of the kind that was fitted, {known}; got {kind}, such as {truth[0]!r}.")
    return float(np.average([bool(a == b) for a, b in zip(truth, predicted, strict=True)], weights=weight))


@estimator
class SemiSupervisedMixin(LabelPredictorMixin):
    """Labels that take part in the training of the network."""

    classification_weight: float | str = param(default="auto", accepts=[NOT_NEGATIVE, AUTO])
    consistency_weight: float | str = param(default="auto", accepts=[NOT_NEGATIVE, AUTO])
    labeled_batch_size: int | str = param(default="auto", accepts=[POSITIVE, AUTO], role="training")

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        consistency = params["consistency_weight"]
        return {
            **params,
            "class_prior": class_prior(params["class_prior"], summary.class_weight),
            "label_weight": summary.rows_per_label,
            "consistency_weight": summary.agreement if consistency == "auto" else consistency,
        }


@estimator
class CodeMixin:
    """A VAE below the model with classes: for networks that are a `keras_ssvae.networks.latent_class.LatentClassNetwork`."""

    code_dim: int | str | None = param(default="auto", accepts=[None, POSITIVE, AUTO])
    code_layer_sizes: tuple = param(default=(500, 500), accepts=["array-like"])

    def _has_code(self, table):
        """Whether a model of the rows of a `TablePreprocessor` has a code below."""
        return _code_dim(self.get_params(deep=False), table) is not None

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        return {**params, "code_dim": _code_dim(params, table), "code_layer_sizes": layer_sizes(params, "code_layer_sizes")}


def bodies_are_ours(params: dict) -> bool:
    """Whether no encoder or decoder of the user's is among the parameters of an estimator."""
    return all(params[name] is None or isinstance(params[name], str) for name in ("encoder", "decoder"))


def _code_dim(params, table):
    """`code_dim` where it is "auto"."""
    if params["code_dim"] != "auto":
        return params["code_dim"]
    wanted = bodies_are_ours(params) and table.image_shape_ and table.n_columns_ > 100
    return min(50, table.n_columns_ // 4) if wanted else None


def _mask_rate(table, summary):
    """`mask_rate` where it is "auto"."""
    if table.incomplete_.any():
        return 0.5
    return 0.0 if table.image_shape_ else max(0.0, 0.5 - summary.signal)
