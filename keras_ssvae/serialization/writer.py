"""Values -> a tree for JSON, and members for what JSON cannot hold. A tagged value is a dict with the one key of its tag."""

import datetime
import decimal
import io
import os
import typing
import uuid

import keras
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from keras_ssvae._compat.keras import isolated_seed
from keras_ssvae.registry import registered_name
from keras_ssvae.serialization.keras_objects import check_config, model_bytes, optimizer_config
from keras_ssvae.serialization.sklearn_classes import sklearn_class

__all__ = ["Writer"]


def pack_network(state: dict) -> dict:
    """The attributes of a fitted estimator for a pickle: the network replaced by its seed and weights."""
    network = state["network_"]
    return {**state, "network_": {"seed": network.seed, "weights": network.get_weights()}}


def state_of(estimator: typing.Any) -> dict:
    """The attributes of an estimator for a file: networks as in `pack_network`, bodies that a callable makes as models."""
    if not hasattr(type(estimator), "_from_file"):
        return estimator.__getstate__()
    state = dict(vars(estimator))
    holders = [state]
    if "network_" in state:
        state = pack_network(state)
        state["_fitted_params"] = dict(state["_fitted_params"])
        holders = [state, state["_fitted_params"]]
    for holder in holders:
        for name in ("encoder", "decoder"):
            if callable(holder.get(name)) and not isinstance(holder[name], keras.Model):
                with isolated_seed(0):  # Keras draws seeds when it makes layers
                    holder[name] = holder[name]()  # the architecture it stands for; the weights are the network's
    return state


class Writer:
    """What it has written so far: members, name -> content."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}

    def _member(self, suffix, content):
        name = f"{len(self.members)}.{suffix}"
        self.members[name] = content
        return name

    def tree(self, value: typing.Any, where: str) -> typing.Any:
        """A value as a tree; a TypeError that says where it is if it cannot be written as data."""
        if value is None or isinstance(value, (bool, int, float, str)) and not isinstance(value, np.generic):
            return value
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, bytes) and not isinstance(value, np.generic):
            return {"bytes": value.hex()}
        if isinstance(value, list):
            return [self.tree(v, where) for v in value]
        if isinstance(value, dict):
            return {"dict": [[self.tree(k, where), self.tree(v, f"{where}.{k}")] for k, v in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": self.tree(list(value), where)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value), where)}
        written = self._of_pandas(value, where) or self._of_classes(value, where) or self._of_keras(value, where)
        if written is None:
            raise _refused(where, value)
        return written

    def _of_pandas(self, value, where):
        if isinstance(value, pd.Index):
            dtype = None if isinstance(value, pd.MultiIndex) else value.dtype
            return {"index": self.tree([list(value.names), value.tolist(), dtype], where)}
        if isinstance(value, pd.Series):
            return {"series": self.tree(value.tolist(), where)}
        if isinstance(value, pd.DataFrame):
            if not isinstance(value.index, pd.RangeIndex):
                return {"named": self.tree([value.index, value.reset_index(drop=True)], where)}
            return {"frame": [[str(name), self.tree(list(column), where)] for name, column in value.items()]}
        if isinstance(value, pd.CategoricalDtype):
            return {"categories": [self.tree(value.categories, where), bool(value.ordered)]}
        if isinstance(value, (np.dtype, pd.api.extensions.ExtensionDtype)) and _dtype_name(value) is not None:
            return {"dtype": _dtype_name(value)}
        decimals = getattr(value, "pyarrow_dtype", None)
        if decimals is not None and str(decimals).startswith("decimal128"):
            return {"decimals": [decimals.precision, decimals.scale]}
        if isinstance(value, pd.Timestamp):
            return {"timestamp": [value.isoformat(), value.unit]}
        if isinstance(value, pd.Timedelta):
            return {"timedelta": [value.isoformat(), value.unit]}
        if isinstance(value, pd.Period):
            return {"period": [value.ordinal, value.freqstr]}
        if isinstance(value, uuid.UUID):
            return {"uuid": value.hex}
        if type(value) in (datetime.date, datetime.time):
            return {type(value).__name__: value.isoformat()}
        if isinstance(value, decimal.Decimal):
            return {"decimal": str(value)}
        if isinstance(value, pd.Interval):
            return {"interval": self.tree([value.left, value.right, value.closed], where)}
        return {"missing": None} if value is pd.NA else None

    def _of_classes(self, value, where):
        name = registered_name(type(value))
        if name is not None and not isinstance(value, BaseEstimator):
            return {"part": [name, {"dict": [[key, self._attribute(value, key, where)] for key in vars(value)]}]}
        if not isinstance(value, BaseEstimator) or name is None and sklearn_class(type(value).__name__) is not type(value):
            return None
        state = [[key, self.tree(part, f"{where}.{key}")] for key, part in state_of(value).items()]
        return {"estimator": [type(value).__module__, name or type(value).__name__, {"dict": state}]}

    def _attribute(self, owner, name, where):
        """An attribute of a registered object, which may say in ``_entry_names`` what errors call the entries of a list."""
        value, names = getattr(owner, name), getattr(owner, "_entry_names", {})
        if name not in names:
            return self.tree(value, f"{where}.{name}")
        return [self.tree(entry, called) for entry, called in zip(value, names[name], strict=True)]

    def _of_keras(self, value, where):
        own = type(value).__module__.startswith("keras.")
        try:
            if isinstance(value, keras.Model):
                with isolated_seed(0):  # Keras draws seeds when it makes layers
                    return {"model": self._member("keras", model_bytes(value))}
            if own and isinstance(value, keras.optimizers.Optimizer):
                return {"optimizer": optimizer_config(value)}
            if own and isinstance(value, keras.layers.Layer):
                config = keras.saving.serialize_keras_object(value)
                check_config(config)
                return {"layer": config}
        except (TypeError, ValueError, NotImplementedError) as error:  # layers that Keras cannot find by name, or code
            raise _refused(where, value) from error
        return None

    def _array(self, value, where):
        if value.dtype == object:
            return {"objects": [self.tree(v, where) for v in value.tolist()]}
        if value.dtype.kind == "V":  # records, and bfloat16, which NumPy writes as mere bytes
            raise TypeError(f"save cannot write {where}, an array of {value.dtype}, as data; use another dtype or pickle.")
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return {"array": self._member("npy", buffer.getvalue())}


def _refused(where, value):
    return TypeError(f"save cannot write {where} = {value!r} as data; leave it out, convert it, or use pickle.")


def _dtype_name(dtype):
    """What `pandas.api.types.pandas_dtype` reads; None for a dtype without such a name."""
    if isinstance(dtype, np.dtype):
        return "object" if dtype.kind == "O" else dtype.str
    name = str(dtype)
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        name = f"string[{dtype.storage}]"
    if isinstance(dtype, pd.ArrowDtype) and name == "string[pyarrow]":  # which is the name of another dtype
        name = "utf8[pyarrow]"
    try:
        return name if pd.api.types.pandas_dtype(name) == dtype else None
    except (NotImplementedError, TypeError):
        return None
