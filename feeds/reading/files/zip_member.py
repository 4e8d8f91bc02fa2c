"""Text files inside zip archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engine.base.errors import DataError, UsageError
from feeds.reading.files.bar_file import ARROW_SUFFIXES, CSV_SUFFIXES, PARQUET_SUFFIXES, unreadable

_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError)
_LISTED = 12


def zip_path(path: Path) -> tuple[Path, str | None] | None:
    """An archive and the member that a path names behind it, `bars.zip/ES.csv`; None if the path names no archive."""
    for part in (path, *path.parents):
        if part.suffix.lower() == ".zip" and part.is_file():
            return part, None if part == path else path.relative_to(part).as_posix()
    return None


def find_member(archive: Path, wanted: str | None) -> tuple[str, str | None]:
    """The member to read, and a remark if others were passed over.

    A text file (.txt) beside the only other table is taken for a report on it.

    Raises:
        UsageError: If several could be meant, or there is none of that name.
        DataError: If the archive is damaged, or holds no table.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [one.filename for one in opened.infolist() if not one.is_dir() and not _hidden(one.filename)]
    except _DAMAGE as error:
        raise unreadable(archive, "a zip archive", error) from error
    if wanted is not None:
        if wanted not in names:
            raise UsageError(
                f"the archive has no member {wanted!r}", where=str(archive), expected=_listed(names), found=wanted
            )
        return wanted, None
    tables = [name for name in names if PurePosixPath(name).suffix.lower() in CSV_SUFFIXES]
    without_text = [name for name in tables if not name.lower().endswith(".txt")]
    found = tables if len(tables) == 1 else without_text or tables
    if not found:
        typed = [name for name in names if name.lower().endswith((*PARQUET_SUFFIXES, *ARROW_SUFFIXES))]
        raise DataError(
            "the archive holds no text file of data",
            where=str(archive),
            expected="a member " + ", ".join(CSV_SUFFIXES),
            found=_listed(names) or "no member",
            hint="unpack it first" if typed else None,
        )
    if len(found) > 1:
        raise UsageError(
            "the archive holds several files",
            where=str(archive),
            expected="one file, or the name of one of them",
            found=_listed(found),
            hint=f"name the one to read: {archive}/{found[0]}",
        )
    others = [name for name in names if name != found[0]]
    return found[0], f"{found[0]} is read; {_listed(others)} in the archive is not" if others else None


def open_member(archive: Path, member: str, size: int) -> Iterator[bytes]:
    """The bytes of a member, `size` at a time.

    Raises:
        DataError: If it is damaged or encrypted.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
            while block := stream.read(size):
                yield block
    except RuntimeError as error:
        raise DataError(
            "the archive is encrypted", where=str(archive), expected="a file without password", hint="unpack it first"
        ) from error
    except _DAMAGE as error:
        raise unreadable(archive, "a zip archive", error) from error


def _hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
