"""The rows of a batch that are wanted, and how a bad one of them is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from engine.types.blocks import Bools, Ints
from feeds.quarantine import BadRow, SessionGap
from feeds.reading.columns.casting import Array
from feeds.reading.files.bar_file import FileBatch
from feeds.reading.plan import FilePlan
from feeds.reading.rows.checks import REASONS, Columns, Fault, describe
from feeds.reading.times.column import READABLE


@dataclass(frozen=True, slots=True)
class BatchPart:
    """The rows of a batch that are wanted, with their times.

    Attributes:
        ts_event: Close times, nanoseconds UTC, shape (n,).
        codes: Number of each row's symbol, shape (n,); None without a symbol column.
        good: Whether the time could be read, shape (n,).
        shift_ns: From a label to the close of its bar.
    """

    plan: FilePlan
    batch: FileBatch
    ts_event: Ints
    codes: Ints | None
    good: Bools
    shift_ns: int

    def where(self, wanted: Bools) -> BatchPart:
        """Only the rows that a mask of shape (n,) picks."""
        places, batch = np.flatnonzero(wanted), self.batch
        few = FileBatch(
            {at: column.filter(pa.array(wanted)) for at, column in batch.columns.items()},
            batch.lines[places],
            batch.through,
            lambda row: batch.raw(int(places[row])),
            batch.malformed,
        )
        codes = None if self.codes is None else self.codes[places]
        return BatchPart(self.plan, few, self.ts_event[places], codes, self.good[places], self.shift_ns)

    def bad_row(self, at: int, fault: Fault, columns: Columns, unreadable: dict[str, Bools], floor: int) -> BadRow:
        """Describe a bad row.

        Args:
            columns: Numbers of all rows.
            unreadable: Which cells are no numbers, by column.
            floor: The time that it had to come after, nanoseconds UTC.
        """
        if fault == Fault.TIME:
            exists = "" if self.plan.zone == "UTC" else f", that exists in {self.plan.zone}"
            expected, found = READABLE + exists, self._cells(at, self.plan.columns.time)
        elif fault == Fault.SYMBOL:
            expected, found = "the name of a symbol", "an empty cell"
        elif fault in {Fault.DUPLICATE, Fault.BACKWARDS}:
            expected = f"a time after {iso(floor - self.shift_ns)}"
            found = iso(int(self.ts_event[at]) - self.shift_ns)
        else:
            numbers = {name: float(values[at]) for name, values in columns.items()}
            positions = self.plan.columns.values | self.plan.columns.extra
            texts = {name: self._cells(at, (positions[name],)) for name, bad in unreadable.items() if bad[at]}
            expected, found = describe(fault, numbers, texts)
        batch = self.batch
        return BadRow(self.plan.source, int(batch.lines[at]), REASONS[fault], expected, found, batch.raw(at))

    def gap(self, at: int, symbol: str, previous: int, missing: int) -> SessionGap:
        """Describe the gap before a row, given its place and the close time of the bar before it."""
        return SessionGap(
            self.plan.source, int(self.batch.lines[at]), symbol, previous, int(self.ts_event[at]), missing
        )

    def _cells(self, at: int, positions: tuple[int, ...]) -> str:
        return " ".join(_text(self.batch.columns[position], at) for position in positions) or "an empty cell"


def iso(time_ns: int) -> str:
    """A time as people read it, in UTC."""
    unit: Literal["s", "ns"] = "ns" if time_ns % 1_000_000_000 else "s"
    return f"{np.datetime_as_string(np.datetime64(int(time_ns), 'ns'), unit=unit)}Z".replace("T", " ")


def _text(column: Array, at: int) -> str:
    cell = column[at]
    if not cell.is_valid:
        return ""
    if pa.types.is_string(cell.type):
        return bytes(cell.as_buffer()).decode("utf-8", errors="replace")
    return str(cell.as_py())
