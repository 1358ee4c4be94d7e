"""What the estimators share that fit a generative one for a purpose of their own, and keep it as ``estimator_``."""

import copyreg
import typing
from collections.abc import Iterable

from keras_ssvae._compat.sklearn import is_fitted, validate_parameters
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.loading import saved_attributes
from keras_ssvae.registry import require, require_keys
from keras_ssvae.serialization import to_bytes

__all__ = ["WrapperMixin"]

NAMES = "feature_names_in_"


class WrapperMixin:
    """Attributes that are set together, and files, of an estimator that wraps a generative one."""

    _holds_families = True  # see `keras_ssvae.serialization`
    _snapshot = GenerativeEstimator._snapshot
    save = GenerativeEstimator.save

    def __getstate__(self):
        """Plain data, as of a `GenerativeEstimator`: a fitted one is the bytes of its file."""
        state = super().__getstate__()
        return {"saved": to_bytes(self._snapshot())} if "estimator_" in state else state

    def __reduce_ex__(self, protocol):
        """What pickle and copies read: all attributes, whatever they are."""
        return copyreg.__newobj__, (type(self),), super().__getstate__()

    def __setstate__(self, state):
        if set(state) == {"saved"}:
            self.__dict__.update(saved_attributes(type(self), state["saved"]))
        else:
            super().__setstate__(state)

    def _commit(self, estimator, **attributes):
        """Show a fit: the fitted estimator, its columns, and other attributes, all at once."""
        state = {name: value for name, value in vars(self).items() if name != NAMES}
        names = {NAMES: vars(estimator)[NAMES]} if NAMES in vars(estimator) else {}
        self.__dict__ = {**state, **names, "n_features_in_": estimator.n_features_in_, "estimator_": estimator, **attributes}
        return self

    @classmethod
    def _of_file(cls: typing.Any, state: dict[str, typing.Any], attributes: Iterable[str]) -> typing.Any:
        """A wrapper of parameters, a fitted estimator with its columns, and other attributes; a ValueError unless they fit."""
        wrapper = cls.__new__(cls)
        wanted = {*cls().get_params(deep=False), "estimator_", "n_features_in_", *attributes, *({NAMES} & set(state))}
        require_keys(cls.__name__, state, wanted)
        wrapper.__dict__.update(state)
        validate_parameters(wrapper)
        estimator = wrapper.estimator_
        is_whole = isinstance(estimator, GenerativeEstimator) and is_fitted(estimator)
        require(is_whole, f"the estimator of a {cls.__name__} is not fitted")
        require(type(wrapper.n_features_in_) is int, "n_features_in_ is missing, or of another kind")
        require(wrapper.n_features_in_ == estimator.n_features_in_, "n_features_in_ is not the number of columns")
        known = [None if NAMES not in vars(e) else list(vars(e)[NAMES]) for e in (wrapper, estimator)]
        require(known[0] == known[1], "feature_names_in_ are not the names of the columns")
        return wrapper
