"""A folder is there as a whole, or as it was."""

import os
import shutil
from collections.abc import Callable

from keras_ssvae.serialization.files import take_over, temporary_path

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
        If something is there that is neither an export nor an empty folder, or that is the working directory.
    """
    path = os.fsdecode(os.path.realpath(path))
    there = os.path.lexists(path)
    if there:
        _check_may_go(path, mark)
    os.stat(os.path.dirname(path))  # whose name errors tell, rather than a temporary one
    new = temporary_path(path)
    os.mkdir(new, 0o700 if there else 0o777)
    try:
        write(new)
        _put(new, path, mark)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _put(new, path, mark):
    """Let a new folder take its place, and the mode and owner of what was there, which may have come meanwhile."""
    while True:
        old = temporary_path(path)
        if os.path.lexists(path):
            try:
                _check_may_go(path, mark)
                _take_over_folder(new, os.stat(path))
                os.rename(path, old)
            except FileNotFoundError:  # another process was faster
                continue
        try:
            os.rename(new, path)
        except OSError:
            if not os.path.lexists(path):
                if os.path.lexists(old):
                    os.rename(old, path)
                raise
            shutil.rmtree(old, ignore_errors=True)  # another process was faster
            continue
        shutil.rmtree(old, ignore_errors=True)
        return


def _take_over_folder(new, before):
    if os.name == "posix":
        handle = os.open(new, os.O_RDONLY)
        try:
            take_over(handle, before)
        finally:
            os.close(handle)


def _check_may_go(path, mark):
    """Raise unless a path is an export or an empty folder, and not the one that this process is in."""
    try:
        names = os.listdir(path)
    except NotADirectoryError:
        names = [path]
    if names and mark not in names:
        raise FileExistsError(f"{path!r} is there and no export, which another one could replace; pass a new folder.")
    if os.path.samefile(path, os.curdir):
        raise FileExistsError(f"{path!r} is the working directory, which no other folder can replace; pass a folder in it.")
