"""One continuous series of prices out of the contracts of a future."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from engine.types.blocks import PRICE_COLUMNS, BarBlock
from feeds.contracts.rolls import Roll

Adjust = Literal["none", "difference", "ratio"]


def continuous(
    blocks: Iterable[BarBlock], order: Sequence[str], rolls: Sequence[Roll], adjust: Adjust, name: str
) -> Iterator[BarBlock]:
    """The bars of the contract that counts in each row; rows in which it has none are left out.

    Args:
        blocks: Rows of all contracts, side by side.
        order: Names of the contracts.
        rolls: Between them, in order.
        adjust: `none` leaves prices, and a jump at each roll. `difference` adds to earlier contracts the sum of the
            gaps that follow, `ratio` multiplies them by the product of the ratios: there are no jumps, and earlier
            prices are none that traded. Levels then depend on later rolls; differences, or ratios, of prices do not.
        name: Of the series.
    """
    times = np.array([roll.from_ns for roll in rolls], np.int64)
    shifts = np.array([roll.gap for roll in rolls] + [0.0])[::-1].cumsum()[::-1] if adjust == "difference" else None
    factors = np.array([roll.new / roll.old for roll in rolls] + [1.0])[::-1].cumprod()[::-1]
    seq = 0
    for block in blocks:
        which = np.searchsorted(times, block.ts_event, side="left")
        column = np.array([block.symbols.index(one) for one in order])[which]
        rows = np.flatnonzero(block.present[np.arange(len(block)), column])
        if not len(rows):
            continue
        at, contract = (rows, column[rows]), which[rows]
        prices = {key: getattr(block, key)[at] for key in PRICE_COLUMNS}
        if shifts is not None:
            prices = {key: values + shifts[contract] for key, values in prices.items()}
        elif adjust == "ratio":
            prices = {key: values * factors[contract] for key, values in prices.items()}
        made = BarBlock.from_columns(
            (name,),
            block.ts_event[rows],
            {**prices, "volume": block.volume[at]},
            np.ones((len(rows), 1), np.bool_),
            extra={key: values[at] for key, values in block.extra.items()},
        )
        yield replace(made, seq=seq)
        seq += len(rows)
