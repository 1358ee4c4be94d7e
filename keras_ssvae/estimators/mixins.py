"""What an estimator can do besides drawing rows: encode, score, predict labels. A family has the mixins of what it really can.

Each is a dataclass: its fields are the parameters that come with the methods.
"""

import dataclasses
import numbers

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.label_summary import class_prior
from keras_ssvae.data.labels import UNLABELED, LabelCodec
from keras_ssvae.data.sources import stack
from keras_ssvae.data.streaming import blockwise
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.networks import inference

__all__ = [
    "AnomalyMixin",
    "CodeMixin",
    "DensityMixin",
    "EncoderMixin",
    "LabelPredictorMixin",
    "ScoreMixin",
    "SemiSupervisedMixin",
]


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class EncoderMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Latent variables of rows, and rows of latent variables: for networks with `encode`, `decode` and `reconstruct`."""

    mask_rate: object = "auto"

    _constraints = {"mask_rate": [Interval(numbers.Real, 0, 1, closed="left"), StrOptions({"auto"})]}

    @property
    def _n_features_out(self):
        return self._fitted_params["latent_dim"]

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        return {**params, "mask_rate": _mask_rate(table, summary) if params["mask_rate"] == "auto" else params["mask_rate"]}

    @blockwise
    def transform(self, X):
        """Posterior means of the latent variables.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        Z : (n, latent_dim) array
            E[z | x] of the encoder.
        """
        return self._latent_means(X, "encode")

    def _latent_means(self, X, method):
        """What a method of the network says of rows, in single precision where X is."""
        single = getattr(X, "dtype", None) == np.float32
        return inference.run(self.network_, method, self._encode(X)).astype(np.float32 if single else np.float64, copy=False)

    def inverse_transform(self, Z, y=None):
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
        Z = check_array(Z, dtype=np.float32, input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(f"Z has {Z.shape[1]} columns; {type(self).__name__} has latent_dim={self._n_features_out}.")
        return self.table_.decode(inference.run(self.network_, "decode", Z, self._label_weights(y, len(Z))))

    def _label_weights(self, y, n_rows):
        """Rows of class probabilities: one-hot for labels, the class prior without."""
        if y is None:
            return np.tile(self._class_prior, (n_rows, 1)).astype(np.float32)
        return np.eye(len(self._class_prior), dtype=np.float32)[self._codec.indices_of(y, n_rows)]

    @blockwise
    def reconstruct(self, X):
        """The model's version of X: the mean of p(x) given the posterior mean of what the encoder makes of it.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        x = inference.run(self.network_, "reconstruct", self._encode(X))
        return self.table_.decode(x, X.index if isinstance(X, pd.DataFrame) else None)

    @blockwise
    def impute(self, X):
        """X with its missing cells filled by `reconstruct`, and every other cell as it was.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows with NaN in missing cells.

        Returns
        -------
        X : array or DataFrame
            A copy without missing cells.
        """
        x = inference.run(self.network_, "reconstruct", self._encode(X))
        return self.table_.schema_.fill(X, self.table_.numbers(x))


class AnomalyMixin:
    """How strange rows are, for estimators that have `score_samples`."""

    def anomaly_score(self, X):
        """How strange each row is: ``-score_samples(X)``.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        scores : (n,) array
            Higher = stranger.
        """
        return -self.score_samples(X)


class ScoreMixin(AnomalyMixin):
    """A score of rows that is no density of them: for networks with `score`."""

    @blockwise
    def score_samples(self, X):
        """How normal each row is: not log p(x), but the score that the notes of the class state.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        scores : (n,) array
            Higher = more normal. Deterministic, and no row depends on another.
        """
        return inference.run(self.network_, "score", self._encode(X)).astype(float)


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class DensityMixin(AnomalyMixin):
    """log p(x) of rows, by importance weighting: for networks with `log_likelihood`."""

    kl_warmup: float = 0.0

    _constraints = {"kl_warmup": [Interval(numbers.Real, 0, 1, closed="both")]}

    @blockwise
    def score_samples(self, X, n_draws=50):
        """log p(x) of each row, estimated by importance weighting over its observed cells.

        The draws are the same for every row and every call: the result is deterministic, and no row depends on another.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        n_draws : int, default=50
            Draws from the encoder; the estimate rises towards log p(x) with their number (Burda et al. 2015,
            arXiv 1509.00519, eq. 8).

        Returns
        -------
        scores : (n,) array
            Nats a row, in units of the scaled columns; higher = more normal.
        """
        if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be an integer of at least 1; got {n_draws!r}.")
        return inference.run(self.network_, "log_likelihood", self._encode(X), n_draws=int(n_draws)).astype(float)


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class LabelPredictorMixin(ClassifierMixin):
    """predict and its relatives, for estimators with a `ClassifierNetwork`, or their own `_class_logits` and `_class_codes`."""

    classes: object = None
    unlabeled: object = UNLABELED
    class_prior: object = "empirical"
    class_weight: object = None

    _constraints = {
        "classes": [None, "array-like", Interval(numbers.Integral, 1, None, closed="left")],
        "unlabeled": "no_validation",
        "class_prior": [StrOptions({"empirical", "uniform"}), "array-like"],
        "class_weight": [None, StrOptions({"balanced"}), dict],
    }

    _outside = ("classes", "unlabeled", "class_weight")

    def _make_codec(self, y, n_rows, keep, classes):
        if keep:
            if classes is not None and list(LabelCodec(classes, self.unlabeled).fit(None, 0).classes_) != list(self.classes_):
                raise ValueError(f"classes must be those of the first call, {list(self.classes_)}; got {classes!r}.")
            if len(self.classes_):
                return self._codec
        return LabelCodec(self.classes if classes is None else classes, self.unlabeled).fit(y, n_rows)

    def _class_logits(self, X):
        encoded = self._encode(X)
        self._check_has_classes()
        return inference.run(self.network_, "class_logits", encoded).astype(float)

    def _class_codes(self, X):
        """The most probable class of each row, without the logits of all rows in memory."""
        encoded = self._encode(X)
        self._check_has_classes()
        return inference.run(self.network_, "class_logits", encoded, then=lambda logits: logits.argmax(axis=1))

    def _check_has_classes(self):
        if not len(self.classes_):
            raise ValueError(
                f"This {type(self).__name__} was fitted without a label, so there is no class to predict. Fit with some "
                "labels in y, or pass classes=[...] (or a number of classes) to cluster without labels."
            )

    @blockwise
    def predict_log_proba(self, X):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        log_proba : (n, n_classes) array
            Columns in the order of ``classes_``.
        """
        logits = self._class_logits(X)
        logits = logits - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    @blockwise
    def predict_proba(self, X):
        """q(y | x) at the posterior mean.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        proba : (n, n_classes) array
            Rows sum to one, columns in the order of ``classes_``.
        """
        return np.exp(self.predict_log_proba(X))

    @blockwise
    def predict(self, X):
        """The most probable label of each row.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        y : (n,) array
            Labels as they were given to `fit`.
        """
        codes = self._class_codes(X)
        return self._codec.decode(codes)

    def score(self, X, y=None, sample_weight=None):
        """Accuracy on the rows of (X, y) that have a label.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        y : as in `fit`, (n,)
            Labels; rows without one are left out.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
        """
        source = self._source(X, y)
        if source is None:
            predicted = self.predict(X)
        else:
            predicted, y = map(stack, zip(*((self.predict(block), labels) for block, labels in source.blocks()), strict=True))
        codec = LabelCodec(None, self.unlabeled).fit(y, len(predicted))
        codes = codec.encode(y, len(predicted))
        known = codes >= 0
        if not known.any():
            raise ValueError("y must hold at least one label to score against; every row is unlabelled.")
        truth = codec.decode(codes[known])
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(truth, predicted[known], sample_weight=weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class SemiSupervisedMixin(LabelPredictorMixin):
    """Labels that take part in the training of the network."""

    classification_weight: object = "auto"
    consistency_weight: object = "auto"
    labeled_batch_size: object = "auto"

    _constraints = {
        "classification_weight": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "consistency_weight": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "labeled_batch_size": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    _outside = ("labeled_batch_size",)

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


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class CodeMixin:
    """A VAE below the model with classes: for networks that are a `keras_ssvae.networks.latent_class.LatentClassNetwork`."""

    code_dim: object = "auto"
    code_layer_sizes: tuple = (500, 500)

    _constraints = {
        "code_dim": [None, Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "code_layer_sizes": ["array-like"],
    }

    @classmethod
    def _resolve(cls, params, table, summary):
        params = super()._resolve(params, table, summary)
        code_dim = params["code_dim"]
        if code_dim == "auto":
            own = all(body is None or isinstance(body, str) for body in (params["encoder"], params["decoder"]))
            code_dim = min(50, table.n_columns_ // 4) if own and table.image_shape_ and table.n_columns_ > 100 else None
        return {**params, "code_dim": code_dim, "code_layer_sizes": tuple(params["code_layer_sizes"])}


def _mask_rate(table, summary):
    """`mask_rate` where it is "auto"."""
    if table.incomplete_.any():
        return 0.5
    return 0.0 if table.image_shape_ else max(0.0, 0.5 - summary.signal)
