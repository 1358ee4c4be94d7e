"""Experts that read the labelled rows alone: linear, kernel and tree classifiers."""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from keras_ssvae.evidence.rows import KnownRows

__all__ = []

MAX_KERNEL_ROWS = 1000
BLOCK = 4096  # rows whose kernel is computed at a time


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of unnormalised logarithms, (n, n_classes)."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


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

    def said(shown, of):
        if len(np.unique(y[shown])) < 2:
            return np.tile(known.prior, (len(of), 1))
        classifier = fit(x[shown], y[shown], weight[shown])
        return _spread(classifier.predict_proba(of), classifier.classes_, known.n_classes)

    left_out = np.empty((len(y), known.n_classes))
    for k in np.unique(known.fold):
        left_out[known.fold == k] = said(known.fold != k, x[known.fold == k])
    return said(np.ones(len(y), bool), rows), left_out


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
    make = ExtraTreesClassifier if extra else RandomForestClassifier
    trees = make(100, bootstrap=True, oob_score=_no_score, random_state=0).fit(x, y, sample_weight=weight)
    left_out = _spread(trees.oob_decision_function_, trees.classes_, known.n_classes)
    return _spread(trees.predict_proba(rows), trees.classes_, known.n_classes), left_out


def _no_score(y, predicted):
    """scikit-learn asks for a score where only the predictions are wanted."""
    return 0.0


def kernel(known: KnownRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ridge regression on the classes, of which the left-out answers are exact and free.

    Width, penalty and the slope that makes probabilities of its answers are those of the best left-out log loss.
    """
    some = slice(None, None, -(-len(known.labeled) // MAX_KERNEL_ROWS))
    labeled = known.labeled[some]
    x, y, weight = known.x[labeled].astype(np.float64), known.y[labeled], known.weight[labeled]
    center = np.average(known.x, axis=0, weights=known.weight)
    spread = float(np.average(np.square(known.x - center).sum(axis=1), weights=known.weight))
    targets, log_prior = np.eye(known.n_classes)[y] - known.prior, np.log(known.prior)
    root = np.sqrt(weight)[:, None]
    best: tuple = (np.inf,)
    for width in (0.5, 2.0, 8.0):
        gram = root * np.exp(-width * _squares(x, x) / (2 * max(spread, 1e-12))) * root.T
        values, vectors = np.linalg.eigh(gram)
        values, rotated = values.clip(0), vectors.T @ (root * targets)
        for penalty in (0.01, 0.1, 1.0):
            shrunk = values / (values + penalty)
            own = np.square(vectors) @ shrunk
            fitted = vectors @ (shrunk[:, None] * rotated)
            alone = (fitted - own[:, None] * root * targets) / np.maximum(1 - own, 1e-9)[:, None] / root
            for slope in (2.0, 4.0, 8.0, 16.0):
                left_out = softmax(log_prior + slope * alone)
                loss = -np.log(0.98 * left_out[np.arange(len(y)), y] + 0.02 / known.n_classes).mean()
                if loss < best[0]:
                    dual = root * (vectors @ (rotated / (values + penalty)[:, None]))
                    best = loss, width, slope, dual, left_out
    _, width, slope, dual, left_out = best

    def said(of):
        return softmax(log_prior + slope * np.exp(-width * _squares(of, x) / (2 * max(spread, 1e-12))) @ dual)

    everything = np.concatenate([said(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)])
    if len(labeled) < len(known.labeled):  # rows that were thinned out were not shown either
        whole = said(known.x[known.labeled])
        whole[some] = left_out
        left_out = whole
    return everything, left_out


def _squares(a, b):
    """Squared distances of rows, (len(a), len(b))."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.maximum(np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T, 0)
