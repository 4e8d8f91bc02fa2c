"""Bars of an order book as the fill model takes them."""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Floats
from engine.types.records import BookRows

MOST_LEVELS: Final = 50
PLACES: Final = MOST_LEVELS + 2
"""Of the table of what was taken from one side: as many as can be shown, and what is taken at other prices in a row."""
_KINDS: Final = ("bid", "bid_size", "ask", "ask_size")
_REACH: Final = ("lowest_ask", "lowest_ask_size", "highest_bid", "highest_bid_size")


def nothing_taken(symbols: int) -> Floats:
    """The table of what was taken from the book, empty: shape (S, 2, PLACES, 2)."""
    return np.zeros((symbols, 2, PLACES, 2))


def book_rows(block: BarBlock, taken: Floats) -> BookRows:
    """A block with its books.

    Args:
        taken: State, changed by kernels.

    Raises:
        UsageError: If the bars are not those of an order book.
    """
    depth = sum(_named("arrival_bid", level) in block.extra for level in range(1, MOST_LEVELS + 1))
    needed = [*_REACH, *(_named(kind, level) for kind in _KINDS for level in range(1, depth + 1))]
    missing = [name for name in needed if name not in block.extra]
    if not depth or missing:
        raise UsageError(
            "fills against the book need bars of an order book",
            where="execution.fills",
            expected=f"columns such as {missing[0] if depth else 'arrival_bid'}",
            found=", ".join(block.extra) or "bars of prices and volume",
            hint="read the book itself (--data FILE.dbn.zst --bars time:1min), or set execution.fills=bars",
        )
    parts = [
        [[block.extra[_named(prefix + kind, level)] for level in range(1, depth + 1)] for kind in _KINDS]
        for prefix in ("arrival_", "")
    ]
    levels = np.ascontiguousarray(np.moveaxis(np.array(parts), (3, 4), (0, 1)))
    reach = np.ascontiguousarray(np.stack([block.extra[name] for name in _REACH], axis=-1))
    return BookRows(*block.kernel_view(), levels, reach, taken)


def _named(column: str, level: int) -> str:
    return column if level == 1 else f"{column}_{level}"
