"""A folder is there as a whole, or as it was."""

import os
import shutil
from collections.abc import Callable

from keras_ssvae.serialization.files import temporary_path

__all__ = ["write_folder"]


def write_folder(path: str | os.PathLike, write: Callable[[str], None], mark: str) -> None:
    """Make a folder beside its place, and put it there when all of it is written; an export that was there goes.

    Parameters
    ----------
    path : str or path-like
        The folder.
    write : callable
        Called with the path of a new folder, to fill it.
    mark : str
        The file by which an export is known.

    Raises
    ------
    FileExistsError
        If something is there that is neither an export nor an empty folder.
    """
    path = os.path.realpath(path)
    there = os.path.lexists(path)
    if there and not _may_go(path, mark):
        raise FileExistsError(f"{path!r} is there and no export, which another one could replace; pass a new folder.")
    new = temporary_path(path)
    os.mkdir(new)
    try:
        write(new)
        if not there:
            os.rename(new, path)
            return
        old = f"{new}-old"
        os.rename(path, old)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(old, path)
            raise
        shutil.rmtree(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _may_go(path, mark):
    """Whether a path is an export or an empty folder."""
    return os.path.isdir(path) and (os.path.isfile(os.path.join(path, mark)) or not os.listdir(path))
