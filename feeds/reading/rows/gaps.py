"""Bars that are missing while the market was open."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Ints
from engine.types.calendar import DAY_NS, Sessions, sessions_between
from engine.types.instruments import Instrument
from feeds.reading.rows.ordering import NEVER

# no exchange is open longer without a break; sessions_between reaches as far beyond the days asked for
_LONGEST_NS = 10 * DAY_NS
_BLOCK_NS = 400 * DAY_NS


def joined_sessions(instrument: Instrument, around_ns: int) -> Sessions:
    """Sessions in the 400 days around a time; those that follow each other without a break are one."""
    start = around_ns // _BLOCK_NS * _BLOCK_NS
    sessions = sessions_between(instrument, start + 1, start + _BLOCK_NS)
    breaks = sessions.opens[1:] > sessions.closes[:-1]
    ends = np.ones(1, np.bool_)
    return Sessions(sessions.opens[np.concatenate([ends, breaks])], sessions.closes[np.concatenate([breaks, ends])])


class GapFinder:
    """Counts the bars missing between two of a symbol within one session.

    Args:
        instruments: The instrument of each symbol; its calendar decides.
    """

    def __init__(self, instruments: tuple[Instrument, ...], width_ns: int) -> None:
        self._instruments = instruments
        self._width = width_ns
        self._sessions: dict[tuple[int, int], Sessions] = {}

    def find(self, ts_event: Ints, previous: Ints, codes: Ints | None) -> list[tuple[int, int]]:
        """Gaps before the given rows.

        Args:
            ts_event: Close times, nanoseconds UTC, shape (n,).
            previous: Close time of the bar before of the same symbol, or `NEVER`, shape (n,).
            codes: Number of each row's symbol, shape (n,); None if there is but one.

        Returns:
            Place of the row after each gap, and how many bars are missing.
        """
        wide = (ts_event - previous > self._width) & (previous != NEVER)
        if not wide.any():
            return []
        found = []
        for row in np.flatnonzero(wide):
            code = 0 if codes is None else int(codes[row])
            missing = self._missing(code, int(previous[row]), int(ts_event[row]))
            if missing:
                found.append((int(row), missing))
        return found

    def _missing(self, code: int, before: int, after: int) -> int:
        between = (after - before - 1) // self._width
        if self._instruments[code].calendar == "24/7":
            return between
        if after - before > _LONGEST_NS:
            return 0
        key = (code, before // _BLOCK_NS)
        if key not in self._sessions:
            self._sessions[key] = joined_sessions(self._instruments[code], before)
        sessions = self._sessions[key]
        # the session that holds the moment after the first bar
        at = int(np.searchsorted(sessions.closes, before, side="right"))
        inside = at < len(sessions.opens) and sessions.opens[at] < before and after <= sessions.closes[at]
        return between if inside else 0
