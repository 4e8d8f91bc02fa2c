"""Columns of ticks: trades and quotes as they happened, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types.blocks import Floats, Ints

Sides = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class TickBlock:
    """Consecutive ticks, in order of time; several may share a time. How they are cut into blocks means nothing.

    A row with a price is a trade, one without a quote. A trade may carry the quote that held when it happened.

    Attributes:
        symbols: Names, S of them.
        codes: Number of each row's symbol, shape (n,).
        ts_event: When it happened, nanoseconds UTC, never decreasing, shape (n,).
        price: Of a trade, in quote currency; NaN in a quote. Shape (n,).
        size: Of a trade, in contracts; NaN where it is not known. Shape (n,).
        side: Who took: 1 the buyer, -1 the seller, 0 not known. Shape (n,).
        bid, ask: Best prices; NaN where not known. Shape (n,).
    """

    symbols: tuple[str, ...]
    codes: Ints
    ts_event: Ints
    price: Floats
    size: Floats
    side: Sides
    bid: Floats
    ask: Floats

    def __len__(self) -> int:
        return len(self.ts_event)

    def take(self, rows: Ints | slice) -> TickBlock:
        """The ticks at these places."""
        return TickBlock(self.symbols, *(getattr(self, name)[rows] for name in ARRAYS))


ARRAYS = ("codes", "ts_event", "price", "size", "side", "bid", "ask")


def join(blocks: Sequence[TickBlock]) -> TickBlock:
    """Consecutive blocks of the same symbols as one; at least one."""
    if len(blocks) == 1:
        return blocks[0]
    return TickBlock(
        blocks[0].symbols, *(np.concatenate([getattr(block, name) for block in blocks]) for name in ARRAYS)
    )
