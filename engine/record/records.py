"""Records that the recorder derives from a run: round trips, orders, session ends and running tallies.

Like those of `engine.types.records` they consist of 8-byte fields, so that their bytes are their value.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _dtype(floats: str, ints: str) -> np.dtype[np.void]:
    fields: list[tuple[str, Any]] = [(name, np.float64) for name in floats.split()]
    return np.dtype(fields + [(name, np.int64) for name in ints.split()])


TRADE = _dtype(
    "quantity entry_price exit_price profit return fees realized entry_quantity entry_value exit_quantity exit_value",
    "symbol side entry_ts exit_ts entry_seq exit_seq entry_role exit_role exit_reason entry_tag exit_tag fills open",
)
"""One round trip, from flat to flat. `quantity` is the largest size held; `entry_price` and `exit_price` are
averages over the entering and leaving fills; `profit` is net of `fees`; `return` is profit over the notional
entered; times in nanoseconds UTC; `*_seq` are row numbers; `open` marks one that had not ended, valued at
the last close."""

TRADE_STATS = _dtype(
    "profit gross_profit gross_loss largest_win largest_loss returns fees notional",
    "trades wins losses longs win_streak loss_streak best_win_streak worst_loss_streak bars held_ns fills",
)
"""Statistics of closed trades so far (one record). `gross_loss` and `largest_loss` are negative; `returns`,
`bars` and `held_ns` are sums; `fills`, `notional` and `fees` are those of all fills, of open trades too."""

CLOSED_ORDER = _dtype(
    "quantity filled value price", "id symbol side type role parent status reason submitted closed tag"
)
"""An order folded from its events. `value` is the sum of filled size times price; `price` the working limit
or stop price (0: none); `status` the OrderEventKind that came last; `submitted` and `closed` are times, 0
while unknown."""

SESSION_END = _dtype("equity buy_and_hold", "ts_event")
"""Values at the last row of a session."""

TALLY = _dtype(
    "equity buy_and_hold leverage leverage_time max_leverage equity_sum",
    "rows first_ts last_ts session exposed_rows timed_ns",
)
"""Running sums over rows (one record). `leverage` is gross exposure over equity after the last row;
`leverage_time` its integral over `timed_ns` nanoseconds."""

DRAWDOWN = _dtype("peak depth", "peak_ts top_ts trough_ts recovery_ts longest_ns under started")
"""Drawdown of one curve so far. `depth` is the deepest, as a fraction of the peak before it; `top_ts`,
`trough_ts` and `recovery_ts` (0: not yet) are its times; `peak_ts` is the time of the running `peak`;
`longest_ns` the longest time from a peak to its recovery; `under` says whether the curve is below its peak
now."""

CHART_LINES = ("equity", "buy_and_hold", "drawdown", "exposure")
"""Columns of a chart's line matrix; `drawdown` is negative or 0, `exposure` is net exposure over equity."""
