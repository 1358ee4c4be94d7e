"""From rows and labels to all that a detector has learned; nothing is changed on the way."""

import concurrent.futures
import dataclasses
import typing

import numpy as np

from keras_ssvae._compat.sklearn import get_feature_names
from keras_ssvae.anomaly.labels import LabeledScore
from keras_ssvae.anomaly.members import Members
from keras_ssvae.data.labels import LabelCodec
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.data.validation import check_weight, check_X

__all__ = []

TRIMMED = 0.1  # of the rows without a label, the strangest, which teach nothing of what is normal
MAX_KEPT = 4096  # rows of each kind that a fit keeps for `partial_fit`
N_THREADS = 2  # steps side by side: trees and products of matrices let go of Python's lock
STEP = 16_384  # rows at a time: memory is for what comes out


@dataclasses.dataclass(frozen=True)
class Learned:
    """What a fit has made besides the trained estimator."""

    members: Members
    labeled: LabeledScore | None
    scores: np.ndarray  # (n,), of the training rows, higher = stranger
    others: np.ndarray  # (m,), those of them that are no known anomalies
    left_out: np.ndarray  # (k,), scores of known anomalies that took no part in them
    memory: PreparedRows  # with "y": some of the training rows


def first_scores(X: typing.Any, y: typing.Any, estimator: typing.Any, weight: typing.Any, seed: int) -> tuple:
    """A first score of each row, (n,), higher = stranger, by what needs no training; and y as -1, 0 and 1, (n,) integers.

    It raises what a fit of the estimator would raise of X, and a ValueError if y holds anything else.
    """
    get_feature_names(X)  # raises on names of mixed types
    schema = Schema().fit(X)
    values = check_X(X, schema, estimator)
    y_index = LabelCodec([0, 1]).fit(y, len(values)).encode(y, len(values))
    table = TablePreprocessor(estimator.likelihood).fit(values, schema, check_weight(weight, values))
    rows, known = table.encode(values), y_index == 1
    members = Members().fit(table, None, rows if known.all() else rows[~known], np.random.RandomState(seed))
    return members.joined(members(table, None, rows)[0]), y_index


def mostly_normal(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which rows stand for what is normal, (n,) bool: known normals, and unlabelled ones but for the strangest."""
    others = y == -1
    if not others.any():
        return y == 0 if (y == 0).any() else np.ones(len(y), bool)
    return (y == 0) | others & (scores <= np.quantile(scores[others], 1 - TRIMMED, method="lower"))


def learn(estimator: typing.Any, rows: PreparedRows, normal: np.ndarray, seed: int) -> Learned:
    """What there is to learn from rows, with "y" of -1, 0 and 1, given a trained estimator and which rows are mostly normal."""
    rng = np.random.RandomState(seed)
    members = Members().fit(estimator.table_, estimator.network_, rows[normal] if normal.any() else rows, rng)
    said = [members(estimator.table_, estimator.network_, part) for part in _steps(rows)]
    strange = np.concatenate([members.joined(scaled) for scaled, _ in said])
    if not (rows.y == 1).any() or not (rows.y != 1).any():
        return Learned(members, None, strange, strange, np.empty(0), _thinned(rows, rng))
    features = np.concatenate([features for _, features in said])
    labeled = LabeledScore().fit(features, members.trees.n_features, strange, rows.y, rng)
    left_out = labeled.pop_left_out()
    scores = strange + labeled(features, strange)
    return Learned(members, labeled, scores, scores[rows.y != 1], left_out, _thinned(rows, rng))


def scores_of(estimator: typing.Any, members: Members, labeled: LabeledScore | None, rows: typing.Any) -> np.ndarray:
    """How strange rows are, `PreparedRows` or `LazyRows`: (n,)."""

    def of_part(part):
        scaled, features = members(estimator.table_, estimator.network_, part)
        strange = members.joined(scaled)
        return strange if labeled is None else strange + labeled(features, strange)

    if len(rows) <= STEP:
        return of_part(rows[:])
    with concurrent.futures.ThreadPoolExecutor(N_THREADS) as pool:
        return np.concatenate(list(pool.map(of_part, _steps(rows))))


def stacked(memory: PreparedRows, rows: PreparedRows) -> PreparedRows:
    """Rows of two calls, one after the other."""
    arrays = [{"observed": np.ones_like(part.x), **part.arrays} for part in (memory, rows)]
    return PreparedRows(**{name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]})


def _steps(rows):
    return (rows[start : start + STEP] for start in range(0, len(rows), STEP))


def _thinned(rows, rng):
    """Some rows of each kind of label, in order."""
    kept = []
    for label in (-1, 0, 1):
        found = np.flatnonzero(rows.y == label)
        kept.append(found if len(found) <= MAX_KEPT else rng.choice(found, MAX_KEPT, replace=False))
    return rows[np.sort(np.concatenate(kept))]
