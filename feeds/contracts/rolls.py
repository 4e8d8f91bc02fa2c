"""When a continuous future changes from one contract to the next.

A roll is decided by what is known at a session's close and takes place at the next session's open. Contracts follow
each other by their last bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import Sessions


class Roll(NamedTuple):
    """One change of contract.

    Attributes:
        before, after: Names of the contracts.
        from_ns: Close of the last row of the contract before; the next one counts in later rows.
        old, new: Closes of both in the last row up to then in which both traded.
    """

    before: str
    after: str
    from_ns: int
    old: float
    new: float

    @property
    def gap(self) -> float:
        """Price of the next contract less that of the one before."""
        return self.new - self.old


class Sums(NamedTuple):
    """What each session says of each contract; S contracts, N sessions that have a row.

    Attributes:
        closes: Close of the last row of each session, nanoseconds UTC, shape (N,).
        volume: Traded in each session, unknown as 0, shape (N, S).
        last: Last close up to then; NaN before the first, shape (N, S).
        both: Close of each contract in the last row up to then in which it and its successor traded, and that of the
            successor, shape (N, S, 2); NaN where there is none.
        last_bar: Close time of each contract's last bar, shape (S,).
    """

    closes: Ints
    volume: Floats
    last: Floats
    both: Floats
    last_bar: Ints


def in_order(blocks: Iterable[BarBlock]) -> tuple[str, ...]:
    """Names of the contracts by their last bars.

    Raises:
        DataError: If there are no bars.
    """
    latest: dict[str, tuple[int, int]] = {}
    for block in blocks:
        for place, name in enumerate(block.symbols):
            rows = np.flatnonzero(block.present[:, place])
            if len(rows):
                first = latest[name][1] if name in latest else int(block.ts_event[rows[0]])
                latest[name] = (int(block.ts_event[rows[-1]]), first)
    if not latest:
        raise DataError("no bars to make a continuous future of")
    return tuple(sorted(latest, key=lambda name: latest[name]))


def session_sums(blocks: Iterable[BarBlock], order: Sequence[str], sessions: Sessions) -> Sums:
    """Volumes and last prices by session, in memory of a few numbers a session.

    Args:
        blocks: Rows of all contracts, side by side.
        order: Their names, one after the other.
        sessions: That reach beyond the last row.
    """
    count = len(order)
    closes: list[int] = []
    volumes: list[Floats] = []
    lasts: list[Floats] = []
    boths: list[Floats] = []
    last, both, current = np.full(count, np.nan), np.full((count, 2), np.nan), -1
    last_bar = np.zeros(count, np.int64)
    for block in blocks:
        at = [block.symbols.index(name) for name in order]
        close, volume, present = block.close[:, at], np.nan_to_num(block.volume[:, at]), block.present[:, at]
        numbers = sessions.index(block.ts_event)
        for row in range(len(block)):
            if numbers[row] != current:
                current = int(numbers[row])
                closes.append(0)
                volumes.append(np.zeros(count))
                lasts.append(last)
                boths.append(both)
            here = present[row]
            last = np.where(here, close[row], last)
            pairs = here[:-1] & here[1:]
            both = both.copy()
            both[:-1][pairs] = np.stack([close[row, :-1], close[row, 1:]], axis=1)[pairs]
            last_bar[here] = block.ts_event[row]
            closes[-1], lasts[-1], boths[-1] = int(block.ts_event[row]), last, both
            volumes[-1] = volumes[-1] + np.where(here, volume[row], 0.0)
    return Sums(np.array(closes, np.int64), np.array(volumes), np.array(lasts), np.array(boths), last_bar)


def find_rolls(sums: Sums, order: Sequence[str], rule: str, dates: Sequence[date] = ()) -> list[Roll]:
    """The rolls, in order.

    Args:
        sums: By session.
        order: Names of the contracts.
        rule: `volume`: after the first session in which the next contract trades more; `date`: after the last session
            that closes before or on the given date (UTC). In any case before the last bar of a contract.
        dates: For `date`, one for each contract but the last.

    Raises:
        UsageError: If dates are missing or do not rise.
        DataError: If two contracts have no row in common up to their roll.
    """
    if rule == "date" and (len(dates) != len(order) - 1 or list(dates) != sorted(set(dates))):
        raise UsageError(
            "every contract but the last needs a roll date",
            expected=f"{len(order) - 1} rising dates, for {', '.join(order[:-1])}",
            found=", ".join(map(str, dates)) or "none",
        )
    found: list[Roll] = []
    begin = 0
    for place in range(len(order) - 1):
        at = _session(sums, place, begin, rule, dates)
        old, new = sums.both[at, place]
        if np.isnan(old):
            raise DataError(
                f"{order[place]} and {order[place + 1]} never trade in the same minute before the roll",
                expected="contracts that overlap, so that their prices can be compared",
                found=f"a roll after {np.datetime64(int(sums.closes[at]), 'ns')}",
                hint="give files that overlap by a session at least",
            )
        found.append(Roll(order[place], order[place + 1], int(sums.closes[at]), float(old), float(new)))
        begin = at + 1
    return found


def _session(sums: Sums, place: int, begin: int, rule: str, dates: Sequence[date]) -> int:
    """The session after which a contract gives way: by the rule, but no later than that of its last bar."""
    latest = int(np.searchsorted(sums.closes, sums.last_bar[place]))
    if rule == "date":
        end = np.datetime64(dates[place], "D") + np.timedelta64(1, "D")
        chosen = int(np.searchsorted(sums.closes, end.astype("datetime64[ns]").astype(np.int64), side="right")) - 1
    else:
        more = np.flatnonzero(sums.volume[begin:, place + 1] > sums.volume[begin:, place])
        chosen = begin + int(more[0]) if len(more) else latest
    return max(begin, min(chosen, latest, len(sums.closes) - 1))
