"""Rows that a generative estimator adds to a data set, class by class.

Every generated row comes from a model of the rows that were handed over, and of nothing else. In a cross-validation these must
be the training rows: put `AugmentedClassifier` there, or `GenerativeOverSampler` into a pipeline of imbalanced-learn, rather
than rows that were augmented before the split.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from keras_ssvae.augmentation.rows import Amount, Rows
from keras_ssvae.model_selection import Seed
from keras_ssvae.seeding import derive_seeds

__all__ = ["augment"]


def augment(
    X: ArrayLike, y: ArrayLike, estimator: BaseEstimator | None = None, *, n_samples: Amount = None, random_state: Seed = None
) -> tuple[Any, Any]:
    """Add generated rows to a data set, class by class.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, d), or array of shape (n, height, width[, channels])
        Rows or images, as in `SemiSupervisedVAE.fit`; they may have missing cells.
    y : array-like of shape (n,)
        Labels. Rows without one take part in the fit of `estimator`, whose ``unlabeled`` says how they are marked.
    estimator : generative classifier of this package, default=None
        Where the rows come from: as it is if it is fitted, else a clone, fitted to X and y. None: a `SemiSupervisedVAE`.
    n_samples : None, "balanced", int or dict, default=None
        How many rows to generate. None: as many of each class as have its label. "balanced": as many as each class lacks to
        the largest one, by labels. An int: so many in all, in proportion to the labels. A dict: label -> number, also of
        classes that the estimator knows and y does not.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws, and of the fit unless the estimator has a `random_state` of its own.

    Returns
    -------
    X_new : of the kind of X
        The first n rows are those of X, unchanged and in their order. Generated rows come after them, in the order of the
        classes, with the columns and dtypes of X and without missing cells, except in columns that hold next to no value
        twice or no value at all. Rows of a DataFrame keep their index. Generated ones are numbered on from its largest whole
        number; where the index holds no whole numbers, they have the number of their row, as "generated 110" among texts.
    y_new : of the kind of y
        The labels of X_new, in the dtype of y. Rows without a label still have none; a generated row always has one.

    Raises
    ------
    TypeError
        If `estimator` cannot draw rows of a class, or X does not lie in memory or is sparse.
    ValueError
        If X, y or `n_samples` cannot be read, or no row has a label and `n_samples` does not name the classes.

    Notes
    -----
    By default a model takes the shares of the classes among the labels for those among all rows. Where a class is rare among
    the labels only, it then takes unlabelled rows of this class for others; pass an estimator with ``class_prior="uniform"``,
    or with the true shares.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> import keras_ssvae as ks
    >>> X, y = (array[:110] for array in load_iris(return_X_y=True))  # ten of the last class
    >>> model = ks.SemiSupervisedVAE(latent_dim=2, epochs=20, random_state=0)
    >>> X_new, y_new = ks.augment(X, y, model, n_samples="balanced", random_state=0)
    >>> np.bincount(y_new), np.array_equal(X_new[:110], X)
    (array([50, 50, 50]), True)
    """
    rows = Rows(X, y, estimator, use_fitted=True)
    n_new = rows.to_generate(n_samples)
    fit_seed, draw_seed = derive_seeds(random_state, 2)
    X_new, y_new, _ = rows.extended(rows.generator(n_new, fit_seed), n_new, draw_seed)
    return X_new, y_new
