"""A sampler that balances classes by generated rows."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from keras_ssvae.augmentation.rows import Rows
from keras_ssvae.model_selection import Seed
from keras_ssvae.seeding import derive_seeds

__all__ = ["GenerativeOverSampler"]


class GenerativeOverSampler(OneToOneFeatureMixin, BaseEstimator):
    """Balance classes by generated rows: a sampler with the protocol of imbalanced-learn, which it does not need.

    The rows come from a generative estimator that is fitted to all rows at hand, labelled or not. In an
    ``imblearn.pipeline.Pipeline`` these are the training rows, and nothing is generated when the pipeline predicts.

    Parameters
    ----------
    estimator : generative classifier of this package, default=None
        A clone of it is fitted, even if it is fitted already; ``sklearn.frozen.FrozenEstimator(fitted)`` is used as it is.
        None: a `SemiSupervisedVAE`.
    sampling_strategy : str, float, dict or callable, default="auto"
        Which classes get rows, up to as many as the largest class has labels: "not majority", which is "auto", "minority",
        "not minority" or "all". A float is the wanted ratio of the smaller class to the larger one of two. A dict is label ->
        wanted number of rows of the class, those given included. A callable makes such a dict from the labels.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws, and of the fit unless the estimator has a `random_state` of its own.

    Attributes
    ----------
    sampling_strategy_ : dict
        Label -> number of rows to generate.
    estimator_ : generative classifier or None
        The fitted estimator; None if there was nothing to generate.
    n_features_in_, feature_names_in_ : int and array of names
        Number of columns of X, and their names, if X was a DataFrame with names.

    See Also
    --------
    augment : The same as a function, and where rows of what is returned come from.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> import keras_ssvae as ks
    >>> X, y = load_iris(return_X_y=True)
    >>> sampler = ks.GenerativeOverSampler(ks.SemiSupervisedVAE(latent_dim=2, epochs=20), random_state=0)
    >>> X_new, y_new = sampler.fit_resample(X[:110], y[:110])
    >>> sampler.sampling_strategy_
    {1: 0, 2: 40}
    """

    _sampling_type = "over-sampling"

    def __init__(
        self, estimator: BaseEstimator | None = None,
        sampling_strategy: str | float | dict[Any, int] | Callable[[Any], dict[Any, int]] = "auto", random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Count the labels; `fit_resample` is what generates rows.

        Parameters
        ----------
        X, y : as in `augment`
            Rows and labels.
        """
        self._count(X, y)
        return self

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
        """Add generated rows.

        Parameters
        ----------
        X, y : as in `augment`
            Rows and labels; rows without a label pass through.

        Returns
        -------
        X_new, y_new
            As of `augment`: first what was given, then the generated rows.

        Raises
        ------
        ValueError
            If there are fewer than two classes with a label, or `sampling_strategy` cannot be read or fulfilled.
        """
        rows = self._count(X, y)
        fit_seed, draw_seed = derive_seeds(self.random_state, 2)
        self.estimator_ = rows.generator(self.sampling_strategy_, fit_seed)
        X_new, y_new, _ = rows.extended(self.estimator_, self.sampling_strategy_, draw_seed)
        return X_new, y_new

    def _count(self, X, y):
        rows = Rows(X, y, self.estimator)
        self.sampling_strategy_ = _missing_rows(self.sampling_strategy, rows)
        validate_data(self, X, skip_check_array=True, reset=True)
        return rows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _missing_rows(strategy, rows):
    """Label -> number of rows to generate, from a `sampling_strategy` as imbalanced-learn reads it."""
    counts = {label: count for label, count in rows.counts.items() if count > 0}
    if len(counts) < 2:
        raise ValueError(f"The target y needs to have more than 1 class. Got {len(counts)} class with a label instead.")
    if callable(strategy):
        strategy = strategy(rows.codec.decode(rows.y_index[rows.y_index >= 0]))
    if isinstance(strategy, dict):
        return _up_to_wanted(strategy, counts)
    majority, minority = max(counts, key=counts.get), min(counts, key=counts.get)
    if isinstance(strategy, numbers.Real) and not isinstance(strategy, bool):
        return _up_to_ratio(strategy, counts, majority)
    left_out = {"auto": {majority}, "not majority": {majority}, "minority": set(counts) - {minority}}
    left_out |= {"not minority": {minority}, "all": set()}
    if not isinstance(strategy, str) or strategy not in left_out:
        raise ValueError(
            f"sampling_strategy must be one of {', '.join(map(repr, left_out))}, a float in (0, 1], a dict or a callable; "
            f"got {strategy!r}."
        )
    return {label: counts[majority] - count for label, count in counts.items() if label not in left_out[strategy]}


def _up_to_wanted(wanted, counts):
    unknown = [label for label in wanted if label not in counts]
    if unknown:
        raise ValueError(f"The {unknown} target class is/are not present in the data; sampling_strategy is {wanted!r}.")
    for label, number in wanted.items():
        if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < counts[label]:
            raise ValueError(
                "With over-sampling methods, the number of samples in a class should be greater or equal to the original "
                f"number of samples. Originally, there is {counts[label]} samples of class {label!r}; {number!r} are asked for."
            )
    return {label: int(wanted[label]) - count for label, count in counts.items() if label in wanted}


def _up_to_ratio(ratio, counts, majority):
    if not 0 < ratio <= 1:
        raise ValueError(f"When sampling_strategy is a float, it should be in the range (0, 1]. Got {ratio} instead.")
    if len(counts) > 2:
        raise ValueError(
            '"sampling_strategy" can be a float only when the type of target is binary. For multi-class, use a dict; y has '
            f"{len(counts)} classes."
        )
    (minority,) = set(counts) - {majority}
    number = int(counts[majority] * ratio - counts[minority])
    if number <= 0:
        raise ValueError(
            f"sampling_strategy={ratio} requires to remove samples from the minority class while trying to generate new "
            f"samples: the classes have {counts[minority]} and {counts[majority]}. Please increase the ratio."
        )
    return {minority: number}
