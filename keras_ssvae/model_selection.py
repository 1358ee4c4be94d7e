"""Hide labels, split, score and compare when only some rows are labelled."""

from __future__ import annotations

import numbers
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.api.types import is_extension_array_dtype
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import BaseCrossValidator, StratifiedKFold, check_cv
from sklearn.utils import check_random_state, indexable

from keras_ssvae._compat.sklearn import safe_indexing
from keras_ssvae.data.containers import opened
from keras_ssvae.data.labels import UNLABELED, LabelCodec, is_unlabeled

__all__ = ["SemiSupervisedKFold", "label_sweep", "labeled_scorer", "mask_labels", "split_unlabeled"]

Mark = float | str | None
"""What stands for "no label"."""
Scorer = Callable[[BaseEstimator, ArrayLike, ArrayLike], float]
Seed = int | np.random.RandomState | None


def mask_labels(
    y: ArrayLike, labeled: float = 0.1, *, stratify: bool = True, unlabeled: Mark = UNLABELED, random_state: Seed = None
) -> np.ndarray | pd.Series:
    """Copy y and hide all but some of its labels.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels. Entries that are unlabelled already stay so and do not count.
    labeled : float in [0, 1] or int, default=0.1
        What to keep of the labels: a fraction (rounded, but at least one label if above 0) or a number. So 1.0 keeps all labels
        and 1 keeps one.
    stratify : bool, default=True
        Keep the proportions of the classes, and at least one label of each class if there are enough. False draws from all
        labels alike.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label", in y and in the result.
    random_state : int, RandomState instance or None, default=None
        Which labels are kept.

    Returns
    -------
    y_masked : ndarray or Series of shape (n_samples,)
        A Series with the index and the name of y if y is one. The dtype is that of the labels if it can hold `unlabeled` (a
        categorical gets it as one more category), otherwise object.

    Raises
    ------
    ValueError
        If `labeled` is neither a fraction in [0, 1] nor a number of labels that y has.

    Examples
    --------
    >>> y = mask_labels([0, 0, 0, 0, 1, 1], labeled=3, random_state=0)
    >>> sorted(y.tolist())
    [-1, -1, -1, 0, 0, 1]
    >>> mask_labels(["cat", "dog"], labeled=0.0, unlabeled="?")
    array(['?', '?'], dtype=object)
    """
    codec, y_index = _encode(y, unlabeled)
    labeled_rows = np.flatnonzero(y_index >= 0)
    n_kept = _n_kept(labeled, len(labeled_rows))
    rng = check_random_state(random_state)
    kept = rng.permutation(labeled_rows)
    if stratify:
        per_class = _stratified_numbers(np.bincount(y_index[kept], minlength=codec.n_classes), n_kept, rng)
        rank_in_class = pd.Series(kept).groupby(y_index[kept]).cumcount().to_numpy()
        kept = kept[rank_in_class < per_class[y_index[kept]]]
    else:
        kept = kept[:n_kept]
    masked = np.full_like(y_index, UNLABELED)
    masked[kept] = y_index[kept]
    labels = codec.decode(masked)
    return _series_like(y, labels, masked < 0, unlabeled) if isinstance(y, pd.Series) else labels


def split_unlabeled(X: ArrayLike, y: ArrayLike, unlabeled: Mark = UNLABELED) -> tuple[Any, Any, Any]:
    """Tell rows with a label from rows without one.

    Parameters
    ----------
    X, y : array-likes of n_samples rows and labels
        Arrays, DataFrames, sparse matrices or lists.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label" in y, besides the missing values.

    Returns
    -------
    X_labeled, y_labeled, X_unlabeled : array-likes
        The rows that have a label, their labels, and all other rows, each in the order and the container of X or y.

    Raises
    ------
    ValueError
        If y is None, or is not one column of as many labels as there are rows.

    Examples
    --------
    >>> import numpy as np
    >>> split_unlabeled(np.arange(3), np.array([1, -1, 0]))
    (array([0, 2]), array([1, 0]), array([1]))
    """
    X, y = indexable(X, y)
    codec, y_index = _encode(y, unlabeled)
    labeled, others = np.flatnonzero(y_index >= 0), np.flatnonzero(y_index < 0)
    known = codec.decode(y_index[labeled])
    labels = pd.Series(known, y.index[labeled], name=y.name) if isinstance(y, pd.Series) else known
    return safe_indexing(X, labeled), labels, safe_indexing(X, others)


class SemiSupervisedKFold(BaseCrossValidator):
    """Cross-validation that tests on labelled rows only, and trains on all other rows.

    The labelled rows are split into stratified folds. Rows without a label cannot be tested, so they are part of every training
    set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2. At least one class needs this many labels.
    shuffle : bool, default=True
        Whether to shuffle the labelled rows of each class before splitting.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label" in y, besides the missing values.
    random_state : int, RandomState instance or None, default=0
        The order of the shuffling: an int for the same folds at every call, as successive halving needs them; None for others.
    partition : bool, default=False
        Whether every row without a label is a test row of one fold, too, though it stays in all training sets: for
        ``cross_val_predict(..., method="predict")``, which wants an answer for each row. Scores then need `labeled_scorer`.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.zeros((6, 1)), np.array([0, 0, -1, 1, 1, -1])
    >>> for train, test in SemiSupervisedKFold(n_splits=2, shuffle=False).split(X, y):
    ...     print(train, test)
    [1 2 4 5] [0 3]
    [0 2 3 5] [1 4]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = True, unlabeled: Mark = UNLABELED, random_state: Seed = 0,
        partition: bool = False,
    ) -> None:  # fmt: skip
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.unlabeled = unlabeled
        self.random_state = random_state
        self.partition = partition

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.
        """
        return self.n_splits

    def split(self, X: ArrayLike, y: ArrayLike, groups: object = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the positions of the training rows and of the test rows of each fold.

        Parameters
        ----------
        X, y : array-likes of n_samples rows and labels
            Of X only the length matters.
        groups : object, default=None
            Ignored.

        Yields
        ------
        train, test : ndarrays of int
            Labelled rows to test on, and all other rows to train on; with `partition`, rows without a label may be in both.

        Raises
        ------
        ValueError
            If y is None or has fewer labels than folds, or no class has as many labels as there are folds.
        """
        X, y = indexable(X, y)
        _, y_index = _encode(y, self.unlabeled)
        labeled_rows = np.flatnonzero(y_index >= 0)
        if len(labeled_rows) < self.n_splits:
            raise ValueError(f"n_splits={self.n_splits} needs as many labelled rows, y has {len(labeled_rows)}.")
        seed = self.random_state if self.shuffle else None
        folds = StratifiedKFold(self.n_splits, shuffle=self.shuffle, random_state=seed)
        others = np.array_split(np.flatnonzero(y_index < 0), self.n_splits)
        for (_, test), more in zip(folds.split(labeled_rows, y_index[labeled_rows]), others, strict=True):
            train = np.setdiff1d(np.arange(len(y_index)), labeled_rows[test])
            yield train, np.union1d(labeled_rows[test], more) if self.partition else labeled_rows[test]


def labeled_scorer(scoring: str | Scorer = "accuracy", unlabeled: Mark = UNLABELED) -> Scorer:
    """Make a scorer that looks at labelled rows only.

    Parameters
    ----------
    scoring : str or callable, default="accuracy"
        The name of a scikit-learn scorer, or a callable ``scorer(estimator, X, y)``.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label" in y, besides the missing values.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``, for the parameter ``scoring`` of ``cross_val_score``, ``GridSearchCV`` and so on. It raises
        a ValueError if no row is labelled.

    Raises
    ------
    ValueError
        If there is no scorer of this name.
    TypeError
        If `scoring` is neither a name nor a callable.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> X, y = [[0], [1], [2], [3]], [1, 1, -1, 0]
    >>> ones = DummyClassifier(strategy="constant", constant=1).fit(X, y)
    >>> print(round(labeled_scorer("accuracy")(ones, X, y), 3))
    0.667
    """
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(f"scoring must be the name of a scorer or a callable; got {scoring!r}.")
    return _LabeledScorer(get_scorer(scoring), unlabeled)


class _LabeledScorer:
    def __init__(self, scorer, unlabeled):
        self.scorer = scorer
        self.unlabeled = unlabeled

    def __call__(self, estimator, X, y):
        codec, y_index = _encode(y, self.unlabeled)
        labeled_rows = np.flatnonzero(y_index >= 0)
        if not len(labeled_rows):
            raise ValueError(
                f"y has no labelled row to score, got {len(y_index)} unlabelled ones (unlabeled={self.unlabeled!r}). "
                "For cross-validation, SemiSupervisedKFold makes test sets of labelled rows."
            )
        X, _ = indexable(X, y_index)
        return self.scorer(estimator, safe_indexing(X, labeled_rows), codec.decode(y_index[labeled_rows]))

    def __repr__(self):
        return f"labeled_scorer({self.scorer!r}, unlabeled={self.unlabeled!r})"


def label_sweep(
    estimator: BaseEstimator, X: ArrayLike, y: ArrayLike, fractions: Iterable[float] = (0.0, 0.01, 0.1, 0.5, 1.0), *,
    cv: int | BaseCrossValidator | Iterable = 5, scoring: str | Scorer = "accuracy", unlabeled: Mark = UNLABELED,
    random_state: Seed = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure how good an estimator is, given fewer and more labels.

    In every split the test rows stay the same; of the labels of the training rows, all but a fraction are hidden. Within a
    split, all fractions draw the labels they keep in the same random order.

    Parameters
    ----------
    estimator : estimator object
        A clone of it is fitted for each fraction and split.
    X, y : array-likes of n_samples rows and labels
        Some labels may be unknown already.
    fractions : iterable of float in [0, 1] or int, default=(0.0, 0.01, 0.1, 0.5, 1.0)
        How many labels of the training rows to keep: `labeled` of `mask_labels`. Ints are numbers of labels.
    cv : int, splitter or iterable of (train, test), default=5
        An int is the number of folds of a `SemiSupervisedKFold`. Any other splitter gets all rows; unlabelled rows among its
        test rows are not scored.
    scoring, unlabeled : as in `labeled_scorer`
        What the score is, and what stands for "no label", in y and in what the estimator is given.
    random_state : int, RandomState instance or None, default=None
        The folds, if `cv` is an int, and the labels that are kept. The estimator has a random state of its own.

    Returns
    -------
    sweep : DataFrame of len(fractions) * n_splits rows
        With the columns ``fraction`` (as given), ``n_labels`` (labels the estimator saw), ``split``, ``score`` and
        ``fit_seconds``. Without any label nothing can be predicted: nothing is fitted then, and the last two are NaN.

    Raises
    ------
    ValueError
        If a fraction is outside [0, 1], or a number above the number of labels of the training rows.
    TypeError
        If `fractions` are none, or the estimator predicts nothing.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.semi_supervised import SelfTrainingClassifier
    >>> estimator, (X, y) = SelfTrainingClassifier(GaussianNB()), load_iris(return_X_y=True)
    >>> sweep = label_sweep(estimator, X, y, [0.0, 0.1, 0.5], cv=3, random_state=0)
    >>> sweep.groupby("fraction")["n_labels"].mean().to_dict()
    {0.0: 0.0, 0.1: 10.0, 0.5: 50.0}
    """
    if isinstance(fractions, str) or not isinstance(fractions, Iterable):
        raise TypeError(f"fractions must be a list of fractions or numbers of labels; got {fractions!r}.")
    if isinstance(scoring, str) and not hasattr(estimator, "predict"):
        raise TypeError(f"estimator must have predict, or scoring={scoring!r} has nothing to score; got {estimator!r:.200}.")
    y = y if isinstance(y, np.ma.MaskedArray) else opened(y)
    X, y = indexable(opened(X), y if hasattr(y, "iloc") or not is_extension_array_dtype(y) else pd.Series(y))
    fractions, scorer = list(fractions), labeled_scorer(scoring, unlabeled)
    # All labels are masked before the first fit, so that a wrong fraction does not cost hours.
    splits = list(_masked_splits(X, y, fractions, cv, unlabeled, random_state))
    return _sweep(estimator, X, y, fractions, splits, scorer, unlabeled)


def _masked_splits(X, y, fractions, cv, unlabeled, random_state):
    """Of each split: training rows, test rows, and for each fraction the labels of the training rows."""
    rng = check_random_state(random_state)
    splitter = SemiSupervisedKFold(cv, unlabeled=unlabeled, random_state=rng) if _is_int(cv) else check_cv(cv)
    for train, test in splitter.split(X, y):
        y_train, seed = safe_indexing(y, train), rng.randint(np.iinfo(np.int32).max)
        yield train, test, [mask_labels(y_train, labeled, unlabeled=unlabeled, random_state=seed) for labeled in fractions]


def _sweep(estimator, X, y, fractions, splits, scorer, unlabeled):
    rows = []
    for i, labeled in enumerate(fractions):
        for split, (train, test, masked) in enumerate(splits):
            n_labels = np.count_nonzero(~is_unlabeled(masked[i], unlabeled))
            score = fit_seconds = np.nan
            if n_labels:
                start = time.perf_counter()
                fitted = clone(estimator).fit(safe_indexing(X, train), masked[i])
                fit_seconds = time.perf_counter() - start
                score = scorer(fitted, safe_indexing(X, test), safe_indexing(y, test))
            rows.append((labeled, n_labels, split, score, fit_seconds))
    sweep = pd.DataFrame(rows, columns=["fraction", "n_labels", "split", "score", "fit_seconds"])
    if len({_is_int(labeled) for labeled in fractions}) > 1:
        # In a column of floats, one label (1) and all labels (1.0) would look the same.
        sweep["fraction"] = pd.Series([row[0] for row in rows], dtype=object)
    return sweep


def _encode(y, unlabeled):
    if y is None:
        raise ValueError("y must hold a label or a mark for every row, got None.")
    n_rows = len(is_unlabeled(y, unlabeled))
    codec = LabelCodec(unlabeled=unlabeled).fit(y, n_rows)
    return codec, codec.encode(y, n_rows)


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _n_kept(labeled, n_labels):
    if _is_int(labeled) and 0 <= labeled <= n_labels:
        return int(labeled)
    if isinstance(labeled, numbers.Real) and not isinstance(labeled, numbers.Integral) and 0 <= labeled <= 1:
        return min(n_labels, max(round(labeled * n_labels), int(labeled > 0)))
    raise ValueError(
        f"labeled must be a fraction (a float in [0, 1]) or a number of labels (an int in [0, {n_labels}], as y has "
        f"{n_labels} labels), got {labeled!r}."
    )


def _stratified_numbers(counts, n_kept, rng):
    """Share `n_kept` labels among the classes in proportion to `counts`, if possible with at least one for each.

    The largest remainders are rounded up; ties are broken at random.
    """
    at_least_one = np.zeros(len(counts), dtype=bool)
    enough_for_all = n_kept >= np.count_nonzero(counts)
    while True:
        free = np.where(at_least_one, 0, counts)
        exact = (n_kept - np.count_nonzero(at_least_one)) * free / max(1, free.sum())
        too_small = (exact > 0) & (exact < 1)
        if not (enough_for_all and too_small.any()):
            break
        at_least_one |= too_small
    numbers_kept = np.floor(exact).astype(int)
    n_missing = n_kept - np.count_nonzero(at_least_one) - numbers_kept.sum()
    by_remainder = np.lexsort((rng.random_sample(len(counts)), numbers_kept - exact))
    numbers_kept[by_remainder[:n_missing]] += 1
    return numbers_kept + at_least_one


def _series_like(y, labels, gaps, unlabeled):
    if isinstance(y.dtype, pd.CategoricalDtype) and not pd.isna(unlabeled) and unlabeled not in y.cat.categories:
        y = y.cat.add_categories([unlabeled])
    if is_extension_array_dtype(y.dtype):
        values = y.array.copy()
        try:
            values[gaps] = unlabeled
        except (TypeError, ValueError):  # this dtype cannot hold `unlabeled`
            values = labels
    else:
        values = labels
    return pd.Series(values, index=y.index, name=y.name, dtype=values.dtype)
