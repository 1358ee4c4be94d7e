"""A folder is there as a whole, or as it was."""

import os
import shutil
from collections.abc import Callable

__all__ = ["MARK", "write_folder"]

MARK = "export.json"  # the file by which an export is known


def write_folder(path: str | os.PathLike, write: Callable[[str], None]) -> None:
    """Make a folder beside its place, and put it there when all of it is written; an export that was there goes.

    Parameters
    ----------
    path : str or path-like
        The folder.
    write : callable
        Called with the path of a new folder, to fill it.

    Raises
    ------
    FileExistsError
        If something is there that is neither an export nor an empty folder.
    """
    path = os.path.realpath(path)
    there = os.path.lexists(path)
    if there and not _may_go(path):
        raise FileExistsError(f"{path!r} is there and no export, which another one could replace; pass a new folder.")
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name}-{os.getpid()}-{os.urandom(4).hex()}")
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


def _may_go(path):
    """Whether a path is an export or an empty folder."""
    return os.path.isdir(path) and (os.path.isfile(os.path.join(path, MARK)) or not os.listdir(path))
