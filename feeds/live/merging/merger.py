"""From messages of several partitions and symbols to closed rows, in order of event time, under a watermark.

What comes out depends on the messages and their order alone, never on how they were cut into deliveries or on when
rows are taken; with partitions that are each in order, not on how partitions interleave either.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import isnan
from typing import Final, Literal

import msgspec

from engine.blocks import BarBlock
from engine.dead_letter import DeadLetter
from engine.timeframe import DAY_NS, format_timeframe
from feeds.live.checks import Refused, clock_text, shown
from feeds.live.merging.rows import Memory, Numbers, Row, block_of
from feeds.live.merging.state import STATE_VERSION, State, check_alike, read_state
from feeds.live.merging.ticks import TickBars
from feeds.live.merging.watermark import NEVER, Watermark
from feeds.live.messages import Bar, Element, Quote, Trade, encode_element
from feeds.live.source import Record

_AHEAD_NS: Final = DAY_NS


class RowMerger:
    """Collects bars, trades and quotes until their row is complete.

    A row closes when the watermark has passed its close time; or at once, when every symbol has a whole bar in it and
    nothing can be missing before it (all partitions have come that far, or the row before it is the last one closed);
    or when all partitions are quiet, unless trades or quotes may still change it. Rows close in order of time.

    Trades and quotes make bars of their own, open and close by arrival, each over the timeframe up to and including
    the close time. Bars, trades and quotes of one symbol do not mix within a row: the first kind stays.

    Args:
        symbols: The S columns, in order.
        timeframe_ns: Length of a bar, nanoseconds.
        lateness_ns: How far behind its newest event a partition may still send older ones, nanoseconds.
        labels: Whether bars come labelled by their open or their close.
        max_jump_ns: An element so far after the newest event, and a day ahead of the clock too, is refused.
        now: Seconds since 1970.

    Attributes:
        next_seq: Number of the next row that is taken; may be set before the first.
        last_ts: Close time of the last row taken, nanoseconds UTC; None before the first.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        timeframe_ns: int,
        *,
        lateness_ns: int = 0,
        labels: Literal["close", "open"] = "close",
        max_jump_ns: int = 30 * DAY_NS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.next_seq = 0
        self.last_ts: int | None = None
        self._symbols = tuple(symbols)
        self._columns: dict[str | None, int] = {name: column for column, name in enumerate(symbols)}
        if len(self._symbols) == 1:
            self._columns[None] = 0
        self._timeframe = timeframe_ns
        self._shift = timeframe_ns if labels == "open" else 0
        self._max_jump = max_jump_ns
        self._now = now
        self._watermark = Watermark(lateness_ns)
        self._ticks = TickBars()
        self._memory = Memory(len(self._symbols))
        # rows that are open: their whole bars, and their times as a heap
        self._bars: dict[int, Row] = {}
        self._times: list[int] = []
        # rows that are closed and not taken, and the time of the last one closed
        self._closed: deque[tuple[int, Row]] = deque()
        self._edge = NEVER

    @property
    def pending(self) -> int:
        """Rows held: open ones, and closed ones that were not taken yet."""
        return len(self._bars) + len(self._closed)

    def heard(self, partitions: frozenset[str], quiet: frozenset[str]) -> None:
        """Say which partitions there are, before what they sent is offered.

        Args:
            partitions: All of them.
            quiet: Those that are known to hold nothing more at present; they hold nothing back until they send again.
        """
        self._watermark.heard(partitions, quiet)
        self._close()

    def offer(self, record: Record, elements: Sequence[Element]) -> list[DeadLetter]:
        """Take in the elements of one message.

        Returns:
            A letter for each element that is refused.
        """
        letters = []
        for element in elements:
            try:
                self._admit(record.partition, element)
            except Refused as refused:
                payload = record.payload if len(elements) == 1 else encode_element(element)
                letters.append(refused.letter(record, payload))
        return letters

    def take(self, most_rows: int) -> BarBlock | None:
        """Take closed rows out, in order of time, at most so many; None if there is none."""
        count = min(most_rows, len(self._closed))
        if count <= 0:
            return None
        block = block_of(self._symbols, self.next_seq, [self._closed.popleft() for _ in range(count)])
        self.next_seq += count
        self.last_ts = int(block.ts_event[-1])
        return block

    def flush(self) -> None:
        """Nothing more will come: close what can be closed.

        A last row that trades or quotes may still have changed stays open: its time was not over.
        """
        everyone = frozenset(self._watermark.times)
        self.heard(everyone, everyone)

    def snapshot(self) -> bytes:
        """The complete state, rows that were not taken included."""
        mark = self._watermark
        return msgspec.msgpack.encode(
            State(
                version=STATE_VERSION,
                symbols=self._symbols,
                timeframe_ns=self._timeframe,
                next_seq=self.next_seq,
                last_ts=self.last_ts,
                edge=self._edge,
                closed=list(self._closed),
                bars=self._bars,
                ticks=self._ticks.rows,
                ids=self._ticks.ids,
                memory=self._memory.rows,
                times=mark.times,
                known=sorted(mark.known),
                quiet=sorted(mark.quiet),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of a merger that was made alike.

        Raises:
            DataError: If it is none, or one of other symbols or another timeframe.
        """
        state = read_state(snapshot)
        check_alike("other symbols", ", ".join(self._symbols), ", ".join(state.symbols))
        check_alike("another timeframe", format_timeframe(self._timeframe), format_timeframe(state.timeframe_ns))
        self.next_seq, self.last_ts, self._edge = state.next_seq, state.last_ts, state.edge
        self._closed = deque(state.closed)
        self._bars, self._times = state.bars, sorted(state.bars)
        self._ticks.rows, self._ticks.ids = state.ticks, state.ids
        self._memory.rows = state.memory
        mark = self._watermark
        mark.times, mark.known, mark.quiet = state.times, frozenset(state.known), frozenset(state.quiet)
        mark.restart()

    def _admit(self, partition: str, element: Element) -> None:
        is_bar = isinstance(element, Bar)
        time_ns = element.ts_event + self._shift if is_bar else element.ts_event
        if time_ns > self._watermark.newest + self._max_jump:
            self._check_jump(time_ns)
        try:
            column = self._columns.get(element.symbol)
            if column is None:
                raise self._unknown(element.symbol)
            if isinstance(element, Bar):
                self._place_bar(time_ns, column, element)
            else:
                self._place_tick(time_ns, column, element)
        finally:
            # a refused element tells as well how far its partition has come
            self._watermark.advance(partition, time_ns)
            self._close()

    def _check_jump(self, time_ns: int) -> None:
        newest = self._watermark.newest
        if newest != NEVER and time_ns > self._now() * 1e9 + _AHEAD_NS:
            expected = f"a time near those before, the last of them {clock_text(newest)}"
            raise Refused("ahead_of_time", expected, clock_text(time_ns))

    def _place_bar(self, time_ns: int, column: int, bar: Bar) -> None:
        if time_ns % self._timeframe:
            expected = f"a close time on a whole multiple of {format_timeframe(self._timeframe)}"
            raise Refused("off_grid", expected, clock_text(time_ns))
        if time_ns <= self._edge:
            if self._memory.has(time_ns, column):
                raise Refused("duplicate", "a bar that did not come before", f"again {clock_text(time_ns)}")
            raise self._late(time_ns)
        row = self._bars.get(time_ns)
        if row is None:
            row = self._open_row(time_ns)
        numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        if column in row:
            raise _again(time_ns, row[column], numbers)
        if time_ns in self._ticks.rows and column in self._ticks.rows[time_ns]:
            kind = self._ticks.rows[time_ns][column].kind
            raise Refused("mixed_kinds", f"a {kind}, of which this bar is made", "a bar")
        row[column] = numbers

    def _place_tick(self, time_ns: int, column: int, tick: Trade | Quote) -> None:
        if isinstance(tick, Trade):
            self._ticks.check_id(column, tick)
        close_ns = -(-time_ns // self._timeframe) * self._timeframe
        if close_ns <= self._edge:
            raise self._late(time_ns)
        row = self._bars.get(close_ns)
        if row is None:
            row = self._open_row(close_ns)
        if column in row:
            raise Refused("mixed_kinds", "no tick, because the whole bar came", f"a tick at {clock_text(time_ns)}")
        self._ticks.fold(close_ns, column, tick)

    def _open_row(self, time_ns: int) -> Row:
        row: Row = {}
        self._bars[time_ns] = row
        heapq.heappush(self._times, time_ns)
        return row

    def _unknown(self, symbol: str | None) -> Refused:
        found = "no symbol" if symbol is None else shown(symbol)
        return Refused("unknown_symbol", f"one of {', '.join(self._symbols[:20])}", found)

    def _late(self, time_ns: int) -> Refused:
        edge = clock_text(self._edge)
        return Refused("late", f"a time after {edge}, up to which rows are closed", clock_text(time_ns))

    def _close(self) -> None:
        while self._times and self._can_close(self._times[0]):
            time_ns = heapq.heappop(self._times)
            row = self._bars.pop(time_ns)
            if time_ns in self._ticks.rows:
                row.update(self._ticks.finish(time_ns))
            self._closed.append((time_ns, row))
            self._memory.add(time_ns, row)
            self._edge = time_ns

    def _can_close(self, time_ns: int) -> bool:
        """Whether the earliest open row is complete."""
        mark = self._watermark
        if mark.value > time_ns:
            return True
        if time_ns in self._ticks.rows:
            return False
        if mark.settled:
            return True
        full = len(self._bars[time_ns]) == len(self._symbols)
        return full and (mark.value == time_ns or self._edge == time_ns - self._timeframe)


def _again(time_ns: int, first: Numbers, second: Numbers) -> Refused:
    same_volume = first[4] == second[4] or (isnan(first[4]) and isnan(second[4]))
    if first[:4] == second[:4] and same_volume:
        return Refused("duplicate", "a bar that did not come before", f"again {clock_text(time_ns)}")
    return Refused("conflicting_duplicate", f"the bar of {clock_text(time_ns)} as before: {first}", str(second))
