"""How far labels can be trusted, by what all other labels say of their rows."""

import math
import typing

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from keras_ssvae.evidence.pool import MAX_ROWS, gather

__all__ = ["label_quality"]


def label_quality(estimator: typing.Any, X: typing.Any, y: typing.Any) -> pd.Series:
    """How far each label can be trusted: the probability that all other labels give to it.

    It is the self-confidence of confident learning: the label's probability under experts (`keras_ssvae.evidence.pool`) that
    were not shown it. Sort by it to see the labels first that are worth a second look.

    Parameters
    ----------
    estimator : fitted generative estimator with `classes_`
        It says how to read the columns and labels; it may have been fitted to other rows.
    X : array-like, DataFrame or images of shape (n, ...)
        Rows.
    y : array-like of shape (n,)
        Labels; rows without one are left out. At least two classes need a label.

    Returns
    -------
    quality : Series
        Named "label_quality", a value from 0 (surely wrong) to 1 for each labelled row, in their order; its index is that of X,
        or positions in X.

    Raises
    ------
    NotFittedError, TypeError
        If the estimator is not fitted, or no generative model of this package.
    ValueError
        If X or y cannot be read, or fewer than two classes have a label.

    References
    ----------
    C. Northcutt et al. (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import SemiSupervisedVAE, label_quality
    >>> X, y = load_iris(return_X_y=True)
    >>> y[7] = 2  # a slip
    >>> model = SemiSupervisedVAE(latent_dim=2, epochs=5, random_state=0).fit(X, y)
    >>> int(label_quality(model, X, y).idxmin())
    7
    """
    check_model(estimator)
    estimator = estimator._snapshot()  # of one fit, whatever comes meanwhile
    X, y, _ = estimator._open(X, y)
    values = estimator._read(X)
    y_index = estimator._codec.encode(y, len(values))
    labeled = np.flatnonzero(y_index >= 0)
    if len(np.unique(y_index[labeled])) < 2:
        raise ValueError(f"y must hold labels of at least two classes; it has {len(np.unique(y_index[labeled]))}.")
    rows = estimator.table_.encode(values)
    quality = np.full(len(values), np.nan)
    rng = np.random.RandomState(0)
    others = rng.permutation(np.flatnonzero(y_index < 0))[: MAX_ROWS // 5]  # beside all parts of the labelled rows
    for labeled_part in np.array_split(rng.permutation(labeled), math.ceil(len(labeled) / (MAX_ROWS - len(others)))):
        part = np.concatenate([labeled_part, others])
        views, weight = estimator.table_.views(rows.x[part]), np.ones(len(part))
        left_out = gather(views, y_index[part], weight, len(estimator.classes_)).left_out
        quality[part] = left_out[np.arange(len(part)), y_index[part]]
    index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(values))
    return pd.Series(quality[labeled], index[labeled], name="label_quality")


def check_model(estimator: typing.Any) -> None:
    """Raise a NotFittedError or a TypeError unless this is a fitted generative model of this package."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "table_"):
        raise TypeError(
            f"estimator must be a generative model of this package, got a {type(estimator).__name__}; of a detector or a "
            "pipeline pass the model in it, and rows as that reads them."
        )
