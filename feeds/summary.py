"""What a stream of bars holds: counts, prices, sessions and the minutes that are missing from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import Instrument
from engine.types.timeframe import DAY_NS

AHEAD_NS = 366 * DAY_NS  # sessions are looked up a year at a time
LONGEST = 5


@dataclass(slots=True)
class SymbolSummary:
    """One symbol's bars; prices in quote currency, NaN before the first bar."""

    bars: int = 0
    first_open: float = np.nan
    high: float = np.nan
    low: float = np.nan
    last_close: float = np.nan
    volume: float = 0.0
    without_volume: int = 0


@dataclass(frozen=True, slots=True, order=True)
class MissingBars:
    """Bars that a session should have had.

    Attributes:
        after_ns: Close of the bar before, nanoseconds UTC.
        before_ns: Close of the bar after, nanoseconds UTC.
    """

    bars: int
    after_ns: int
    before_ns: int


@dataclass(slots=True)
class BarSummary:
    """Collects block by block, in memory that does not grow.

    Attributes:
        instrument: Its calendar says which bars are expected.
        timeframe_ns: Length of a bar, nanoseconds; 0 for bars of no fixed length. Of those, and of bars longer than a
            day, none is counted as missing: months and weeks are no whole number of sessions.
        rows: Distinct times.
        first_ns: First close, nanoseconds UTC; None before the first bar.
        last_ns: Last close.
        sessions: Sessions that have a bar.
        outside: Rows outside every session.
        first_outside_ns: Close of the first of them, nanoseconds UTC.
        missing: Bars expected between the first and the last, and not there.
        gaps: Runs of missing bars.
        longest: The longest of them, longest first.
    """

    instrument: Instrument
    timeframe_ns: int
    symbols: dict[str, SymbolSummary] = field(default_factory=dict)
    rows: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    sessions: int = 0
    outside: int = 0
    first_outside_ns: int | None = None
    missing: int = 0
    gaps: int = 0
    longest: list[MissingBars] = field(default_factory=list)
    _known: Sessions | None = None
    _last_session_close: int = 0

    @property
    def counts_missing(self) -> bool:
        """Whether it can be told which bars are missing."""
        return 0 < self.timeframe_ns <= DAY_NS

    def add(self, block: BarBlock) -> None:
        """Take the next block of the stream."""
        if not len(block):
            return
        ts = block.ts_event
        self.first_ns = int(ts[0]) if self.first_ns is None else self.first_ns
        self._add_times(ts)
        self.rows += len(block)
        self.last_ns = int(ts[-1])
        for s, name in enumerate(block.symbols):
            at = np.flatnonzero(block.present[:, s])
            if len(at):
                _add_prices(self.symbols.setdefault(name, SymbolSummary()), block, s, at)

    def _add_times(self, ts: Ints) -> None:
        known = self._sessions_up_to(int(ts[0]), int(ts[-1]))
        inside = known.is_open(ts)
        if self.first_outside_ns is None and not inside.all():
            self.first_outside_ns = int(ts[np.argmin(inside)])
        self.outside += int((~inside).sum())
        closes = np.unique(known.closes[known.index(ts[inside])])
        self.sessions += len(closes) - int(len(closes) > 0 and closes[0] == self._last_session_close)
        self._last_session_close = int(closes[-1]) if len(closes) else self._last_session_close
        if not self.counts_missing:
            return
        edges = ts if self.last_ns is None else np.concatenate([np.array([self.last_ns]), ts])
        missing = slots_until(known, edges[1:] - 1, self.timeframe_ns)
        missing -= slots_until(known, edges[:-1], self.timeframe_ns)
        self.missing += int(missing.sum())
        found = np.flatnonzero(missing)
        self.gaps += len(found)
        # the longest few suffice, and of equal ones the first
        ranked = found[np.argsort(-missing[found], kind="stable")][:LONGEST]
        new = [MissingBars(int(missing[i]), int(edges[i]), int(edges[i + 1])) for i in ranked]
        self.longest = sorted([*self.longest, *new], key=lambda gap: (-gap.bars, gap.after_ns))[:LONGEST]

    def _sessions_up_to(self, first: int, last: int) -> Sessions:
        if self._known is None or last > self._known.closes[-1]:
            start = first if self.last_ns is None else self.last_ns
            self._known = sessions_between(self.instrument, start, last + AHEAD_NS)
        return self._known


def slots_until(sessions: Sessions, ts_event: Ints, timeframe_ns: int) -> Ints:
    """How many bars of the timeframe the sessions have up to each time, the time included.

    Bars are counted from each session's open; one cut short by the close counts.
    """
    length = sessions.closes - sessions.opens
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(-(-length // timeframe_ns))])
    at = sessions.index(ts_event)
    # index() gives the session that a time lies in or comes before: whole sessions are those earlier
    inner = np.minimum(at, len(length) - 1)
    elapsed = np.where(ts_event >= sessions.closes[inner], -(-length[inner] // timeframe_ns), 0)
    running = np.maximum(0, ts_event - sessions.opens[inner]) // timeframe_ns
    inside = np.where(at < len(length), np.maximum(elapsed, running), 0)
    return np.asarray(before[at] + inside, np.int64)


def _add_prices(summary: SymbolSummary, block: BarBlock, s: int, at: Ints) -> None:
    if not summary.bars:
        summary.first_open = float(block.open[at[0], s])
    summary.bars += len(at)
    summary.high = float(np.fmax(summary.high, block.high[at, s].max()))
    summary.low = float(np.fmin(summary.low, block.low[at, s].min()))
    summary.last_close = float(block.close[at[-1], s])
    volume: Floats = block.volume[at, s]
    summary.without_volume += int(np.isnan(volume).sum())
    # one after the other, so that the blocks leave no trace in the rounding
    summary.volume = float(np.cumsum(np.concatenate([np.array([summary.volume]), np.nan_to_num(volume)]))[-1])
