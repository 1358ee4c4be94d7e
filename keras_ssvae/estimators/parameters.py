"""A parameter of an estimator, written once: its default, what it accepts and what it is for."""

from __future__ import annotations

import dataclasses
import numbers
import typing

import keras
import numpy as np

from keras_ssvae._compat.sklearn import HasMethods, Interval, StrOptions
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.registry import register

__all__ = ["AUTO", "NOT_NEGATIVE", "POSITIVE", "HasMethods", "Interval", "StrOptions", "estimator", "param"]

POSITIVE = Interval(numbers.Integral, 1, None, closed="left")
NOT_NEGATIVE = Interval(numbers.Real, 0, None, closed="left")
AUTO = StrOptions({"auto"})

ROLES = ("network", "data", "training", "head", "answer")
T = typing.TypeVar("T", bound=type)


def param(*, default: typing.Any, accepts: list | str, role: str = "network", kw_only: bool = True) -> typing.Any:
    """A field of a class decorated by `estimator`: one parameter of its constructor.

    Parameters
    ----------
    default : object
        The default.
    accepts : list or "no_validation"
        What scikit-learn's parameter validation accepts: types, None, strings such as "boolean", `Interval`, `StrOptions`,
        `HasMethods`.
    role : {"network", "data", "training", "head", "answer"}, default="network"
        What it is for: an argument of the network, or what the rows and labels, the training, what is fitted to the trained
        network, or the answers of a fitted estimator depend on.
    kw_only : bool, default=True
        Whether it is given by name only.
    """
    if role not in ROLES:
        raise ValueError(f"role must be one of {ROLES}; got {role!r}.")
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"accepts": accepts, "role": role})


@typing.dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(param,))
def estimator(cls: T) -> T:
    """Class decorator of an estimator or a mixin: fields are parameters, checked, documented, and known to `load`.

    Parameters
    ----------
    cls : type
        Its fields are made by `param`. With a `_network_class`, it is registered by `keras_ssvae.register`.
    """
    made: typing.Any = dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
    fields = {field.name: field.metadata for field in dataclasses.fields(made)}
    made._parameter_constraints = {name: metadata.get("accepts", "no_validation") for name, metadata in fields.items()}
    made._network_parameters = tuple(name for name, metadata in fields.items() if metadata.get("role", "network") == "network")
    if "transform" in vars(made):  # scikit-learn has wrapped it by now: the columns are named by the fit that gives them
        made.transform = consistent(made.transform)
    made = with_shared_parameters(made)
    return register(made) if getattr(made, "_network_class", None) is not None else made


def refuse_legacy_keras(params: dict) -> None:
    """Raise a TypeError where a parameter is an object of tf_keras, the Keras that TensorFlow Probability is written for."""
    for name, value in params.items():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if any(base.__module__.partition(".")[0] == "tf_keras" for base in type(part).__mro__):
                raise TypeError(
                    f"{name} is a {type(part).__name__} of tf_keras (Keras 2); networks here are those of Keras 3. Make it by "
                    "`import keras` in place of tf_keras."
                )


def check_callbacks(callbacks: list | None) -> None:
    """Raise a TypeError unless all of these are callbacks of Keras."""
    for callback in callbacks or []:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(f"callbacks must be None or a list of keras.callbacks.Callback; it holds {callback!r:.200}.")


def layer_sizes(params: dict, name: str) -> tuple[int, ...]:
    """The parameter `name`, units by layer in a sequence, as a tuple of Python's integers; a ValueError if it is none."""
    sizes = params[name]
    units = sizes if np.ndim(sizes) == 1 else [0]
    if not all(isinstance(n, numbers.Integral) and not isinstance(n, bool) and int(n) >= 1 for n in units):
        raise ValueError(f"{name} must be a sequence of whole numbers from 1, the units of each layer; got {sizes!r:.200}.")
    return tuple(map(int, sizes))
