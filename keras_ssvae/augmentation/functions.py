"""Rows that a generative estimator adds to a data set, class by class: as a function, a sampler and a classifier.

Every generated row comes from a model of the rows that were handed over, and of nothing else. In a cross-validation these must
be the training rows: put `AugmentedClassifier` there, or `GenerativeOverSampler` into a pipeline of imbalanced-learn, rather
than rows that were augmented before the split.
"""

import numbers

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, OneToOneFeatureMixin, clone, is_classifier
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names, _is_fitted, check_is_fitted, validate_data

from keras_ssvae.augmentation.rows import Rows, seeded
from keras_ssvae.data.labels import UNLABELED
from keras_ssvae.model_selection import labeled_scorer
from keras_ssvae.models import SemiSupervisedVAE
from keras_ssvae.seeding import derive_seeds

__all__ = ["AugmentedClassifier", "GenerativeOverSampler", "augment"]

STRATEGIES = ("auto", "not majority", "minority", "not minority", "all")


def augment(X, y, estimator=None, *, n_samples=None, random_state=None):
    """Add generated rows to a data set, class by class.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, d), or array of shape (n, height, width[, channels])
        Rows or images, as in `SemiSupervisedVAE.fit`; they may have missing cells.
    y : array-like of shape (n,)
        Labels. Rows without one take part in the fit of `estimator`, whose ``unlabeled`` says how they are marked.
    estimator : generative classifier of this package, default=None
        Where the rows come from. One that is fitted is used as it is; of any other, a clone is fitted to X and y. None: a
        `SemiSupervisedVAE`.
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
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = X[:110], y[:110]  # ten of the last class
    >>> model = ks.SemiSupervisedVAE(latent_dim=2, epochs=20, random_state=0)
    >>> X_new, y_new = ks.augment(X, y, model, n_samples="balanced", random_state=0)
    >>> np.bincount(y_new)
    array([50, 50, 50])
    >>> np.array_equal(X_new[:110], X)
    True
    """
    estimator = _checked(estimator)
    is_fitted = _is_fitted(estimator)
    rows = Rows(X, y, estimator, estimator.classes_ if is_fitted else getattr(estimator, "classes", None))
    numbers_ = _numbers(n_samples, rows.counts)
    fit_seed, draw_seed = derive_seeds(random_state, 2)
    generator = estimator if is_fitted or not any(numbers_.values()) else rows.fit(estimator, fit_seed)
    return rows.extended(generator, numbers_, draw_seed)


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
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : (n_features_in_,) array
        Names of the columns, if X was a DataFrame with names.

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

    def __init__(self, estimator=None, sampling_strategy="auto", random_state=None):
        self.estimator = estimator
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state

    def fit(self, X, y):
        """Count the labels; `fit_resample` is what generates rows.

        Parameters
        ----------
        X : as in `augment`
            Rows.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self
        """
        self._count(_checked(self.estimator), X, y)
        return self

    def fit_resample(self, X, y):
        """Add generated rows.

        Parameters
        ----------
        X : as in `augment`
            Rows.
        y : array-like of shape (n,)
            Labels; rows without one pass through.

        Returns
        -------
        X_new, y_new
            As of `augment`: first what was given, then the generated rows.

        Raises
        ------
        ValueError
            If there are fewer than two classes with a label, or `sampling_strategy` cannot be read or fulfilled.
        """
        estimator = _checked(self.estimator)
        rows = self._count(estimator, X, y)
        fit_seed, draw_seed = derive_seeds(self.random_state, 2)
        self.estimator_ = rows.fit(estimator, fit_seed) if any(self.sampling_strategy_.values()) else None
        return rows.extended(self.estimator_, self.sampling_strategy_, draw_seed)

    def _count(self, estimator, X, y):
        rows = Rows(X, y, estimator, getattr(estimator, "classes", None))
        self.sampling_strategy_ = _missing_rows(self.sampling_strategy, rows)
        validate_data(self, X, skip_check_array=True, reset=True)
        return rows

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _classifier_has(method):
    """Whether the classifier has the method, for `available_if`."""

    def check(self):
        getattr(getattr(self, "classifier_", self.classifier), method)  # its AttributeError says which method is missing
        return True

    return check


class AugmentedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A classifier that is fitted to labelled rows and to generated ones.

    In `fit`, a generative estimator learns from all rows, labelled or not, and draws rows of the classes; the classifier
    learns from the labelled rows and these. Nothing is generated in `predict`. A cross-validation of this estimator generates
    rows from the training rows of each split alone.

    Parameters
    ----------
    classifier : scikit-learn classifier
        A clone of it is fitted. It need not know what an unlabelled row is, as it gets none.
    estimator : generative classifier of this package, default=None
        A clone of it is fitted, even if it is fitted already; ``sklearn.frozen.FrozenEstimator(fitted)`` is used as it is. Its
        ``unlabeled`` says how rows without a label are marked. None: a `SemiSupervisedVAE`.
    n_samples : None, "balanced", int or dict, default="balanced"
        How many rows to generate, as in `augment`. "balanced": as many as each class lacks to the largest one.
    random_state : int, RandomState instance or None, default=None
        Seed of the generated rows and of both fits, unless `classifier` or `estimator` have one of their own.

    Attributes
    ----------
    classes_ : (n_classes,) array
        The labels, as the classifier gives them.
    classifier_ : scikit-learn classifier
        Fitted to labelled and generated rows.
    estimator_ : generative classifier or None
        The fitted estimator; None if there was nothing to generate.
    n_samples_ : dict
        Label -> number of rows that were generated.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : (n_features_in_,) array
        Names of the columns, if X was a DataFrame with names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> import keras_ssvae as ks
    >>> X, y = load_iris(return_X_y=True)
    >>> few = ks.mask_labels(y, labeled=15, random_state=0)
    >>> generator = ks.SemiSupervisedVAE(latent_dim=2)
    >>> model = ks.AugmentedClassifier(LogisticRegression(max_iter=1000), generator, n_samples=60, random_state=0)
    >>> model = model.fit(X, few)
    >>> model.n_samples_
    {0: 20, 1: 20, 2: 20}
    >>> model.score(X, y) > 0.85
    True
    """

    def __init__(self, classifier, estimator=None, n_samples="balanced", random_state=None):
        self.classifier = classifier
        self.estimator = estimator
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(self, X, y):
        """Generate rows from these, and fit the classifier to both.

        Parameters
        ----------
        X : as in `augment`
            Rows, in a form that the classifier reads.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self
        """
        estimator = _checked(self.estimator)
        rows = Rows(X, y, estimator, getattr(estimator, "classes", None))
        fit_seed, draw_seed, classifier_seed = derive_seeds(self.random_state, 3)
        self.n_samples_ = _numbers(self.n_samples, rows.counts)
        self.estimator_ = rows.fit(estimator, fit_seed) if any(self.n_samples_.values()) else None
        X_new, _ = rows.extended(self.estimator_, self.n_samples_, draw_seed)
        codes = np.concatenate([rows.codes, rows.indices_of(self.n_samples_)])
        labeled = np.flatnonzero(codes >= 0)
        self.classifier_ = seeded(clone(self.classifier), classifier_seed)
        self.classifier_.fit(_safe_indexing(X_new, labeled), rows.codec.decode(codes[labeled]))
        self.classes_ = self.classifier_.classes_
        validate_data(self, X, skip_check_array=True, reset=True)
        return self

    def _ask(self, method, X):
        check_is_fitted(self)
        _check_feature_names(self, X, reset=False)  # all else is for the classifier to say
        return getattr(self.classifier_, method)(X)

    def predict(self, X):
        """The classifier's labels of rows.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        y : (n,) array
        """
        return self._ask("predict", X)

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X):
        """The classifier's probabilities of the classes; they are those of a data set of the proportions it was fitted to.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        proba : (n, n_classes) array
            Columns in the order of ``classes_``.
        """
        return self._ask("predict_proba", X)

    @available_if(_classifier_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        log_proba : (n, n_classes) array
            Columns in the order of ``classes_``.
        """
        return self._ask("predict_log_proba", X)

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X):
        """The classifier's decision function.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        scores : (n,) or (n, n_classes) array
        """
        return self._ask("decision_function", X)

    def score(self, X, y):
        """Accuracy on the rows of (X, y) that have a label.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : array-like of shape (n,)
            Labels; rows without one are left out.

        Returns
        -------
        accuracy : float
        """
        return labeled_scorer("accuracy", getattr(self.estimator, "unlabeled", UNLABELED))(self, X, y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_classifier = get_tags(self.classifier)
        tags.classifier_tags = of_classifier.classifier_tags
        tags.input_tags.allow_nan = of_classifier.input_tags.allow_nan
        tags.input_tags.three_d_array = of_classifier.input_tags.three_d_array
        return tags


def _checked(estimator):
    """The estimator to generate rows with."""
    if estimator is None:
        return SemiSupervisedVAE()
    if isinstance(estimator, type) or not (hasattr(estimator, "sample") and is_classifier(estimator)):
        raise TypeError(
            "estimator must be None or an instance of a generative model that draws rows of a class, as SemiSupervisedVAE "
            f"does; got {estimator!r}."
        )
    return estimator


# How many rows


def _numbers(n_samples, counts):
    """Label -> number of rows to generate, from `n_samples` of `augment` and the number of labels of each class."""
    if isinstance(n_samples, dict):
        unknown = [label for label in n_samples if label not in counts]
        if unknown:
            raise ValueError(f"n_samples names labels that are not among the classes: {unknown} of {list(counts)}.")
        if not all(_is_number(number) for number in n_samples.values()):
            raise ValueError(f"n_samples must hold whole numbers from 0 on; got {n_samples!r}.")
        return {label: int(n_samples[label]) for label in counts if label in n_samples}
    known = {label: count for label, count in counts.items() if count > 0}
    if not known:
        raise ValueError("y holds no label, so there is no class to generate rows of; n_samples may name declared classes.")
    if n_samples is None:
        return known
    if isinstance(n_samples, str) and n_samples == "balanced":
        return {label: max(known.values()) - count for label, count in known.items()}
    if _is_number(n_samples):
        shares = np.cumsum(list(known.values())) / sum(known.values())
        shared_out = np.diff(np.rint(n_samples * shares).astype(int), prepend=0).tolist()
        return dict(zip(known, shared_out, strict=True))
    raise ValueError(f'n_samples must be None, "balanced", a whole number from 0 on or a dict; got {n_samples!r}.')


def _is_number(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 0


def _missing_rows(strategy, rows):
    """Label -> number of rows to generate, from a `sampling_strategy` as imbalanced-learn reads it."""
    counts = {label: count for label, count in rows.counts.items() if count > 0}
    if len(counts) < 2:
        raise ValueError(f"The target y needs to have more than 1 class. Got {len(counts)} class with a label instead.")
    if callable(strategy):
        strategy = strategy(rows.codec.decode(rows.codes[rows.codes >= 0]))
    if isinstance(strategy, dict):
        return _up_to_wanted(strategy, counts)
    majority, minority = max(counts, key=counts.get), min(counts, key=counts.get)
    if isinstance(strategy, numbers.Real) and not isinstance(strategy, bool):
        return _up_to_ratio(strategy, counts, majority)
    left_out = {"auto": {majority}, "not majority": {majority}, "not minority": {minority}, "all": set()}
    left_out["minority"] = set(counts) - {minority}
    if not isinstance(strategy, str) or strategy not in left_out:
        raise ValueError(
            f"sampling_strategy must be one of {', '.join(map(repr, STRATEGIES))}, a float in (0, 1], a dict or a callable; "
            f"got {strategy!r}."
        )
    return {label: counts[majority] - count for label, count in counts.items() if label not in left_out[strategy]}


def _up_to_wanted(wanted, counts):
    unknown = [label for label in wanted if label not in counts]
    if unknown:
        raise ValueError(f"The {unknown} target class is/are not present in the data; sampling_strategy is {wanted!r}.")
    for label, number in wanted.items():
        if not _is_number(number) or number < counts[label]:
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
