"""Rows that are open: what is placed in them, and when they close."""

from __future__ import annotations

import heapq
from collections import deque
from math import isnan

from feeds.live.checks import Refused, clock_text
from feeds.live.merging.rows import Memory, Numbers, Row
from feeds.live.merging.ticks import TickBars
from feeds.live.merging.watermark import NEVER, Watermark
from feeds.live.messages import BarMessage, Element, QuoteMessage, TradeMessage


class OpenRows:
    """Bars, trades and quotes by row, until the watermark says that nothing more belongs to it.

    A row closes when the watermark has passed its close time; or at once, when every symbol has a whole bar in it and
    nothing can be missing before it (all partitions have come that far, or the row before it is the last one closed);
    or when all partitions are quiet, unless trades or quotes may still change it. Rows close in order of time.

    Trades and quotes make bars of their own, open and close by arrival, each over the timeframe up to and including
    the close time. Bars, trades and quotes of one symbol do not mix within a row: the first kind stays.

    Args:
        timeframe_ns: Length of a bar, nanoseconds.
        watermark: How far event time has come; moved by others.

    Attributes:
        bars: Whole bars of the open rows, by close time, nanoseconds UTC.
        times: Close times of the open rows, a heap.
        ticks: Bars that trades and quotes are making.
        memory: Which symbols had a bar in the last rows that closed.
        closed: Rows that are closed and not taken.
        edge: Close time of the last row closed; NEVER before the first.
        ticked: Whether a bar of a closed row was made of trades or quotes.
    """

    def __init__(self, symbols: int, timeframe_ns: int, watermark: Watermark) -> None:
        self._symbols, self._timeframe, self._watermark = symbols, timeframe_ns, watermark
        self.bars: dict[int, Row] = {}
        self.times: list[int] = []
        self.ticks = TickBars()
        self.memory = Memory(symbols)
        self.closed: deque[tuple[int, Row]] = deque()
        self.edge = NEVER
        self.ticked = False

    @property
    def empty(self) -> bool:
        """Whether no row is open."""
        return not (self.times or self.ticks.rows)

    def pass_through(self, time_ns: int, bar: BarMessage) -> None:
        """Open and close a row of the only symbol in one step."""
        row: Row = {0: (bar.open, bar.high, bar.low, bar.close, bar.volume)}
        self.closed.append((time_ns, row))
        self.memory.add(time_ns, row)
        self.edge = time_ns

    def place(self, time_ns: int, column: int, element: Element) -> None:
        """Put an element into its row.

        Args:
            time_ns: Close time of a bar, or time of a tick, nanoseconds UTC.
            column: Of its symbol.
            element: As it was sent.

        Raises:
            Refused: late, duplicate, conflicting_duplicate or mixed_kinds.
        """
        if isinstance(element, BarMessage):
            self._place_bar(time_ns, column, element)
        else:
            self._place_tick(time_ns, column, element)

    def close(self) -> None:
        """Close the rows that are complete, the earliest first."""
        while self.times and self._can_close(self.times[0]):
            time_ns = heapq.heappop(self.times)
            row = self.bars.pop(time_ns)
            if time_ns in self.ticks.rows:
                row.update(self.ticks.finish(time_ns))
                self.ticked = True
            self.closed.append((time_ns, row))
            self.memory.add(time_ns, row)
            self.edge = time_ns

    def _place_bar(self, time_ns: int, column: int, bar: BarMessage) -> None:
        numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        if time_ns <= self.edge:
            if not self.memory.has(time_ns, column):
                raise self._late(time_ns)
            raise _again(time_ns, self._traded(time_ns, column) or numbers, numbers)
        row = self._row(time_ns)
        if column in row:
            raise _again(time_ns, row[column], numbers)
        if time_ns in self.ticks.rows and column in self.ticks.rows[time_ns]:
            kind = self.ticks.rows[time_ns][column].kind
            raise Refused("mixed_kinds", f"a {kind}, as this bar is made of them", "a bar")
        row[column] = numbers

    def _place_tick(self, time_ns: int, column: int, tick: TradeMessage | QuoteMessage) -> None:
        if isinstance(tick, TradeMessage):
            self.ticks.check_id(column, tick)
        close_ns = -(-time_ns // self._timeframe) * self._timeframe
        if close_ns <= self.edge:
            raise self._late(time_ns)
        if column in self._row(close_ns):
            expected = "no tick, because the complete bar has arrived"
            raise Refused("mixed_kinds", expected, f"a tick at {clock_text(time_ns)}")
        self.ticks.fold(close_ns, column, tick)

    def _traded(self, time_ns: int, column: int) -> Numbers | None:
        """The bar of a row that is closed, as far as it is remembered."""
        waiting = (row.get(column) for closed_ns, row in self.closed if closed_ns == time_ns)
        return next(waiting, None) or self.memory.bar(time_ns, column)

    def _row(self, time_ns: int) -> Row:
        row = self.bars.get(time_ns)
        if row is None:
            row = self.bars[time_ns] = {}
            heapq.heappush(self.times, time_ns)
        return row

    def _late(self, time_ns: int) -> Refused:
        expected = f"a time after {clock_text(self.edge)}, up to which rows are closed"
        return Refused("late", expected, clock_text(time_ns))

    def _can_close(self, time_ns: int) -> bool:
        """Whether the earliest open row is complete."""
        mark = self._watermark
        if mark.value > time_ns:
            return True
        if time_ns in self.ticks.rows:
            return False
        # silence ends a row of whole bars; ticks may go on after a pause
        if mark.settled:
            return mark.value == time_ns
        # the row that follows the last one has nothing before it that could be missing
        full = len(self.bars[time_ns]) == self._symbols
        return full and (mark.value == time_ns or self.edge == time_ns - self._timeframe)


def _duplicate(time_ns: int) -> Refused:
    return Refused("duplicate", "a bar that did not arrive before", f"again {clock_text(time_ns)}")


def _again(time_ns: int, first: Numbers, second: Numbers) -> Refused:
    # an unknown volume is NaN, which equals nothing
    first = first[:5]  # without what only bars of ticks have
    same_volume = first[4] == second[4] or (isnan(first[4]) and isnan(second[4]))
    if first[:4] == second[:4] and same_volume:
        return _duplicate(time_ns)
    return Refused("conflicting_duplicate", f"the bar of {clock_text(time_ns)} as before: {first}", str(second))
