"""Where two accounts of the same rows first differ, by row and field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.journal.blocks import RECORDS
from engine.types.records import LEDGER_COLUMNS
from engine.types.step import StepBlock


@dataclass(frozen=True, slots=True)
class StepDifference:
    """One value that is not the same.

    Attributes:
        seq: Number of the row.
        ts_event: Its close time, nanoseconds UTC.
        field: Such as `ledger.equity`, `position.ES` or `fills.price`.
        expected: What the journal holds.
        found: What came out now.
    """

    seq: int
    ts_event: int
    field: str
    expected: str
    found: str


def first_difference(expected: StepBlock, found: StepBlock) -> StepDifference | None:
    """The first difference between two steps over the same bars, in order of the rows; None if there is none.

    Values count by their bits. Of records that only one of the two has, the number is what differs.
    """
    candidates = [*_rows(expected, found), *_records(expected, found)]
    return min(candidates, key=lambda one: one.seq, default=None)


def _rows(expected: StepBlock, found: StepBlock) -> Iterator[StepDifference]:
    pairs = [(f"ledger.{name}", expected.ledger[:, c], found.ledger[:, c]) for c, name in enumerate(LEDGER_COLUMNS)] + [
        (f"position.{name}", expected.positions[:, s], found.positions[:, s])
        for s, name in enumerate(expected.bars.symbols)
    ]
    for field, then, now in pairs:
        differs = np.flatnonzero(_bits(then) != _bits(now))
        if len(differs):
            yield _at_row(expected, int(differs[0]), field, then[differs[0]], now[differs[0]])


def _records(expected: StepBlock, found: StepBlock) -> Iterator[StepDifference]:
    for name, dtype in RECORDS.items():
        then, now = getattr(expected, name), getattr(found, name)
        count = min(len(then), len(now))
        for field in dtype.names or ():
            differs = np.flatnonzero(_bits(then[field][:count]) != _bits(now[field][:count]))
            if len(differs):
                at = int(differs[0])
                row = _row_of(expected, then[at])
                yield _at_row(expected, row, f"{name}.{field}", then[field][at], now[field][at])
        if len(then) != len(now):
            longer = then if len(then) > len(now) else now
            yield _at_row(expected, _row_of(expected, longer[count]), f"number of {name}", len(then), len(now))


def _row_of(step: StepBlock, record: np.void) -> int:
    """Row of a record within the step, by its time; an event between two rows belongs to the later one."""
    return min(int(np.searchsorted(step.bars.ts_event, record["ts_event"])), len(step) - 1)


def _at_row(step: StepBlock, row: int, field: str, expected: Any, found: Any) -> StepDifference:
    return StepDifference(
        step.bars.seq + row,
        int(step.bars.ts_event[row]),
        field,
        repr(expected.item() if hasattr(expected, "item") else expected),
        repr(found.item() if hasattr(found, "item") else found),
    )


def _bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.ascontiguousarray(values).view(np.int64)
