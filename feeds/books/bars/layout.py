"""The columns of bars that are made of order books, and the records that carry an unfinished one."""

from __future__ import annotations

from typing import Final

import numpy as np

HEAD: Final = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "trades",
    "signed_volume",
    "spread",
    "microprice",
    "depth_slope",
    "lowest_ask",
    "lowest_ask_size",
    "highest_bid",
    "highest_bid_size",
)
"""Columns that are there once; prices are mid prices."""
LEVEL_COLUMNS: Final = ("bid", "bid_size", "ask", "ask_size", "imbalance", "order_flow_imbalance")
"""Columns of each level at the close of the bar."""
ARRIVAL_COLUMNS: Final = ("arrival_bid", "arrival_bid_size", "arrival_ask", "arrival_ask_size")
"""Columns of each level when orders arrive that were decided at the close of the bar before."""

BAR_PARAMS = np.dtype([(name, np.int64) for name in ("timeframe", "latency", "stands")] + [("size_unit", np.float64)])
"""Lengths in nanoseconds; `stands` is how long a book without messages is taken for known; `size_unit` is what a size
of 1 is worth in contracts."""

BAR_STATE = np.dtype(
    [(name, np.int64) for name in ("end", "last_ts", "arrived", "known", "arrival_known", "snapshot")]
    + [(name, np.int64) for name in ("lowest_ask", "lowest_ask_size", "highest_bid", "highest_bid_size")]
    + [(name, np.int64) for name in ("volume", "trades", "signed")]
    + [(name, np.float64) for name in ("open", "high", "low", "close")]
)
"""The unfinished bar: when it ends (the smallest integer before the first), the time of the last message, whether
orders have arrived in it, whether the book is known now and was known then, whether the current event has a snapshot;
the best prices since orders arrived, and their sizes; what was traded; and its mid prices, NaN before there is one."""


def named(column: str, level: int) -> str:
    """The name of a column of a level, counted from 1: `bid`, then `bid_2`."""
    return column if level == 1 else f"{column}_{level}"


def column_names(levels: int) -> tuple[str, ...]:
    """All columns in the order in which the kernel writes them."""
    book = [named(column, level) for level in range(1, levels + 1) for column in LEVEL_COLUMNS]
    arrival = [named(column, level) for level in range(1, levels + 1) for column in ARRIVAL_COLUMNS]
    return (*HEAD, *book, *arrival)
