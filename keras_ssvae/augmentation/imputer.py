"""A transformer that fills missing cells by a generative model of the rows."""

from __future__ import annotations

import typing

import numpy as np
from sklearn.base import MetaEstimatorMixin, OneToOneFeatureMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from keras_ssvae._compat.sklearn import BaseEstimator, TransformerMixin, fit_context
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.imputing import ImputationMixin
from keras_ssvae.estimators.wrapping import WrapperMixin
from keras_ssvae.models.vae import VAE
from keras_ssvae.registry import register, require
from keras_ssvae.seeding import derive_seeds, seeded

__all__ = ["GenerativeImputer"]


@register
class GenerativeImputer(WrapperMixin, OneToOneFeatureMixin, MetaEstimatorMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fill missing cells by a generative model of the rows: a transformer for pipelines.

    Numbers, categories, dates and truth values are filled alike, each given all observed cells of its row, and what comes out
    has the container, columns and dtypes of what went in. Every row is filled by itself.

    Parameters
    ----------
    estimator : generative estimator of this package, default=None
        A clone of it is fitted. None: a `VAE` with ``latent_dim=20``, numbers as Gaussian, for the least squared error, and
        `early_stopping` after 100 epochs where there are 20 rows, so that draws of small tables do not look too sure.
    sample_posterior : bool, default=False
        Whether `transform` gives a draw of the missing cells, in place of what is to be expected of them: for multiple
        imputation, with another `random_state` each, and for what is to keep the spread of the columns.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws, and of the fit unless `estimator` has a `random_state` of its own.

    Attributes
    ----------
    estimator_ : generative estimator
        Fitted.
    n_features_in_, feature_names_in_ : int and array of names
        Number of columns of X, and their names, if X was a DataFrame with names.

    See Also
    --------
    VAE.impute : The same of a fitted estimator, and several draws at once.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> import keras_ssvae as ks
    >>> X, _ = load_iris(return_X_y=True)
    >>> gaps = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.2, np.nan, X)
    >>> imputer = ks.GenerativeImputer(ks.VAE(latent_dim=2, epochs=100), random_state=0).fit(gaps)
    >>> filled = imputer.transform(gaps)
    >>> error = np.abs(filled - X)[np.isnan(gaps)].mean()
    >>> bool(error < 0.6 * np.abs(X - X.mean(axis=0))[np.isnan(gaps)].mean())
    True
    """

    _parameter_constraints: typing.ClassVar[dict[str, list]] = {
        "estimator": [GenerativeEstimator, None],
        "sample_posterior": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator: typing.Any = None, sample_posterior: bool = False, random_state: typing.Any = None) -> None:
        self.estimator = estimator
        self.sample_posterior = sample_posterior
        self.random_state = random_state

    @fit_context
    def fit(self, X: typing.Any, y: typing.Any = None) -> typing.Self:
        """Fit the model of the rows.

        Parameters
        ----------
        X : rows, images or a source
            As `estimator` reads them.
        y : array-like of shape (n,), default=None
            Labels, for an `estimator` that learns from them; the default one does not read them.

        Raises
        ------
        ValueError
            If X or y cannot be read, or `estimator` cannot fill cells; the imputer is unchanged then.
        """
        estimator = _default(X) if self.estimator is None else clone(self.estimator)
        if not isinstance(estimator, ImputationMixin):
            raise ValueError(f"estimator must have impute; {type(estimator).__name__} has none.")
        return self._commit(seeded(estimator, derive_seeds(self.random_state, 2)[0]).fit(X, y))

    @consistent
    def transform(self, X: typing.Any) -> typing.Any:
        """X with its missing cells filled, and every other cell as it was.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        X : array or DataFrame
            A copy without missing cells, except in columns of which the fit saw no value.
        """
        check_is_fitted(self)
        if not self.sample_posterior:
            return self.estimator_.impute(X)
        (drawn,) = self.estimator_.impute(X, n_draws=1, random_state=derive_seeds(self.random_state, 2)[1])
        return drawn

    @classmethod
    def _from_file(cls, state):
        """The fitted imputer of what a file says; a ValueError unless all of it fits together."""
        imputer = cls._of_file(state, ())
        require(isinstance(imputer.estimator_, ImputationMixin), "the estimator of an imputer has no impute")
        return imputer

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(_default() if self.estimator is None else self.estimator).input_tags
        return tags


def _default(X=None):
    """The default estimator, for rows X: fewer than 20 can spare none to be judged by."""
    shape = np.shape(X)
    return VAE(latent_dim=20, likelihood="gaussian", early_stopping=not shape or shape[0] >= 20, n_iter_no_change=100)
