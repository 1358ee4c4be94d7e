"""The joint opinion of experts of numbers: weights, and how far it may be off, from targets that were left out."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.evidence.classifiers import softmax
from keras_ssvae.evidence.pool import narrowed
from keras_ssvae.evidence.regressors import regressors
from keras_ssvae.evidence.rows import KnownRows, known_rows
from keras_ssvae.evidence.shift import distance_of_unlabeled

__all__ = ["TargetEvidence", "gather_targets"]

ENOUGH = 5  # labelled rows; of fewer nobody is asked
SURE = 1e-6  # the least variance of a target, of 1, that is left
PRIOR_ROWS = 2.0  # left-out rows that the spread of the experts' opinions is worth before any was left out


@dataclasses.dataclass(frozen=True)
class TargetEvidence:
    """What experts say of the targets of n rows, in standard units.

    Attributes
    ----------
    advice : (n, 2) float32 array
        Mean and log variance of the target, without the row's own.
    explained : float
        The share of the variance that they explain of targets left out, from 0 to 1.
    experts : DataFrame
        A row an expert: weight, and log_loss and r2 on targets left out; last "all", their mixture.
    unlabeled_distance : float
        See `keras_ssvae.evidence.shift.distance_of_unlabeled`.
    """

    advice: np.ndarray
    explained: float
    experts: pd.DataFrame
    unlabeled_distance: float

    @property
    def summary(self) -> dict:
        """What a `LabelSummary` knows then."""
        return {"advised": True, "signal": self.explained}


def gather_targets(views: dict[str, np.ndarray], rows: PreparedRows, weight: np.ndarray) -> TargetEvidence | None:
    """The experts' joint opinion of n rows; None where fewer than `ENOUGH` different ones have a target.

    A mixture with weights exp(-k^0.6 (log loss - the best)), where k targets are left out in turn. Its variance in a row is the
    mean square by which left-out targets lie off, and more where experts disagree.

    Parameters
    ----------
    views : dict of str to (n, d) array
        The rows, "scaled" among them.
    rows : PreparedRows
        The same rows, with "y", negative where the target is unknown, and "target", in standard units.
    weight : (n,) array
        How often each row counts.
    """
    x, target = narrowed(views["scaled"]), rows.arrays["target"].astype(np.float64)
    y = np.full(len(x), -1)
    values, y[rows.y >= 0] = np.unique(target[rows.y >= 0], return_inverse=True)
    known, index = known_rows({"scaled": x}, y, weight, max(1, len(values)))
    if len(known.labeled) < ENOUGH:
        return None
    t = values[known.y[known.labeled]]
    said, left_out = (np.stack(both) for both in zip(*_asked(known, t, x.astype(np.float64)), strict=True))
    error = np.square(left_out - t).mean(axis=1)
    log_loss = _log_loss(error)
    weights = softmax(-(len(t) ** 0.6) * log_loss[None])[0]
    joint, joint_left_out = weights @ said, weights @ left_out
    spread, spread_left_out = (weights @ np.square(p - mean) for p, mean in ((said, joint), (left_out, joint_left_out)))
    off = np.square(joint_left_out - t)
    base = max(off.mean() - spread_left_out.mean(), 0.2 * off.mean(), SURE)
    scale = (PRIOR_ROWS + (off / (base + spread_left_out)).sum()) / (PRIOR_ROWS + len(t))
    variance, variance_left_out = scale * (base + spread), scale * (base + spread_left_out)
    own = np.where((y >= 0) & (index >= 0), np.searchsorted(known.labeled, index), -1)
    mean = np.where(own >= 0, joint_left_out[own], joint)
    variance = np.where(own >= 0, variance_left_out[own], variance)
    errors = np.append(error, off.mean())
    columns = {"weight": [*weights, 1.0], "log_loss": _log_loss(errors), "r2": 1 - errors / max(t.var(), SURE)}
    table = pd.DataFrame(columns, index=[*regressors(x.shape[1]), "all"])
    advice = np.stack([mean, np.log(variance)], axis=1).astype(np.float32)
    explained = float(np.clip(table["r2"].iloc[-1], 0, 1))
    return TargetEvidence(advice, explained, table, distance_of_unlabeled(known))


def _log_loss(error):
    """Mean negative log density of targets that lie off by a mean square."""
    return 0.5 * np.log(2 * np.pi * np.e * np.maximum(error, SURE))


def _asked(known, t, x):
    """What each expert says of all rows, (n,), and of labelled ones whose target was left out, (k,)."""
    return [_cross_fitted(fit, known, t, x) for fit in regressors(x.shape[1]).values()]


def _cross_fitted(fit: Callable, known: KnownRows, t: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shown, weight = known.x[known.labeled].astype(np.float64), known.weight[known.labeled]
    left_out = np.empty(len(t))
    for k in np.unique(known.fold):
        rest, of = known.fold != k, known.fold == k
        left_out[of] = fit(shown[rest], t[rest], weight[rest]).predict(shown[of])
    return fit(shown, t, weight).predict(x), left_out
