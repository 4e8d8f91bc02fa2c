"""Bars of one symbol as steps of the log price, each with its place in its session."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Bools, Floats, Ints
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import Instrument
from engine.types.timeframe import MINUTE_NS

LEAST_BARS = 2000
"""Below it neither season nor volatility can be told from noise."""


class Steps(NamedTuple):
    """1-minute bars, each of shape (n,).

    Attributes:
        session: Number of the session, not decreasing.
        slot: Minute of the session, from 0.
        gap: Log step from the close before to the open, 0 in the first bar.
        change: From open to close.
        high, low: From the open to the high and to the low.
        volume: NaN where it is not known.
        begins: Whether the bar is the first of its session.
        follows: Whether the bar before lies a minute earlier in the same session.
        last: Close of the last bar.
        outside: Bars outside every session, which are left out.
    """

    session: Ints
    slot: Ints
    gap: Floats
    change: Floats
    high: Floats
    low: Floats
    volume: Floats
    begins: Bools
    follows: Bools
    last: float
    outside: int

    @property
    def returns(self) -> Floats:
        """From close to close, in the first bar of a session from open to close; NaN over a gap inside one."""
        return np.where(self.begins, self.change, np.where(self.follows, self.gap + self.change, np.nan))


def session_places(times: Ints, sessions: Sessions) -> tuple[Ints, Ints, Bools]:
    """Session, minute of the session from 0, and whether it is open, of bars that close at these times."""
    at = np.minimum(sessions.index(times), len(sessions.closes) - 1)
    return at, (times - sessions.opens[at]) // MINUTE_NS - 1, sessions.is_open(times)


def steps_of(block: BarBlock, number: int, instrument: Instrument) -> Steps:
    """The steps of one symbol.

    Args:
        block: All bars, of a minute each.
        number: Of the symbol.
        instrument: Its calendar says when sessions begin.

    Raises:
        DataError: If there are too few bars, or a price is not positive.
    """
    there = np.flatnonzero(block.present[:, number])
    sessions = sessions_between(instrument, int(block.ts_event[0]), int(block.ts_event[-1]))
    session, slot, open_now = session_places(block.ts_event[there], sessions)
    kept = there[open_now]
    if len(kept) < LEAST_BARS:
        raise DataError(
            "too few bars to fit a market",
            where=block.symbols[number],
            expected=f"at least {LEAST_BARS:,} bars inside sessions of {instrument.calendar}",
            found=f"{len(kept):,}",
            hint="check --instrument" if len(there) >= LEAST_BARS else None,
        )
    prices = [getattr(block, name)[kept, number] for name in ("open", "high", "low", "close")]
    if not all(bool((price > 0.0).all()) for price in prices):
        raise DataError("a price is not positive, and has no logarithm", where=block.symbols[number])
    open_, high, low, close = map(np.log, prices)
    session, slot = session[open_now], slot[open_now]
    begins = np.diff(session, prepend=session[:1] - 1) != 0
    follows = ~begins & (np.diff(slot, prepend=slot[:1]) == 1)
    return Steps(
        session,
        slot,
        open_ - np.concatenate([open_[:1], close[:-1]]),
        close - open_,
        high - open_,
        low - open_,
        block.volume[kept, number],
        begins,
        follows,
        float(prices[3][-1]),
        len(there) - len(kept),
    )
