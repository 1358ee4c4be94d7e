"""A semi-supervised classifier among the meta-estimators of scikit-learn, which know no row without a label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.labels import UNLABELED, LabelCodec, is_unlabeled
from keras_ssvae.model_selection import Mark

__all__ = ["WithUnlabeled"]


def fitted_has(part: str, method: str) -> Callable[[Any], bool]:
    """Whether a part of an estimator, fitted or not, has the method, for `available_if`."""

    def check(self):
        getattr(getattr(self, f"{part}_", getattr(self, part)), method)  # its AttributeError says which method is missing
        return True

    return check


class WithUnlabeled(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A semi-supervised classifier that brings its unlabelled rows along, and so is one like any other.

    Meta-estimators of scikit-learn (`VotingClassifier`, `StackingClassifier`, `BaggingClassifier`, `CalibratedClassifierCV` ..)
    know nothing of rows without a label: most of them make a class of the mark, before the model sees it. So they are given the
    labelled rows alone, and this estimator adds the others to every fit. All that takes a classifier may then be used: voting,
    stacking, bagging, calibration, searches, every cross-validation and every score. See docs/partial_labels.md.

    Parameters
    ----------
    estimator : semi-supervised classifier
        A clone of it is fitted, even if it is fitted already.
    X_unlabeled : array-like of n_unlabeled rows
        Rows without a label, with the columns of the labelled ones.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label" in the y that `estimator` is given.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to the rows of `fit` and to `X_unlabeled`.
    classes_ : (n_classes,) array
        The labels.
    n_features_in_, feature_names_in_ : int and array of names
        Number of columns of X, and their names, where the estimator knows them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import VotingClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.semi_supervised import LabelSpreading
    >>> from keras_ssvae import WithUnlabeled, mask_labels, split_unlabeled
    >>> X, y = load_iris(return_X_y=True)
    >>> X_labeled, y_labeled, X_unlabeled = split_unlabeled(X, mask_labels(y, labeled=30, random_state=0))
    >>> both = VotingClassifier([("semi", WithUnlabeled(LabelSpreading(), X_unlabeled)), ("nb", GaussianNB())], voting="soft")
    >>> both.fit(X_labeled, y_labeled).classes_
    array([0, 1, 2])
    """

    def __init__(self, estimator: BaseEstimator, X_unlabeled: ArrayLike, unlabeled: Mark = UNLABELED) -> None:
        self.estimator = estimator
        self.X_unlabeled = X_unlabeled
        self.unlabeled = unlabeled

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a clone of the estimator to these rows and the unlabelled ones.

        Parameters
        ----------
        X, y : array-likes of n_samples rows and labels
            With the columns of `X_unlabeled`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of these rows; those of `X_unlabeled` are 1.

        Raises
        ------
        ValueError
            If X has other columns than `X_unlabeled`.
        """
        X, y = indexable(X, y)
        n_rows = len(is_unlabeled(y, self.unlabeled))
        codec = LabelCodec(unlabeled=self.unlabeled).fit(y, n_rows)
        y_index = codec.encode(y, n_rows)
        rows = _stacked(X, self.X_unlabeled)
        n_more = (rows.shape[0] if hasattr(rows, "shape") else len(rows)) - len(y_index)
        labels = codec.decode(np.append(y_index, np.full(n_more, -1)))
        weights = {} if sample_weight is None else {"sample_weight": np.append(sample_weight, np.ones(n_more))}
        self.estimator_ = clone(self.estimator).fit(rows, labels, **weights)
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """As of the fitted estimator."""
        return self._ask("predict", X)

    @available_if(fitted_has("estimator", "predict_proba"))
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """As of the fitted estimator."""
        return self._ask("predict_proba", X)

    @available_if(fitted_has("estimator", "predict_log_proba"))
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """As of the fitted estimator."""
        return self._ask("predict_log_proba", X)

    @available_if(fitted_has("estimator", "decision_function"))
    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """As of the fitted estimator."""
        return self._ask("decision_function", X)

    @available_if(fitted_has("estimator", "transform"))
    def transform(self, X: ArrayLike) -> Any:
        """As of the fitted estimator."""
        return self._ask("transform", X)

    def _ask(self, method, X):
        check_is_fitted(self)
        return getattr(self.estimator_, method)(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _stacked(X, more):
    """Rows below rows, in the container of the first."""
    if sparse.issparse(X):
        return sparse.vstack([X, more]).tocsr()
    if hasattr(X, "columns") and hasattr(more, "columns") and list(X.columns) != list(more.columns):
        raise ValueError(f"X must have the columns of X_unlabeled, {list(more.columns)[:20]}; got {list(X.columns)[:20]}.")
    if isinstance(X, pd.DataFrame) and isinstance(more, pd.DataFrame):
        return pd.concat([X, more], ignore_index=True)
    if type(X).__module__.partition(".")[0] == type(more).__module__.partition(".")[0] == "polars":
        return X.vstack(more)
    X, more = np.asarray(X), np.asarray(more)
    if X.shape[1:] != more.shape[1:]:
        raise ValueError(f"X must have rows of the shape of X_unlabeled, {more.shape[1:]}; got {X.shape[1:]}.")
    return np.concatenate([X, more])
