"""A fitted estimator of what a file says: all is checked before the network is made, and the network before its weights."""

import math
import re
import typing

import numpy as np
import pandas as pd

from keras_ssvae._compat.sklearn import validate_parameter_constraints, validate_parameters
from keras_ssvae.data.label_summary import LabelSummary
from keras_ssvae.data.labels import LabelCodec, is_unlabeled
from keras_ssvae.data.marginals import Marginals
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.data.targets import TargetCodec
from keras_ssvae.estimators.parameters import layer_sizes
from keras_ssvae.registry import ModelFileError, require
from keras_ssvae.serialization import from_bytes
from keras_ssvae.serialization.keras_objects import limited_variables

__all__ = ["restore"]

# parameters that the first files did not have, and what says how these were made
YOUNGER = {"checkpoint": None, "checkpoint_minutes": 0.0, "convolutional_pi": False}
KINDS = {
    "table_": TablePreprocessor, "network_": dict, "classes_": np.ndarray, "history_": pd.DataFrame, "n_iter_": int,
    "_codec": LabelCodec, "_labels": LabelSummary, "_spec": dict, "_fitted_params": dict, "_prepared": bool,
    "n_features_in_": int,
}  # fmt: skip
SIZES = ("hidden_layer_sizes", "code_layer_sizes", "level_dims")  # parameters that are sizes of layers
MAX_LAYERS = 1000
MAX_EXTRA = 2**22  # values that an array of a family may have in a row
POLICY = re.compile(r"(mixed_)?(float16|bfloat16|float32|float64)")


def saved_attributes(cls: type, saved: bytes) -> dict[str, typing.Any]:
    """Parameters and attributes of a fitted estimator of the bytes of its file, which is checked as any.

    Raises
    ------
    ModelFileError
        If it is damaged, or that of an estimator of another class.
    """
    estimator = from_bytes(saved)
    if type(estimator) is not cls:
        raise ModelFileError(f"the state is that of a {type(estimator).__name__}, not of a {cls.__name__}.")
    return vars(estimator)


def restore(cls: typing.Any, state: dict[str, typing.Any]) -> typing.Any:
    """A fitted estimator.

    Parameters
    ----------
    cls : type
        Its class, a `GenerativeEstimator`.
    state : dict
        Its parameters and attributes, the network as `keras_ssvae.serialization.pack_network` writes it.

    Raises
    ------
    ValueError
        If a parameter is not such as the class accepts, if attributes do not fit together, or if the weights are not those of
        the network that parameters and attributes describe.
    """
    estimator = cls.__new__(cls)
    estimator.__dict__.update(state)
    for name, kind in KINDS.items():
        is_bool = isinstance(state.get(name), bool)  # which is an integer of Python's
        require(isinstance(state.get(name), kind) and is_bool == (kind is bool), f"{name} is missing, or no {kind.__name__}")
    _check_parameters(estimator)
    _check_columns(estimator)
    _check_labels(estimator)
    _check_history(estimator)
    _check_spec(estimator)
    _check_weights(state["network_"])
    estimator._check_loaded()
    estimator.__dict__["network_"] = _network(estimator, **state["network_"])
    return estimator


def _check_parameters(estimator):
    """Those of the estimator, and those its network was made with."""
    params, fitted, cls = estimator.get_params(deep=False), estimator._fitted_params, type(estimator)
    younger = {name: value for name, value in YOUNGER.items() if name in params and name not in vars(estimator)}
    vars(estimator).update(younger)
    fitted.update((name, value) for name, value in younger.items() if name in cls._network_parameters)
    missing = [name for name in params if name not in vars(estimator)]
    require(not missing, f"parameters {missing} are missing")
    validate_parameters(estimator)
    require(set(fitted) == set(cls._network_parameters), f"parameters of the network are {sorted(map(str, fitted))}")
    accepted = {name: constraint for name, constraint in cls._parameter_constraints.items() if name in fitted}
    validate_parameter_constraints(accepted, fitted, caller_name=cls.__name__)
    for params in (vars(estimator), fitted):
        for name in SIZES:
            if params.get(name) is not None:
                require(len(layer_sizes(params, name)) <= MAX_LAYERS, f"{name} has too many layers")
    policy = estimator._dtype_policy
    require(isinstance(policy, str) and POLICY.fullmatch(policy), f"{policy!r:.60} is no dtype policy")
    if "unlabeled" in vars(estimator):
        is_unlabeled([], estimator.unlabeled)


def _check_columns(estimator):
    schema, table = estimator.table_.schema_, estimator.table_
    require(estimator.n_features_in_ == table.row_shape_[0], "n_features_in_ is not the number of columns")
    named = schema.names is not None and all(isinstance(name, str) for name in schema.names)
    names = vars(estimator).get("feature_names_in_")
    require((names is not None) == named, "feature_names_in_ is there without names, or is missing")
    if names is not None:
        same = isinstance(names, np.ndarray) and names.dtype == object and names.tolist() == list(schema.names)
        require(same, "feature_names_in_ are not the names of the columns")
    require(isinstance(estimator._label_column, (str, type(None))), "_label_column is no name")
    marginals = vars(estimator).setdefault("_marginals", None)  # files that were written before there were any
    require(isinstance(marginals, (Marginals, type(None))), "_marginals are none")
    if marginals is not None:
        marginals.check(table.n_columns_, estimator._codec.n_classes)


def _check_labels(estimator):
    codec, classes = estimator._codec, estimator.classes_
    same = classes.dtype == codec.classes_.dtype and classes.tolist() == codec.classes_.tolist()
    require(same, "classes_ are not those of the labels")
    n_weights = len(estimator._labels.class_weight)
    require(n_weights == codec.n_classes, f"{n_weights} weights of {codec.n_classes} classes")


def _check_history(estimator):
    history = estimator.history_
    require(len(history) == estimator.n_iter_, "history_ has not one row for each epoch")
    rest = history.drop(columns="stage")
    require(all(isinstance(name, str) for name in history["stage"]), "stages in history_ have no names")
    require(all(dtype.kind in "fi" for dtype in rest.dtypes), "history_ holds other values than numbers")


def _check_spec(estimator):
    """The arrays of a batch: name -> (shape of a row, name of the dtype)."""
    table, spec = estimator.table_, estimator._spec
    wanted = {"x": ((table.n_columns_,), "float32"), "y": ((), "int32"), "observed": ((table.n_columns_,), "float32")}
    if isinstance(estimator._codec, TargetCodec):
        wanted |= {"advice": ((2,), "float32"), "target": ((), "float32")}
    else:
        wanted["advice"] = ((estimator._codec.n_classes,), "float32")
    require({"x", "y"} <= set(spec), "rows have no values or no labels")
    for name, described in spec.items():
        shape, dtype = described
        sizes = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
        require(isinstance(name, str) and sizes and np.dtype(dtype).kind in "biuf", f"array {name!r:.60} of the rows is none")
        require(math.prod(shape) <= MAX_EXTRA or name in wanted, f"array {name!r} of the rows is too large")
        require(name not in wanted or described == wanted[name], f"array {name!r} of the rows is {described}")


def _check_weights(packed):
    require(set(packed) == {"seed", "weights"}, "the network has other entries than a seed and weights")
    seed, weights = packed["seed"], packed["weights"]
    require(type(seed) is int and 0 <= seed < 2**31, f"the seed of the network is {seed!r:.60}")
    numbers = isinstance(weights, list) and all(isinstance(w, (np.ndarray, np.generic)) for w in weights)
    require(numbers, "weights are no list of arrays")
    packed["weights"] = weights = [np.asarray(w) for w in weights]  # Keras gives a single number as such
    for i, weight in enumerate(weights):
        require(weight.dtype.kind in "fiu" and np.isfinite(weight).all(), f"weights {i} are no finite numbers")


def _network(estimator, seed, weights):
    """The network with its weights; it is not made larger than these."""
    most = max((max(w.shape, default=0) for w in weights), default=0)
    # between n levels in order are n - 1 thresholds
    levels = [group.n_levels - 1 for group in estimator.table_.groups_ if estimator.table_.is_code(group)]
    require(max(estimator._fitted_params["latent_dim"], *levels, 0) <= most, "weights are narrower than what they read")
    with limited_variables(sum(w.nbytes for w in weights)):
        network = estimator._rebuild_network(seed)
    require(len(network.weights) == len(weights), f"there are {len(weights)} weights of {len(network.weights)}")
    for variable, weight in zip(network.weights, weights, strict=True):
        wanted = tuple(variable.shape), np.dtype(variable.dtype)
        require(wanted == (weight.shape, weight.dtype), f"{variable.path!r} has {weight.dtype} weights of shape {weight.shape}")
    network.set_weights(weights)
    return network
