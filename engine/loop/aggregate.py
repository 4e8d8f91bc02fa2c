"""Bars into larger bars: 1 minute into 5, 30, 60 or a session, streaming and without a look into the future.

Buckets are counted from the open of each session and cut at its close, so that no bar spans a daily halt or
a week-end. A bar is stamped with the end of its bucket. It is known at the first source row that closes at or
after that end: if the bar of the last minute is missing, only the next row tells that the bucket is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.base.compiled import entry_point, form
from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.loop.extras import ExtraFold
from engine.loop.kernels import CLOCK, PARTIAL, aggregate_rows, write_partial
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import Instrument
from engine.types.records import Bars, Records
from engine.types.timeframe import DAY_NS

AHEAD_NS = 366 * DAY_NS  # sessions are looked up a year at a time
BEFORE_ALL_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class Aggregated:
    """Completed bars and when they became known.

    Attributes:
        bars: Larger bars, their `seq` counted from 0 over the whole stream; none where no symbol traded.
        known_at: Number (`seq`) of the source row at which each bar became known, shape (rows,). It does not
            decrease: one row may complete two bars, the one that a missing minute left open and its own.
    """

    bars: BarBlock
    known_at: Ints

    def __len__(self) -> int:
        return len(self.bars)


class Aggregator:
    """Streaming aggregation with carried state; any blocking of the same rows gives the same bars.

    Open is the first, high the largest, low the smallest and close the last of the source bars; volume is
    their sum in order of time, without those unknown (NaN only if all are). Extra columns are folded by name
    (`engine.types.extras`). A source bar outside every
    session falls into a bucket counted backwards from the next open.

    Args:
        timeframe_ns: Length of the bars, nanoseconds; a whole multiple of the source's.
        sessions: Sessions that reach at least to the last bar that will come.

    Raises:
        UsageError: If the timeframe is not positive or there is no session.
    """

    def __init__(self, timeframe_ns: int, sessions: Sessions) -> None:
        if timeframe_ns <= 0:
            raise UsageError("the timeframe must be positive", found=f"{timeframe_ns} ns")
        self.timeframe_ns = timeframe_ns
        self.extend(sessions)
        self._symbols: tuple[str, ...] = ()
        self._clock: Records = np.zeros(1, CLOCK)
        self._clock["end"] = self._clock["last_ts"] = BEFORE_ALL_TIME
        self._partial: Records = np.zeros(0, PARTIAL)
        self._extra = ExtraFold((), 0)
        self._nothing: Aggregated | None = None
        self._compiled: tuple[Any, Callable[..., int]] | None = None
        self._room_for(0)

    def push(self, block: BarBlock) -> Aggregated:
        """Take the next rows of the stream; give the bars that they complete.

        Raises:
            DataError: If symbols change, time runs backwards or the rows lie beyond the last session.
        """
        self._admit(block)
        count = self._fold(block) if len(block) else 0
        if not count:
            return self._no_bars()
        self._nothing = None
        first = int(self._clock["bars"][0]) - count
        bars = _block(self._symbols, first, self._out, count, self._extra.done(count))
        return Aggregated(bars, self._known_at[:count].copy())

    def flush(self) -> Aggregated:
        """The unfinished bar as it stands, stamped with the end of its bucket; nothing if there is none.

        For the end of a stream only: the bar holds what the last source row knew, and it may still grow. The
        state stays as it is, so asking changes no later bar.
        """
        count = int(self._clock["held"][0])
        out = _empty(count, len(self._symbols))
        if count:
            write_partial(self._partial, int(self._clock["end"][0]), out, 0)
        known_at = np.full(count, self._clock["last_seq"][0], np.int64)
        bars = _block(self._symbols, int(self._clock["bars"][0]), out, count, self._extra.unfinished(count))
        return Aggregated(bars, known_at)

    def extend(self, sessions: Sessions) -> None:
        """Go on with sessions that reach further; those of the bars seen so far must be the same.

        Raises:
            UsageError: If there is no session.
        """
        if len(sessions.closes) == 0:
            raise UsageError("aggregation needs at least one session", found="none")
        # copies, so that the kernel is compiled for one type: arrays of a calendar may be read-only
        self._opens = np.array(sessions.opens, np.int64)
        self._closes = np.array(sessions.closes, np.int64)

    @property
    def horizon_ns(self) -> int:
        """Close of the last known session, nanoseconds UTC; later bars are refused until `extend`."""
        return int(self._closes[-1])

    def snapshot(self) -> State:
        """The carried state; `restore` of an aggregator made alike continues from here with the same bars."""
        saved: State = {"symbols": list(self._symbols), "bars": snapshot_of(self._made(), self._carried())}
        return {**saved, "extra": self._extra.snapshot()} if self._extra.names else saved

    def restore(self, state: State) -> None:
        """Continue from a snapshot; a stream of other symbols is then refused by `push`.

        Raises:
            DataError: If the snapshot is not one of an aggregator of this timeframe.
        """
        parts = parts_of(state, ("symbols", "bars", *(("extra",) if "extra" in state else ())))
        symbols = tuple(parts["symbols"])
        extra = ExtraFold.restored(parts["extra"], len(symbols)) if "extra" in parts else ExtraFold((), len(symbols))
        carried = {**self._carried(), "partial": np.zeros(len(symbols), PARTIAL)}
        found = arrays_of(parts["bars"], self._made(), carried)
        self._symbols, self._clock, self._partial = symbols, found["clock"], found["partial"]
        self._extra = extra
        self._room_for(0)

    def _made(self) -> dict[str, int]:
        return {"timeframe_ns": self.timeframe_ns}

    def _carried(self) -> dict[str, Records]:
        return {"clock": self._clock, "partial": self._partial}

    def _fold(self, block: BarBlock) -> int:
        if len(self._known_at) < len(block) + 1:
            self._room_for(len(block) + 1)
        rows = Bars(block.ts_event, block.open, block.high, block.low, block.close, block.volume, block.present)
        if self._extra.names:
            self._extra.fold(self.timeframe_ns, self._opens, self._closes, self._clock, rows, block.extra)
        sessions, state = (self._opens, self._closes), (self._clock, self._partial)
        arguments = (self.timeframe_ns, *sessions, *state, block.seq, rows, self._known_at, self._out)
        # of a single row, the look at the types of all arguments takes longer than the rest; only the rows' can change
        rows_form = form(rows)
        if self._compiled is None or self._compiled[0] != rows_form:
            self._compiled = rows_form, entry_point(aggregate_rows, *arguments)
        return int(self._compiled[1](*arguments))

    def _room_for(self, rows: int) -> None:
        # what the kernel writes into is kept, and so is the empty answer: most rows of a live stream complete no bar
        self._out, self._known_at = _empty(rows, len(self._symbols)), np.empty(rows, np.int64)
        self._nothing = None

    def _no_bars(self) -> Aggregated:
        if self._nothing is None:
            first = int(self._clock["bars"][0])
            bars = _block(self._symbols, first, self._out, 0, self._extra.done(0))
            self._nothing = Aggregated(bars, np.empty(0, np.int64))
        return self._nothing

    def _admit(self, block: BarBlock) -> None:
        if not self._symbols:
            self._symbols = block.symbols
            self._partial = np.zeros(len(block.symbols), PARTIAL)
            self._extra = ExtraFold(tuple(block.extra), len(block.symbols))
            self._room_for(0)
        if block.symbols != self._symbols:
            raise DataError(
                "the symbols of a stream cannot change",
                where=f"row {block.seq}",
                expected=", ".join(self._symbols),
                found=", ".join(block.symbols),
            )
        self._extra.admit(block)
        if not len(block):
            return
        if block.ts_event[0] <= self._clock["last_ts"][0]:
            raise DataError(
                "bar times must increase strictly",
                where=f"row {block.seq}",
                expected=f"a time after {int(self._clock['last_ts'][0])}",
                found=str(int(block.ts_event[0])),
            )
        if block.ts_event[-1] > self._closes[-1]:
            raise DataError(
                "bars lie beyond the last known session",
                where=f"row {block.seq + len(block) - 1}",
                expected=f"times up to {int(self._closes[-1])}",
                found=str(int(block.ts_event[-1])),
                hint="build the sessions (`sessions_between`) up to the last bar that will come",
            )


def aggregated(
    blocks: Iterable[BarBlock], timeframe_ns: int, instrument: Instrument, *, keep_partial: bool = False
) -> Iterator[BarBlock]:
    """A stream of bars as a stream of larger bars, of any length, on the sessions of an instrument.

    Args:
        blocks: Consecutive blocks of one stream.
        timeframe_ns: Length of the larger bars, nanoseconds.
        instrument: Its calendar and daily halt decide the sessions.
        keep_partial: Whether the last bar is given even if the stream ends before it is complete.

    Raises:
        DataError: As `Aggregator.push` does.
    """
    aggregator: Aggregator | None = None
    for block in blocks:
        if not len(block):
            continue
        first, last = int(block.ts_event[0]), int(block.ts_event[-1])
        if aggregator is None:
            aggregator = Aggregator(timeframe_ns, sessions_between(instrument, first, last + AHEAD_NS))
        elif last > aggregator.horizon_ns:
            aggregator.extend(sessions_between(instrument, first, last + AHEAD_NS))
        done = aggregator.push(block)
        if len(done):
            yield done.bars
    if aggregator is not None and keep_partial and len(rest := aggregator.flush()):
        yield rest.bars


def _empty(rows: int, symbols: int) -> Bars:
    shape = (rows, symbols)
    open_, high, low, close, volume = (np.empty(shape) for _ in range(5))
    return Bars(np.empty(rows, np.int64), open_, high, low, close, volume, np.empty(shape, np.bool_))


def _block(symbols: tuple[str, ...], seq: int, bars: Bars, count: int, extra: Mapping[str, Floats]) -> BarBlock:
    """The first `count` rows, copied so that they do not hold the memory of the whole source block."""
    return BarBlock(
        symbols,
        seq,
        bars.ts_event[:count].copy(),
        open=bars.open[:count].copy(),
        high=bars.high[:count].copy(),
        low=bars.low[:count].copy(),
        close=bars.close[:count].copy(),
        volume=bars.volume[:count].copy(),
        present=bars.present[:count].copy(),
        extra=extra,
    )
