"""Files that are written for months: one that is full becomes the first of the older ones, of which few are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOBase
from itertools import pairwise
from pathlib import Path
from typing import Final

# size at which a file is full
MOST_FILE_BYTES: Final = 16 << 20
OLDER_FILES: Final = 3


def older_names(name: str) -> tuple[str, ...]:
    """Names of the older files, the newest first."""
    return tuple(f"{name}.{number}" for number in range(1, OLDER_FILES + 1))


def rotate(path: Path) -> None:
    """Make room for a new file: each becomes the next older one, the last is deleted."""
    files: Sequence[Path] = [path, *(path.with_name(name) for name in older_names(path.name))]
    for newer, older in reversed(list(pairwise(files))):
        if newer.exists():
            newer.replace(older)


class RotatingFile(TextIOBase):
    """Text that only its owner can read, appended line by line: whoever writes flushes after each line.

    Args:
        path: Of the file.
        most_bytes: After so many bytes it is full.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_FILE_BYTES) -> None:
        self._path, self._most_bytes = path, most_bytes
        self._descriptor = self._opened()

    def write(self, text: str) -> int:
        """Append; what a full disk does not take is lost, because a log must not stop what it tells of."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """A line has ended: if the file is full, the next one goes to a new file."""
        if os.fstat(self._descriptor).st_size < self._most_bytes:
            return
        with suppress(OSError):  # the full file grows on, and it is tried again after the next line
            rotate(self._path)
            full, self._descriptor = self._descriptor, self._opened()
            os.close(full)

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
