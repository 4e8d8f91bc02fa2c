"""From messages of several partitions and symbols to closed rows, in order of event time, under a watermark.

What comes out depends on the messages and their order alone, never on how they were cut into deliveries or on when
rows are taken; with partitions that are each in order, not on how partitions interleave either. The clock refuses what
is stamped after it, and spares a live feed the wait for confirmation; both are decided once, when a message comes, and
what was decided is part of the state.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from engine.base.state import State
from engine.types.blocks import BarBlock
from engine.types.dead_letter import MOST_PAYLOAD, DeadLetter
from engine.types.extras import TICK_COLUMNS
from engine.types.timeframe import format_timeframe
from feeds.live.checks import Refused, clock_text, shown
from feeds.live.merging.lanes import CONFIRMATIONS, Held, Lane, Mode, Rules
from feeds.live.merging.open_rows import OpenRows
from feeds.live.merging.rows import block_of
from feeds.live.merging.state import Carried, carried_of, check_alike, snapshot_of
from feeds.live.merging.watermark import FAR_BARS, NEVER, Watermark
from feeds.live.messages import BarMessage, Element, encode_element
from feeds.live.source import Record
from feeds.reading.times.last_instant import whole_close

AHEAD_NS: Final = 300 * 1_000_000_000
# clocks of a feed and of this machine differ by so much at most where both are right
_SKEW_NS: Final = 2 * 1_000_000_000
_MOST_HELD: Final = 1024
OTHER: Final = -1
"""In place of the column of what is left out: it tells how far its partition has come, and nothing more."""
# distinct times of refused messages, none that counts among them, that move a partition
_PASSING: Final = 16
_PROVE_NOTHING: Final = frozenset({"unknown_symbol", "off_grid", "ahead_of_time"})


class RowMerger:
    """Collects bars, trades and quotes until their row is complete, which `feeds.live.merging.open_rows` decides.

    An unknown symbol, a time off the grid and one beyond the clock are refused and prove nothing about time (but a
    partition in which only such come holds no other back, as far as its messages go on in time). A jump
    ahead waits until later messages of its partition confirm it (`feeds.live.merging.lanes`).

    Args:
        symbols: The S columns, in order.
        timeframe_ns: Length of a bar, nanoseconds.
        lateness_ns: How far behind its newest event a partition may still send older ones, nanoseconds.
        labels: Whether bars come labelled by their open or their close.
        ahead_ns: A bar that begins, or a tick that is stamped, so far after the clock is refused; None allows any.
        confirmations: Most distinct times that confirm a jump ahead, its own included; 1 believes every jump.
        leave_out: Whether other symbols are left out, as somebody else's, in place of refused; everything must name
            its symbol then.
        now: Seconds since 1970.

    Attributes:
        left_out: Elements of other symbols that were left out since it was last set to 0.
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
        ahead_ns: int | None = AHEAD_NS,
        confirmations: int = CONFIRMATIONS,
        leave_out: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.next_seq = 0
        self.last_ts: int | None = None
        self.left_out, self._leave_out = 0, leave_out
        self._symbols = tuple(symbols)
        self._columns: dict[str | None, int] = {name: column for column, name in enumerate(symbols)}
        if len(self._symbols) == 1 and not leave_out:
            self._columns[None] = 0
        self._timeframe = timeframe_ns
        self._shift = timeframe_ns if labels == "open" else 0
        self._ahead, self._now, self._latest_now = ahead_ns, now, 0
        self._rules = Rules(timeframe_ns, lateness_ns, confirmations)
        self._plain = len(self._symbols) == 1 and not lateness_ns
        self._watermark = Watermark(lateness_ns, FAR_BARS * timeframe_ns)
        self._lanes: dict[str, Lane] = {}
        self._rested: frozenset[str] = frozenset()
        # what refused messages tell of the time of a partition
        self._passing: dict[str, Lane] = {}
        self._passing_rules = Rules(timeframe_ns, lateness_ns, _PASSING)
        self._most_held = _MOST_HELD + 16 * len(self._symbols)
        self._rows = OpenRows(len(self._symbols), timeframe_ns, self._watermark)

    @property
    def pending(self) -> int:
        """Rows held: open ones, and closed ones that were not taken yet."""
        return len(self._rows.bars) + len(self._rows.closed)

    @property
    def closed(self) -> int:
        """Rows that are closed and were not taken yet."""
        return len(self._rows.closed)

    @property
    def waiting(self) -> int:
        """Elements held until later ones confirm their time."""
        return sum(len(lane.held) for lane in self._lanes.values())

    def heard(self, partitions: frozenset[str], quiet: frozenset[str]) -> list[DeadLetter]:
        """Say which partitions there are, before what they sent is offered.

        Args:
            quiet: Those that are known to hold nothing more at present; they hold nothing back until they send again.

        Returns:
            A dead letter for each element that was held and is refused now.
        """
        dead_letters: list[DeadLetter] = []
        for partition in sorted(self._watermark.known - partitions):
            dead_letters += self._release(partition, "ended")  # nothing follows that could confirm what it told
        for partition in sorted(quiet):
            dead_letters += self._release(partition, "drained")
        # what comes now comes after this silence
        self._rested = self._watermark.quiet
        self._watermark.heard(partitions, quiet)
        self._rows.close()
        return dead_letters

    def offer(self, record: Record, elements: Sequence[Element]) -> list[DeadLetter]:
        """Take in the elements of one message.

        Returns:
            A dead letter for each element that is refused, of earlier messages that were held, too.
        """
        dead_letters: list[DeadLetter] = []
        partition = record.partition
        lane = self._lane(partition)
        for element in elements:
            if self._plain and self._follows(partition, lane, element):
                continue
            other = self._leave_out and element.symbol is not None and element.symbol not in self._columns
            self.left_out += other
            newest, is_new = lane.newest, False
            time_ns = self._close(element.ts_event) if isinstance(element, BarMessage) else element.ts_event
            try:
                column = self._column(element, time_ns)
                usual = time_ns <= lane.reach or time_ns <= self._rows.edge
                if usual or self._believed(partition, lane, time_ns, dead_letters):
                    self._admit(partition, lane, time_ns, column, element)
                else:
                    payload = record.payload if len(elements) == 1 else encode_element(element)
                    held = Held(time_ns, column, record.offset, payload[:MOST_PAYLOAD], element)
                    is_new = self._hold(partition, lane, held)
            except Refused as refused:
                payload = record.payload if len(elements) == 1 else encode_element(element)
                if not other:
                    dead_letters.append(refused.dead_letter(record, payload))
                # a partition that is alone holds nobody back
                if refused.reason in _PROVE_NOTHING and len(self._watermark.known) > 1:
                    self._pass_by(partition, time_ns, element)
            # only another time that is held, or a move forward, confirms or refutes
            if lane.held and (is_new or lane.newest != newest):
                dead_letters += self._release(partition)
        return dead_letters

    def _follows(self, partition: str, lane: Lane, element: Element) -> bool:
        """Take in a bar of the only symbol that closes its row at once, as it does nearly always; else do nothing.

        What the long way does with the next bar of a partition that is alone, where nothing is open or held.
        """
        time_ns = self._close(element.ts_event)
        mark, rows = self._watermark, self._rows
        if (
            not lane.newest < time_ns <= lane.reach
            or type(element) is not BarMessage
            or element.symbol not in self._columns
            or time_ns % self._timeframe
            or time_ns <= rows.edge
            or lane.held
            or self._passing
            or not rows.empty
            or not mark.follow(partition, time_ns)
        ):
            return False
        lane.advance(time_ns, self._rules, live=time_ns >= self._now_ns() - AHEAD_NS - self._timeframe)
        rows.pass_through(time_ns, element)
        return True

    def label(self, element: Element) -> int:
        """The time that labels an element, nanoseconds UTC; of a bar, the end that its last instant stands for."""
        return self._close(element.ts_event) - self._shift if isinstance(element, BarMessage) else element.ts_event

    def take(self, most_rows: int) -> BarBlock | None:
        """Take closed rows out, in order of time, at most so many; None if there is none."""
        closed = self._rows.closed
        count = min(most_rows, len(closed))
        if count <= 0:
            return None
        extras = TICK_COLUMNS if self._rows.ticked else ()
        block = block_of(self._symbols, self.next_seq, [closed.popleft() for _ in range(count)], extras)
        self.next_seq += count
        self.last_ts = int(block.ts_event[-1])
        self._rows.memory.keep(block)
        return block

    def skip_to(self, next_seq: int) -> None:
        """After `restore`: closed rows before this number were taken already; the next one taken has it."""
        closed = self._rows.closed
        for _ in range(min(next_seq - self.next_seq, len(closed))):
            self.last_ts = closed.popleft()[0]
        self.next_seq = next_seq

    def remember(self, blocks: Iterable[BarBlock]) -> None:
        """Take back the last rows that were taken, in order, after `restore`: a bar that comes again is compared."""
        for block in blocks:
            self._rows.memory.keep(block)

    def flush(self, *, ended: bool = True) -> list[DeadLetter]:
        """Close what can be closed.

        A last row that trades or quotes may still have changed stays open: its time was not over.

        Args:
            ended: Whether nothing will ever follow; otherwise a far jump that nothing confirms is held on.

        Returns:
            A dead letter for each element that was held and is refused now.
        """
        dead_letters: list[DeadLetter] = []
        for partition in sorted(self._lanes):
            dead_letters += self._release(partition, "ended" if ended else "drained")
        everyone = frozenset(self._watermark.times)
        if ended:
            self._watermark.end()
        return dead_letters + self.heard(everyone, everyone)

    def snapshot(self) -> State:
        """The complete state, rows that were not taken included."""
        mark, rows = self._watermark, self._rows
        carried = Carried(
            symbols=self._symbols,
            timeframe_ns=self._timeframe,
            next_seq=self.next_seq,
            last_ts=self.last_ts,
            edge=rows.edge,
            closed=list(rows.closed),
            bars=rows.bars,
            ticks=rows.ticks.rows,
            ids=rows.ticks.ids,
            times=mark.times,
            known=sorted(mark.known),
            quiet=sorted(mark.quiet),
            lanes=self._lanes,
            passing=self._passing,
            flows=rows.ticks.flows,
            ticked=rows.ticked,
            alone=mark.alone,
        )
        return snapshot_of(carried, rows.memory)

    def restore(self, state: State) -> None:
        """Go on from a snapshot of a merger that was made alike.

        Raises:
            DataError: If it is none, or one of other symbols or another timeframe.
        """
        carried = carried_of(state)
        check_alike("other symbols", ", ".join(self._symbols), ", ".join(carried.symbols))
        check_alike("another timeframe", format_timeframe(self._timeframe), format_timeframe(carried.timeframe_ns))
        mark, rows = self._watermark, self._rows
        rows.memory.restore(state["memory"])
        self.next_seq, self.last_ts = carried.next_seq, carried.last_ts
        rows.edge, rows.closed = carried.edge, deque(carried.closed)
        rows.bars, rows.times = carried.bars, sorted(carried.bars)
        rows.ticks.rows, rows.ticks.ids, rows.ticks.flows = carried.ticks, carried.ids, carried.flows
        rows.ticked = carried.ticked
        mark.times, mark.known, mark.quiet = carried.times, frozenset(carried.known), frozenset(carried.quiet)
        mark.alone, self._lanes, self._passing = carried.alone, carried.lanes, carried.passing
        mark.restart()

    def _close(self, label_ns: int) -> int:
        """When a bar closes, by the time that labels it."""
        return label_ns + self._shift if self._shift else whole_close(label_ns, self._timeframe)

    def _column(self, element: Element, time_ns: int) -> int:
        """The column of an element that may count; OTHER where it is left out.

        Raises:
            Refused: unknown_symbol or off_grid.
        """
        column = self._columns.get(element.symbol)
        if column is None and self._leave_out and element.symbol is not None:
            column = OTHER
        if column is None:
            found = "no symbol" if element.symbol is None else shown(element.symbol)
            raise Refused("unknown_symbol", f"one of {', '.join(self._symbols[:20])}", found)
        if time_ns % self._timeframe and isinstance(element, BarMessage):
            expected = f"a close time on a whole multiple of {format_timeframe(self._timeframe)}"
            raise Refused("off_grid", expected, clock_text(time_ns))
        return column

    def _pass_by(self, partition: str, time_ns: int, element: Element) -> None:
        """Let a partition of which only refused messages come hold nobody back, and nothing more.

        Its time moves as theirs does, jumps confirmed as in any lane, but never further than that of another partition.
        """
        lane = self._passing.setdefault(partition, Lane())
        lane.follow(Held(time_ns, 0, -1, b"", element), self._passing_rules, live=self._near_clock(time_ns))
        times, known = self._watermark.times, self._watermark.known
        reached = min(lane.newest, max((time for name, time in times.items() if name != partition), default=NEVER))
        if partition in known and reached > times.get(partition, NEVER):
            self._watermark.advance(partition, reached)
            self._rows.close()

    def _near_clock(self, time_ns: int) -> bool:
        """Whether a time is that of the clock, or of a moment ago."""
        now_ns = self._now_ns()
        return now_ns - AHEAD_NS - self._timeframe <= time_ns <= now_ns + _SKEW_NS

    def _now_ns(self) -> int:
        """The clock, which does not run backwards here."""
        self._latest_now = max(self._latest_now, int(self._now() * 1e9))
        return self._latest_now

    def _lane(self, partition: str) -> Lane:
        return self._lanes.get(partition) or self._lanes.setdefault(partition, Lane())

    def _believed(self, partition: str, lane: Lane, time_ns: int, dead_letters: list[DeadLetter]) -> bool:
        """Whether the clock confirms a jump, as it does in a live feed; what is held before it is released first.

        Raises:
            Refused: ahead_of_time, if it jumps beyond the clock.
        """
        now_ns = self._now_ns()
        if self._ahead is not None and time_ns > now_ns + self._ahead + self._timeframe:
            raise Refused("ahead_of_time", f"a time up to that of the clock, {clock_text(now_ns)}", clock_text(time_ns))
        begun = lane.live if lane.newest != NEVER else partition in self._rested
        if not begun or not self._near_clock(time_ns):
            return False
        dead_letters += self._admit_held(partition, lane.release(time_ns, self._timeframe))
        return True

    def _hold(self, partition: str, lane: Lane, held: Held) -> bool:
        """Keep an element until its time is confirmed; returns whether nothing of its time was held yet."""
        if held.column == OTHER and any(one.time_ns == held.time_ns and one.fresh for one in lane.held):
            return False  # one of them says it
        if len(lane.held) >= self._most_held:
            raise self._jumped(lane, held.time_ns)
        self._watermark.speaks(partition)
        self._rested -= {partition}
        is_new = lane.hold(held)
        if is_new:
            lane.doubt(held.time_ns, moved=False)
        return is_new

    def _jumped(self, lane: Lane, time_ns: int) -> Refused:
        newest = "none with a bar of its time" if lane.newest == NEVER else clock_text(lane.newest)
        expected = f"a time near those before and after it in its partition, the newest of them {newest}"
        return Refused("ahead_of_time", expected, clock_text(time_ns))

    def _release(self, partition: str, mode: Mode = "waiting") -> list[DeadLetter]:
        """Let in what was held and is confirmed, and refuse what is refuted."""
        lane = self._lane(partition)
        if not lane.held:
            return []
        dead_letters: list[DeadLetter] = []
        while released := lane.release(lane.confirmed(self._rules, mode), self._timeframe):
            dead_letters += self._admit_held(partition, released)
        for held in lane.refuted(self._rules.confirmations):
            if held.column == OTHER:
                continue
            record = Record(partition, held.offset, held.payload)
            dead_letters.append(self._jumped(lane, held.time_ns).dead_letter(record, held.payload))
        return dead_letters

    def _admit_held(self, partition: str, released: Sequence[Held]) -> list[DeadLetter]:
        dead_letters = []
        lane = self._lane(partition)
        for held in released:
            try:
                self._admit(partition, lane, held.time_ns, held.column, held.element, released=True)
            except Refused as refused:
                dead_letters.append(refused.dead_letter(Record(partition, held.offset, held.payload), held.payload))
        return dead_letters

    def _admit(
        self, partition: str, lane: Lane, time_ns: int, column: int, element: Element, *, released: bool = False
    ) -> None:
        """Place an element whose time counts, and note how far its partition has come."""
        try:
            if column != OTHER:
                self._rows.place(time_ns, column, element)
        finally:
            # one that comes again, or late, tells as well how far its partition has come
            if time_ns > lane.newest:
                lane.advance(time_ns, self._rules, live=time_ns >= self._now_ns() - AHEAD_NS - self._timeframe)
                if lane.held and not released:
                    lane.doubt(time_ns, moved=True)
                if self._passing:
                    self._passing.pop(partition, None)
            self._watermark.advance(partition, time_ns)
            self._rows.close()
