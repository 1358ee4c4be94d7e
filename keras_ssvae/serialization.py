"""One fitted state: pickle, `save` and `load`. `load` reads data and executes none of it.

A fitted estimator is its parameters, its attributes, and the weights of its network. The network itself is a pure function of
the first two, so it is built again and given its weights.
"""

import importlib
import inspect
import io
import json
import os
import struct
import tempfile
import typing
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import keras_ssvae
from keras_ssvae._compat.keras import isolated_seed
from keras_ssvae._compat.tensorflow import check_threads
from keras_ssvae.registry import registered_class, registered_name

__all__ = ["load", "save"]

FORMAT = 1
UNREADABLE = (  # what reading a damaged or altered file can come to
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def pack_network(state: dict) -> dict:
    """The attributes of a fitted estimator for a pickle: the network replaced by its seed and weights."""
    network = state["network_"]
    return {**state, "network_": {"seed": network.seed, "weights": network.get_weights()}}


def unpack_network(blank: typing.Any, state: dict) -> dict:
    """The opposite of `pack_network`; `blank` is an empty estimator of the class, which is used up."""
    packed = state.get("network_")
    if not isinstance(packed, dict):
        return state
    blank.__dict__.update({name: value for name, value in state.items() if name != "network_"})
    network = blank._rebuild_network(packed["seed"])
    network.set_weights(packed["weights"])
    return {**state, "network_": network}


def save(estimator: typing.Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to one file.

    Parameters
    ----------
    estimator : GenerativeEstimator
        A fitted one.
    path : str or path-like
        The file; it is replaced only when all is written.

    Raises
    ------
    TypeError
        If a parameter cannot be written as data; pickle is the way then.
    """
    check_is_fitted(estimator)
    registered = registered_name(type(estimator))
    if registered is None:
        raise TypeError(
            f"save cannot write a {type(estimator).__module__}.{type(estimator).__qualname__}, which load could not make: its "
            "class is not registered. Decorate it with keras_ssvae.register, or use pickle."
        )
    state = pack_network(estimator.__dict__)
    writer = _Writer()
    with isolated_seed(0):  # Keras draws seeds when it makes layers
        fitted = state["_fitted_params"] = dict(state["_fitted_params"])
        for holder in (state, fitted):
            for name in ("encoder", "decoder"):
                if callable(holder.get(name)) and not isinstance(holder[name], keras.Model):
                    holder[name] = holder[name]()  # the architecture it stands for; the weights are the network's
        tree = {"dict": [[name, writer.tree(value, name)] for name, value in state.items()]}
    header = {"format": FORMAT, "version": keras_ssvae.__version__, "estimator": registered, "state": tree}
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # as any other file: a temporary one is for its owner alone
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("estimator.json", json.dumps(header))
            for name, content in writer.files.items():
                archive.writestr(name, content)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load(path: str | os.PathLike) -> typing.Any:
    """Read an estimator that `save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    estimator : GenerativeEstimator
        Fitted; predicts as the saved one did. An `encoder` or `decoder` that was a callable is now a Keras model.

    Raises
    ------
    ValueError
        If the file is not one of ours, or of a later format.
    """
    if not zipfile.is_zipfile(path):
        if not os.path.exists(path):
            raise FileNotFoundError(f"No such file: {os.fspath(path)!r}.")
        raise ValueError(f"{os.fspath(path)!r} is not a file that keras_ssvae wrote.")
    check_threads()
    try:
        with zipfile.ZipFile(path) as archive, isolated_seed(0):
            return _read(archive)
    except UNREADABLE as error:
        raise ValueError(f"Cannot read {os.fspath(path)!r}: {error or type(error).__name__}") from error


def _read(archive):
    if "estimator.json" not in archive.namelist():
        raise ValueError("it is not a file that keras_ssvae wrote.")
    header = json.loads(archive.read("estimator.json"))
    if header["format"] > FORMAT:
        raise ValueError(f"it was written by keras_ssvae {header['version']}, which is newer than this one.")
    cls = registered_class(header["estimator"])
    if not hasattr(cls, "_rebuild_network"):
        raise ValueError(f"it names an unknown estimator, {header['estimator']!r}: is its class registered?")
    state = _Reader(archive).value(header["state"])
    estimator = cls.__new__(cls)
    estimator.__dict__.update(unpack_network(cls.__new__(cls), state))
    check_is_fitted(estimator, "network_")
    return estimator


class _Writer:
    """Values -> a tree for JSON, and files for what JSON cannot hold. A tagged value is a dict with the one key of its tag."""

    def __init__(self):
        self.files = {}

    def _file(self, suffix, content):
        name = f"{len(self.files)}.{suffix}"
        self.files[name] = content
        return name

    def tree(self, value, where):
        if value is None or isinstance(value, (bool, int, float, str)) and not isinstance(value, np.generic):
            return value
        if isinstance(value, list):
            return [self.tree(v, where) for v in value]
        if isinstance(value, dict):
            return {"dict": [[self.tree(k, where), self.tree(v, f"{where}.{k}")] for k, v in value.items()]}
        if isinstance(value, pd.Index):
            dtype = None if isinstance(value, pd.MultiIndex) else value.dtype
            return {"index": self.tree([list(value.names), value.tolist(), dtype], where)}
        if isinstance(value, tuple):
            return {"tuple": self.tree(list(value), where)}
        if isinstance(value, pd.Series):
            return {"series": self.tree(value.tolist(), where)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value), where)}
        if isinstance(value, pd.DataFrame):
            if not isinstance(value.index, pd.RangeIndex):
                return {"named": self.tree([value.index, value.reset_index(drop=True)], where)}
            return {"frame": [[str(name), self.tree(list(column), where)] for name, column in value.items()]}
        if isinstance(value, pd.CategoricalDtype):
            return {"categories": [self.tree(value.categories, where), bool(value.ordered)]}
        if isinstance(value, (np.dtype, pd.api.extensions.ExtensionDtype)) and _dtype_name(value) is not None:
            return {"dtype": _dtype_name(value)}
        if isinstance(value, pd.Interval):
            return {"interval": self.tree([value.left, value.right, value.closed], where)}
        if value is pd.NA:
            return {"missing": None}
        name = registered_name(type(value))
        if name is not None and not isinstance(value, BaseEstimator):
            return {"part": [name, self.tree(value.__dict__, where)]}
        if isinstance(value, BaseEstimator) and (name or type(value).__module__.startswith("sklearn.")):
            state = {name: self.tree(part, f"{where}.{name}") for name, part in value.__getstate__().items()}
            return {"estimator": [type(value).__module__, type(value).__name__, {"dict": list(map(list, state.items()))}]}
        if isinstance(value, keras.Model):
            return {"model": self._model(value, where)}
        if type(value).__module__.startswith("keras.") and isinstance(value, keras.optimizers.Optimizer):
            return {"optimizer": json.loads(json.dumps(keras.optimizers.serialize(value), default=float))}
        if type(value).__module__.startswith("keras.") and isinstance(value, keras.layers.Layer):
            return {"layer": keras.saving.serialize_keras_object(value)}
        raise TypeError(f"save cannot write {where} = {value!r} as data; set it to None or use pickle.")

    def _array(self, value, where):
        if value.dtype == object:
            return {"objects": [self.tree(v, where) for v in value.tolist()]}
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return {"array": self._file("npy", buffer.getvalue())}

    def _model(self, model, where):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.keras"
            try:
                model.save(file)
                keras.models.load_model(file, compile=False, safe_mode=True)
            except (TypeError, ValueError, NotImplementedError) as error:  # layers that Keras cannot find by name, or code
                raise TypeError(f"save cannot write {where} = {model!r} as data; set it to None or use pickle.") from error
            return self._file("keras", file.read_bytes())


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


class _Reader:
    """The opposite of `_Writer`."""

    def __init__(self, archive):
        self.archive = archive

    def value(self, tree):
        if isinstance(tree, list):
            return [self.value(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        ((tag, content),) = tree.items()
        match tag:  # only what stands here is ever called
            case "array":
                return np.load(io.BytesIO(self.archive.read(content)), allow_pickle=False)
            case "categories":
                categories, ordered = content
                return pd.CategoricalDtype(self.value(categories), ordered)
            case "dict":
                return {self.value(k): self.value(v) for k, v in content}
            case "dtype":
                return pd.api.types.pandas_dtype(content)
            case "frame":
                return pd.DataFrame({name: self.value(column) for name, column in content})
            case "named":
                index, frame = self.value(content)
                return frame.set_index(index)
            case "index":
                names, values, dtype = self.value(content)
                return pd.Index(values, dtype=dtype).set_names(names)
            case "interval":
                return pd.Interval(*self.value(content))
            case "missing":
                return pd.NA
            case "objects":
                out = np.empty(len(content), object)
                out[:] = self.value(content)
                return out
            case "scalar":
                return self.value(content)[()]
            case "series":
                return pd.Series(self.value(content))
            case "tuple":
                return tuple(self.value(content))
            case "estimator" | "layer" | "model" | "optimizer" | "part":
                return getattr(self, f"_{tag}")(content)
        raise ValueError(f"unknown tag {tag!r}")

    def _layer(self, content):
        layer = keras.saving.deserialize_keras_object(content, safe_mode=True)
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(f"{content['class_name']!r} is no layer of Keras")
        return layer

    def _estimator(self, content):
        module, name, state = content
        if module.split(".")[0] == "sklearn":
            cls = getattr(importlib.import_module(module), name)
            known = inspect.isclass(cls) and cls.__module__.startswith("sklearn.")
        else:
            cls = registered_class(name)
            known = cls is not None and not hasattr(cls, "_rebuild_network")  # a whole family has a file of its own
        if not (known and issubclass(cls, BaseEstimator)):
            raise ValueError(f"{module}.{name} is no estimator of scikit-learn, nor registered")
        estimator = cls.__new__(cls)
        estimator.__setstate__(self.value(state))
        return estimator

    def _part(self, content):
        name, state = content
        cls = registered_class(name)
        if cls is None or issubclass(cls, BaseEstimator):
            raise ValueError(f"unknown part {name!r}")
        part = cls.__new__(cls)
        part.__dict__.update(self.value(state))
        return part

    def _model(self, content):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.keras"
            file.write_bytes(self.archive.read(content))
            return keras.models.load_model(file, compile=False, safe_mode=True)

    def _optimizer(self, content):
        optimizer = keras.optimizers.deserialize(content)
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(f"{content['class_name']!r} is no optimizer of Keras")
        return optimizer
