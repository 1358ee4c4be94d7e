"""Private names of scikit-learn that an estimator of its kind cannot do without."""

import typing
from collections.abc import Callable

from sklearn.base import _fit_context

# rows of whatever container a user passes, as scikit-learn's own meta-estimators take them
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

# parameters in a file are checked as those of a fit
from sklearn.utils._param_validation import validate_parameter_constraints

# whether `set_output` asks for a frame, which needs names of all columns
from sklearn.utils._set_output import _get_output_config as get_output_config

# names of columns and weights of rows are checked with scikit-learn's messages
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _get_feature_names as get_feature_names
from sklearn.utils.validation import _is_fitted as is_fitted

__all__ = [
    "BaseEstimator", "ClassNamePrefixFeaturesOutMixin", "ClassifierMixin", "HasMethods", "Interval", "StrOptions",
    "TransformerMixin", "check_feature_names", "check_sample_weight", "fit_context", "get_feature_names", "get_output_config",
    "is_fitted", "safe_indexing", "validate_parameter_constraints", "validate_parameters",
]  # fmt: skip

M = typing.TypeVar("M", bound=Callable)

if typing.TYPE_CHECKING:  # with a base that has no types, mypy lets a constructor take any keyword

    class BaseEstimator:
        def __getattr__(self, name: str) -> typing.Any: ...

    class ClassNamePrefixFeaturesOutMixin(BaseEstimator):
        def get_feature_names_out(self, input_features: typing.Any = None) -> typing.Any: ...

    ClassifierMixin = BaseEstimator
    TransformerMixin = BaseEstimator
else:
    from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin

# parameters are checked as in scikit-learn's own estimators, with its messages
fit_context: Callable[[M], M] = _fit_context(prefer_skip_nested_validation=True)


def validate_parameters(estimator: typing.Any) -> None:
    """Raise a ValueError if a parameter of an estimator of scikit-learn is not such as its class accepts."""
    estimator._validate_params()
