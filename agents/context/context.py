"""The one object that a strategy is given: market, account, orders, history, indicators and plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.context.indicator import Indicator
from agents.context.orders import Trading
from agents.context.plots import PlotPad
from agents.context.stream import Column, Stream
from agents.context.timeframe import Timeframe, TimeframeView
from engine.base.restoring import parts_of
from engine.base.state import State
from engine.types.blocks import BarBlock, Floats
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.step import Plots
from engine.types.timeframe import MINUTE_NS, format_timeframe, parse_timeframe

HISTORY_ROWS = 1000


class Context(Trading):
    """What a strategy sees of one row, and how it trades. Valid only during `on_bar`.

    Args:
        symbols: S names.
        instruments: By symbol.
        timeframe_ns: Length of the bars, nanoseconds.
        keep: Rows that can be looked back at.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        instruments: Sequence[Instrument],
        timeframe_ns: int = MINUTE_NS,
        keep: int = HISTORY_ROWS,
    ) -> None:
        super().__init__(symbols, instruments)
        self._timeframe_ns, self._keep = timeframe_ns, keep
        self._pad = PlotPad()
        self._stream = Stream(symbols, [item.tick_size for item in instruments], keep, self.cursor)
        self._frames: dict[int, Timeframe] = {}
        self._views: dict[str, TimeframeView] = {}

    def enter(self, simulator: Simulator, block: BarBlock) -> None:
        """Called by the strategy's base class before the rows of a block."""
        super().enter(simulator, block)
        self._stream.append(block)
        for frame in self._frames.values():
            frame.follow(block)

    def history(self, column: Column | str, length: int, symbol: str | None = None) -> Floats:
        """The last values of a column, oldest first, that of the present row last.

        Args:
            column: open, high, low, close or volume, or an extra column of the bars, such as an economic indicator.
            length: How many rows, at most `history_rows` of the strategy.
            symbol: By default the first; "*" gives all of them side by side.

        Returns:
            A read-only view, shape (length,), or (length, S) for all symbols. NaN before the first row, and in rows in
            which the symbol has no bar.

        Raises:
            UsageError: If there is no such column or symbol, or more rows are asked for than are kept.
        """
        return self._stream.history(column, length, symbol)

    def times(self, length: int) -> NDArray[np.datetime64]:
        """Close times of the last rows, UTC, oldest first, shape (length,); NaT before the first row.

        Raises:
            UsageError: If more rows are asked for than are kept.
        """
        return self._stream.times(length)

    def indicator(
        self, name: str, *values: float, symbol: str | None = None, of: Column | None = None, **named: float
    ) -> Indicator:
        """An indicator over the bars of one symbol; the same arguments give the same object.

        Args:
            name: sma, ema, rsi, atr, macd, bollinger, highest, lowest, roc, stochastic, talib.NAME for a function of
                TA-Lib, or an extra column of the bars by its name, such as an economic indicator of the run.
            *values: Its parameters, in order.
            symbol: By default the first.
            of: The column that it looks at, where it looks at one; by default close (high and low for highest and
                lowest).
            **named: Its parameters, by name.

        Raises:
            UsageError: If there is no such indicator, its parameters do not fit, or it is asked for only after more
                rows than are kept: `on_start` is the place to ask for it.
        """
        return self._stream.indicator(name, values, symbol, of, named)

    def bars(self, timeframe: str) -> TimeframeView:
        """Bars of a larger timeframe, such as "30min", of which only completed ones are seen.

        They have `bar`, `completed`, `history`, `times` and `indicator`. Buckets are counted from the open of each
        session and cut at its close.

        Raises:
            UsageError: If it cannot be made of the run's bars, or is asked for only after more rows than are kept:
                `on_start` is the place to ask for it.
        """
        found = self._views.get(timeframe)
        if found is None:
            found = self._views[timeframe] = TimeframeView(self._frame(parse_timeframe(timeframe)))
        return found

    def plot(self, name: str, value: float, symbol: str | None = None, *, panel: str | None = None) -> None:
        """Record a value to be drawn in the report and by `result.plot()`; it changes no result.

        Args:
            name: Of the line, such as "fast mean".
            value: A number; NaN leaves a gap.
            symbol: Whose price it belongs to; by default the first symbol's.
            panel: Name of a panel below the price, for values on another scale, such as "RSI"; lines with the
                same panel share it. By default the line is drawn over the price.

        Raises:
            UsageError: If the value is no number, a name is unusable, or there are more than 256 lines.
        """
        self._pad.add(self.seq, self._at(symbol), name, value, panel)

    def plotted(self) -> Plots | None:
        """What was plotted since the last call; called by the strategy's base class after the rows of a block."""
        return self._pad.take()

    def snapshot(self) -> State | None:
        """History, indicators and timeframes; None if one of TA-Lib's functions is used, which needs all bars."""
        stream = self._stream.snapshot()
        frames = {format_timeframe(length): frame.snapshot() for length, frame in self._frames.items()}
        return None if stream is None or None in frames.values() else {"stream": stream, "frames": frames}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a context made alike.
        """
        parts = parts_of(state, ("stream", "frames"))
        self._stream.restore(parts["stream"])
        for name, saved in parts["frames"].items():
            length = parse_timeframe(name)
            frame = self._frames.get(length) or self._frames.setdefault(length, self._made_frame(length))
            frame.restore(saved)

    def _frame(self, length: int) -> Timeframe:
        if length in self._frames:
            return self._frames[length]
        self._stream.check_late(f"the timeframe {format_timeframe(length)}")
        frame = self._made_frame(length)
        if self._stream.rows:
            before = self._stream.before(self._block.seq)
            if before is not None:
                frame.follow(before)
            frame.follow(self._block)
        self._frames[length] = frame
        return frame

    def _made_frame(self, length: int) -> Timeframe:
        traded = list(self.instruments.values())
        return Timeframe(length, self._timeframe_ns, traded, self.symbols, self._keep, self.cursor)
