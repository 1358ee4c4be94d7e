"""A file is written as a whole or not at all, and nothing lasting stays beside it, however the process ends."""

import errno
import hashlib
import io
import os
import re
import shutil
import stat
import typing
import warnings
from collections.abc import Callable

__all__ = ["write_atomically"]

# where a file system knows no files without a name: Linux says one of these
NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS}


def write_atomically(path: str | os.PathLike, write: Callable[[typing.BinaryIO], typing.Any]) -> None:
    """Write a file that other processes see as it was or as it is to be, at any moment.

    The new bytes go to a file without a name, which goes with its process, where the system knows such files; else to a hidden
    one in the same folder. It then takes the place of the file. A link stays, and the file it points to is replaced; mode and,
    where permitted, owner stay those of the file that was there; a new file has the mode of any other. A pipe is written to
    where somebody reads it, and else replaced, with a warning.

    Parameters
    ----------
    path : str, bytes or path-like
        The file.
    write : callable
        Called with the new file, open for reading and writing in binary.

    Raises
    ------
    ValueError
        If `path` is a socket or a device.
    OSError
        As the system says, for a folder or where there is no room.
    """
    path = os.fsdecode(os.path.realpath(path))
    before = _state(path)
    if before is not None and stat.S_ISFIFO(before.st_mode):
        if _given_to_reader(path, write):
            return
        warnings.warn(f"Nobody reads the pipe {path!r}: it is replaced by a file.", stacklevel=4)
    folder, temporary = os.path.dirname(path), temporary_path(path)
    os.stat(folder)  # whose name errors tell, rather than a temporary one
    mode = 0o666 if before is None else 0o600  # less the user's umask, as the system does by itself
    handle = _nameless(folder, mode)
    is_nameless = handle is not None
    if handle is None:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "w+b") as file:
            write(file)
            file.flush()
            if before is not None:
                take_over(handle, before)
            os.fsync(handle)
            if is_nameless:  # `dst_dir_fd` makes Python follow the link under /proc; the path is absolute and does not need it
                os.link(f"/proc/self/fd/{handle}", temporary, dst_dir_fd=handle)
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    _sync_folder(folder)


def temporary_path(path: str) -> str:
    """A new hidden name beside an absolute path, short however long that is; what ended processes left behind is removed."""
    folder, prefix = os.path.dirname(path), _prefix(path)
    _remove_leftovers(folder, prefix)
    return os.path.join(folder, f"{prefix}{os.getpid()}-{os.urandom(4).hex()}")


def _state(path):
    """What is at a path, None if nothing; raises unless a file may be put there."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(state.st_mode) and not stat.S_ISFIFO(state.st_mode):
        raise ValueError(f"save writes files only; {path!r} is a socket or a device.")
    return state


def _given_to_reader(path, write):
    """Write all bytes to a pipe; False, and nothing is written, where nobody reads it."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    os.set_blocking(handle, True)
    content = io.BytesIO()
    with os.fdopen(handle, "wb") as pipe:
        write(content)
        pipe.write(content.getvalue())
    return True


def _nameless(folder, mode):
    """The handle of a new file without a name, None where the system has none."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, mode)
    except OSError as error:
        if error.errno in NO_TMPFILE:
            return None
        raise


def take_over(handle: int, before: os.stat_result) -> None:
    """Give an open file or folder the owner and the mode of the one that it replaces."""
    if os.name != "posix":
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        for owner in (before.st_uid, -1):  # who may not give files away may still be of the group
            try:
                os.fchown(handle, owner, before.st_gid)
                break
            except PermissionError:
                continue
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _prefix(path):
    """How names of temporary files of a path start on this machine; they are short, however long the name of the file."""
    host = os.uname().nodename if hasattr(os, "uname") else ""
    return f".ssvae-{hashlib.sha256(os.fsencode(os.path.basename(path) + '/' + host)).hexdigest()[:16]}-"


def _remove_leftovers(folder, prefix):
    """Remove temporary files and folders of the path whose processes on this machine have ended."""
    if os.name != "posix" or not os.access(folder, os.R_OK):
        return
    for name in os.listdir(folder):
        found = re.fullmatch(re.escape(prefix) + r"(\d{1,9})-[0-9a-f]{8}", name)
        if found and not _is_running(int(found[1])):
            left = os.path.join(folder, name)
            if os.path.isdir(left) and not os.path.islink(left):
                shutil.rmtree(left, ignore_errors=True)
                continue
            try:
                os.unlink(left)
            except FileNotFoundError:  # another process that saves was faster
                continue


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _sync_folder(folder):
    """Let the new name reach the disk, where folders can be opened."""
    if os.name != "posix" or not os.access(folder, os.R_OK):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that have nothing to do here
            raise
    finally:
        os.close(handle)
