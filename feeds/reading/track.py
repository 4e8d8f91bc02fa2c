"""One pass over the files of a track: read, check, set aside what is bad, hand on the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.types.blocks import PRICE_COLUMNS, BarBlock, Bools, Ints
from engine.types.instruments import Instrument
from feeds.quarantine import BadRow, Quarantine, SessionGap, strict_error
from feeds.reading.columns.casting import to_floats
from feeds.reading.columns.numbers import plain_numbers
from feeds.reading.files.bar_file import FileBatch
from feeds.reading.plan import NO_SYMBOL, OTHER_SYMBOL, FilePlan, symbol_codes
from feeds.reading.rows.checks import REASONS, Columns, Fault, Faults, check_bars, read_numbers
from feeds.reading.rows.gaps import GapFinder
from feeds.reading.rows.merging import blocks_of, sorted_block
from feeds.reading.rows.ordering import OrderCheck
from feeds.reading.rows.part import BatchPart
from feeds.reading.rows.rows import AcceptedRows
from feeds.reading.times.labels import LabelDecision
from feeds.reading.times.zones import LocalClock

Layout = Literal["by time", "by symbol"]


@dataclass(frozen=True, slots=True)
class Track:
    """Files that are read one after the other.

    Attributes:
        labels: How each of them labels its bars.
        layout: Whether rows of several symbols come in order of time.
    """

    plans: tuple[FilePlan, ...]
    labels: tuple[LabelDecision, ...]
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class Pass:
    """What all tracks of one replay share.

    Attributes:
        after_ns: Close times up to this one are not wanted.
        through_ns: The last close time wanted.
        strict: Stop at the first of them.
    """

    width_ns: int
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
        # rows that come symbol by symbol begin anew with each: only its own times must go forward
        self._order = OrderCheck(len(track.symbols), together=track.layout == "by time")
        self._gaps = GapFinder(track.instruments, shared.width_ns)
        self._clock = LocalClock("UTC")

    def rows(self) -> Iterator[AcceptedRows]:
        for plan, decision in zip(self._track.plans, self._track.labels, strict=True):
            shift = self._shared.width_ns if decision.labels == "open" else 0
            self._clock = LocalClock(plan.zone)
            symbol = [] if plan.columns.symbol is None else [plan.columns.symbol]
            more = [at for at in (plan.columns.factor, plan.columns.more_volume) if at is not None]
            more += plan.columns.extra.values()
            wanted = dict.fromkeys([*plan.columns.time, *plan.columns.values.values(), *symbol, *more])
            for batch in plan.file.batches(list(wanted)):
                rows, past = self._take(plan, batch, shift)
                if rows is not None:
                    yield rows
                if past and self._track.layout == "by time":
                    break

    def _take(self, plan: FilePlan, batch: FileBatch, shift_ns: int) -> tuple[AcceptedRows | None, bool]:
        """The good rows of a batch, closing `shift_ns` after their labels; and whether all lie past what is wanted."""
        symbol = plan.columns.symbol
        codes = None if symbol is None else symbol_codes(batch.columns[symbol], self._numbers)
        stamps, good = plan.stamps(batch, self._clock, codes)
        ts_event = stamps + shift_ns
        late = ts_event > self._shared.through_ns
        mine = np.ones(len(ts_event), np.bool_) if codes is None else codes != OTHER_SYMBOL
        past = bool(late.any()) and bool(late[good & mine].all()) and bool((good & mine).any())
        wanted = ((ts_event > self._shared.after_ns) & ~late | ~good) & mine
        part = BatchPart(plan, batch, ts_event, codes, good, shift_ns)
        return self._check(part if wanted.all() else part.where(wanted)), past

    def _check(self, part: BatchPart) -> AcceptedRows | None:
        columns, unreadable, faults = _judge(part)
        codes = part.codes if len(self._track.symbols) > 1 else None
        rows = AcceptedRows(part.ts_event, codes, columns)
        places: Ints | None = None  # of the rows in the batch, where some are left out
        if faults.any():
            places = np.flatnonzero(faults == 0)
            rows = rows.take(places)
        late, previous = self._order.check(rows.ts_event, rows.codes)
        bad: list[BadRow] = []
        if places is not None or late is not None:
            places = np.arange(len(faults)) if places is None else places
            floor = np.zeros(len(faults), np.int64)
            floor[places] = previous
            if late is not None:
                faults[places] = late
                kept = np.flatnonzero(late == 0)
                places, rows, previous = places[kept], rows.take(kept), previous[kept]
            bad = [
                part.bad_row(int(at), Fault(int(faults[at])), columns, unreadable, int(floor[at]))
                for at in np.flatnonzero(faults)
            ]
        gaps = []
        for place, missing in self._gaps.find(rows.ts_event, previous, rows.codes):
            at = place if places is None else int(places[place])
            symbol = self._track.symbols[0 if rows.codes is None else int(rows.codes[place])]
            gaps.append(part.gap(at, symbol, int(previous[place]), missing))
        self._report(part, bad, gaps)
        return rows if len(rows) else None

    def _report(self, part: BatchPart, bad: list[BadRow], gaps: list[SessionGap]) -> None:
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


def _judge(part: BatchPart) -> tuple[Columns, dict[str, Bools], Faults]:
    """Numbers of the rows, the cells that are none, and the fault of each row by itself."""
    cells = {name: part.batch.columns[at] for name, at in part.plan.columns.values.items()}
    columns, unreadable = read_numbers(cells, len(part.batch.lines), part.plan.numbers)
    _scale(part, columns)
    for name, at in part.plan.columns.extra.items():
        columns[name], bad = to_floats(part.batch.columns[at])
        unreadable |= {} if bad is None else {name: bad}
    found = check_bars(columns, unreadable)
    faults = np.zeros(len(part.batch.lines), np.uint8) if found is None else found
    if part.codes is not None:
        faults[part.codes == NO_SYMBOL] = Fault.SYMBOL
    faults[~part.good] = Fault.TIME
    return columns, unreadable, faults


def _scale(part: BatchPart, columns: Columns) -> None:
    """Divide prices by what the format says, or multiply them by the adjusted close over the close; add up volumes."""
    if part.plan.columns.more_volume is not None:
        more = plain_numbers(part.batch.columns[part.plan.columns.more_volume], part.plan.numbers)
        columns["volume"] = columns["volume"] + to_floats(more)[0]
    if part.plan.divisor != 1.0:
        for name in PRICE_COLUMNS:
            columns[name] /= part.plan.divisor
    if part.plan.columns.factor is not None:
        adjusted = to_floats(plain_numbers(part.batch.columns[part.plan.columns.factor], part.plan.numbers))[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = adjusted / columns["close"]
        for name in PRICE_COLUMNS:
            columns[name] *= factor
