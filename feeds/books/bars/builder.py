"""Order books into bars, streaming: what a message completes comes out at that message, and the state is carried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import UsageError
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BAR_COLUMNS, BarBlock, Floats, Ints, concat
from engine.types.records import Records
from engine.types.timeframe import format_timeframe
from feeds.books.bars.kernels import NEVER, close_bars, fold_messages
from feeds.books.bars.layout import BAR_PARAMS, BAR_STATE, column_names
from feeds.books.book import OrderBook, readable
from feeds.books.layout import NO_PRICE

HOUR_NS: Final = 3_600_000_000_000
_ROOM: Final = 4096


class BookBars:
    """Streaming time bars of one order book; any cut of the same messages gives the same bits.

    A bar holds the mid prices of its time, what was traded, the best levels at its close, and the best levels at the
    moment at which orders arrive that were decided at the close of the bar before. It opens with the book that stands.
    A time without messages has bars too, as long as the book is taken for known.

    Args:
        symbol: What the bars are called.
        timeframe_ns: Length of a bar.
        levels: How many levels are kept of each side.
        latency_ns: From the close of a bar until an order that was decided there arrives.
        stands_ns: How long a book without messages is taken for known.
        size_unit: What a size of 1 is worth in contracts.

    Raises:
        UsageError: If the latency is not shorter than a bar.
    """

    def __init__(
        self,
        symbol: str,
        timeframe_ns: int,
        levels: int = 10,
        latency_ns: int = 0,
        stands_ns: int = HOUR_NS,
        size_unit: float = 1.0,
    ) -> None:
        if not 0 <= latency_ns < timeframe_ns:
            raise UsageError(
                "orders cannot take longer than a bar to arrive",
                expected=f"a latency below {format_timeframe(timeframe_ns)}",
                found=f"{latency_ns / 1e9:g} s",
            )
        self.symbols = (symbol,)
        self.book = OrderBook()
        self._params = np.zeros(1, BAR_PARAMS)
        self._params[0] = (timeframe_ns, latency_ns, stands_ns, size_unit)
        self._bar = np.zeros(1, BAR_STATE)
        self._bar["end"] = self._bar["last_ts"] = NEVER
        for name in ("open", "high", "low", "close"):
            self._bar[name] = np.nan
        self._top = np.zeros((3, 4, levels), np.int64)
        self._top[:, 0], self._top[:, 2] = -NO_PRICE, NO_PRICE
        self._flow = np.zeros(levels)
        self._rows = 0
        self._names = column_names(levels)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the extra columns."""
        return self._names[len(BAR_COLUMNS) :]

    def push(self, messages: Records) -> BarBlock:
        """Take the next messages; give the bars that they complete."""
        given, reached = readable(messages), 0
        times, rows = np.empty(_ROOM, np.int64), np.empty((_ROOM, len(self._names)))
        parts: list[BarBlock] = []
        while reached < len(given):
            before = reached
            reached, count = fold_messages(
                self.book.arrays, self._params, self._bar, self._top, self._flow, given, reached, times, rows
            )
            if count:
                parts.append(self._block(times[:count], rows[:count]))
            elif reached == before and reached < len(given):
                self.book.grow()
        return self._joined(parts)

    def until(self, ts: int) -> BarBlock:
        """The bars that end at or before a time, with the book that stands, if no message comes before it."""
        parts: list[BarBlock] = []
        if int(self._bar["end"][0]) == NEVER:
            return self._joined(parts)
        times, rows = np.empty(_ROOM, np.int64), np.empty((_ROOM, len(self._names)))
        while True:
            arrays = (self._params, self._bar, self._top, self._flow, times, rows)
            # a bar includes its end, so that it takes a later moment to complete it
            count = close_bars(ts + 1, *arrays, 0)
            parts += [self._block(times[:count], rows[:count])] if count else []
            if count < _ROOM:
                return self._joined(parts)

    def snapshot(self) -> State:
        """The carried state; `restore` of one made alike continues from here with the same bars."""
        return {"bars": snapshot_of(self._made(), self._carried()), "book": self.book.snapshot()}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of such bars.
        """
        parts = parts_of(state, ("bars", "book"))
        found = arrays_of(parts["bars"], self._made(), self._carried())
        self.book.restore(parts["book"])
        self._bar, self._top, self._flow = found["bar"], found["top"], found["flow"]
        self._rows = int(found["rows"][0])

    def _made(self) -> dict[str, Any]:
        return {"params": self._params[0].tolist(), "symbol": self.symbols[0], "levels": len(self._flow)}

    def _carried(self) -> dict[str, NDArray[Any]]:
        rows = np.array([self._rows], np.int64)
        return {"bar": self._bar, "top": self._top, "flow": self._flow, "rows": rows}

    def _block(self, times: Ints, rows: Floats) -> BarBlock:
        columns = {name: np.ascontiguousarray(rows[:, at : at + 1]) for at, name in enumerate(self._names)}
        extra = {name: columns.pop(name) for name in self.columns}
        return BarBlock.from_columns(self.symbols, times.copy(), columns, extra=extra)

    def _joined(self, parts: Sequence[BarBlock]) -> BarBlock:
        if not parts:
            return self._block(np.empty(0, np.int64), np.empty((0, len(self._names))))
        first = concat([_numbered(part, self._rows) for part in parts[:1]] + list(parts[1:]))
        self._rows += len(first)
        return first


def _numbered(block: BarBlock, seq: int) -> BarBlock:
    return BarBlock.from_columns(
        block.symbols, block.ts_event, {name: getattr(block, name) for name in BAR_COLUMNS}, seq=seq, extra=block.extra
    )
