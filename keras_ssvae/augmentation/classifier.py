"""A classifier that learns from labelled and from generated rows."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_ssvae._compat.sklearn import check_feature_names, safe_indexing
from keras_ssvae.augmentation.rows import Amount, Rows
from keras_ssvae.data.labels import UNLABELED
from keras_ssvae.estimators.combining import fitted_has
from keras_ssvae.estimators.documentation import with_rows
from keras_ssvae.model_selection import Seed, labeled_scorer
from keras_ssvae.seeding import derive_seeds, seeded

__all__ = ["AugmentedClassifier"]


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
    n_features_in_, feature_names_in_ : int and array of names
        Number of columns of X, and their names, if X was a DataFrame with names.

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

    def __init__(
        self, classifier: BaseEstimator, estimator: BaseEstimator | None = None, n_samples: Amount = "balanced",
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.classifier = classifier
        self.estimator = estimator
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Generate rows from these, and fit the classifier to both.

        Parameters
        ----------
        X, y : as in `augment`
            Rows, in a form that the classifier reads, and labels.
        """
        rows = Rows(X, y, self.estimator)
        fit_seed, draw_seed, classifier_seed = derive_seeds(self.random_state, 3)
        self.n_samples_ = rows.to_generate(self.n_samples)
        self.estimator_ = rows.generator(self.n_samples_, fit_seed)
        X_new, _, y_index = rows.extended(self.estimator_, self.n_samples_, draw_seed)
        labeled = np.flatnonzero(y_index >= 0)
        classifier = seeded(clone(self.classifier), classifier_seed)
        self.classifier_ = classifier.fit(safe_indexing(X_new, labeled), rows.codec.decode(y_index[labeled]))
        self.classes_ = self.classifier_.classes_
        validate_data(self, X, skip_check_array=True, reset=True)
        return self

    def _ask(self, method, X):
        check_is_fitted(self)
        check_feature_names(self, X, reset=False)  # all else is for the classifier to say
        return getattr(self.classifier_, method)(X)

    @with_rows
    def predict(self, X: ArrayLike) -> np.ndarray:
        """The classifier's labels of rows: (n,)."""
        return self._ask("predict", X)

    @available_if(fitted_has("classifier", "predict_proba"))
    @with_rows
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The classifier's probabilities of the classes; they are those of a data set of the proportions it was fitted to.

        Returns
        -------
        proba : (n, n_classes) array
            Columns in the order of ``classes_``.
        """
        return self._ask("predict_proba", X)

    @available_if(fitted_has("classifier", "predict_log_proba"))
    @with_rows
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of `predict_proba`: (n, n_classes), columns in the order of ``classes_``."""
        return self._ask("predict_log_proba", X)

    @available_if(fitted_has("classifier", "decision_function"))
    @with_rows
    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """The classifier's decision function: (n,) or (n, n_classes)."""
        return self._ask("decision_function", X)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy on the rows of (X, y) that have a label.

        Parameters
        ----------
        X, y : as in `fit`
            Rows and labels; rows without a label are left out.
        """
        return labeled_scorer("accuracy", getattr(self.estimator, "unlabeled", UNLABELED))(self, X, y)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        of_classifier = get_tags(self.classifier)
        tags.classifier_tags = of_classifier.classifier_tags
        tags.input_tags.allow_nan = of_classifier.input_tags.allow_nan
        tags.input_tags.three_d_array = of_classifier.input_tags.three_d_array
        return tags
