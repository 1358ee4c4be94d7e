"""A detector of what a file says: all is checked before anything of it is asked."""

import typing

import numpy as np

from keras_ssvae.anomaly.labels import LabeledScore
from keras_ssvae.anomaly.members import Members
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.registry import require

__all__ = []

KINDS: dict[str, typing.Any] = {
    "members_": Members, "labeled_": (LabeledScore, type(None)), "offset_": float,
    "threshold_": float, "decision_scores_": np.ndarray, "labels_": np.ndarray, "_slope": float,
    "_memory": PreparedRows, "_n_fits": int, "_label_column": (str, type(None)),
}  # fmt: skip


def check(detector: typing.Any) -> None:
    """Raise a ValueError unless the attributes of a detector, beside those of every wrapper, fit together."""
    for name, kind in KINDS.items():
        value = vars(detector)[name]
        require(isinstance(value, kind) and not isinstance(value, bool), f"{name} is missing, or of another kind")
    estimator, members, memory = detector.estimator_, detector.members_, detector._memory
    width = estimator.table_.n_columns_
    require(members.view.complete.shape == (width,) and memory.x.shape[1] == width, "a detector reads other columns")
    numbers = members.numbers(estimator.table_, memory[:1])
    numbers_read = numbers.shape[1]
    require(numbers_read == members.trees.n_features, "a detector reads other numbers of a row")
    n_scores = len(members.raw(estimator.table_, estimator.network_, memory[:1], numbers)[0])
    require(n_scores == len(members.scale.center), "a detector has other scores")
    if detector.labeled_ is not None:
        widths = [forest.n_features for forest in detector.labeled_.forests]
        require(widths == [numbers_read, numbers_read + n_scores], "what labels say reads other numbers")
    scores, labels = detector.decision_scores_, detector.labels_
    require(scores.ndim == 1 and scores.dtype == float and labels.shape == scores.shape, "scores of a detector are none")
    finite = [detector.offset_, detector.threshold_, detector._slope]
    require(all(map(np.isfinite, finite)) and detector._slope > 0, "a threshold is not finite")
