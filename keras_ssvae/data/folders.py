"""Folders of files, on this machine or in a store that has an address: S3, GCS, Azure, HDFS, and what fsspec knows."""

from __future__ import annotations

import abc
import contextlib
import os
import secrets
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_ssvae.serialization.files import write_atomically

__all__ = ["Folder", "StoreError", "open_folder"]

PART = ".part-"  # how names of files start that are being written in a store


class StoreError(OSError):
    """A store could not be read or written; the message has its address."""


class Folder(abc.ABC):
    """Files by their names, of which "below/name" is one in a folder below.

    Attributes
    ----------
    base : str
        The path of the folder.
    filesystem : pyarrow.fs.FileSystem or None
        What pyarrow reads `path_of` a file with; None is this machine.
    """

    base: str
    filesystem: typing.Any = None

    @abc.abstractmethod
    def kind(self) -> str | None:
        """Whether it is a "folder" or, where the address is that of one, a "file"; None where nothing is there."""

    @abc.abstractmethod
    def make(self) -> None:
        """Make the folder, and those above it; raises a FileExistsError, or another OSError, where a file is."""

    @abc.abstractmethod
    def names(self, below: bool = False) -> list[str]:
        """The files of the folder, hidden ones too, and with `below` those of all folders below; sorted, folder by folder."""

    @abc.abstractmethod
    def open(self, name: str) -> typing.Any:
        """A file, open for reading in binary."""

    @abc.abstractmethod
    def write(self, name: str, write: Callable[[typing.Any], typing.Any]) -> None:
        """Make a file, which others see as a whole or not at all; `write` is called with it, open for writing in binary."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, where it is."""

    def path_of(self, name: str) -> str:
        """The path of a file, in `filesystem`; of "" that of the folder."""
        return f"{self.base}/{name}" if name else self.base

    def read(self, name: str) -> bytes:
        """What is in a file."""
        with self.open(name) as file:
            return file.read()


class LocalFolder(Folder):
    """A folder of this machine."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.base = str(self.path)

    def __str__(self):
        return self.base

    def kind(self) -> str | None:
        if self.path.is_file():
            return "file"
        return "folder" if self.path.exists() else None

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def names(self, below: bool = False) -> list[str]:
        found = self.path.rglob("*") if below else self.path.glob("*")
        return [file.relative_to(self.path).as_posix() for file in sorted(found) if file.is_file()]

    def path_of(self, name: str) -> str:
        return str(self.path / name)

    def open(self, name: str) -> typing.Any:
        return open(self.path / name, "rb")

    def write(self, name: str, write: Callable[[typing.Any], typing.Any]) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


class StoreFolder(Folder):
    """A folder of a file system of pyarrow.

    Parameters
    ----------
    address : str
        As the user gave it, for messages.
    filesystem : pyarrow.fs.FileSystem
        Where the folder is.
    base : str
        Its path there.
    """

    def __init__(self, address: str, filesystem: typing.Any, base: str):
        self.address, self.filesystem, self.base = address, filesystem, base.rstrip("/")

    def __str__(self):
        return self.address

    def kind(self) -> str | None:
        with self._failing("read"):
            info = self.filesystem.get_file_info(self.base)
        return {"File": "file", "Directory": "folder"}.get(info.type.name)

    def make(self) -> None:
        if self.kind() == "file":
            raise FileExistsError(f"{self.address!r} is a file.")
        with self._failing("made"):
            self.filesystem.create_dir(self.base, recursive=True)

    def names(self, below: bool = False) -> list[str]:
        import pyarrow.fs

        with self._failing("read"):
            found = self.filesystem.get_file_info(pyarrow.fs.FileSelector(self.base, recursive=below, allow_not_found=True))
        files = [info.path[len(self.base) :].strip("/") for info in found if info.type.name == "File"]
        return sorted(files, key=lambda name: name.split("/"))

    def open(self, name: str) -> typing.Any:
        with self._failing("read"):
            return self.filesystem.open_input_stream(self.path_of(name), compression=None)

    def read(self, name: str) -> bytes:
        with self._failing("read"):
            return super().read(name)

    def write(self, name: str, write: Callable[[typing.Any], typing.Any]) -> None:
        above, slash, last = name.rpartition("/")
        part = self.path_of(f"{above}{slash}{PART}{secrets.token_hex(4)}-{last}")
        with self._failing("written"):
            if above:
                self.filesystem.create_dir(self.path_of(above), recursive=True)
            try:
                with self.filesystem.open_output_stream(part, compression=None) as file:
                    write(file)
                self._move(part, self.path_of(name))
            except BaseException:
                with contextlib.suppress(OSError):  # what failed is told
                    self.filesystem.delete_file(part)
                raise

    def remove(self, name: str) -> None:
        with self._failing("written"), contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path_of(name))

    def _move(self, path, to):
        try:
            self.filesystem.move(path, to)
        except NotImplementedError:  # Azure without a hierarchy of names; there a copy is made at once
            self.filesystem.copy_file(path, to)
            self.filesystem.delete_file(path)

    @contextlib.contextmanager
    def _failing(self, done: str) -> Iterator[None]:
        """Say which store it is that fails."""
        try:
            yield
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{self.address!r} cannot be {done}: {type(error).__name__}: {error}") from error


def open_folder(address: str | os.PathLike) -> Folder:
    """The folder at a path, or at an address "scheme://...", as pyarrow or, of other schemes, fsspec reads it.

    Parameters
    ----------
    address : str or path-like
        The path or the address.

    Returns
    -------
    folder : Folder
        Whether anything is there or not.

    Raises
    ------
    ImportError
        If pyarrow is needed and not installed.
    ValueError
        If nobody knows the scheme.
    StoreError
        If its store cannot be reached.
    """
    if isinstance(address, os.PathLike) or "://" not in address:
        return LocalFolder(address)
    try:
        import pyarrow
        import pyarrow.fs
    except ImportError as error:
        raise ImportError(
            f"{address!r} is reached by pyarrow, which is not installed: pip install 'keras_ssvae[streaming]'."
        ) from error
    try:
        return StoreFolder(address, *pyarrow.fs.FileSystem.from_uri(address))
    except pyarrow.ArrowInvalid as error:
        return StoreFolder(address, *_of_fsspec(address, error))
    except OSError as error:
        raise StoreError(f"{address!r} cannot be reached: {error}") from error


def is_part(name: str) -> bool:
    """Whether a file is one that was never finished: its process was lost, or is writing it."""
    return name.rpartition("/")[2].startswith(PART)


def _of_fsspec(address, unknown):
    """(file system, path) of an address that is unknown to pyarrow."""
    import pyarrow.fs

    try:
        import fsspec

        filesystem, path = fsspec.url_to_fs(address, use_listings_cache=False)  # others write there, too
    except (ImportError, ValueError) as error:  # fsspec, what it needs for a scheme, or the scheme
        raise ValueError(f"{address!r} is no address that pyarrow or fsspec knows: {unknown} {error}.") from error
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem)), path
