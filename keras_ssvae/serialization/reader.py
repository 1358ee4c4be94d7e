"""A tree and members -> values: the opposite of `writer.py`. Only what stands here is ever called."""

import datetime
import decimal
import io
import math
import typing
import uuid

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from keras_ssvae._compat.keras import isolated_seed
from keras_ssvae._compat.sklearn import validate_parameters
from keras_ssvae.registry import registered_class, require
from keras_ssvae.serialization.archive import Archive
from keras_ssvae.serialization.keras_objects import read_layer, read_model, read_optimizer
from keras_ssvae.serialization.sklearn_classes import sklearn_class

__all__ = []

MAX_DEPTH = 200
MAX_ITEM = 2**20  # bytes of one value of an array


class Reader:
    """Makes values of the trees of a file.

    Parameters
    ----------
    archive : Archive
        The members.
    families : bool, default=False
        Whether an attribute may be an estimator of this package, as a detector's is.
    """

    def __init__(self, archive: Archive, families: bool = False) -> None:
        self.archive = archive
        self.families = families
        self._depth = 0

    def value(self, tree: typing.Any) -> typing.Any:
        """The value of a tree; a ValueError, or another error of what it is made of, if it has none."""
        if not isinstance(tree, (list, dict)):
            return tree
        require(self._depth < MAX_DEPTH, "its header is nested too deeply")
        self._depth += 1
        try:
            if isinstance(tree, list):
                return [self.value(v) for v in tree]
            require(len(tree) == 1, f"a value has {len(tree)} tags")
            ((tag, content),) = tree.items()
            return self._tagged(tag, content)
        finally:
            self._depth -= 1

    def _tagged(self, tag, content):
        match tag:
            case "array":
                return self._array(content)
            case "bytes":
                return bytes.fromhex(_checked(content, str))
            case "categories":
                categories, ordered = content
                return pd.CategoricalDtype(self.value(categories), _checked(ordered, bool))
            case "dict":
                return self._dict(content)
            case "dtype":
                return _dtype(content)
            case "frame":
                return pd.DataFrame({_checked(name, str): _checked(self.value(column), list) for name, column in content})
            case "named":
                index, frame = self.value(content)
                return _checked(frame, pd.DataFrame).set_index(_checked(index, pd.Index))
            case "index":
                names, values, dtype = self.value(content)
                index = pd.Index(_checked(values, list), dtype=dtype, tupleize_cols=dtype is None)
                return index.set_names(_checked(names, list))
            case "interval":
                return pd.Interval(*self.value(content))
            case "decimals":
                precision, scale = content
                import pyarrow

                return pd.ArrowDtype(pyarrow.decimal128(_checked(precision, int), _checked(scale, int)))
            case "missing":
                return pd.NA
            case "date" | "time" | "timestamp" | "timedelta" | "period" | "uuid" | "decimal":
                return _moment(tag, content)
            case "objects":
                out = np.empty(len(_checked(content, list)), object)
                out[:] = self.value(content)
                return out
            case "scalar":
                scalar = self.value(content)
                require(isinstance(scalar, np.ndarray) and scalar.shape == (), "a scalar is none")
                return scalar[()]
            case "series":
                return pd.Series(_checked(self.value(content), list))
            case "tuple":
                return tuple(_checked(self.value(content), list))
            case "estimator" | "layer" | "model" | "optimizer" | "part":
                return getattr(self, f"_{tag}")(content)
        raise ValueError(f"unknown tag {tag!r}")

    def _dict(self, content):
        pairs = [(self.value(key), self.value(value)) for key, value in content]
        made = dict(pairs)
        require(len(made) == len(pairs), "an entry is there twice")
        return made

    def _array(self, name):
        """An array whose size is that of its member, before any memory is taken for it."""
        require(isinstance(name, str) and name.endswith(".npy"), f"{name!r} is no array")
        content = self.archive.read(name)
        file = io.BytesIO(content)
        version = np.lib.format.read_magic(file)
        require(version in ((1, 0), (2, 0)), f"{name!r} has an unknown version")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        _check_dtype(dtype)
        require(dtype.itemsize > 0 and all(0 <= n < 2**40 for n in shape), f"{name!r} has an impossible shape")
        start = file.tell()
        require(math.prod(shape) * dtype.itemsize == len(content) - start, f"{name!r} has another size than its shape says")
        require(math.prod(shape) or max(shape, default=0) < 10**6, f"{name!r} has an impossible shape")
        return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if is_fortran else "C")

    def _layer(self, content):
        with isolated_seed(0):  # Keras draws seeds when it makes layers
            return read_layer(content)

    def _model(self, content):
        require(isinstance(content, str) and content.endswith(".keras"), f"{content!r} is no model")
        with isolated_seed(0):
            return read_model(self.archive.read(content))

    def _optimizer(self, content):
        return read_optimizer(content)

    def _estimator(self, content):
        module, name, state = content
        if _checked(module, str).split(".")[0] == "sklearn":
            cls = sklearn_class(_checked(name, str))
        else:
            cls = registered_class(_checked(name, str)) or _of_old_name(module, name)
            if hasattr(cls, "_from_file") and not self.families:  # a whole family has a file of its own
                cls = None
        require(
            cls is not None and issubclass(cls, BaseEstimator),
            f"{module}.{name} is no estimator of scikit-learn that load makes, nor registered",
        )
        state = _checked(self.value(state), dict)
        check_names(cls, state)
        if hasattr(cls, "_from_file") and "network_" in state:
            return typing.cast(typing.Any, cls)._from_file(state)
        estimator = cls.__new__(cls)
        estimator.__setstate__(state)
        validate_parameters(estimator)
        return _after(estimator)

    def _part(self, content):
        name, state = content
        cls = registered_class(_checked(name, str))
        require(cls is not None and not issubclass(cls, BaseEstimator), f"unknown part {name!r}")
        state = _checked(self.value(state), dict)
        check_names(cls, state)
        part = cls.__new__(cls)
        part.__dict__.update(state)
        return _after(part)


def check_names(cls: type, state: dict) -> None:
    """Raise a ValueError if an attribute would stand in the place of a method or a property of the class."""
    for name in state:
        require(isinstance(name, str) and not name.startswith("__"), f"{name!r} is no name of an attribute")
        found = getattr(cls, name, None)
        require(
            not isinstance(found, property) and not (callable(found) and not isinstance(found, type)),
            f"{name!r} of {cls.__name__} is no attribute that a file may set",
        )


def _after(made):
    """An object that passes the checks of its class, if it has any."""
    check = getattr(made, "_check_loaded", None)
    if check is not None:
        check()
    return made


def _moment(tag, content):
    """A date, a time, a period, or another value that is made of a short text."""
    texts = content if isinstance(content, list) else [content]
    require(all(type(text) in (str, int) and len(str(text)) < 100 for text in texts), f"{content!r:.60} is no {tag}")
    match tag, *texts:
        case "date", str(text):
            return datetime.date.fromisoformat(text)
        case "time", str(text):
            return datetime.time.fromisoformat(text)
        case "timestamp", str(text), str(unit):
            return pd.Timestamp(text).as_unit(unit)
        case "timedelta", str(text), str(unit):
            return pd.Timedelta(text).as_unit(unit)
        case "period", int(ordinal), str(freq):
            return pd.Period(ordinal=ordinal, freq=freq)
        case "uuid", str(text):
            return uuid.UUID(text)
        case "decimal", str(text):
            return decimal.Decimal(text)
    raise ValueError(f"{content!r:.60} is no {tag}")


def _checked(value, kind):
    require(isinstance(value, kind), f"{value!r:.60} stands where a {kind.__name__} should be")
    return value


def _dtype(name):
    dtype = pd.api.types.pandas_dtype(_checked(name, str))
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        _check_dtype(dtype)
    return dtype


def _check_dtype(dtype):
    known = dtype.kind in "biufSUmM" and dtype.fields is None and dtype.subdtype is None
    require(known and dtype.itemsize <= MAX_ITEM, f"{dtype!r:.60} is no dtype of an array that load reads")


def _of_old_name(module, name):
    """A class of the user that files of format 1 call by its module and name."""
    return registered_class(f"{module}.{name}")
