"""From deliveries to closed rows: decoding, merging in event time, gaps, refusals. What a transaction will hold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.app.journal.recovering import MERGER, SCHEMAS, SEEN
from engine.app.live.config import FeedConfig
from engine.base.errors import DataError
from engine.base.restoring import array_of
from engine.base.state import State
from engine.journal.entries import Gap
from engine.types.blocks import BarBlock
from engine.types.dead_letter import DeadLetter, bounded
from engine.types.instruments import Instrument
from feeds.live.announcements import Announcement, read_announcement
from feeds.live.fields import FieldsConfig
from feeds.live.mapped import MappedDecoder
from feeds.live.merging.merger import RowMerger
from feeds.live.messages import decode
from feeds.live.schemas.known import KnownSchemas
from feeds.live.source import Delivery
from feeds.reading.rows.gaps import GapFinder
from feeds.reading.rows.ordering import NEVER


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """What one transaction begins with.

    Attributes:
        block: Rows that are closed; None where a delivery closed none.
        delivery: To be settled once this is committed; None where more of the same delivery follows or followed.
        positions: Offsets at which partitions resume.
        states: State of the intake behind the rows, by name.
        dead_letters: Dead letters: messages that could not be used.
        gaps: Bars missing before the rows.
        received_at: When the delivery came, seconds of the session's clock.
        elements: Bars, trades and quotes that came, those that could not be used included.
        announced: Numbers of bars that publishers announced.
        skipped: Elements that `feed.fields.only` or `feed.other_symbols` leaves out.
    """

    block: BarBlock | None
    delivery: Delivery | None = None
    positions: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, Any] = field(default_factory=dict)
    dead_letters: tuple[DeadLetter, ...] = ()
    gaps: tuple[Gap, ...] = ()
    received_at: float = 0.0
    elements: int = 0
    announced: tuple[Announcement, ...] = ()
    skipped: int = 0


class Intake:
    """Turns deliveries into arrivals, with carried state.

    Args:
        instruments: By symbol, in the order of the columns.
        timeframe_ns: Length of the bars, nanoseconds.
        wall: Wall time, seconds since 1970; only guards against absurd stamps.
        begin_ns: Bars, trades and quotes of an earlier time are passed over, nanoseconds UTC.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        timeframe_ns: int,
        config: FeedConfig,
        wall: Callable[[], float] = time.time,
        begin_ns: int = NEVER,
    ) -> None:
        self._symbols, self._config, self._begin = tuple(instruments), config, begin_ns
        self.width = len(self._symbols)
        self._merger = RowMerger(
            self._symbols,
            timeframe_ns,
            lateness_ns=config.lateness_ns,
            labels=config.labels,
            ahead_ns=config.ahead_ns,
            confirmations=config.confirmations,
            leave_out=config.other_symbols == "leave_out",
            now=wall,
        )
        self.schemas = None if config.schemas is None else KnownSchemas(config.schemas)
        self._mapped = mapped_decoder(config, self.schemas)
        self._decode = self._mapped or decode
        self._timeframe = timeframe_ns
        self._gaps = GapFinder(tuple(instruments.values()), timeframe_ns)
        self._seen = np.full(len(self._symbols), NEVER, np.int64)
        self._heard = ("", -math.inf)
        self.next_seq = 0

    @property
    def pending(self) -> int:
        """Rows that have begun and are not closed."""
        return self._merger.pending

    @property
    def waiting(self) -> int:
        """Messages held until later ones confirm their time."""
        return self._merger.waiting

    def arrivals(self, delivery: Delivery, received_at: float, most_rows: Callable[[], int]) -> Iterator[Arrival]:
        """What a delivery brings: one arrival for the messages, and further ones where they close many rows.

        Whoever asks for no more after any of them, as for a stop, leaves the other rows to the next start.

        Args:
            most_rows: Asked before each block how many rows it may have; 0 ends.

        Raises:
            DataError: In strict mode, for the first message that cannot be used.
        """
        if delivery.rows is not None:
            yield self._whole(delivery, delivery.rows, received_at, most_rows())
            return
        dead_letters, elements, announced = self._offer(delivery, received_at)
        most = most_rows()
        block = self._take(most) if most else None
        if block is None and not dead_letters and not delivery.positions and delivery.token is None:
            return
        gaps = self._missing(block)
        left_out, self._merger.left_out = self._merger.left_out, 0
        yield Arrival(
            block,
            delivery,
            delivery.positions,
            self.snapshot(),
            tuple(dead_letters),
            gaps,
            received_at,
            elements - left_out,
            announced,
            self._take_skipped() + left_out,
        )
        yield from self._rest(received_at, most_rows, kept=True)

    def flush(self, received_at: float, most_rows: Callable[[], int], *, ended: bool) -> Iterator[Arrival]:
        """What waits for later bars is closed.

        Args:
            most_rows: As in `arrivals`.
            ended: Whether nothing will ever follow; otherwise a far jump that nothing confirms waits on.

        Raises:
            DataError: In strict mode, for the first message that cannot be used.
        """
        if not most_rows():
            return  # what is left is for the next start
        dead_letters = self._merger.flush(ended=ended)
        if dead_letters and self._config.strict:
            raise _strict(dead_letters[0])
        if dead_letters:
            yield Arrival(None, states=self.snapshot(), dead_letters=tuple(dead_letters), received_at=received_at)
        yield from self._rest(received_at, most_rows, kept=False)

    def _rest(self, received_at: float, most_rows: Callable[[], int], *, kept: bool) -> Iterator[Arrival]:
        """One arrival for each further block; `kept` says whether the journal has these rows, as waiting, by then."""
        while (most := most_rows()) and (block := self._take(most)) is not None:
            gaps = self._missing(block)
            # written for every block, the merger's state, which has all rows that wait, would make a backlog cost the
            # square of its length; the one that was kept still holds, less the rows taken since (`restore`)
            states = {SEEN: self._seen.copy()} if kept and self._merger.closed else self.snapshot()
            kept = True
            yield Arrival(block, states=states, gaps=gaps, received_at=received_at)

    def snapshot(self) -> State:
        """State of the intake, by name."""
        states: State = {MERGER: self._merger.snapshot(), SEEN: self._seen.copy()}
        if self.schemas is not None and self.schemas.changed:  # as a rule once, so that it costs nothing otherwise
            states[SCHEMAS] = self.schemas.snapshot()
            self.schemas.changed = False
        return states

    def restore(self, state: Mapping[str, Any], next_seq: int) -> None:
        """Continue from a snapshot, or the parts of it that there are.

        Args:
            next_seq: Number of the row that the journal lacks next. A snapshot may be of an earlier row: those that the
                journal has since were waiting in it, and are not taken again.

        Raises:
            DataError: If it is not one for these symbols and this timeframe.
        """
        self.next_seq = next_seq
        if MERGER in state:
            self._merger.restore(state[MERGER])
        self._merger.skip_to(next_seq)
        if SCHEMAS in state and self.schemas is not None:
            self.schemas.restore(state[SCHEMAS])
        if SEEN in state:
            self._seen = array_of(state[SEEN], self._seen, SEEN)

    def remember(self, blocks: Iterable[BarBlock]) -> None:
        """Take back the last rows of the session, in order: a bar that comes again is compared with them."""
        self._merger.remember(blocks)

    def _offer(self, delivery: Delivery, received_at: float) -> tuple[list[DeadLetter], int, tuple[Announcement, ...]]:
        """Offer messages; returns what was refused, how many elements came, and what is to follow."""
        announced: list[Announcement] = []
        dead_letters = self._merger.heard(delivery.partitions, self._quiet(delivery, received_at))
        dead_letters += delivery.dropped
        count = sum(letter.count for letter in delivery.dropped)
        if dead_letters and self._config.strict:
            raise _strict(dead_letters[0])
        for record in delivery.records:
            elements, refused = self._decode(record)
            if (
                not elements
                and refused
                and refused[0].reason == "unknown_type"
                and (begin := read_announcement(record))
            ):
                announced.append(begin)
                continue
            count += len(elements)
            if self._begin != NEVER:
                elements = [element for element in elements if self._merger.label(element) >= self._begin]
            late = self._merger.offer(record, elements)
            # as nearly always: nothing is refused
            if refused or late:
                count += sum(letter.count for letter in refused)
                dead_letters += refused + bounded(late)
                if self._config.strict:
                    raise _strict(dead_letters[0])
        return dead_letters, count, tuple(announced)

    def _take_skipped(self) -> int:
        if self._mapped is None:
            return 0
        skipped, self._mapped.skipped = self._mapped.skipped, 0
        return skipped

    def _quiet(self, delivery: Delivery, received_at: float) -> frozenset[str]:
        """The quiet partitions; never all of them while what is late may still come."""
        if delivery.records:
            self._heard = delivery.records[-1].partition, received_at
        partition, since = self._heard
        if received_at - since < self._config.lateness_s:
            return delivery.quiet - {partition}
        return delivery.quiet

    def _take(self, most: int) -> BarBlock | None:
        block = self._merger.take(most)
        if block is None:
            return None
        block = replace(block, seq=self.next_seq)
        self.next_seq += len(block)
        return block

    def _whole(self, delivery: Delivery, block: BarBlock, received_at: float, most: int) -> Arrival:
        """Rows from a file: what is beyond the wanted number is as if it never came."""
        positions = delivery.positions
        if most < len(block):
            block = block.slice(0, most)
            positions = {name: str(block.seq + most) for name in positions}
        block = replace(block, seq=self.next_seq)
        self.next_seq += len(block)
        gaps = self._missing(block)
        rows = block if len(block) else None
        return Arrival(rows, delivery, positions, {SEEN: self._seen.copy()}, (), gaps, received_at)

    def _missing(self, block: BarBlock | None) -> tuple[Gap, ...]:
        """Gaps before the rows of a block, by symbol."""
        if block is None:
            return ()
        if len(block) == 1 and block.present.all() and (self._seen == block.ts_event - self._timeframe).all():
            self._seen = np.full_like(self._seen, block.ts_event[0])
            return ()  # as nearly always: every symbol has the bar that was to come
        times = np.where(block.present, block.ts_event[:, np.newaxis], NEVER)
        seen = np.maximum.accumulate(np.concatenate([self._seen[np.newaxis], times]), axis=0)
        self._seen = seen[-1].copy()
        columns, rows = np.nonzero(block.present.T)
        at, before = block.ts_event[rows], seen[rows, columns]
        return tuple(
            Gap(block.seq + int(rows[k]), self._symbols[columns[k]], int(before[k]), int(at[k]), missing)
            for k, missing in self._gaps.find(at, before, columns)
        )


def mapped_decoder(config: FeedConfig, schemas: KnownSchemas | None) -> MappedDecoder | None:
    """What reads messages of another shape than ours; None where they are of ours."""
    mapping = config.mapping
    if schemas is not None:
        return MappedDecoder(mapping or FieldsConfig(), schemas.parsed)
    return None if mapping is None else MappedDecoder(mapping)


def _strict(letter: DeadLetter) -> DataError:
    return DataError(
        f"a message cannot be used: {letter.reason}",
        where=f"{letter.partition}, offset {letter.offset}: {letter.payload[:200].decode(errors='replace')}",
        expected=letter.expected,
        found=letter.found,
        hint="correct what sends it, or run without strict mode to keep such messages as dead letters",
    )
