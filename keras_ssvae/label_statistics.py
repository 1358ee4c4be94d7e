"""What the labels say about a model's scales: the class prior, the weight of a label, and whether near rows share a class."""

import dataclasses
import math

import numpy as np
from sklearn.neighbors import NearestNeighbors

from keras_ssvae.feed import canonical_order

__all__ = ["LabelSummary", "class_prior", "label_agreement", "summarise_labels"]


def class_prior(prior, class_weight):
    """p(y), the probability of each class before a row is seen.

    Parameters
    ----------
    prior : {"empirical", "uniform"} or array-like of shape (n_classes,)
        "empirical" is the labels' frequencies with one more label for every class; probabilities are scaled to sum to one.
    class_weight : (n_classes,) array
        Weight of the labelled rows by class.

    Returns
    -------
    (n_classes,) array
        Positive, sums to one.

    Raises
    ------
    ValueError
        If the probabilities are too few, too many, negative or zero.
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


@dataclasses.dataclass
class LabelSummary:
    """What a network's scales are derived from.

    Attributes
    ----------
    class_weight : (n_classes,) array
        Weight of the labelled rows by class.
    rows_per_label : float
        Weight of all rows by that of the labelled ones; 0 without labels.
    agreement : float
        See `label_agreement`; 1 without labels, if there are classes.
    """

    class_weight: np.ndarray
    rows_per_label: float
    agreement: float


def summarise_labels(x, codes, weight, n_classes):
    """The `LabelSummary` of training rows.

    Parameters
    ----------
    x : (n, n_columns) array
        Encoded rows.
    codes : (n,) int array
        Class codes, negative where unlabelled.
    weight : (n,) array
        Row weights, positive.
    n_classes : int
        Number of classes.
    """
    labeled = codes >= 0
    by_class = np.bincount(codes[labeled], weight[labeled], minlength=n_classes)
    if not labeled.any():
        return LabelSummary(by_class, 0.0, float(n_classes > 1))  # who declares classes and no label asks for clusters
    agreement = label_agreement(x[labeled], codes[labeled], weight[labeled])
    return LabelSummary(by_class, float(weight.sum() / by_class.sum()), agreement)


def label_agreement(x, codes, weight, max_rows=2000):
    """How well the label of the nearest other labelled row predicts a label, from 0 (no better than chance) to 1.

    It is Cohen's kappa of a leave-one-out nearest neighbour against the largest class: evidence from the labels themselves
    that rows that lie together share a class. With one label a class there is no evidence, and the agreement is 0.

    Parameters
    ----------
    x : (n, n_columns) array
        Labelled rows, encoded.
    codes : (n,) int array
        Their class codes.
    weight : (n,) array
        Their weights; rows given several times count as one row of their weight.
    max_rows : int, default=2000
        Larger tables are thinned to about this number.

    Returns
    -------
    float
    """
    if len(x) > 4 * max_rows:  # sorting all rows of a large table would take longer than it is worth
        some = canonical_order(x, codes)[:: len(x) // (2 * max_rows)]
        x, codes, weight = x[some], codes[some], weight[some]
    rows, inverse = np.unique(np.column_stack([x, codes]), axis=0, return_inverse=True)
    weight = np.bincount(inverse.ravel(), weight)
    step = math.ceil(len(rows) / max_rows)
    rows, weight = rows[::step], weight[::step]
    shares = np.bincount(rows[:, -1].astype(int), weight) / weight.sum()
    if len(rows) < 2 or shares.max() == 1:
        return 0.0
    nearest = NearestNeighbors(n_neighbors=1).fit(rows[:, :-1]).kneighbors(return_distance=False)[:, 0]
    right = np.average(rows[nearest, -1] == rows[:, -1], weights=weight)
    return float(np.clip((right - shares.max()) / (1 - shares.max()), 0, 1))
