"""Experts that read the labelled rows alone: linear, naive Bayes and tree classifiers."""

import functools
from collections.abc import Callable

import numpy as np
import scipy.special
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from keras_ssvae.evidence.rows import KnownRows

__all__ = []


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of unnormalised logarithms, (n, n_classes)."""
    return scipy.special.softmax(logits, axis=1)


def _spread(p, classes, n_classes):
    """Probabilities of some classes as those of all."""
    spread = np.zeros((len(p), n_classes))
    spread[:, classes] = np.nan_to_num(p)
    nothing = spread.sum(axis=1) <= 0  # no tree left this row out
    spread[nothing] = 1.0 / n_classes
    return spread


def cross_fitted(fit: Callable, known: KnownRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a classifier says of rows, (n, n_classes), and of labelled rows of which it was not shown the label.

    ``fit(x, y, weight)`` gives a classifier of scikit-learn.
    """
    x, y, weight = known.x[known.labeled], known.y[known.labeled], known.weight[known.labeled]

    def said(shown, of, prior):
        if len(np.unique(y[shown])) < 2:
            return np.tile(prior, (len(of), 1))
        given = x[shown], y[shown], weight[shown]
        if _are_many(y[shown]):  # a row of half the weight given twice is the same
            given = (*(np.concatenate([a, a]) for a in given[:2]), np.tile(given[2] / 2, 2))
        with np.errstate(all="ignore"):  # naive Bayes, of constant columns
            classifier = fit(*given)
            return _spread(classifier.predict_proba(of), classifier.classes_, known.n_classes)

    left_out = np.empty((len(y), known.n_classes))
    for k in np.unique(known.fold):
        left_out[known.fold == k] = said(known.fold != k, x[known.fold == k], known.prior_of(known.without(k)))
    return said(np.ones(len(y), bool), rows, known.prior), left_out


def linear(known: KnownRows, rows: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression with inverse penalty `c`; as in `cross_fitted`."""
    return cross_fitted(
        lambda x, y, weight: LogisticRegression(C=c, max_iter=2000, tol=1e-3).fit(x, y, sample_weight=weight), known, rows
    )


def naive_bayes(known: KnownRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian a class with independent columns; as in `cross_fitted`."""
    return cross_fitted(lambda x, y, weight: GaussianNB(var_smoothing=1e-2).fit(x, y, sample_weight=weight), known, rows)


def forest(known: KnownRows, rows: np.ndarray, *, extra: bool) -> tuple[np.ndarray, np.ndarray]:
    """A random forest, or extremely randomised trees; the trees that were not shown a row say what it would be."""
    x, y, weight = known.x[known.labeled], known.y[known.labeled], known.weight[known.labeled]
    make = functools.partial(ExtraTreesClassifier if extra else RandomForestClassifier, 100, random_state=0, bootstrap=True)
    if _are_many(y) or weight.min() < weight.max():  # every tree may be shown a heavy row
        return cross_fitted(lambda x, y, weight: make().fit(x, y, sample_weight=weight), known, rows)
    trees = make(oob_score=_no_score).fit(x, y)
    left_out = _spread(trees.oob_decision_function_, trees.classes_, known.n_classes)
    return _spread(trees.predict_proba(rows), trees.classes_, known.n_classes), left_out


def _are_many(classes):
    """Whether scikit-learn would take class indices for numbers, and warn of it."""
    return 2 * len(np.unique(classes)) > len(classes)


def _no_score(y, predicted):
    """scikit-learn asks for a score where only the predictions are wanted."""
    return 0.0
