"""Which rows to label next."""

import numbers
import typing

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_scalar

from keras_ssvae.data.labels import UNLABELED, is_unlabeled

__all__ = ["suggest_labels"]

CANDIDATES = 10  # a row that is suggested is one of so many uncertain ones


def suggest_labels(
    estimator: typing.Any, X: typing.Any, n: int = 20, *, y: typing.Any = None, random_state: typing.Any = 0
) -> pd.Series:
    """The rows whose labels would teach a model most: uncertain, among many like them, and unlike each other.

    The rows of which the model is least certain (the difference of its two most probable classes is smallest) are gathered in
    `n` groups by k-means on their codes, uncertain rows counting more; of each group the row next to its centre is suggested.

    Parameters
    ----------
    estimator : fitted estimator with `transform`
        With `predict_proba`, if some labels are known; else no row is more uncertain than another.
    X : array-like, DataFrame or images of shape (n_samples, ...)
        The rows to choose from.
    n : int, default=20
        How many rows to suggest; all that there are, if they are fewer.
    y : array-like of shape (n_samples,), default=None
        What is known of their labels; rows with one are not suggested. None: of none.
    random_state : int, RandomState instance or None, default=0
        Where the groups start, and which of equally uncertain rows come first.

    Returns
    -------
    suggested : Series
        Named "uncertainty", from 0 (certain) to 1 (two classes are equally probable), the most uncertain row first; its index
        is that of X, or positions in X.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError, ValueError
        If n is no number from 1 on, X cannot be read, or the estimator has no `transform`.

    References
    ----------
    F. Zhdanov (2019), "Diverse mini-batch Active Learning", arXiv 1901.05954.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import SemiSupervisedVAE, mask_labels, suggest_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, labeled=6, random_state=0)
    >>> model = SemiSupervisedVAE(latent_dim=2, epochs=5, random_state=0).fit(X, few)
    >>> len(suggest_labels(model, X, n=5, y=few))
    5
    """
    _check(estimator, n)
    codes = _codes(estimator, X)
    open_rows = (
        np.arange(len(codes)) if y is None else _without_label(y, getattr(estimator, "unlabeled", UNLABELED), len(codes))
    )
    uncertainty = _uncertainty(estimator, X, len(codes))[open_rows]
    rng = check_random_state(random_state)
    any_order = rng.permutation(len(open_rows))  # which of equally uncertain rows are candidates
    candidates = any_order[np.argsort(-uncertainty[any_order], kind="stable")][: CANDIDATES * n]
    chosen = candidates[_spread(codes[open_rows[candidates]], uncertainty[candidates], n, rng)]
    chosen = chosen[np.argsort(-uncertainty[chosen], kind="stable")]
    index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(codes))
    return pd.Series(uncertainty[chosen], index[open_rows[chosen]], name="uncertainty")


def _check(estimator, n):
    check_is_fitted(estimator)
    if not hasattr(estimator, "transform"):
        raise TypeError(f"estimator must have transform, which gives codes of rows; {type(estimator).__name__} has none.")
    check_scalar(n, "n", numbers.Integral, min_val=1)
    if isinstance(n, bool):
        raise TypeError(f"n must be a number of rows; got {n}.")


def _codes(estimator, X):
    """z of each row, without what `transform` says of the class beside it."""
    codes = np.asarray(estimator.transform(X), dtype=float)
    network = getattr(estimator, "network_", None)
    return codes if network is None else codes[:, : network.latent_dim]


def _without_label(y, mark, n_rows):
    unlabeled = is_unlabeled(y, mark)
    if len(unlabeled) != n_rows:
        raise ValueError(f"y must have an entry for each of the {n_rows} rows of X; got {len(unlabeled)}.")
    return np.flatnonzero(unlabeled)


def _uncertainty(estimator, X, n_rows):
    """One minus the difference of the two largest probabilities of each row; ones where nothing is predicted."""
    if len(getattr(estimator, "classes_", ())) < 2 or not hasattr(estimator, "predict_proba"):
        return np.ones(n_rows)
    shares = np.sort(estimator.predict_proba(X), axis=1)
    return 1 - (shares[:, -1] - shares[:, -2])


def _spread(codes, weight, n, rng):
    """Positions of at most n rows that stand for groups of all."""
    if len(codes) <= n:
        return np.arange(len(codes))
    scale = codes.std(axis=0)
    codes = codes / np.where(scale > 0, scale, 1.0)
    groups = KMeans(n, n_init=1, random_state=rng).fit(codes, sample_weight=weight + 1e-6)
    distance = groups.transform(codes)
    return np.unique(
        [np.flatnonzero(groups.labels_ == k)[distance[groups.labels_ == k, k].argmin()] for k in np.unique(groups.labels_)]
    )
