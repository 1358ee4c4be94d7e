"""`save` and `load`, and what pickle and they have in common."""

import io
import json
import os
import stat
import struct
import typing
import zipfile
import zlib

import numpy as np
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

import keras_ssvae
from keras_ssvae._compat.numpy import FLOAT_ERRORS
from keras_ssvae._compat.tensorflow import check_runtime
from keras_ssvae.registry import ModelFileError, registered_class, registered_name, require
from keras_ssvae.serialization.archive import MAX_JSON, SEAL, Archive, NotAnArchive, parse_json, seal_of, write_archive
from keras_ssvae.serialization.files import write_atomically
from keras_ssvae.serialization.reader import Reader, check_names
from keras_ssvae.serialization.writer import Writer, state_of

__all__ = ["load", "save"]

FORMAT = 2  # 1: without a checksum
MEMBERS = r"estimator\.json|\d{1,6}\.(npy|keras)"
UNREADABLE = (  # what reading a damaged or altered file can come to
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, tf.errors.OpError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@np.errstate(**FLOAT_ERRORS)
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
        The file; it is replaced only when all is written. A link stays, and the file it points to is replaced.
        A pipe that somebody reads is written to.

    Raises
    ------
    TypeError
        If a parameter cannot be written as data; pickle is the way then.
    ValueError
        If `path` is a socket or a device.
    """
    members = _members(estimator)
    write_atomically(path, lambda file: write_archive(file, members))


def to_bytes(estimator: typing.Any) -> bytes:
    """What `save` would write; a TypeError as there."""
    file = io.BytesIO()
    write_archive(file, _members(estimator))
    return file.getvalue()


def _members(estimator):
    check_is_fitted(estimator)
    registered = registered_name(type(estimator))
    if registered is None:
        raise TypeError(
            f"save cannot write a {type(estimator).__module__}.{type(estimator).__qualname__}, which load could not make: its "
            "class is not registered. Decorate it with keras_ssvae.register, or use pickle."
        )
    state = state_of(estimator)
    writer = Writer()
    tree = {"dict": [[name, writer.tree(value, name)] for name, value in state.items()]}
    header = {"format": FORMAT, "version": keras_ssvae.__version__, "estimator": registered, "state": tree}
    return {"estimator.json": json.dumps(header).encode(), **writer.members}


def load(path: str | os.PathLike) -> typing.Any:
    """Read an estimator that `save` wrote.

    All that the file says is checked before anything is made of it: no code from it is run, and no more memory is taken than
    its size explains.

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
    ModelFileError
        A ValueError: if the file is not one of ours, was damaged or altered, or is of a later format.
    OSError
        As the system says: if there is no such file, or it may not be read.
    """
    name = os.fspath(path)
    state = os.stat(path)
    check_runtime(makes_variables=True)
    if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):  # a pipe would never end
        raise ModelFileError(f"{name!r} is not a file that keras_ssvae wrote.")
    with open(path, "rb") as file:  # of a folder, an IsADirectoryError
        return _load(file, os.fstat(file.fileno()).st_size, repr(name))


def from_bytes(content: bytes) -> typing.Any:
    """The estimator of what `to_bytes` gave; a ModelFileError, as of `load`, if it is none."""
    check_runtime(makes_variables=True)
    return _load(io.BytesIO(content), len(content), "the state of the estimator")


@np.errstate(**FLOAT_ERRORS)
def _load(file, size, name):
    try:
        is_sealed = seal_of(file, size)
        archive = Archive(file, size, MEMBERS, SEAL if is_sealed else 0)
        return _read(archive, is_sealed)
    except NotAnArchive as error:
        raise ModelFileError(f"{name} is not a file that keras_ssvae wrote.") from error
    except UNREADABLE as error:
        raise ModelFileError(f"Cannot read {name}: {error or type(error).__name__}") from error


def _read(archive, is_sealed):
    if "estimator.json" not in archive.sizes:
        raise NotAnArchive("it has no header")
    header = parse_json(archive.read("estimator.json", MAX_JSON))
    require(isinstance(header, dict), "its header is none")
    version = header.get("format")
    require(type(version) is int and version >= 1, f"its format is {version!r:.60}")
    require(version <= FORMAT, f"it was written by keras_ssvae {header.get('version')!s:.60}, which is newer than this one.")
    require(version == 1 or is_sealed, "it has no checksum: it was altered")
    require(header.keys() == {"format", "version", "estimator", "state"}, "its header has other entries than it should have")
    name = header["estimator"]
    cls = registered_class(name) if isinstance(name, str) else None
    require(hasattr(cls, "_from_file"), f"it names an unknown estimator, {name!r:.60}: is its class registered?")
    state = Reader(archive, families=getattr(cls, "_holds_families", False)).value(header["state"])
    require(isinstance(state, dict), "its state is none")
    check_names(cls, state)
    return cls._from_file(state)
