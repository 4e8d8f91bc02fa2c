"""One pass over files of trades and quotes: read, check, set aside what is bad, hand on the rest as ticks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from engine.types.blocks import Bools, Floats, Ints
from feeds.quarantine import BadRow, Quarantine, strict_error
from feeds.reading.columns.casting import to_floats
from feeds.reading.columns.numbers import plain_numbers
from feeds.reading.files.bar_file import FileBatch
from feeds.reading.plan import NO_SYMBOL, OTHER_SYMBOL, symbol_codes
from feeds.reading.rows.checks import REASONS, Fault
from feeds.reading.rows.ordering import NEVER
from feeds.reading.rows.part import iso
from feeds.reading.times.column import READABLE
from feeds.reading.times.zones import LocalClock
from feeds.ticks.blocks import Sides, TickBlock, join
from feeds.ticks.checks import READABLE_FLAG, TICK_REASONS, TickFault, check_ticks, read_sides
from feeds.ticks.plan import TickPlan, is_trade
from feeds.ticks.sides import READABLE_SIDE

Faults = np.ndarray[tuple[int], np.dtype[np.uint8]]
_PRICES: Final = ("price", "bid", "ask")


@dataclass(frozen=True, slots=True)
class TickTrack:
    """Files that are read one after the other.

    Attributes:
        symbols: Theirs.
        numbers: Number of each in the whole stream.
        by_time: Whether rows of several symbols come in order of time; otherwise all are read and sorted.
    """

    plans: tuple[TickPlan, ...]
    symbols: tuple[str, ...]
    numbers: Mapping[str, int]
    by_time: bool = True


@dataclass(frozen=True, slots=True)
class TickPass:
    """What all tracks of one replay share.

    Attributes:
        symbols: Of the whole stream.
        after_ns: Ticks of before this time are not wanted.
        inclusive: Whether those at exactly this time are.
        through_ns: The last time wanted; ticks go on up to the first batch beyond it, which completes bars.
        quarantine: Where bad rows go.
        strict: Stop at the first of them.
    """

    symbols: tuple[str, ...]
    after_ns: int
    inclusive: bool
    through_ns: int
    quarantine: Quarantine
    strict: bool


def read_ticks(track: TickTrack, shared: TickPass) -> Iterator[TickBlock]:
    """Read a track from its start; blocks as they come, none of them empty.

    Raises:
        DataError: In strict mode at the first bad row; or if a file is damaged.
    """
    blocks = _Reader(track, shared).blocks()
    if track.by_time:
        yield from blocks
        return
    parts = list(blocks)
    if parts:
        whole = join(parts)
        yield whole.take(np.argsort(whole.ts_event, kind="stable"))


class _Reader:
    def __init__(self, track: TickTrack, shared: TickPass) -> None:
        self._track, self._shared = track, shared
        # rows that come symbol by symbol begin anew with each: only its own times must go forward
        self._last = np.full(1 if track.by_time else len(shared.symbols), NEVER, np.int64)
        self._clock = LocalClock("UTC")
        self._room = 0

    def blocks(self) -> Iterator[TickBlock]:
        for one in self._track.plans:
            self._clock = LocalClock(one.plan.zone)
            for batch in one.plan.file.batches(one.columns.used):
                block = self._take(one, batch)
                if len(block):
                    yield block
                    if self._track.by_time and int(block.ts_event[-1]) > self._shared.through_ns:
                        break

    def _take(self, one: TickPlan, batch: FileBatch) -> TickBlock:
        """The good ticks of a batch that are wanted."""
        symbol = one.columns.map.symbol
        codes = None if symbol is None else symbol_codes(batch.columns[symbol], self._numbers)
        stamps, good = one.plan.stamps(batch, self._clock, codes)
        read = _judge(one, batch, codes, good)
        wanted = self._wanted(stamps, good, codes)
        kept: Ints | None = None
        if wanted is not None or read.faults is not None:
            mask = np.ones(len(stamps), np.bool_) if wanted is None else wanted
            kept = np.flatnonzero(mask if read.faults is None else mask & (read.faults == 0))
        block = self._block(stamps, codes, read)
        block = block if kept is None else block.take(kept)
        late, floors = self._behind(block)
        if late is not None or read.faults is not None or batch.malformed:
            places = np.arange(len(stamps)) if kept is None else kept
            found = np.zeros(len(stamps), np.uint8) if read.faults is None else read.faults
            found = found if wanted is None else np.where(wanted, found, 0).astype(np.uint8)
            if late is not None:
                found[places[late]] = TickFault.BACKWARDS
                block = block.take(np.flatnonzero(~late))
            self._report(one, batch, read, found, {int(places[at]): int(floors[at]) for at in _places(late)}, stamps)
        return block

    @property
    def _numbers(self) -> dict[str, int]:
        return dict(self._track.numbers)

    def _wanted(self, stamps: Ints, good: Bools, codes: Ints | None) -> Bools | None:
        """Which rows are wanted, those without a time among them, shape (n,); None if all are."""
        mine = None if codes is None else codes != OTHER_SYMBOL
        after = self._shared.after_ns
        if after != NEVER:
            later = (stamps >= after if self._shared.inclusive else stamps > after) | ~good
            mine = later if mine is None else mine & later
        return None if mine is None or bool(mine.all()) else mine

    def _block(self, stamps: Ints, codes: Ints | None, read: _Read) -> TickBlock:
        if self._room < len(stamps):
            self._room = len(stamps)
            only = next(iter(self._track.numbers.values()))
            self._one, self._none = np.full(self._room, only, np.int64), np.zeros(self._room, np.int8)
        own = self._one[: len(stamps)] if codes is None else codes
        sides = self._none[: len(stamps)] if read.sides is None else read.sides
        numbers = read.numbers
        return TickBlock(
            self._shared.symbols, own, stamps, numbers["price"], numbers["size"], sides, numbers["bid"], numbers["ask"]
        )

    def _behind(self, block: TickBlock) -> tuple[Bools | None, Ints]:
        """Which ticks go back in time, None if none does; and the time that each had to reach."""
        ts_event = block.ts_event
        if not len(block):
            return None, ts_event
        if self._track.by_time:
            first = int(self._last[0])
            if ts_event[0] >= first and bool((ts_event[1:] >= ts_event[:-1]).all()):
                self._last[0] = ts_event[-1]
                return None, ts_event
        reached = np.empty_like(ts_event)
        groups = [(0, np.arange(len(block)))]
        if not self._track.by_time:
            groups = [(int(code), np.flatnonzero(block.codes == code)) for code in np.unique(block.codes)]
        for key, rows in groups:
            reached[rows] = np.maximum.accumulate(np.maximum(ts_event[rows], self._last[key]))
            self._last[key] = reached[rows[-1]]
        late = ts_event < reached
        return (late if late.any() else None), reached

    def _report(
        self, one: TickPlan, batch: FileBatch, read: _Read, faults: Faults, floors: Mapping[int, int], stamps: Ints
    ) -> None:
        source = one.plan.source
        bad = [
            BadRow(source, line.line, REASONS[Fault.FIELDS], line.expected, line.found, line.raw)
            for line in batch.malformed
        ]
        for at in map(int, np.flatnonzero(faults)):
            fault = TickFault(int(faults[at]))
            if fault == TickFault.BACKWARDS:
                expected, found = f"a time of {iso(floors[at])} or later", iso(int(stamps[at]))
            else:
                expected, found = _described(one, batch, read, fault, at)
            bad.append(BadRow(source, int(batch.lines[at]), TICK_REASONS[fault], expected, found, batch.raw(at)))
        bad.sort(key=lambda row: row.line)
        if bad and self._shared.strict:
            raise strict_error(bad[0])
        reading = f"{source} {self._shared.after_ns} {self._shared.through_ns}"
        self._shared.quarantine.admit(reading, batch.through, bad)


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch, read and judged row by row.

    Attributes:
        numbers: price, size, bid and ask, each of shape (n,); NaN where the file has none.
        unreadable: Cells that are no numbers, by column.
        sides: Who took; None if the file does not say.
        faults: What is wrong with each row; None if nothing is.
    """

    numbers: dict[str, Floats]
    unreadable: dict[str, Bools]
    sides: Sides | None
    faults: Faults | None


def _judge(one: TickPlan, batch: FileBatch, codes: Ints | None, good: Bools) -> _Read:
    count, unreadable = len(batch.lines), dict[str, Bools]()
    numbers: dict[str, Floats] = {}
    for name in ("price", "size", "bid", "ask"):
        at = one.columns.map.values.get(name)
        if at is None:
            numbers[name] = np.full(count, np.nan)
            continue
        numbers[name], bad = to_floats(plain_numbers(batch.columns[at], one.plan.numbers))
        if bad is not None:
            unreadable[name] = bad
        if one.plan.divisor != 1.0 and name in _PRICES:
            numbers[name] /= one.plan.divisor
    traded = is_trade(batch, one.columns)
    if traded is not None:
        numbers["price"][~traded] = np.nan
    sides, strange = _sides(one, batch)
    if not one.trades:
        numbers["price"][:] = np.nan
    faults = check_ticks(numbers, sized=one.trades and one.sized, quoted=one.quoted)
    wrong = [
        *([(TickFault.SIDE, strange)] if strange is not None else []),
        *((TickFault.NUMBER, bad) for bad in unreadable.values()),
        *([(TickFault.SYMBOL, codes == NO_SYMBOL)] if codes is not None and bool((codes == NO_SYMBOL).any()) else []),
        *([(TickFault.TIME, ~good)] if not good.all() else []),
    ]
    if wrong:
        faults = np.zeros(count, np.uint8) if faults is None else faults
        for fault, rows in wrong:
            faults[rows] = fault
    return _Read(numbers, unreadable, sides, faults)


def _sides(one: TickPlan, batch: FileBatch) -> tuple[Sides | None, Bools | None]:
    for name in ("side", "is_buyer_maker"):
        if name in one.columns.telling:
            return read_sides(batch.columns[one.columns.telling[name]], flag=name != "side")
    return None, None


def _places(late: Bools | None) -> Sequence[int]:
    return [] if late is None else [int(at) for at in np.flatnonzero(late)]


def _described(one: TickPlan, batch: FileBatch, read: _Read, fault: TickFault, at: int) -> tuple[str, str]:
    """What was expected of a bad tick, and what was found."""
    values, telling = one.columns.map.values, one.columns.telling
    numbers = {name: float(read.numbers[name][at]) for name in values}
    if fault == TickFault.TIME:
        exists = "" if one.plan.zone == "UTC" else f", that exists in {one.plan.zone}"
        return READABLE + exists, _cells(batch, one.columns.map.time, at)
    if fault == TickFault.SYMBOL:
        return "the name of a symbol", "an empty cell"
    if fault == TickFault.NUMBER:
        bad = [name for name, cells in read.unreadable.items() if cells[at]]
        return "numbers", ", ".join(f"{name} {_cells(batch, (values[name],), at)!r}" for name in bad)
    if fault == TickFault.SIDE:
        name = next(name for name in ("side", "is_buyer_maker") if name in telling)
        return READABLE_SIDE if name == "side" else READABLE_FLAG, repr(_cells(batch, (telling[name],), at))
    if fault == TickFault.SIZE:
        return "a size of 0 or more", f"size {numbers['size']}".replace("nan", "missing")
    if fault == TickFault.CROSSED:
        return f"an ask of at least the bid {numbers['bid']}", f"ask {numbers['ask']}"
    found = ", ".join(f"{name} {value}" for name, value in numbers.items() if name in _PRICES)
    return "a finite price above 0", found.replace("nan", "missing")


def _cells(batch: FileBatch, positions: Sequence[int], at: int) -> str:
    texts = []
    for position in positions:
        cell = batch.columns[position][at]
        if cell.is_valid:
            is_text = pa.types.is_string(cell.type)
            texts.append(bytes(cell.as_buffer()).decode("utf-8", errors="replace") if is_text else str(cell.as_py()))
    return " ".join(texts) or "an empty cell"
