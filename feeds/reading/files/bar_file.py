"""Tables of bars, read as a stream of batches of columns: CSV, Parquet, Feather and Arrow IPC files, and frames.

Batches are cut by the table alone (bytes of text, rows), never by what the reader asks for, and their memory does not
grow with the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.base.errors import DataError
from engine.types.blocks import Ints
from feeds.reading.columns.casting import Array
from feeds.reading.formats.recognise import Declared

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".asc", ".prn", ".dat")
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".zip": "zip"}
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".feather", ".arrow", ".ipc")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that does not split into the columns of the file."""

    line: int
    raw: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class FileBatch:
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


class BarFile(ABC):
    """An open file or a frame, whose rows can be read again and again.

    Attributes:
        symbol: What its bars are called if no column says.
        named: Whether the data themselves name that symbol; otherwise it comes from the name of the file.
        source: Where it is, for messages.
        format: What it is, for messages.
        names: Names of its columns, in order.
        time: Position of the column that is known to hold the times (a frame's index); None if the names decide.
        rows_hint: About how many rows it holds, if that can be told without reading it.
        typed: Whether it is a frame, whose columns and format are yet to be understood.
        declared: The declared format that it is in, if one was named or recognised.
        remarks: What was found when it was opened and is worth a line to the user.
        messages_only: Whether it holds messages of an order book, and no rows.
    """

    symbol: str
    named: bool = False
    source: str
    format: str
    names: tuple[str, ...]
    time: int | None = None
    rows_hint: int | None = None
    typed: bool = False
    declared: Declared | None = None
    remarks: tuple[str, ...] = ()
    messages_only: bool = False

    @property
    def holds_book(self) -> bool:
        """Whether it holds an order book."""
        return self.messages_only or (self.declared is not None and self.declared.format.holds == "book")

    @abstractmethod
    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start.

        Raises:
            DataError: If the file breaks off or is damaged.
        """


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
