"""One pass over the files of a track: read, check, set aside what is bad, hand on the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from engine.blocks import BAR_COLUMNS, BarBlock, Bools, Ints
from engine.instruments import Instrument
from feeds.casting import Array
from feeds.checks import REASONS, Columns, Fault, check_bars, describe, read_numbers
from feeds.files import Batch
from feeds.gaps import GapFinder
from feeds.merging import blocks_of, sorted_block
from feeds.ordering import OrderCheck
from feeds.plan import NO_SYMBOL, OTHER_SYMBOL, FilePlan, symbol_codes
from feeds.quarantine import BadRow, Gap, Quarantine, strict_error
from feeds.rows import Rows
from feeds.times import READABLE
from feeds.zones import LocalClock

Layout = Literal["by time", "by symbol"]


@dataclass(frozen=True, slots=True)
class Track:
    """Files that are read one after the other.

    Attributes:
        plans: The files.
        symbols: Their symbols.
        instruments: The instrument of each symbol.
        layout: Whether rows of several symbols come in order of time.
    """

    plans: tuple[FilePlan, ...]
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class Pass:
    """What all tracks of one replay share.

    Attributes:
        width_ns: Length of a bar.
        shift_ns: From a label to the close of its bar.
        after_ns: Close times up to this one are not wanted.
        through_ns: The last close time wanted.
        quarantine: Where bad rows go.
        strict: Stop at the first of them.
    """

    width_ns: int
    shift_ns: int
    after_ns: int
    through_ns: int
    quarantine: Quarantine
    strict: bool


def read_track(track: Track, shared: Pass) -> Iterator[BarBlock]:
    """Read a track from its start, in blocks as they come.

    Raises:
        DataError: In strict mode at the first bad row; or if a file is damaged.
    """
    rows = _Reader(track, shared).rows()
    return blocks_of(rows, track.symbols) if track.layout == "by time" else sorted_block(rows, track.symbols)


class _Reader:
    def __init__(self, track: Track, shared: Pass) -> None:
        self._track = track
        self._shared = shared
        self._numbers = {symbol: number for number, symbol in enumerate(track.symbols)}
        self._order = OrderCheck(len(track.symbols), together=track.layout == "by time")
        self._gaps = GapFinder(track.instruments, shared.width_ns)
        self._clock = LocalClock("UTC")

    def rows(self) -> Iterator[Rows]:
        for plan in self._track.plans:
            self._clock = LocalClock(plan.zone)
            symbol = [] if plan.columns.symbol is None else [plan.columns.symbol]
            for batch in plan.file.batches([*plan.columns.time, *plan.columns.values.values(), *symbol]):
                rows, past = self._take(plan, batch)
                if rows is not None:
                    yield rows
                if past and self._track.layout == "by time":
                    break

    def _take(self, plan: FilePlan, batch: Batch) -> tuple[Rows | None, bool]:
        """The good rows of a batch, and whether all of it lies past what is wanted."""
        codes = None if plan.columns.symbol is None else symbol_codes(batch.columns[plan.columns.symbol], self._numbers)
        stamps, good = plan.stamps(batch, self._clock, codes)
        ts_event = stamps + self._shared.shift_ns
        wanted = (ts_event > self._shared.after_ns) & (ts_event <= self._shared.through_ns) | ~good
        past = bool(good.any()) and bool((ts_event[good] > self._shared.through_ns).all())
        if codes is not None:
            wanted &= codes != OTHER_SYMBOL
        part = _Part(plan, batch, ts_event, codes, good, self._shared.shift_ns)
        if not wanted.all():
            part = part.where(wanted)
        return self._check(part, len(self._track.symbols)), past

    def _check(self, part: _Part, symbols: int) -> Rows | None:
        batch, plan = part.batch, part.plan
        count = len(batch.lines)
        cells = {name: batch.columns[at] for name, at in plan.columns.values.items()}
        columns, unreadable = read_numbers(cells, count)
        found = check_bars(columns, unreadable)
        faults = np.zeros(count, np.uint8) if found is None else found
        if part.codes is not None:
            faults[part.codes == NO_SYMBOL] = Fault.SYMBOL
        faults[~part.good] = Fault.TIME
        codes = part.codes if symbols > 1 else None
        rows = Rows(part.ts_event, codes, {name: columns[name] for name in BAR_COLUMNS})
        places = None
        if faults.any():
            places = np.flatnonzero(faults == 0)
            rows = rows.take(places)
        late, previous = self._order.check(rows.ts_event, rows.codes)
        floor = previous
        if late is not None:
            places = np.arange(count) if places is None else places
            faults[places] = late
            floor = np.zeros(count, np.int64)
            floor[places] = previous
            kept = late == 0
            places, rows, previous = places[kept], rows.take(np.flatnonzero(kept)), previous[kept]
        bad = (
            []
            if places is None
            else [
                part.bad_row(int(at), Fault(int(faults[at])), columns, unreadable, floor)
                for at in np.flatnonzero(faults)
            ]
        )
        self._report(
            part,
            bad,
            [
                part.gap(
                    int(place if places is None else places[place]),
                    self._name(rows, place),
                    int(previous[place]),
                    missing,
                )
                for place, missing in self._gaps.find(rows.ts_event, previous, rows.codes)
            ],
        )
        return rows if len(rows) else None

    def _name(self, rows: Rows, place: int) -> str:
        return self._track.symbols[0 if rows.codes is None else int(rows.codes[place])]

    def _report(self, part: _Part, bad: list[BadRow], gaps: list[Gap]) -> None:
        source = part.plan.source
        bad += [
            BadRow(source, line.line, REASONS[Fault.FIELDS], line.expected, line.found, line.raw)
            for line in part.batch.malformed
        ]
        bad.sort(key=lambda row: row.line)
        if bad and self._shared.strict:
            raise strict_error(bad[0])
        reading = f"{source} {self._shared.after_ns} {self._shared.through_ns}"
        self._shared.quarantine.admit(reading, part.batch.through, bad, gaps)


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of a batch that are wanted, with their times."""

    plan: FilePlan
    batch: Batch
    ts_event: Ints
    codes: Ints | None
    good: Bools
    shift_ns: int

    def where(self, wanted: Bools) -> _Part:
        places, batch = np.flatnonzero(wanted), self.batch
        few = Batch(
            {at: column.filter(pa.array(wanted)) for at, column in batch.columns.items()},
            batch.lines[places],
            batch.through,
            lambda row: batch.raw(int(places[row])),
            batch.malformed,
        )
        codes = None if self.codes is None else self.codes[places]
        return _Part(self.plan, few, self.ts_event[places], codes, self.good[places], self.shift_ns)

    def bad_row(self, at: int, fault: Fault, columns: Columns, unreadable: dict[str, Bools], floor: Ints) -> BadRow:
        if fault == Fault.TIME:
            exists = "" if self.plan.zone == "UTC" else f", that exists in {self.plan.zone}"
            expected, found = READABLE + exists, self._cells(at, self.plan.columns.time)
        elif fault == Fault.SYMBOL:
            expected, found = "the name of a symbol", "an empty cell"
        elif fault in {Fault.DUPLICATE, Fault.BACKWARDS}:
            expected = f"a time after {iso(int(floor[at]) - self.shift_ns)}"
            found = iso(int(self.ts_event[at]) - self.shift_ns)
        else:
            numbers = {name: float(values[at]) for name, values in columns.items()}
            positions = self.plan.columns.values
            texts = {name: self._cells(at, (positions[name],)) for name, bad in unreadable.items() if bad[at]}
            expected, found = describe(fault, numbers, texts)
        batch = self.batch
        return BadRow(self.plan.source, int(batch.lines[at]), REASONS[fault], expected, found, batch.raw(at))

    def gap(self, at: int, symbol: str, previous: int, missing: int) -> Gap:
        return Gap(self.plan.source, int(self.batch.lines[at]), symbol, previous, int(self.ts_event[at]), missing)

    def _cells(self, at: int, positions: tuple[int, ...]) -> str:
        return " ".join(_text(self.batch.columns[position], at) for position in positions) or "an empty cell"


def iso(time_ns: int) -> str:
    """A time as people read it, in UTC."""
    unit: Literal["s", "ns"] = "ns" if time_ns % 1_000_000_000 else "s"
    return f"{np.datetime_as_string(np.datetime64(int(time_ns), 'ns'), unit=unit)}Z".replace("T", " ")


def _text(column: Array, at: int) -> str:
    cell = column[at]
    if not cell.is_valid:
        return ""
    if pa.types.is_string(cell.type):
        return bytes(cell.as_buffer()).decode("utf-8", errors="replace")
    return str(cell.as_py())
