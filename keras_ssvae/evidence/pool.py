"""The joint opinion of all experts: weights and certainty from labels that were left out."""

import dataclasses
import functools
import typing
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.evidence import classifiers, graphs, mixtures
from keras_ssvae.evidence.rows import KnownRows, known_rows, principal, thinned
from keras_ssvae.evidence.shift import distance_of_unlabeled

__all__ = ["Evidence", "gather"]

MAX_ROWS = 10_000  # with a label, and as many without, of which experts are asked; what these teach the network is for all
MAX_COLUMNS = 4096  # above, distances are measured in a random projection
MAX_DIAGONAL = 512  # columns up to which a mixture reads each
CLEAR_SHIFT = 0.4  # nats a row by which other class shares explain rows better where the labels' shares are not theirs
PRIOR_OF_NEIGHBORS = 100.0  # weight of propagation against another expert's, before any label was left out
FEW_WRONG = 0.02  # the least share of labels that are taken to be wrong
ALONE = "labelled rows alone"
USUAL_POWER, SPREAD_OF_POWERS = 0.2, 0.5  # mean and deviation of log powers: opinions from left-out labels are too unsure
FLOOR = 0.02  # of every opinion is spread evenly: no left-out label is impossible


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What experts say of n rows.

    Attributes
    ----------
    log_posterior : (n, n_classes) float32 array
        log p(y | row), given its label where there is one.
    left_out : (n, n_classes) float32 array
        What they would say of a labelled row without its label; NaN of other rows.
    wrong_labels : float
        The share of labels that they take to be wrong.
    experts : DataFrame
        A row an expert: weight, and log_loss and accuracy on labels left out; then "labelled rows alone", the mixture of those
        who read no others, and "all", that of all.
    unlabeled_distance : float
        See `keras_ssvae.evidence.shift.distance_of_unlabeled`.
    """

    log_posterior: np.ndarray
    left_out: np.ndarray
    wrong_labels: float
    experts: pd.DataFrame
    unlabeled_distance: float

    summary: typing.ClassVar[dict] = {"advised": True}  # what a `LabelSummary` knows then

    @property
    def advice(self) -> np.ndarray:
        """`log_posterior`, as a batch has it."""
        return self.log_posterior


def rows_to_ask(rows: PreparedRows) -> np.ndarray:
    """Indices of the rows of a fit, with "y", of which experts are asked: all, or some if they are very many."""
    if len(rows) <= 2 * MAX_ROWS:
        return np.arange(len(rows))
    order = rows.order()
    return np.concatenate([thinned(order[kind], MAX_ROWS) for kind in (rows.y[order] >= 0, rows.y[order] < 0)])


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
    views = {name: narrowed(view) for name, view in views.items()}
    known, index = known_rows(views, y, weight, n_classes)
    others = np.flatnonzero(index < 0)
    everything = {name: np.concatenate([known.views[name], view[others]]) for name, view in views.items()}
    said, opinions = _asked(_classifiers(known, everything["scaled"]))
    _, joint, alone = _mixed(said, opinions, known)
    share_of_class = class_shares(joint, alone, known)
    said = {name: _floored(reweighed(p, share_of_class / known.prior)) for name, p in said.items()}
    for answers, more in zip((said, opinions), _asked(_semi_supervised(known, everything, share_of_class)), strict=True):
        answers.update(more)
    weights, joint, joint_left_out = _mixed(said, opinions, known)
    judges, y_judges = known.judges, known.y[known.labeled][known.judges]
    power = _power(joint_left_out[judges], y_judges)
    joint, joint_left_out = _sharpened(joint, power), _sharpened(joint_left_out, power)
    share = wrong_labels(joint_left_out[judges], y_judges)
    joint[known.labeled] = np.where(judges[:, None], joint_left_out, 1 / n_classes)  # the only label of a class is not doubted
    index[others] = len(known.y) + np.arange(len(others))
    left_out = np.where(y[:, None] >= 0, joint[index], np.nan).astype(np.float32)
    posterior = np.where(y[:, None] >= 0, with_label(joint[index], y, share), joint[index])
    alone = _sharpened(alone, _power(alone[judges], y_judges))
    judged = {name: p[judges] for name, p in {**opinions, ALONE: alone, "all": joint_left_out}.items()}
    experts, distance = _table([*weights, 0.0, 1.0], judged, y_judges), distance_of_unlabeled(known)
    return Evidence(np.log(posterior).astype(np.float32), left_out, share, experts, distance)


def _table(weights, opinions, y):
    """What left-out labels said of the experts and, last, of all of them."""
    judged = {"weight": weights}
    judged["log_loss"] = [_log_loss(p, y) if len(y) else np.nan for p in opinions.values()]
    judged["accuracy"] = [np.mean(p.argmax(axis=1) == y) if len(y) else np.nan for p in opinions.values()]
    return pd.DataFrame(judged, index=list(opinions))


def _classifiers(known: KnownRows, rows: np.ndarray) -> dict[str, Callable]:
    """Functions that ask those who read labelled rows alone, by name."""
    return {
        "logistic regression, C=1": lambda: classifiers.linear(known, rows, 1.0),
        "logistic regression, C=0.1": lambda: classifiers.linear(known, rows, 0.1),
        "random forest": lambda: classifiers.forest(known, rows, extra=False),
        "extra trees": lambda: classifiers.forest(known, rows, extra=True),
        "naive Bayes": lambda: classifiers.naive_bayes(known, rows),
    }


def _semi_supervised(known: KnownRows, everything: dict[str, np.ndarray], share_of_class: np.ndarray) -> dict[str, Callable]:
    """Functions that ask those who read all rows, by name."""
    experts: dict[str, Callable] = {}
    for view, rows in everything.items():
        for k, alpha in ((3, 0.99), (5, 0.9)):
            graph = graphs.NeighborGraph(known.views[view], k)
            ask = functools.partial(graphs.propagation, known, rows, graph, alpha, share_of_class)
            experts[f"propagation, {view}, {k} neighbors"] = ask
    x = everything["scaled"]
    mean, directions = principal(known.x, known.weight, 30)
    if not directions.shape[1]:  # all rows are alike
        return experts
    turned = (x - mean) @ directions
    if x.shape[1] <= MAX_DIAGONAL:
        experts["mixture, diagonal"] = lambda: mixtures.mixture(known, x - mean, "diagonal", 1.0)
    experts["mixture, spherical"] = lambda: mixtures.mixture(known, turned[:, :20], "spherical", 1.0)
    experts["mixture, tied"] = lambda: mixtures.mixture(known, turned, "tied", 0.1)
    experts["mixture, full, weight 1"] = lambda: mixtures.mixture(known, turned[:, :8], "full", 1.0)
    experts["mixture, full, weight 0.1"] = lambda: mixtures.mixture(known, turned[:, :8], "full", 0.1)
    return experts


def _asked(experts: dict[str, Callable]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What experts say of everything, and of labels left out, both by name."""
    answers = {name: [_floored(p) for p in ask()] for name, ask in experts.items()}
    return {name: both[0] for name, both in answers.items()}, {name: both[1] for name, both in answers.items()}


def _mixed(said, opinions, known):
    """Weights of the experts, and the mixtures of what they say of everything, and of labels left out.

    Where classes have one label each, none can be left out: then what is common to near rows is trusted first.
    """
    y, judges = known.y[known.labeled], known.judges
    loss = np.array([_log_loss(p[judges], y[judges]) if judges.any() else 0.0 for p in opinions.values()])
    log_prior = np.log(PRIOR_OF_NEIGHBORS) * np.array([name.startswith("propagation") for name in opinions])
    logits = log_prior * max(0.0, 1 - judges.sum() / known.n_classes) - judges.sum() ** 0.6 * loss
    weights = classifiers.softmax(logits[None])[0]
    return weights, *(np.tensordot(weights, np.stack(list(p.values())), 1) for p in (said, opinions))


def reweighed(p: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Posteriors under other class shares, (n, n_classes)."""
    p = p * factors
    return p / p.sum(axis=1, keepdims=True)


def class_shares(said: np.ndarray, left_out: np.ndarray, known: KnownRows) -> np.ndarray:
    """The shares of the classes among rows without a label, (n_classes,): those of the labels, unless rows speak against it.

    They are estimated by expectation maximisation from posteriors under the labels' shares (M. Saerens et al. 2002, "Adjusting
    the Outputs of a Classifier to New a Priori Probabilities"). What few labels teach is not exact, so the estimate counts as
    far as it explains rows much better, by `CLEAR_SHIFT` nats a row, and as far as left-out labels are predicted at all.
    """
    unlabeled, y = known.y < 0, known.y[known.labeled]
    if not unlabeled.any():
        return known.prior
    p, weight = said[: len(known.y)][unlabeled], known.weight[unlabeled] / known.weight[unlabeled].sum()
    shares = known.prior
    for _ in range(100):
        shares = weight @ reweighed(p, shares / known.prior)
    gain = weight @ np.log(p @ (shares / known.prior))
    kappa = 1 - np.mean(left_out.argmax(axis=1) != y) / max(1e-9, 1 - np.bincount(y).max() / len(y))
    trust = np.clip(kappa, 0, 1) * np.clip(gain / CLEAR_SHIFT - 0.5, 0, 1)
    return (1 - trust) * known.prior + trust * shares


def wrong_labels(left_out: np.ndarray, y: np.ndarray) -> float:
    """The share of labels that left-out opinions, (n, n_classes), take to be wrong, but at least `FEW_WRONG`.

    Another class counts where it is at least as likely as it is on average for the rows that have its label (C. Northcutt et
    al. 2021, "Confident Learning", arXiv 1911.00068, section 3.1).
    """
    if not len(y):
        return FEW_WRONG
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


def narrowed(view: np.ndarray) -> np.ndarray:
    """A view, projected where it is very wide: distances and inner products stay to within a few per cent."""
    if view.shape[1] <= MAX_COLUMNS:
        return view
    directions = np.random.RandomState(0).standard_normal((view.shape[1], 1024)).astype(np.float32) / 32
    return view @ directions


def _floored(p):
    return (1 - FLOOR) * p + FLOOR / p.shape[1]


def _log_loss(p, y):
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def _sharpened(p, power):
    return classifiers.softmax(power * np.log(p))


def _power(left_out, y):
    """The inverse temperature of the best log loss of left-out labels; near the usual one where they are few."""
    powers = np.exp(np.linspace(np.log(0.3), np.log(3.0), 47))
    prior = 0.5 * np.square((np.log(powers) - USUAL_POWER) / SPREAD_OF_POWERS)
    losses = [len(y) * _log_loss(_sharpened(left_out, s), y) if len(y) else 0.0 for s in powers]
    return powers[np.argmin(losses + prior)]
