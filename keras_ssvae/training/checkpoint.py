"""The state of a fit in a folder, from which the same fit goes on to the same bits."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import time
import typing
import warnings
from collections.abc import Iterable
from pathlib import PurePath

import keras
import numpy as np

import keras_ssvae
from keras_ssvae.data.folders import StoreError, open_folder
from keras_ssvae.networks.base import Network
from keras_ssvae.seeding import derive_seeds
from keras_ssvae.serialization.model_file import UNREADABLE
from keras_ssvae.training.config import TrainingConfig

__all__ = ["Checkpoint"]

KEPT = 2  # files of a fit: should the last be damaged, there is the one before
OF_NO_EFFECT = ("callbacks", "verbose", "goes_on", "group", "checkpoint", "checkpoint_minutes")  # on what is trained
SEED = "random_state"  # the file of the seed of fits with random_state=None


@dataclasses.dataclass
class FitState:
    """All that a fit has come to at the end of an epoch.

    Attributes
    ----------
    stage : int
        Number of the stage that is being trained.
    records : list of dict
        The means of all epochs so far, one dict of lists a stage.
    best, waited, first_loss : float, int, float
        As in `StageProgress` and `TrainingStep`.
    variables, best_weights : list of arrays
        Everything that training changes, and the weights of the best epoch.
    starts : list of lists of arrays
        The weights at the start of each stage so far.
    """

    stage: int
    records: list[dict[str, list[float]]]
    best: float
    waited: int
    first_loss: float
    variables: list[np.ndarray]
    best_weights: list[np.ndarray]
    starts: list[list[np.ndarray]]

    NUMBERS: typing.ClassVar = ("stage", "records", "best", "waited", "first_loss")

    def to_bytes(self) -> bytes:
        """As a NumPy archive; nothing in it is code."""
        arrays = {"variables": self.variables, "best": self.best_weights}
        arrays |= {f"start {i}": start for i, start in enumerate(self.starts)}
        head = {name: getattr(self, name) for name in self.NUMBERS} | {"counts": {k: len(v) for k, v in arrays.items()}}
        flat = {f"{name} {i}": value for name, values in arrays.items() for i, value in enumerate(values)}
        file = io.BytesIO()
        np.savez(file, head=np.frombuffer(json.dumps(head).encode(), np.uint8), allow_pickle=False, **flat)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> FitState:
        """The opposite of `to_bytes`; raises one of `UNREADABLE`."""
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            arrays = {name: [file[f"{name} {i}"] for i in range(count)] for name, count in head["counts"].items()}
        numbers = {name: head[name] for name in cls.NUMBERS}
        starts = [arrays[f"start {i}"] for i in range(head["stage"] + 1)]
        return cls(**numbers, variables=arrays["variables"], best_weights=arrays["best"], starts=starts)


class Checkpoint:
    """The states of one fit in a directory, which fits of other data or parameters may share.

    Parameters
    ----------
    directory : str or path-like
        A folder, or the address of one.
    minutes : float
        That have to pass between two states; 0 keeps one of every epoch.
    key : str
        Name of the fit: equal only where data, parameters and the weights to start from are.
    """

    def __init__(self, directory: str | os.PathLike, minutes: float, key: str):
        self.folder, self.minutes, self.key = open_folder(directory), minutes, key
        self._last = time.monotonic()
        self._count = max(map(_number, self._states()), default=-1) + 1

    @classmethod
    def of(cls, network: Network, data: typing.Any, config: TrainingConfig) -> Checkpoint | None:
        """That of a fit, as `train` takes its arguments; None where the fit keeps no states."""
        if config.checkpoint is None or config.one_pass:
            return None
        return cls(config.checkpoint, config.checkpoint_minutes, fit_key(network, data, config))

    def read(self) -> FitState | None:
        """The last state, or the one before where it is damaged; None where there is none.

        A StoreError is raised where a store does not answer: what is there may be as it was.
        """
        for name in reversed(self._states()):
            try:
                return FitState.from_bytes(self.folder.read(name))
            except StoreError:
                raise
            except UNREADABLE as error:
                path = self.folder.path_of(name)
                warnings.warn(f"The checkpoint {path!r} cannot be read ({error}); an earlier one is used.", stacklevel=2)
        return None

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._last >= 60 * self.minutes

    def write(self, state: FitState) -> None:
        """Write a state at once or not at all, and remove all but the last two."""
        content = state.to_bytes()
        self.folder.write(f"{self.key}-{self._count}.npz", lambda file: file.write(content))
        self._last, self._count = time.monotonic(), self._count + 1
        for old in self._states()[:-KEPT]:
            self.folder.remove(old)

    def remove(self) -> None:
        """Remove the states of a fit that is done; with the last fit goes the seed that it had from here."""
        names = self.folder.names()
        own = [name for name in names if f"{self.key}-" in name]  # parts of them, too, that an ended process has left
        for name in own:
            self.folder.remove(name)
        if SEED in names and not any(name.endswith(".npz") for name in names if name not in own):
            self.folder.remove(SEED)

    def _states(self):
        return sorted((n for n in self.folder.names() if n.startswith(f"{self.key}-") and n.endswith(".npz")), key=_number)


def _number(name):
    return int(PurePath(name).stem.rpartition("-")[2])


def open_directory(directory: str | os.PathLike) -> None:
    """Make the directory of a checkpoint; a ValueError is raised where that cannot be."""
    try:
        open_folder(directory).make()
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"checkpoint must be a directory; {os.fspath(directory)!r} is a file, or below one.") from None


def lasting_seed(directory: str | os.PathLike) -> int:
    """The seed of a fit with ``random_state=None``, drawn once: the fit that goes on from a checkpoint is the same."""
    folder = open_folder(directory)
    if SEED not in folder.names():
        seed = str(derive_seeds(None, 1)[0]).encode()
        folder.write(SEED, lambda file: file.write(seed))
    seed = folder.read(SEED)
    if not seed.isdigit():
        raise ValueError(f"checkpoint: {folder.path_of(SEED)!r} holds no seed but {seed[:40]!r}; remove it to start anew.")
    return int(seed)


def fit_key(network: Network, data: typing.Any, config: TrainingConfig) -> str:
    """A name for what decides about all bits of a fit: weights to start from, rows, and how it is trained."""
    digest = hashlib.blake2b(digest_size=12)
    settings = {name: value for name, value in vars(config).items() if name not in OF_NO_EFFECT}
    surroundings = keras_ssvae.__version__, keras.config.floatx(), keras.config.dtype_policy().name
    watched = bool(config.callbacks)  # Keras' `fit` makes other chunks
    told = {name: _described(value) for name, value in settings.items()}
    if config.group is not None:  # which share each worker has is the only difference between them
        told |= {name: repr(getattr(config.group, name)) for name in ("size", "micro_batches", "local_steps")}
    digest.update(repr((type(network).__qualname__, sorted(told.items()), surroundings, watched)).encode())
    held_out = () if data.held_out is None else (*sorted(data.held_out[0].arrays.items()), ("held out", data.held_out[1]))
    rows = *sorted(data.rows.arrays.items()), ("weight", data.weight), *held_out
    for name, values in (*rows, *_named(network.variables)):
        array = np.ascontiguousarray(values)
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)  # without a copy of the rows
    return digest.hexdigest()


def _described(value):
    """A setting as text that is the same in another process."""
    if hasattr(value, "get_config"):
        return f"{type(value).__qualname__} {json.dumps(value.get_config(), sort_keys=True, default=str)}"
    return getattr(value, "__qualname__", None) or repr(value)


def _named(variables: Iterable) -> list:
    return [(f"variable {i}", variable.numpy()) for i, variable in enumerate(variables)]
