"""Rows of a file that passed every check, before they are arranged by time across symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.types.blocks import BAR_COLUMNS, BarBlock, Bools, Floats, Ints
from feeds.reading.rows.checks import Columns


@dataclass(frozen=True, slots=True)
class AcceptedRows:
    """Accepted rows.

    Attributes:
        ts_event: Close times, nanoseconds UTC, shape (n,).
        codes: Number of each row's symbol, shape (n,); None if there is but one.
        columns: open, high, low, close, volume and whatever extra columns there are, each of shape (n,).
    """

    ts_event: Ints
    codes: Ints | None
    columns: Columns

    def __len__(self) -> int:
        return len(self.ts_event)

    def take(self, rows: Ints | slice) -> AcceptedRows:
        """The rows at these places."""
        codes = None if self.codes is None else self.codes[rows]
        return AcceptedRows(self.ts_event[rows], codes, {name: values[rows] for name, values in self.columns.items()})

    def block(self, symbols: tuple[str, ...]) -> BarBlock:
        """One row a time across the symbols; times must not go back, nor a symbol repeat one."""
        if self.codes is None:
            shape = (len(self), 1)
            columns = {name: values.reshape(shape) for name, values in self.columns.items()}
            return _block(symbols, self.ts_event, np.ones(shape, np.bool_), columns)
        new = np.ones(len(self), np.bool_)
        new[1:] = self.ts_event[1:] > self.ts_event[:-1]
        at = (np.cumsum(new) - 1, self.codes)
        times = self.ts_event[new]
        present = np.zeros((len(times), len(symbols)), np.bool_)
        present[at] = True
        columns = {name: np.full(present.shape, np.nan) for name in self.columns}
        for name, values in columns.items():
            values[at] = self.columns[name]
        return _block(symbols, times, present, columns)


def _block(symbols: tuple[str, ...], ts_event: Ints, present: Bools, columns: dict[str, Floats]) -> BarBlock:
    bars: dict[str, Any] = {name: columns.pop(name) for name in BAR_COLUMNS}
    return BarBlock(symbols, 0, ts_event, present=present, extra=columns, **bars)


def join(parts: Sequence[AcceptedRows]) -> AcceptedRows:
    """All rows in one; at least one part."""
    if len(parts) == 1:
        return parts[0]
    some_codes = [part.codes for part in parts if part.codes is not None]
    return AcceptedRows(
        np.concatenate([part.ts_event for part in parts]),
        np.concatenate(some_codes) if some_codes else None,
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )
