"""What an estimator can do that predicts a number: targets that take part in the training, and answers in their units."""

import typing

import numpy as np
import numpy.typing as npt
from sklearn.metrics import r2_score

from keras_ssvae._compat.sklearn import RegressorMixin
from keras_ssvae.data.targets import TargetCodec, distinct_targets
from keras_ssvae.data.validation import check_weight
from keras_ssvae.estimators.blockwise import blockwise, predicted_beside
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.documentation import with_rows
from keras_ssvae.estimators.fit_data import found_by_experts
from keras_ssvae.estimators.mixins import FeaturesMixin
from keras_ssvae.estimators.parameters import AUTO, NOT_NEGATIVE, POSITIVE, estimator, param
from keras_ssvae.evidence.numbers import gather_targets
from keras_ssvae.networks import inference
from keras_ssvae.registry import require

__all__ = ["TargetMixin"]


@estimator
class TargetMixin(FeaturesMixin, RegressorMixin):
    """Targets, known for some rows: for networks that are a `keras_ssvae.networks.regressor.RegressorNetwork`."""

    regression_weight: float | str = param(default="auto", accepts=[NOT_NEGATIVE, AUTO])
    labeled_batch_size: int | str = param(default="auto", accepts=[POSITIVE, AUTO], role="training")
    experts: str | None = param(default="auto", accepts=[None, AUTO])

    _encoding_of_all = "encode_with_target"
    unlabeled: typing.ClassVar[typing.Any] = None  # -1 is a target like any other
    _distinct_labels: typing.ClassVar[typing.Any] = staticmethod(distinct_targets)

    @classmethod
    def _resolve(cls, params, table, summary):
        given = {name: value for name, value in params.items() if name != "experts"}
        return {**super()._resolve(given, table, summary), "label_weight": summary.rows_per_label}

    def _make_codec(self, y, weight, keep, classes):
        if (keep or self.warm_start) and hasattr(self, "network_") and self._codec.scale_ is not None:
            self._codec.encode(y, len(weight))
            return self._codec
        return TargetCodec(unlabeled=None).fit_weighted(y, weight)

    def _experts(self, table, summary):
        if self.experts is None:
            return None
        return lambda views, rows, weight, n_classes: gather_targets(views, rows, weight)

    def _fit_head(self, network, data):
        return {**super()._fit_head(network, data), **found_by_experts(data.evidence)}

    # Answers

    @blockwise
    def _moments(self, X):
        """Mean and standard deviation of the target of each row, in its units: (n, 2)."""
        if self._codec.scale_ is None:
            raise ValueError(
                f"This {type(self).__name__} was fitted without a target, so there is nothing to predict. Fit with some "
                "targets in y."
            )
        mean, deviation = inference.run(self.network_, "target", self._rows(X)).astype(float).T
        return np.stack([self._codec.decode(mean), deviation * self._codec.scale_], axis=1)

    @with_rows
    def predict(self, X: typing.Any, return_std: bool = False) -> typing.Any:
        """The mean of q(t | x) of each row.

        Parameters
        ----------
        return_std : bool, default=False
            Whether to give its standard deviation, too.

        Returns
        -------
        mean : (n,) array
            In the units of the targets that `fit` was given.
        std : (n,) array
            Only with `return_std`; in the same units.
        """
        moments = self._moments(X)
        return (moments[:, 0], moments[:, 1]) if return_std else moments[:, 0]

    @consistent
    def score(self, X: typing.Any, y: typing.Any = None, sample_weight: npt.ArrayLike | None = None) -> float:
        """R2 on the rows of (X, y) whose target is known: 1 is perfect, 0 as good as the mean.

        Parameters
        ----------
        X, y : as in `fit`
            Rows and targets; rows without one are left out. Where the targets of the fit were a column of X, y may be left out.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        """
        predicted, y = predicted_beside(self, X, y)
        codec = TargetCodec()
        known = codec.encode(y, len(predicted)) >= 0
        if not known.any():
            raise ValueError("y must hold at least one target to score against; all are unknown.")
        weight = check_weight(sample_weight, predicted)[known]
        if not weight.any():
            raise ValueError("sample_weight must be positive for at least one row with a target; all of theirs are zero.")
        target = codec.known(y)
        unit = np.ldexp(1.0, np.frexp(np.abs(target).max())[1] - 1)  # or squares might leave the range of floats
        return r2_score(target / unit, predicted[known] / unit, sample_weight=weight)

    def _names_beside(self):
        return ["target"]

    @blockwise
    def transform(self, X: typing.Any) -> np.ndarray:
        """What the encoder says of rows: E[z | x], and beside it, unless `representation` is "style", E[t | x].

        Returns
        -------
        Z : (n, latent_dim + 1) or (n, latent_dim) array
            The target, in the last column, in standard units.
        """
        return self._latent_means(X, self._encoding)

    @consistent
    def inverse_transform(self, Z: npt.ArrayLike, y: typing.Any = None) -> typing.Any:
        """Decode what `transform` gives, of either `representation`: the mean of p(x given z, t).

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim + 1) or (n, latent_dim)
            z, and the target in standard units; or z alone.
        y : float or array-like of shape (n,), default=None
            Targets of the rows in their own units, in place of what Z says. By default that, or of z alone the mean target.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        return super().inverse_transform(Z, y)

    def _read_codes(self, Z, y):
        dim = self._fitted_params["latent_dim"]
        if Z.shape[1] not in (dim, dim + 1):
            raise ValueError(
                f"Z has {Z.shape[1]} columns; {type(self).__name__} reads latent_dim={dim}, or {dim + 1} with the target."
            )
        if y is not None:
            return Z[:, :dim], self._codec.indices_of(y, len(Z)).astype(np.float32)[:, None]
        return Z[:, :dim], Z[:, dim:] if Z.shape[1] > dim else np.zeros((len(Z), 1), np.float32)

    def _draw_labels(self, n_samples, rng):
        return rng.standard_normal(n_samples)

    def _check_loaded(self):
        super()._check_loaded()
        require(isinstance(self._codec, TargetCodec), "_codec reads no targets")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
