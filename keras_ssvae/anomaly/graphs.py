"""The score of a detector in TensorFlow, for graphs that answer without this package: what its parts say of arrays, of tensors.

All arrays of the parts become tensors before anything is traced, so that several methods in one file share them.
"""

import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae.anomaly import labels, local, members, network, scaling, view
from keras_ssvae.anomaly.trees import Trees
from keras_ssvae.data.column_kinds import is_unordered
from keras_ssvae.data.tables import TablePreprocessor

__all__ = ["METHODS", "score_of"]

METHODS = "predict_proba", "anomaly_score", "decision_function", "score_samples", "predict"
Score = Callable[[dict], tf.Tensor]


def answers_of(score: Score, threshold: float, slope: float) -> dict[str, Score]:
    """All methods of a detector by name, as functions of a batch, given its score, (n,) float64, as one."""

    def proba(batch):
        strange = tf.sigmoid((score(batch) - threshold) / slope)
        return tf.stack([_single(1 - strange), _single(strange)], axis=1)

    return {
        "predict_proba": proba,
        "anomaly_score": lambda batch: _single(score(batch)),
        "decision_function": lambda batch: _single(threshold - score(batch)),
        "score_samples": lambda batch: _single(-score(batch)),
        "predict": lambda batch: tf.where(score(batch) > threshold, tf.constant(-1, tf.int64), tf.constant(1, tf.int64)),
    }


def score_of(
    table: TablePreprocessor, trained: typing.Any, parts: members.Members, labeled: labels.LabeledScore | None
) -> Score:
    """`keras_ssvae.anomaly.training.scores_of` as a function of a batch, {"x", "observed"}: (n,) float64.

    Parameters
    ----------
    table : TablePreprocessor
        Of the rows.
    trained : Network
        The network that is one of the voices.
    parts : Members
        The others, and the scale of all.
    labeled : LabeledScore or None
        What known anomalies add.
    """
    numbers, scaled = _numbers(table, parts.view), _scaled(parts.view)
    isolation, distance = leaf_means(parts.trees), _distance(parts.neighbors.reference)
    densities = [_density(part) for part in parts.local]
    on_scale, odds = _scale(parts.scale), _odds(labeled)
    is_complete = tf.constant(np.flatnonzero(parts.view.complete))

    def score(batch):
        missing = tf.cast(tf.equal(batch["observed"], 0.0), tf.float32)
        unheard = tf.reduce_sum(tf.gather(missing, is_complete, axis=1), axis=1)
        values = numbers(batch["x"], missing)
        near = scaled(values)
        said = _network_scores(trained, batch)
        said[0] += parts.view.rarity * _double(unheard)
        raw = [2.0 ** -isolation(values), distance(near, members.UNHEARD * unheard), *said]
        raw += [densities[1](trained.encode(batch))] if len(densities) == 2 else []
        raw += [densities[0](near)] if densities else []
        voices = on_scale(tf.stack(raw, axis=1))
        strange = tf.reduce_mean(voices[:, -len(densities) :], axis=1)
        return strange + odds(tf.concat([values, _single(voices)], axis=1), strange)

    return tf.function(score, autograph=False, reduce_retracing=True)  # methods that are written together share its trace


def _network_scores(trained, batch):
    """`keras_ssvae.anomaly.network.network_scores` of a batch: a list of scores, (n,) float64."""
    if hasattr(trained, "bound_at_mean"):
        said = trained.bound_at_mean(batch)
        return [_double(said["bound"]), _double(said["kl"])]
    if hasattr(trained, "log_likelihood"):
        return [-_double(trained.log_likelihood(batch, n_draws=network.N_DRAWS))]
    return [-_double(trained.score(batch))]


def _double(values):
    return tf.cast(values, tf.float64)


def _single(values):
    return tf.cast(values, tf.float32)


def _numbers(table, seen):
    """`RowView.numbers` of encoded rows and of zeros and ones, (n, n_columns) each."""
    gappy = tf.constant(np.flatnonzero(seen.gappy))
    origin, directions = (None, None) if seen.directions is None else (tf.constant(seen.mean), tf.constant(seen.directions))

    def numbers(x, missing):
        x, blocks = tf.where(missing > 0, tf.zeros_like(x), x), []
        for group in table.groups_:
            block = x[:, group.start : group.stop]
            if is_unordered(group):
                levels = tf.one_hot(tf.cast(block, tf.int32), group.n_levels)
                block = tf.reshape(levels, (-1, (group.stop - group.start) * group.n_levels))
            blocks.append(block)
        values = tf.concat([*blocks, tf.gather(missing, gappy, axis=1)], axis=1)
        return values if directions is None else tf.matmul(values - origin, directions)

    return numbers


def _scaled(seen):
    center, spread = tf.constant(seen.center), tf.constant(seen.spread)
    return lambda numbers: tf.clip_by_value((numbers - center) / spread, -view.REACH, view.REACH)


def leaf_means(trees: Trees) -> Callable[[tf.Tensor], tf.Tensor]:
    """The mean value of the leaves of all trees, (n,) float64, of float32 rows."""
    nodes, roots = np.arange(len(trees.left)), np.cumsum(trees.sizes) - trees.sizes
    first, is_leaf = np.repeat(roots, trees.sizes), trees.left == -1
    left, right = (np.where(is_leaf, nodes, first + child) for child in (trees.left, trees.right))  # a leaf leads to itself
    below = trees.threshold.astype(np.float32)  # the largest float32 that is not above: rows are float32, too
    below = np.where(below > trees.threshold, np.nextafter(below, np.float32(-np.inf)), below)
    children = tf.constant(np.stack([right, left], axis=1).ravel(), tf.int32)
    column, threshold = tf.constant(np.where(is_leaf, 0, trees.feature), tf.int32), tf.constant(below)
    value, start, depth = tf.constant(trees.value), tf.constant(roots, tf.int32), _depth(left, right, roots, is_leaf)

    def mean(rows):
        node = tf.tile(start[None, :], [tf.shape(rows)[0], 1])
        for _ in range(depth):
            seen = tf.gather(rows, tf.gather(column, node), axis=1, batch_dims=1)
            node = tf.gather(children, 2 * node + tf.cast(seen <= tf.gather(threshold, node), tf.int32))
        return tf.reduce_mean(_double(tf.gather(value, node)), axis=1)

    return mean


def _depth(left, right, roots, is_leaf):
    """The number of steps after which a walk from any root has ended."""
    depth, reached = 0, roots[~is_leaf[roots]]
    while len(reached):
        reached = np.concatenate([left[reached], right[reached]])
        depth, reached = depth + 1, reached[~is_leaf[reached]]
    return depth


def _distance(reference):
    """`SampledNeighbors` of rows, and of squares that are added."""
    n_samples, size, width = reference.shape
    flat = reference.reshape(-1, width)
    points, squares = tf.constant(flat.T), tf.constant(np.square(flat).sum(axis=1))

    def distance(rows, beyond):
        apart = tf.reshape(squares - 2 * tf.matmul(rows, points), (-1, n_samples, size))
        nearest = tf.reduce_min(apart, axis=2) + (tf.reduce_sum(tf.square(rows), axis=1) + beyond)[:, None]
        return tf.reduce_mean(_double(tf.sqrt(tf.maximum(nearest, 0.0))), axis=1)

    return distance


def _density(part):
    """`LocalDensity` of rows."""
    points, squares = tf.constant(part.reference.T.copy()), tf.constant(np.square(part.reference).sum(axis=1))
    reach, density = tf.constant(part.reach), tf.constant(part.density)
    k = min(local.N_NEIGHBORS, len(part.reference))

    def log_factor(rows):
        closeness, index = tf.math.top_k(2 * tf.matmul(rows, points) - squares, k)
        nearest = tf.reduce_sum(tf.square(rows), axis=1)[:, None] - closeness
        reached = tf.maximum(tf.sqrt(tf.maximum(nearest, 0.0)), tf.gather(reach, index))
        reached = tf.maximum(tf.reduce_mean(_double(reached), axis=1), local.SMALLEST)
        return tf.math.log(tf.reduce_mean(_double(tf.gather(density, index)), axis=1) * reached)

    return log_factor


def _scale(scale):
    """`ScoreScale`."""
    center, spread = tf.constant(scale.center, tf.float64), tf.constant(scale.spread, tf.float64)

    def on_scale(scores):
        z = (scores - center) / spread
        beyond = tf.math.log1p(tf.maximum(z - scaling.LINEAR, 0.0))
        return tf.maximum(tf.minimum(z, scaling.LINEAR) + beyond, scaling.LOWEST)

    return on_scale


def _odds(labeled):
    """`LabeledScore` of features and unsupervised scores; nothing where no anomaly was known."""
    if labeled is None:
        return lambda features, strange: tf.zeros_like(strange)
    forests = [(trees.n_features, leaf_means(trees)) for trees in labeled.forests]

    def odds(features, strange):
        p = [tf.clip_by_value(mean(features[:, :width]), 0.0, 1.0) for width, mean in forests]
        said = tf.add_n([tf.math.log((q + labels.FLOOR) / (1 + labels.FLOOR - q)) for q in p]) / len(p)
        unlike = tf.minimum(labels.UNLIKE + (strange - labeled.fence) / labels.STRETCH, labels.LIKELY)
        return labeled.weight * tf.maximum(tf.maximum(said, unlike), labeled.floor)

    return odds
