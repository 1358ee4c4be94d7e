"""The file as an archive: sealed by a checksum, and read only as far as its size allows."""

import hashlib
import json
import os
import re
import struct
import typing
import zipfile

__all__ = []

MARK = b"sha256:"
SEAL = len(MARK) + 64  # bytes at the end: the checksum of all others
END = 22  # bytes of the record that ends an archive
MAX_MEMBERS = 2**14
MAX_DIRECTORY = 2**22  # bytes
MAX_JSON = 2**25  # bytes
MAX_JSON_VALUES = 2_000_000
MAX_RATIO, SLACK = 100, 2**26  # what all members may come to: this many times the file, and these bytes


class NotAnArchive(ValueError):
    """A file that is none of ours at all, rather than one that is damaged."""


def most(size: int) -> int:
    """How many bytes may come out of an archive of `size` bytes."""
    return MAX_RATIO * size + SLACK


def write_archive(file: typing.BinaryIO, members: dict[str, bytes]) -> None:
    """Write members, name -> content, and seal them. What would inflate more than `load` accepts is not compressed."""
    total = sum(map(len, members.values()))
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        file.seek(0)
        file.truncate()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.comment = MARK + b"0" * 64
            for name, content in members.items():
                archive.writestr(name, content)
        size = file.seek(0, os.SEEK_END)
        if total <= most(size):
            break
    digest = _digest(file, size - 64)
    file.seek(size - 64)
    file.write(digest)


def seal_of(file: typing.BinaryIO, size: int) -> bool:
    """Whether a file is sealed; a ValueError if the seal does not fit what it holds."""
    tail = _read_at(file, max(0, size - SEAL), SEAL)
    if not tail.startswith(MARK):
        return False
    if tail[len(MARK) :] != _digest(file, size - 64):
        raise ValueError("its checksum is another: it was damaged or altered")
    return True


def _digest(file, size):
    """The SHA-256 of the first bytes of a file, in hexadecimal digits."""
    file.seek(0)
    digest, left = hashlib.sha256(), size
    while left and (block := file.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()


def _read_at(file, start, count):
    file.seek(start)
    return file.read(count)


class Archive:
    """The members of a zip archive, none of them read before the sizes of all are known to be sensible.

    Parameters
    ----------
    file : binary file
        The archive; closed by whoever opened it.
    size : int
        Its size in bytes.
    names : str
        Regular expression of the names that members may have.
    comment : int, default=0
        Bytes after the record that ends the archive.

    Raises
    ------
    ValueError
        If there are too many members, if they would be too large, are encrypted, or compressed by anything but DEFLATE.
    """

    def __init__(self, file: typing.BinaryIO, size: int, names: str, comment: int = 0) -> None:
        _check_directory(file, size, comment)
        self._zip = zipfile.ZipFile(file)
        self.sizes: dict[str, int] = {}
        for info in self._zip.infolist():
            if not re.fullmatch(names, info.filename):
                raise NotAnArchive(f"{info.filename!r} is no member of such a file")
            if info.filename in self.sizes:
                raise ValueError(f"there are two members {info.filename!r}")
            if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{info.filename!r} is encrypted or compressed in an unknown way")
            self.sizes[info.filename] = info.file_size
        if sum(self.sizes.values()) > most(size):
            raise ValueError(f"its members would have {sum(self.sizes.values())} bytes, which is too much for {size}")

    def read(self, name: object, most: int | None = None) -> bytearray:
        """The content of a member, of at most so many bytes."""
        if not isinstance(name, str) or name not in self.sizes:
            raise ValueError(f"it has no member {name!r}")
        if most is not None and self.sizes[name] > most:
            raise ValueError(f"{name!r} has {self.sizes[name]} bytes; at most {most} are read")
        content = bytearray()
        with self._zip.open(name) as member:
            while block := member.read(2**20):  # never more than was declared
                content += block
        if len(content) != self.sizes[name]:
            raise ValueError(f"{name!r} has another size than it should have")
        return content


def _check_directory(file, size, comment):
    """Raise unless the archive ends as one of ours does, and has few members: all are listed at once."""
    end = _read_at(file, max(0, size - END - comment), END)
    if len(end) < END or not end.startswith(b"PK\5\6") or struct.unpack("<H", end[20:])[0] != comment:
        raise NotAnArchive("it is no archive")
    count, length = struct.unpack("<HL", end[10:16])
    start = size - END - comment - 20 - 56
    further = _read_at(file, max(0, start), 76) if start >= 0 else b""
    if further[56:60] == b"PK\6\7":  # of archives above 4 GB
        if not further.startswith(b"PK\6\6"):
            raise ValueError("its directory is damaged")
        count, length = struct.unpack("<QQ", further[32:48])
    if count > MAX_MEMBERS or length > MAX_DIRECTORY:
        raise ValueError(f"it has {count} members, listed in {length} bytes; at most {MAX_MEMBERS} are read")


def parse_json(content: bytes | bytearray) -> typing.Any:
    """What JSON says; a ValueError if it is too large or too deep to be taken into memory."""
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if len(content) > MAX_JSON or values > MAX_JSON_VALUES:
        raise ValueError(f"its header of {len(content)} bytes and about {values} values is too large")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
