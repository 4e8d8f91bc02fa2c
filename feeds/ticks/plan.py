"""What one file of trades or quotes holds, found by a look at its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.base.errors import UsageError
from feeds.reading.columns.casting import to_floats, trimmed
from feeds.reading.columns.numbers import plain_numbers
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.formats.importing import Importing
from feeds.reading.plan import HEAD_ROWS, FilePlan, planned
from feeds.reading.times.column import DateOrder
from feeds.ticks.columns import TickColumns, match_ticks
from feeds.ticks.spec import BarSpec

TRADE_ACTIONS: Final = ("t", "trade")
"""What the column `action` says of a trade, where a file has events of other kinds too."""


@dataclass(frozen=True, slots=True)
class TickPlan:
    """How to read one file of ticks.

    Attributes:
        plan: Its times, zone, symbols and numbers.
        columns: Where everything is.
        trades: Whether bars are made of its trades; otherwise of the mid prices of its quotes.
        reason: Why, a clause.
    """

    plan: FilePlan
    columns: TickColumns
    trades: bool
    reason: str

    @property
    def sized(self) -> bool:
        """Whether its trades have sizes."""
        return "size" in self.columns.map.values

    @property
    def quoted(self) -> bool:
        """Whether it has bids and asks."""
        return not self.columns.map.values.keys().isdisjoint({"bid", "ask"})


def plan_ticks(file: BarFile, zone: str | None, order: DateOrder, how: Importing, spec: BarSpec) -> TickPlan:
    """Look at the head of a file.

    Args:
        zone: IANA name of the zone of times without an offset; None takes that of the file's format, or UTC.
        order: Whether 01/02/2024 is in January or in February, if the dates do not tell.
        how: What the user says of columns.
        spec: What bars are to be made.

    Raises:
        DataError: If it is damaged, lacks a column, holds no rows, or none of its times can be read.
        UsageError: If it has not what the bars are to be made of.
    """
    columns = match_ticks(file, how)
    plan = planned(file, columns.map, zone, order, ticks=True)
    has_trades, reason = _has_trades(plan, columns)
    has_quotes = {"bid", "ask"} <= columns.map.values.keys()
    found = TickPlan(plan, columns, has_trades and spec.prices != "quotes", reason)
    if (spec.prices == "quotes" and not has_quotes) or (spec.prices == "trades" and not has_trades):
        raise UsageError(
            f"the file has no {spec.prices}",
            where=file.source,
            expected="bid and ask" if spec.prices == "quotes" else "a price",
            found=", ".join(f"{role} ({name})" for role, name in columns.by_role.items()),
        )
    if spec.needs_sizes and not (found.trades and found.sized):
        what = "quotes have none" if not found.trades else "it has no column for them"
        raise UsageError(
            f"{spec.described} need the sizes of trades, and {what}",
            where=file.source,
            expected="bars that need none: time:1min, tick:500, imbalance:tick:500 or renko:10",
            found=", ".join(f"{role} ({name})" for role, name in columns.by_role.items()),
        )
    return found


def is_trade(batch: FileBatch, columns: TickColumns) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """Which events are trades, shape (n,); None if the file has no column that says so."""
    if "action" not in columns.telling:
        return None
    words = trimmed(batch.columns[columns.telling["action"]]).to_pylist()
    return np.array([word is not None and word.casefold() in TRADE_ACTIONS for word in words], np.bool_)


def _has_trades(plan: FilePlan, columns: TickColumns) -> tuple[bool, str]:
    """Whether the head of a file has trades, and why it is thought so."""
    if "price" not in columns.map.values:
        return False, "it has bids and asks and no prices of trades"
    at, rows = columns.map.values["price"], 0
    for batch in plan.file.batches(columns.used):
        price, _ = to_floats(plain_numbers(batch.columns[at], plan.numbers))
        traded = is_trade(batch, columns)
        if bool((price[traded] > 0.0).any() if traded is not None else (price > 0.0).any()):
            return True, "it has prices of trades"
        rows += len(batch.lines)
        if rows >= HEAD_ROWS:
            break
    return False, "none of its first rows is a trade"
