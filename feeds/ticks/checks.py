"""Rules that a tick must keep by itself, and how the one who took is read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np
import pyarrow as pa

from engine.types.blocks import Bools, Floats
from feeds.reading.columns.casting import Array, is_text, plain, to_floats, trimmed, valid_mask
from feeds.ticks.blocks import Sides
from feeds.ticks.sides import SIDES


class TickFault(IntEnum):
    """What can be wrong with a tick; the first that holds is the one recorded."""

    NONE = 0
    TIME = 1
    SYMBOL = 2
    NUMBER = 3
    NOT_FINITE = 4
    NOT_POSITIVE = 5
    SIZE = 6
    CROSSED = 7
    SIDE = 8
    BACKWARDS = 9


TICK_REASONS: Final = {
    TickFault.TIME: "unreadable time",
    TickFault.SYMBOL: "missing symbol",
    TickFault.NUMBER: "unreadable number",
    TickFault.NOT_FINITE: "price missing or not finite",
    TickFault.NOT_POSITIVE: "price not positive",
    TickFault.SIZE: "size missing, negative or not finite",
    TickFault.CROSSED: "bid above ask",
    TickFault.SIDE: "unreadable side",
    TickFault.BACKWARDS: "time goes back",
}

_FLAGS: Final = {
    **dict.fromkeys(("true", "t", "1", "1.0", "yes"), -1),  # the buyer waited in the book: the seller took
    **dict.fromkeys(("false", "f", "0", "0.0", "no"), 1),
}
READABLE_FLAG: Final = "true or false (1 or 0), or nothing"


def read_sides(column: Array, *, flag: bool) -> tuple[Sides, Bools | None]:
    """Who took, of each trade.

    Args:
        column: Text, numbers whose sign tells, or booleans.
        flag: Whether it says that the buyer was the maker, so that the seller took.

    Returns:
        1 for the buyer, -1 for the seller and 0 where it is not known, shape (n,); and which cells hold something
        else, None if none does.
    """
    cells = plain(column)
    if pa.types.is_boolean(cells.type):
        known, true = valid_mask(cells), np.asarray(cells.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
        return np.where(known, np.where(true == flag, -1, 1), 0).astype(np.int8), None
    if is_text(cells.type):
        return _from_texts(cells, _FLAGS if flag else SIDES)
    numbers, _ = to_floats(cells)
    known = ~np.isnan(numbers)
    if flag:
        return np.where(known, np.where(numbers != 0.0, -1, 1), 0).astype(np.int8), None
    return np.sign(np.where(known, numbers, 0.0)).astype(np.int8), None


def _from_texts(cells: Array, meanings: Mapping[str, int]) -> tuple[Sides, Bools | None]:
    encoded = cells.dictionary_encode()
    words = [None if not word.is_valid else word.as_py() for word in trimmed(encoded.dictionary)]
    read = [0 if word is None else meanings.get(word.casefold()) for word in words]
    # one more, for cells that hold nothing
    sides = np.array([*(0 if side is None else side for side in read), 0], np.int8)
    wrong = np.array([*(side is None for side in read), False], np.bool_)
    at = np.asarray(encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False), np.int64)
    return sides[at], wrong[at] if wrong.any() else None


def check_ticks(
    columns: dict[str, Floats], *, sized: bool, quoted: bool
) -> np.ndarray[tuple[int], np.dtype[np.uint8]] | None:
    """Find what is wrong with each tick by itself.

    Where rows have quotes too, a price of 0 or none makes a row a quote, and a quote of 0 is not known.

    Args:
        columns: price, size, bid and ask, each of shape (n,); unknown prices become NaN.
        sized: Whether trades must have a size.
        quoted: Whether the file has bids and asks.

    Returns:
        The fault of each row, shape (n,); None if there is none.
    """
    price, size, bid, ask = (columns[name] for name in ("price", "size", "bid", "ask"))
    if quoted:
        for values in (price, bid, ask):
            values[values == 0.0] = np.nan
        is_quote = np.isnan(price)
        some = ~is_quote | (bid > 0.0) | (ask > 0.0)
        rules = [
            (TickFault.NOT_FINITE, ~some | np.isinf(price) | np.isinf(bid) | np.isinf(ask)),
            (TickFault.NOT_POSITIVE, (price < 0.0) | (bid < 0.0) | (ask < 0.0)),
            (TickFault.CROSSED, bid > ask),
        ]
        if sized:
            rules.append((TickFault.SIZE, ~is_quote & ~((size >= 0.0) & (size < np.inf))))
    else:
        good = (price > 0.0) & (price < np.inf)
        if sized:
            good &= (size >= 0.0) & (size < np.inf)
        if good.all():
            return None
        rules = [(TickFault.NOT_FINITE, ~np.isfinite(price)), (TickFault.NOT_POSITIVE, price <= 0.0)]
        if sized:
            rules.append((TickFault.SIZE, ~((size >= 0.0) & (size < np.inf))))
    faults = np.zeros(len(price), np.uint8)
    for fault, broken in reversed(rules):
        faults[broken] = fault
    return faults if faults.any() else None
