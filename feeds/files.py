"""Files of bars, read as a stream of batches of columns: CSV, Parquet, Feather and Arrow IPC.

Batches are cut by the file alone (bytes of text, rows of a table), never by what the reader asks for, and their
memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.blocks import Ints
from engine.errors import DataError, UsageError
from feeds.casting import Array

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".feather", ".arrow", ".ipc")
_ACCEPTED = "CSV (.csv, .csv.gz, .csv.zst, .tsv, .txt), Parquet (.parquet) or Arrow (.feather, .arrow, .ipc)"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that does not split into the columns of the file."""

    line: int
    raw: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        columns: Arrow arrays of n cells, by position in the file.
        lines: Line or row number of each row, shape (n,).
        through: Last line or row number that the batch covers.
        raw: Text of a row, given its place in the batch.
        malformed: Lines that are in none of the rows.
    """

    columns: dict[int, Array]
    lines: Ints
    through: int
    raw: Callable[[int], str]
    malformed: list[Malformed] = field(default_factory=list)


class BarFile(Protocol):
    """An open file, whose rows can be read again and again."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns, in order."""
        ...

    @property
    def format(self) -> str:
        """What it is, for people."""
        ...

    @property
    def rows_hint(self) -> int | None:
        """About how many rows it holds, if that can be told without reading it."""
        ...

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """Read the columns at these positions from the start.

        Raises:
            DataError: If the file breaks off or is damaged.
        """
        ...


def open_file(path: Path) -> BarFile:
    """Open a file by its suffix.

    Raises:
        UsageError: If there is no such file, it is a folder or its suffix is unknown.
        DataError: If it is empty or not what its suffix says.
    """
    # one reader needs not import the other's half of Arrow
    from feeds.arrow_file import ArrowFile, ParquetFile  # noqa: PLC0415
    from feeds.csv_file import CsvFile  # noqa: PLC0415

    _check(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSED.get(suffixes[-1]) if suffixes else None
    inner = suffixes[-2:-1] if compression else suffixes[-1:]
    if inner and inner[0] in CSV_SUFFIXES:
        return CsvFile(path, compression)
    if not compression and inner and inner[0] in PARQUET_SUFFIXES:
        return ParquetFile(path)
    if not compression and inner and inner[0] in ARROW_SUFFIXES:
        return ArrowFile(path)
    raise UsageError(
        "cannot tell the format of the file from its name",
        where=str(path),
        expected=_ACCEPTED,
        found=f"suffix {''.join(suffixes[-2:])!r}" if suffixes else "no suffix",
        hint="rename or convert the file",
    )


def symbol_from(path: Path) -> str:
    """The file's name without what follows from the format."""
    known = {*CSV_SUFFIXES, *COMPRESSED, *PARQUET_SUFFIXES, *ARROW_SUFFIXES}
    name = path.name
    while (dot := name.rfind(".")) > 0 and name[dot:].lower() in known:
        name = name[:dot]
    return name


def unreadable(path: Path, kind: str, error: Exception) -> DataError:
    """The error for a damaged file."""
    return DataError(
        f"the file is damaged or is not {kind}",
        where=str(path),
        expected=kind,
        found=" ".join(str(error).split()),
        hint="fetch or write the file again",
    )


def _check(path: Path) -> None:
    if path.is_dir():
        raise UsageError("this is a folder, not a file", where=str(path), expected=_ACCEPTED, hint="name its files")
    if not path.exists():
        raise UsageError("there is no such file", where=str(path), expected=_ACCEPTED)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UsageError(f"cannot open the file: {error.strerror or error}", where=str(path)) from error
    if empty:
        raise DataError("the file is empty", where=str(path), expected=_ACCEPTED)
