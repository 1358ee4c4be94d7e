"""A detector of what a file says: all is checked before anything of it is asked."""

import typing

import numpy as np

from keras_ssvae._compat.sklearn import is_fitted, validate_parameters
from keras_ssvae.anomaly.labels import LabeledScore
from keras_ssvae.anomaly.members import Members
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.registry import require, require_keys

__all__ = []

KINDS: dict[str, typing.Any] = {
    "estimator_": GenerativeEstimator, "members_": Members, "labeled_": (LabeledScore, type(None)), "offset_": float,
    "threshold_": float, "decision_scores_": np.ndarray, "labels_": np.ndarray, "n_features_in_": int, "_slope": float,
    "_memory": PreparedRows, "_n_fits": int, "_label_column": (str, type(None)),
}  # fmt: skip


def restore(cls: typing.Any, state: dict[str, typing.Any]) -> typing.Any:
    """A fitted detector of its parameters and attributes; a ValueError unless all of them fit together."""
    detector = cls.__new__(cls)
    names = {"feature_names_in_"} & set(state)
    require_keys(cls.__name__, state, {"estimator", "contamination", "random_state", *KINDS, *names})
    detector.__dict__.update(state)
    validate_parameters(detector)
    for name, kind in KINDS.items():
        require(isinstance(state[name], kind) and not isinstance(state[name], bool), f"{name} is missing, or of another kind")
    estimator, members, memory = detector.estimator_, detector.members_, detector._memory
    require(is_fitted(estimator), "the estimator of a detector is not fitted")
    width = estimator.table_.n_columns_
    require(detector.n_features_in_ == estimator.n_features_in_, "n_features_in_ is not the number of columns")
    same_names = [None if "feature_names_in_" not in vars(e) else list(e.feature_names_in_) for e in (detector, estimator)]
    require(same_names[0] == same_names[1], "feature_names_in_ are not the names of the columns")
    require(members.view.complete.shape == (width,) and memory.x.shape[1] == width, "a detector reads other columns")
    numbers_read = members.view.numbers(estimator.table_, memory[:1]).shape[1]
    require(numbers_read == members.trees.n_features, "a detector reads other numbers of a row")
    n_scores = len(members.raw(estimator.table_, estimator.network_, memory[:1])[0])
    require(n_scores == len(members.scale.center), "a detector has other scores")
    if detector.labeled_ is not None:
        widths = [forest.n_features for forest in detector.labeled_.forests]
        require(widths == [numbers_read, numbers_read + n_scores], "what labels say reads other numbers")
    scores, labels = detector.decision_scores_, detector.labels_
    require(scores.ndim == 1 and scores.dtype == float and labels.shape == scores.shape, "scores of a detector are none")
    finite = [detector.offset_, detector.threshold_, detector._slope]
    require(all(map(np.isfinite, finite)) and detector._slope > 0, "a threshold is not finite")
    return detector
