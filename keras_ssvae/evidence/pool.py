"""The joint opinion of all experts: weights and certainty from labels that were left out."""

import dataclasses
import functools
import typing
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_ssvae.evidence import classifiers, graphs, mixtures
from keras_ssvae.evidence.rows import MAX_COLUMNS, KnownRows, known_rows, principal

__all__ = ["Evidence", "gather"]

MAX_ROWS = 20_000  # of which experts are asked; others are told by the network what these taught it
MAX_DIAGONAL = 512  # columns up to which a mixture reads each
FEW_WRONG = 0.02  # the least share of labels that are taken to be wrong
FLOOR = 0.02  # of every opinion is spread evenly: no left-out label is impossible


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What experts say of n rows."""

    log_posterior: np.ndarray  # (n, n_classes) float32, given the label where there is one; zeros where no expert was asked
    left_out: np.ndarray  # (n, n_classes) float32, what they would say of a labelled row without its label; NaN of other rows
    wrong_labels: float  # the share of labels that they take to be wrong
    experts: pd.DataFrame  # a row an expert: weight, and log_loss and accuracy on labels left out; last "all", their mixture


def gather(views: dict[str, np.ndarray], y: np.ndarray, weight: np.ndarray, n_classes: int) -> Evidence:
    """The experts' joint opinion of n rows.

    A mixture with weights exp(-k^0.6 (log loss - the best)), where k labels are left out in turn; then a temperature that makes
    it as certain as those labels confirm.

    Parameters
    ----------
    views : dict of str to (n, d) array
        The same rows in several scales, "scaled" among them.
    y : (n,) integer array
        Class indices, negative where unlabelled; two classes at least have a label.
    weight : (n,) array
        How often each row counts.
    n_classes : int
        Number of classes.
    """
    views = {name: _narrowed(view) for name, view in views.items()}
    known, index = known_rows(views, y, weight, n_classes)
    others = np.flatnonzero(index < 0)[: max(0, MAX_ROWS - len(known.y))]
    everything = {name: np.concatenate([known.views[name], view[others]]) for name, view in views.items()}
    said, opinions = {}, {}  # of everything, and of labels left out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn on many classes or constant columns
        for name, ask in _experts(known, everything):
            said[name], opinions[name] = (_floored(p) for p in ask())
    y_known = known.y[known.labeled]
    weights = _weights(list(opinions.values()), y_known)
    joint, joint_left_out = (np.tensordot(weights, np.stack(list(p.values())), 1) for p in (said, opinions))
    power = _power(joint_left_out, y_known)
    joint, joint_left_out = _sharpened(joint, power), _sharpened(joint_left_out, power)
    share = wrong_labels(joint_left_out, y_known)
    unshown = np.concatenate([joint, np.full((1, n_classes), np.nan)])
    unshown[known.labeled] = joint_left_out
    place = index.copy()  # of each row in `joint`; the last place is empty
    place[others] = len(known.y) + np.arange(len(others))
    left_out = np.where(y[:, None] >= 0, unshown[place], np.nan).astype(np.float32)
    posterior = np.where(y[:, None] >= 0, with_label(unshown[place], y, share), unshown[place])
    log_posterior = np.where(place[:, None] >= 0, np.log(posterior), 0.0).astype(np.float32)
    return Evidence(log_posterior, left_out, share, _table(weights, {**opinions, "all": joint_left_out}, y_known))


def _table(weights, opinions, y):
    """What left-out labels said of the experts and, last, of all of them."""
    judged = {"weight": [*weights, 1.0], "log_loss": [_log_loss(p, y) for p in opinions.values()]}
    judged["accuracy"] = [np.mean(p.argmax(axis=1) == y) for p in opinions.values()]
    return pd.DataFrame(judged, index=list(opinions))


def _experts(known: KnownRows, everything: dict[str, np.ndarray]) -> typing.Iterator[tuple[str, Callable]]:
    """(name, function that asks) of all experts."""
    x = everything["scaled"]
    for c in (1.0, 0.1):
        yield f"logistic regression, C={c:g}", functools.partial(classifiers.linear, known, x, c)
    yield "random forest", lambda: classifiers.forest(known, x, extra=False)
    yield "extra trees", lambda: classifiers.forest(known, x, extra=True)
    yield "naive Bayes", lambda: classifiers.naive_bayes(known, x)
    for view, rows in everything.items():
        for k, alpha in ((3, 0.99), (5, 0.9)):
            graph = graphs.NeighborGraph(known.views[view], k)
            yield f"propagation, {view}, {k} neighbors", functools.partial(graphs.propagation, known, rows, graph, alpha)
    mean, directions = principal(known.x, known.weight, 30)
    turned = (x - mean) @ directions
    if x.shape[1] <= MAX_DIAGONAL:
        yield "mixture, diagonal", lambda: mixtures.mixture(known, x - mean, "diagonal", 1.0)
    yield "mixture, spherical", lambda: mixtures.mixture(known, turned[:, :20], "spherical", 1.0)
    yield "mixture, tied", lambda: mixtures.mixture(known, turned, "tied", 0.1)
    for unlabeled_weight in (1.0, 0.1):
        ask = functools.partial(mixtures.mixture, known, turned[:, :8], "full", unlabeled_weight)
        yield f"mixture, full, weight {unlabeled_weight:g}", ask


def wrong_labels(left_out: np.ndarray, y: np.ndarray) -> float:
    """The share of labels that left-out opinions, (n, n_classes), take to be wrong, but at least `FEW_WRONG`.

    Another class counts where it is at least as likely as it is on average for the rows that have its label (C. Northcutt et
    al. 2021, "Confident Learning", arXiv 1911.00068, section 3.1).
    """
    own = left_out[np.arange(len(y)), y]
    threshold = [own[y == k].mean() if (y == k).any() else np.inf for k in range(left_out.shape[1])]
    confident = np.where(left_out >= np.array(threshold), left_out, -np.inf)
    doubted = np.isfinite(confident.max(axis=1)) & (confident.argmax(axis=1) != y)
    return float(np.clip(doubted.mean(), FEW_WRONG, 0.5))


def with_label(left_out: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    """The posterior of labelled rows, (n, n_classes), where a share of the labels is wrong, alike to all other classes.

    Opinions learned from such labels say what the label may be: first what the class may be, then the label joins.
    """
    others = max(1, left_out.shape[1] - 1)
    clean = np.maximum(left_out - share / others, 1e-4)
    likelihood = np.where(np.eye(left_out.shape[1], dtype=bool)[y], 1 - share, share / others)
    posterior = clean * likelihood
    return posterior / posterior.sum(axis=1, keepdims=True)


def _narrowed(view):
    """A view, projected where it is very wide: distances and inner products stay to within a few per cent."""
    if view.shape[1] <= MAX_COLUMNS:
        return view
    directions = np.random.RandomState(0).standard_normal((view.shape[1], 1024)).astype(np.float32) / 32
    return view @ directions


def _floored(p):
    return (1 - FLOOR) * p + FLOOR / p.shape[1]


def _log_loss(p, y):
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def _weights(left_out, y):
    loss = np.array([_log_loss(p, y) for p in left_out])
    weights = np.exp(-(len(y) ** 0.6) * (loss - loss.min()))
    return weights / weights.sum()


def _sharpened(p, power):
    log_p = power * np.log(p)
    return classifiers.softmax(log_p)


def _power(left_out, y):
    """The inverse temperature of the best log loss of left-out labels; near 1 where they are few."""
    powers = np.exp(np.linspace(np.log(0.3), np.log(3.0), 47))
    return min(powers, key=lambda s: len(y) * _log_loss(_sharpened(left_out, s), y) + 0.5 * np.log(s) ** 2)
