"""From bars to what statistics are taken of: returns inside sessions, volumes, and minutes since the open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Bools, Floats, Ints
from engine.types.calendar import DAY_NS, Sessions, sessions_between
from engine.types.instruments import Instrument
from engine.types.timeframe import MINUTE_NS

LEAST_RETURNS = 500
"""Below it intervals would say nothing."""


class Series(NamedTuple):
    """Log returns of one symbol in order of time, without those from one session to the next.

    Attributes:
        name: For people.
        returns: From one close to the next, in the first bar of a session from its open to its close, shape (n,).
        volume: Of each bar, NaN where it is not known, shape (n,).
        minute: From the open of the session to the close of the bar, shape (n,).
        session: Number of the session, not decreasing, shape (n,).
        left_out: Bars after a gap inside a session: their return is not that of one bar, and is left out.
    """

    name: str
    returns: Floats
    volume: Floats
    minute: Ints
    session: Ints
    left_out: int = 0


def series_of(block: BarBlock, instrument: Instrument, timeframe_ns: int = MINUTE_NS) -> Iterator[Series]:
    """One series a symbol.

    Bars longer than half a day are of a session each, and their returns go from close to close.

    Args:
        block: All bars.
        instrument: Its calendar says when sessions begin.
        timeframe_ns: Length of the bars, nanoseconds.

    Raises:
        DataError: If a symbol has too few bars.
    """
    sessions = sessions_between(instrument, int(block.ts_event[0]), int(block.ts_event[-1]))
    for number, name in enumerate(block.symbols):
        # a market that trades on while the calendar has it closed belongs to the session that follows
        there = block.present[:, number]
        found = _series(name, block, number, there, sessions, timeframe_ns)
        if len(found.returns) < LEAST_RETURNS:
            raise DataError(
                "too few returns for statistics",
                where=name,
                expected=f"at least {LEAST_RETURNS} bars that follow each other inside sessions",
                found=str(len(found.returns)),
            )
        yield found


def _series(name: str, block: BarBlock, number: int, there: Bools, sessions: Sessions, timeframe_ns: int) -> Series:
    times = block.ts_event[there]
    open_, close = np.log(block.open[there, number]), np.log(block.close[there, number])
    at = np.minimum(sessions.index(times), len(sessions.closes) - 1)
    before = np.concatenate([open_[:1], close[:-1]])
    begins = np.diff(at, prepend=at[:1] - 1) != 0
    long = timeframe_ns > DAY_NS // 2
    returns = close - (before if long else np.where(begins, open_, before))
    follows = np.diff(times, prepend=times[:1] - timeframe_ns) == timeframe_ns
    kept = np.ones(len(times), np.bool_) if long else begins | follows
    kept &= np.isfinite(returns)
    return Series(
        name,
        returns[kept],
        block.volume[there, number][kept],
        ((times - sessions.opens[at]) // MINUTE_NS)[kept],
        at[kept],
        int(np.count_nonzero(~kept)),
    )
