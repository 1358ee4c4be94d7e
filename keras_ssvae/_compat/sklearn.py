"""Private names of scikit-learn that an estimator of its kind cannot do without."""

import typing
from collections.abc import Callable

import numpy as np
from sklearn import svm
from sklearn.base import _fit_context
from sklearn.tree._tree import NODE_DTYPE, Tree

# rows of whatever container a user passes, as scikit-learn's own meta-estimators take them
from sklearn.utils import _safe_indexing as safe_indexing

# parameters in a file are checked as those of a fit
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_parameter_constraints

# whether `set_output` asks for a frame, which needs names of all columns
from sklearn.utils._set_output import _get_output_config as get_output_config

# names of columns and weights of rows are checked with scikit-learn's messages
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _get_feature_names as get_feature_names
from sklearn.utils.validation import _is_fitted as is_fitted

__all__ = [
    "BaseEstimator", "ClassNamePrefixFeaturesOutMixin", "ClassifierMixin", "HasMethods", "Interval", "RegressorMixin",
    "StrOptions", "TransformerMixin", "check_feature_names", "check_machines", "check_sample_weight", "fit_context",
    "get_feature_names", "get_output_config", "is_fitted", "safe_indexing", "tree_of", "validate_parameter_constraints",
    "validate_parameters",
]  # fmt: skip

M = typing.TypeVar("M", bound=Callable)

if typing.TYPE_CHECKING:  # with a base that has no types, mypy lets a constructor take any keyword

    class BaseEstimator:
        def __getattr__(self, name: str) -> typing.Any: ...

    class ClassNamePrefixFeaturesOutMixin(BaseEstimator):
        def get_feature_names_out(self, input_features: typing.Any = None) -> typing.Any: ...

    ClassifierMixin = BaseEstimator
    RegressorMixin = BaseEstimator
    TransformerMixin = BaseEstimator
else:
    from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin

# parameters are checked as in scikit-learn's own estimators, with its messages
fit_context: Callable[[M], M] = _fit_context(prefer_skip_nested_validation=True)


def validate_parameters(estimator: typing.Any) -> None:
    """Raise a ValueError if a parameter of an estimator of scikit-learn is not such as its class accepts."""
    estimator._validate_params()


def tree_of(n_features: int, left: np.ndarray, right: np.ndarray, feature: np.ndarray, threshold: np.ndarray) -> typing.Any:
    """A tree whose ``apply(rows)`` gives the leaf of each float32 row, (n, n_features), of arrays that a fitted one has.

    It is C code, which takes on trust that children are nodes and features are columns.
    """
    nodes = np.zeros(len(left), NODE_DTYPE)
    for name, values in (("left_child", left), ("right_child", right), ("feature", feature), ("threshold", threshold)):
        nodes[name] = values
    tree = Tree(n_features, np.ones(1, np.intp), 1)
    state = {"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": np.zeros((len(nodes), 1, 1))}
    tree.__setstate__(state)
    return tree


def check_machines(value: typing.Any) -> None:
    """Raise a ValueError if the arrays of a fitted support vector machine, anywhere in an object, do not fit together.

    Its predictions are made by C code, which takes their sizes on trust.
    """
    if isinstance(value, (list, tuple)):
        for part in value:
            check_machines(part)
    elif isinstance(value, dict):
        check_machines(list(value.values()))
    elif hasattr(value, "get_params"):
        if isinstance(value, (svm.SVC, svm.NuSVC)) and hasattr(value, "support_"):
            _check_machine(value)
        check_machines(vars(value))


def _check_machine(svc):
    n_vectors, n_features = svc.support_vectors_.shape
    n_classes, is_sigmoid = len(svc.classes_), len(svc._probA) > 0
    n_pairs = n_classes * (n_classes - 1) // 2
    wanted = {
        "support_": (np.int32, (n_vectors,)),
        "_n_support": (np.int32, (n_classes,)),
        "support_vectors_": (np.float64, (n_vectors, n_features)),
        **dict.fromkeys(("dual_coef_", "_dual_coef_"), (np.float64, (n_classes - 1, n_vectors))),
        **dict.fromkeys(("intercept_", "_intercept_"), (np.float64, (n_pairs,))),
        **dict.fromkeys(("_probA", "_probB"), (np.float64, (n_pairs * is_sigmoid,))),
    }
    for name, (dtype, shape) in wanted.items():
        value = getattr(svc, name)
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"{name} of a support vector machine has another shape or dtype than it should have")
    sums = (svc._n_support >= 0).all() and svc._n_support.sum() == n_vectors and (svc.support_ >= 0).all()
    plain = svc._sparse is False and isinstance(svc.kernel, str) and svc.kernel != "precomputed" and np.isfinite(svc._gamma)
    if n_classes < 2 or not sums or not plain or svc.n_features_in_ != n_features:
        raise ValueError("a support vector machine does not fit its own vectors")
