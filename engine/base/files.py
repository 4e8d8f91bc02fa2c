"""Opening files that others name: regular files only, and no more of them than is wanted.

A named pipe would block for ever, a device never end. What is refused is an `OSError`, which callers report as they
report a file that is missing.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

MOST_JSON = 256 * 1024 * 1024
"""Bytes of a JSON file, unless the caller knows better."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class NotRegularFileError(OSError):
    """The path names something else than a regular file."""


class TooLargeError(OSError):
    """The file is larger than what it should hold can be."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading, unbuffered position at its start; never waits for a writer.

    Raises:
        NotRegularFileError: If it is a folder, a named pipe, a device or a socket.
        OSError: If it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_other(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path) -> None:
    """Refuse what is no regular file, for libraries that open a path by themselves.

    Raises:
        NotRegularFileError: If it is something else.
        OSError: If there is no such file, or it cannot be examined.
    """
    _refuse_other(path.stat().st_mode, path)


def read_file(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        most: Bytes that it may hold.

    Raises:
        NotRegularFileError: If it is something else.
        TooLargeError: If it holds more.
        OSError: If it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.
        most: Bytes that it may hold.

    Raises:
        OSError: As `read_file`.
        ValueError: If it is not UTF-8, not JSON or nested too deep.
    """
    try:
        return json.loads(read_file(path, most).decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def sha256_file(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal; opened as `open_regular` does."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's entries, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def in_numeric_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key of names in which numbers count as numbers: v2 before v10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]


def _refuse_other(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotRegularFileError(errno.EINVAL, f"{kind} in place of a file", str(path))
