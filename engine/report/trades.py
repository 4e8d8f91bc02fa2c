"""Profit of a run's trades by symbol, side, exit, hour and weekday, and which fills each of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.types.blocks import Bools, Floats, Ints

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
THURSDAY = 3  # 1970-01-01 was one
MOST_ROWS = 24
OTHERS = "others"
Words = NDArray[np.str_]


class Trades(NamedTuple):
    """Columns of the trades that a table is made of, a value each; times in nanoseconds UTC."""

    symbol: Words
    side: Words
    closed_by: Words
    entry: Ints
    exit: Ints
    profit: Floats
    open: Bools


class Group(NamedTuple):
    """Trades that have something in common; `profit` is net of fees, in account currency."""

    label: str
    trades: int
    win_rate: float
    profit: float
    mean: float


class Breakdown(NamedTuple):
    """A table: what its groups have in common, and the groups."""

    title: str
    groups: tuple[Group, ...]


def breakdowns(trades: Trades) -> list[Breakdown]:
    """Closed trades by symbol, side, exit, hour and weekday of the entry (UTC).

    A table of a single group says nothing that the metrics do not say, and is left out.
    """
    closed = ~trades.open
    entry, profit = trades.entry[closed], trades.profit[closed]
    hour = np.array([f"{number:02d}:00" for number in range(24)])[entry % DAY_NS // HOUR_NS]
    weekday = (entry // DAY_NS + THURSDAY) % len(WEEKDAYS)
    found = [
        Breakdown("Symbol", _by_profit(trades.symbol[closed], profit)),
        Breakdown("Side", _groups(trades.side[closed], profit)),
        Breakdown("Closed by", _by_profit(trades.closed_by[closed], profit)),
        Breakdown("Hour of entry (UTC)", _groups(hour, profit)),
        Breakdown("Weekday of entry (UTC)", _groups(weekday, profit, WEEKDAYS)),
    ]
    return [table for table in found if len(table.groups) > 1]


def _groups(keys: Words | Ints, profit: Floats, names: Sequence[str] = ()) -> tuple[Group, ...]:
    known, place = np.unique(keys, return_inverse=True)
    count = np.bincount(place, minlength=len(known))
    wins = np.bincount(place, weights=profit > 0.0, minlength=len(known))
    total = np.bincount(place, weights=profit, minlength=len(known))
    return tuple(
        Group(names[int(key)] if names else str(key), int(n), float(w / n), float(t), float(t / n))
        for key, n, w, t in zip(known, count, wins, total, strict=True)
    )


def _by_profit(keys: Words, profit: Floats) -> tuple[Group, ...]:
    """Groups by what they earned; those of the least weight together, where there are many."""
    known, place = np.unique(keys, return_inverse=True)
    if len(known) > MOST_ROWS:
        total = np.abs(np.bincount(place, weights=profit))
        least = known[np.argsort(-total, kind="stable")[MOST_ROWS - 1 :]]
        keys = np.where(np.isin(keys, least), OTHERS, keys)
    return tuple(sorted(_groups(keys, profit), key=lambda group: (group.label == OTHERS, -group.profit)))


def fill_numbers(trades: Trades, symbol: Words, position: Floats, ts_event: Ints) -> tuple[Ints, Ints]:
    """Numbers of the first and the last fill of every trade, as `grandmodel explain` counts them, from 1.

    Args:
        trades: By symbol in the order of their entries, one that is still open last.
        symbol: Of every fill of the run, in order of happening.
        position: Of the symbol after each fill.
        ts_event: Of each fill, nanoseconds UTC.

    Returns:
        First and last, shape (trades,); 0 where it is not known, and for the exit of an open trade.
    """
    first, last = np.zeros(len(trades.entry), np.int64), np.zeros(len(trades.entry), np.int64)
    for name in np.unique(trades.symbol):
        own, mine = np.flatnonzero(symbol == name), np.flatnonzero(trades.symbol == name)
        held = position[own]
        before = np.concatenate([[0.0], held[:-1]])
        turned = before * held < 0.0
        opened, closed = own[turned | (before == 0.0)], own[turned | (held == 0.0)]
        for numbers, fills, times in ((first, opened, trades.entry), (last, closed, trades.exit)):
            count = min(len(fills), len(mine))
            same = ts_event[fills[:count]] == times[mine[:count]]
            numbers[mine[:count][same]] = fills[:count][same] + 1
    last[trades.open] = 0
    return first, last
