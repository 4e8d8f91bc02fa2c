"""Larger bars than those of the run, completed ones only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.context.indicator import Indicator
from agents.context.rolling import Cursor
from agents.context.stream import Column, Stream
from agents.context.views import Bar
from agents.indicators.kernels import CLOSE
from engine.base.errors import UsageError
from engine.base.restoring import parts_of
from engine.base.state import State
from engine.loop.aggregate import Aggregator
from engine.types.blocks import BAR_COLUMNS, BarBlock, Floats, Ints
from engine.types.calendar import sessions_for
from engine.types.instruments import Instrument
from engine.types.timeframe import format_timeframe


class Timeframe(Stream):
    """Bars of another timeframe: a bar is there from the row on in which it is known to be complete.

    Buckets are counted from the open of each session and cut at its close.

    Args:
        timeframe_ns: Length of its bars, nanoseconds.
        base_ns: Length of the bars of the run, nanoseconds.
        instruments: Their calendars decide the sessions.
        symbols: S names.
        keep: Bars that can be looked back at.
        cursor: The row that the strategy is in.

    Raises:
        UsageError: If its bars are not whole multiples of those of the run.
    """

    def __init__(
        self,
        timeframe_ns: int,
        base_ns: int,
        instruments: Sequence[Instrument],
        symbols: Sequence[str],
        keep: int,
        cursor: Cursor,
    ) -> None:
        super().__init__(symbols, [item.tick_size for item in instruments], keep, cursor)
        if timeframe_ns % base_ns or timeframe_ns < base_ns:
            raise UsageError(
                f"bars of {format_timeframe(timeframe_ns)} cannot be made of bars of {format_timeframe(base_ns)}",
                expected=f"a whole multiple of {format_timeframe(base_ns)}",
            )
        self.timeframe_ns = timeframe_ns
        self._instruments = tuple(instruments)
        self._aggregator: Aggregator | None = None
        self._saved: State | None = None
        self._known: Ints = np.zeros(0, np.int64)

    def follow(self, block: BarBlock) -> None:
        """Take the next rows of the run."""
        if self._aggregator is None:
            sessions = sessions_for(self._instruments, int(block.ts_event[0]))
            self._aggregator = Aggregator(self.timeframe_ns, sessions)
            if self._saved is not None:
                self._aggregator.restore(self._saved)
        done = self._aggregator.push(block)
        self._known = np.searchsorted(done.known_at, block.seq + np.arange(len(block)), side="right")
        self.append(done.bars)

    def offset(self) -> int:
        """Bars completed in the current block up to the row that the strategy is in."""
        return int(self._known[self.cursor.row]) if len(self._known) else 0

    def by_row(self, values: Floats, start: int) -> list[float]:
        """Values of completed bars as they are seen in each row of the current block."""
        seen: list[float] = values[start + self._known].tolist() if len(self._known) else [values.item(start)]
        return seen

    @property
    def completed(self) -> bool:
        """Whether a bar was completed in this row."""
        row = self.cursor.row
        before = int(self._known[row - 1]) if row else 0
        return bool(len(self._known)) and int(self._known[row]) > before

    def bar(self, symbol: str | None = None) -> Bar | None:
        """The last completed bar of a symbol; None before the first, and where the symbol did not trade in it."""
        s = 0 if symbol is None else self.number(symbol)
        last = self.offset() - 1
        values = self._bars.shown[s :: len(self.symbols), self._bars.base + last].tolist()[: len(BAR_COLUMNS)]
        if math.isnan(values[CLOSE]):
            return None
        ts_event = int(self._times.shown[0, self._times.base + last])
        return Bar(self.symbols[s], ts_event, *values)

    def snapshot(self) -> State | None:
        """Bars, indicators and the bar that is not complete."""
        stream = super().snapshot()
        if stream is None:
            return None
        partial = self._aggregator.snapshot() if self._aggregator is not None else self._saved
        return {"stream": stream, "partial": partial}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of such a timeframe.
        """
        parts = parts_of(state, ("stream", "partial"))
        super().restore(parts["stream"])
        self._saved = parts["partial"]


class TimeframeView:
    """What a strategy is given of a timeframe; see `Context.bars`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Timeframe) -> None:
        self._stream = stream

    def bar(self, symbol: str | None = None) -> Bar | None:
        """The last completed bar; None before the first, and where the symbol did not trade in it."""
        return self._stream.bar(symbol)

    @property
    def completed(self) -> bool:
        """Whether a bar was completed in this row."""
        return self._stream.completed

    def history(self, column: Column | str, length: int, symbol: str | None = None) -> Floats:
        """The last values of a column over completed bars, oldest first; see `Context.history`."""
        return self._stream.history(column, length, symbol)

    def times(self, length: int) -> Any:
        """Close times of the last completed bars; see `Context.times`."""
        return self._stream.times(length)

    def indicator(
        self, name: str, *values: float, symbol: str | None = None, of: Column | None = None, **named: float
    ) -> Indicator:
        """An indicator over completed bars; see `Context.indicator`."""
        return self._stream.indicator(name, values, symbol, of, named)
