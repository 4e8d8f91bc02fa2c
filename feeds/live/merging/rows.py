"""Closed rows: written as a block, and remembered for a while so that what comes again is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from math import nan
from typing import Final

import numpy as np

from engine.base.errors import DataError
from engine.base.restoring import array_of, parts_of
from engine.base.state import State
from engine.types.blocks import BAR_COLUMNS, BarBlock, Ints

# open, high, low, close, volume; of a bar that is made of ticks, its extra columns too
Numbers = tuple[float, ...]
# the bars of a row by column
Row = dict[int, Numbers]

REMEMBERED: Final = 512
_WIDTH = len(BAR_COLUMNS)


def block_of(
    symbols: tuple[str, ...], seq: int, rows: Sequence[tuple[int, Row]], extras: tuple[str, ...] = ()
) -> BarBlock:
    """Write rows as a block.

    Args:
        symbols: S names.
        seq: Number of the first row.
        rows: Close time and bars of each row, in order of time.
        extras: Names of the extra columns, which bars that are made of ticks have behind their volume.
    """
    shape = (len(rows), len(symbols))
    width = _WIDTH + len(extras)
    total = sum(len(bars) for _, bars in rows)
    bars_in_turn: Iterable[Numbers] = chain.from_iterable(bars.values() for _, bars in rows)
    if extras:
        unknown = (nan,) * len(extras)
        bars_in_turn = (bar if len(bar) == width else (*bar[:_WIDTH], *unknown) for bar in bars_in_turn)
    numbers = np.fromiter(chain.from_iterable(bars_in_turn), np.float64, total * width).reshape(total, width).T
    # with one symbol every row has its bar: nothing to scatter
    if shape[1] == 1:
        columns, present = numbers.copy(), np.ones(total, np.bool_)
    else:
        cells = _cells(rows, shape[1])
        columns, present = np.full((width, shape[0] * shape[1]), np.nan), np.zeros(shape[0] * shape[1], np.bool_)
        columns[:, cells] = numbers
        present[cells] = True
    open_, high, low, close, volume, *more = columns.reshape(width, *shape)
    times = np.array([time for time, _ in rows], np.int64)
    extra = dict(zip(extras, more, strict=True))
    return BarBlock(symbols, seq, times, open_, high, low, close, volume, present.reshape(shape), extra)


def _cells(rows: Sequence[tuple[int, Row]], width: int) -> Ints:
    """Where each bar belongs in a flat block of so many columns."""
    counts = [len(bars) for _, bars in rows]
    columns = np.fromiter(chain.from_iterable(bars for _, bars in rows), np.int64, sum(counts))
    return columns + np.repeat(np.arange(0, len(rows) * width, width), counts)


class Memory:
    """Which symbols had a bar in the last rows.

    Their numbers are not part of the state, since whoever keeps the blocks has them: `keep` takes them back.

    Attributes:
        rows: By close time, oldest first, which columns were present: a bit each.
    """

    def __init__(self, symbols: int) -> None:
        self._symbols = symbols
        self._all = _bits(range(symbols), symbols)
        self.rows: dict[int, bytes] = {}
        self._blocks: deque[BarBlock] = deque()
        self._kept = 0

    def add(self, time_ns: int, bars: Row) -> None:
        """Remember a row; the oldest is forgotten."""
        self.rows[time_ns] = self._all if len(bars) == self._symbols else _bits(bars, self._symbols)
        if len(self.rows) > REMEMBERED:
            del self.rows[next(iter(self.rows))]

    def has(self, time_ns: int, column: int) -> bool:
        """Whether a row of the last ones had a bar of this symbol."""
        bits = self.rows.get(time_ns)
        return bits is not None and bool(bits[column >> 3] >> (column & 7) & 1)

    def keep(self, block: BarBlock) -> None:
        """Remember the numbers of rows that follow the last ones; the oldest are forgotten."""
        self._blocks.append(block)
        self._kept += len(block)
        while self._kept - len(self._blocks[0]) >= REMEMBERED:
            self._kept -= len(self._blocks.popleft())

    def bar(self, time_ns: int, column: int) -> Numbers | None:
        """The bar of a row that was kept, if it had one."""
        for block in reversed(self._blocks):
            at = int(np.searchsorted(block.ts_event, time_ns))
            if at < len(block) and block.ts_event[at] == time_ns and block.present[at, column]:
                open_, high, low, close, volume = (float(getattr(block, name)[at, column]) for name in BAR_COLUMNS)
                return open_, high, low, close, volume
        return None

    def snapshot(self) -> State:
        """Close times, and the bits of all rows."""
        times = np.fromiter(self.rows, np.int64, len(self.rows))
        return {"times": times, "present": b"".join(self.rows.values())}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one for so many symbols.
        """
        parts, width = parts_of(state, ("times", "present")), len(self._all)
        times, bits = array_of(parts["times"], np.empty(0, np.int64), "times", grows=True).tolist(), parts["present"]
        if not isinstance(bits, bytes) or len(bits) != width * len(times):
            raise DataError("the saved rows do not fit", expected=f"{width} bytes for each of {len(times)} rows")
        self.rows = {time_ns: bits[at * width : (at + 1) * width] for at, time_ns in enumerate(times)}


def _bits(columns: Iterable[int], symbols: int) -> bytes:
    return sum(1 << column for column in columns).to_bytes((symbols + 7) // 8, "little")
