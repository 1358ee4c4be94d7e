"""What the labels say about a model's scales: the class prior, the weight of a label, and whether near rows share a class."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy import typing as npt
from sklearn.linear_model import ridge_regression
from sklearn.neighbors import NearestNeighbors

from keras_ssvae.data.rows import canonical_order
from keras_ssvae.registry import register, require

__all__ = []


def class_prior(prior: str | npt.ArrayLike, class_weight: np.ndarray) -> np.ndarray:
    """p(y), the probability of each class before a row is seen, (n_classes,), from the labelled rows' weight by class.

    "empirical" is the labels' frequencies with one more label for every class, "uniform" the same for all; an array is scaled
    to sum to one. Raises a ValueError if it does not hold a positive number for each class.
    """
    if isinstance(prior, str):
        counts = class_weight + 1.0 if prior == "empirical" else np.ones(len(class_weight))
    else:
        counts = np.asarray(prior, float)
        if counts.shape != (len(class_weight),) or not np.isfinite(counts).all() or (counts <= 0).any():
            raise ValueError(
                f"class_prior must hold a positive probability for each of the {len(class_weight)} classes; got {prior!r}."
            )
    return counts / counts.sum()


@register
@dataclasses.dataclass
class LabelSummary:
    """What a network's scales are derived from.

    `signal` is how much of the labels rows can tell, from 0 (nothing that shows yet) to 1: the better of `label_agreement` and
    `linear_agreement`; 1 without labels.
    """

    class_weight: np.ndarray  # (n_classes,), of the labelled rows
    rows_per_label: float  # weight of all rows by that of the labelled ones; 0 without labels
    agreement: float  # see `label_agreement`; 1 without labels, if there are classes
    signal: float = 1.0
    advised: bool = False  # whether experts say what the classes of rows may be

    def _check_loaded(self):
        weight, shares = self.class_weight, (self.agreement, self.signal)
        numbers = isinstance(weight, np.ndarray) and weight.ndim == 1 and weight.dtype.kind in "fiu"
        require(numbers and np.isfinite(weight).all() and (weight >= 0).all(), "weights of classes are none")
        require(isinstance(self.rows_per_label, float) and 0 <= self.rows_per_label < math.inf, "rows_per_label is none")
        require(all(isinstance(share, float) and 0 <= share <= 1 for share in shares), "agreement or signal is no share")
        require(isinstance(self.advised, bool), "advised is no truth value")


def summarise_labels(
    x: Callable[[np.ndarray], np.ndarray], y_index: np.ndarray, weight: np.ndarray, n_classes: int
) -> LabelSummary:
    """The summary of n training rows with class indices, negative where unlabelled, and positive weights.

    `x` is a function: row indices -> (k, n_features) array of these rows.
    """
    labeled = y_index >= 0
    by_class = np.bincount(y_index[labeled], weight[labeled], minlength=n_classes)
    if not labeled.any():
        return LabelSummary(by_class, 0.0, float(n_classes > 1))  # who declares classes and no label asks for clusters
    rows, row_y, row_weight = _distinct(x(np.flatnonzero(labeled)), y_index[labeled], weight[labeled])
    agreement = label_agreement(rows, row_y, row_weight)
    signal = max(agreement, linear_agreement(rows, row_y, row_weight))
    return LabelSummary(by_class, float(weight.sum() / by_class.sum()), agreement, signal)


def _distinct(x, y_index, weight, max_rows=2000):
    """Distinct labelled rows with their weights, thinned to about `max_rows`; their order does not depend on that of x."""
    if len(x) > 4 * max_rows:  # sorting all rows of a large table would take longer than it is worth
        some = canonical_order(x, y_index)[:: len(x) // (2 * max_rows)]
        x, y_index, weight = x[some], y_index[some], weight[some]
    rows, inverse = np.unique(np.column_stack([x, y_index]), axis=0, return_inverse=True)
    weight = np.bincount(inverse.ravel(), weight)
    step = math.ceil(len(rows) / max_rows)
    return rows[::step, :-1], rows[::step, -1].astype(int), weight[::step]


def _kappa(predicted, y_index, weight):
    """Weighted accuracy above that of the largest class, from 0 for no better to 1 for perfect."""
    largest = np.bincount(y_index, weight).max() / weight.sum()
    if largest >= 1:  # the others weigh less than a digit of its own
        return 0.0
    return float(np.clip((np.average(predicted == y_index, weights=weight) - largest) / (1 - largest), 0, 1))


def label_agreement(x: np.ndarray, y_index: np.ndarray, weight: np.ndarray) -> float:
    """How well the label of the nearest other labelled row predicts a label, from 0 (no better than chance) to 1.

    It is Cohen's kappa of a leave-one-out nearest neighbour against the largest class: evidence from the labels themselves
    that rows that lie together share a class. With one label a class there is no evidence, and the agreement is 0. `x` are
    n labelled rows, each only once, (n, n_features), with class indices and weights.
    """
    if len(np.unique(y_index)) < 2:
        return 0.0
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(return_distance=False)[:, 0]
    return _kappa(y_index[nearest], y_index, weight)


def linear_agreement(x: np.ndarray, y_index: np.ndarray, weight: np.ndarray, n_folds: int = 10) -> float:
    """How well a linear classifier, fitted to the other labelled rows, predicts a label: 0 (no better than chance) to 1.

    Cohen's kappa against the largest class, of a ridge classifier in cross-validation; rows are as in `label_agreement`.
    """
    if len(np.unique(y_index)) < 2 or len(y_index) < 3:
        return 0.0
    fold = np.random.RandomState(0).permutation(len(y_index)) % min(n_folds, len(y_index))
    predicted = np.empty_like(y_index)
    for k in range(fold.max() + 1):
        rest, left_out = fold != k, fold == k
        if len(np.unique(y_index[rest])) < 2:
            predicted[left_out] = y_index[rest][0]
        else:
            predicted[left_out] = _ridge_predictions(x[rest], y_index[rest], weight[rest], x[left_out])
    return _kappa(predicted, y_index, weight)


def _ridge_predictions(x, y_index, weight, rows):
    """What scikit-learn's `RidgeClassifier` says of rows; what surrounds its regression takes ten times as long as that."""
    x, (classes, positions) = x.astype(np.float64), np.unique(y_index, return_inverse=True)
    targets = 2.0 * np.eye(len(classes))[positions] - 1.0
    center, offset = np.average(x, axis=0, weights=weight), np.average(targets, axis=0, weights=weight)
    penalty = max(1.0, 0.1 * weight.sum())
    slopes = ridge_regression(x - center, targets - offset, penalty, sample_weight=weight, solver="cholesky")
    return classes[((rows - center) @ slopes.T + offset).argmax(axis=1)]
