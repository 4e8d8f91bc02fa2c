"""The one object that a strategy is given: market, account, orders and plots."""

from __future__ import annotations

from collections.abc import Sequence

from agents.context.orders import Trading
from agents.context.plots import PlotPad
from engine.instruments import Instrument
from engine.step import Plots


class Context(Trading):
    """What a strategy sees of one row, and how it trades. Valid only during `on_bar`."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        super().__init__(symbols, instruments)
        self._pad = PlotPad()

    def plot(self, name: str, value: float, symbol: str | None = None, *, panel: str | None = None) -> None:
        """Record a value to be drawn in the report and by `result.plot()`; it changes no result.

        Args:
            name: Of the line, such as "fast mean".
            value: A number; NaN leaves a gap.
            symbol: Whose price it belongs to; by default the first symbol's.
            panel: Name of a panel below the price, for values on a scale of their own, such as "RSI"; lines with the
                same panel share it. By default the line is drawn over the price.

        Raises:
            UsageError: If the value is no number, a name is unusable, or there are more than 256 lines.
        """
        self._pad.add(self.seq, self._at(symbol), name, value, panel)

    def plotted(self) -> Plots | None:
        """What was plotted since the last call; called by the strategy's base class after the rows of a block."""
        return self._pad.take()
