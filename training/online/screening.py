"""Bars that nobody should learn from: numbers that are none, prices that cannot be, and spikes.

A poisoned bar moves a worth by more than a month of trading does. What is found here ends the job before anything is
learned; the row and the column are named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.types.blocks import PRICE_COLUMNS, BarBlock, Floats

MOST_JUMP = 0.25
"""Largest change of a price from one bar to the next, as a share: exchanges halt trading long before."""
SPIKE = 30.0
"""How far a bar may reach beyond its neighbours, in typical ranges of a bar, where the price comes back at once."""
LEAST_SPIKE = 0.005
"""Reach below which nothing is a spike, as a share of the price."""


@dataclass(frozen=True)
class Poison:
    """The first bar of a block that cannot be believed.

    Attributes:
        row: Number of the row within the stream.
        what: In plain words.
    """

    row: int
    what: str


_Said = Callable[[int, str], Poison]


def find_poison(block: BarBlock) -> Poison | None:
    """The first bar that cannot be believed, of any symbol.

    Args:
        block: Rows; absent bars are left out.
    """
    found = [one for number in range(len(block.symbols)) if (one := _of_symbol(block, number)) is not None]
    return min(found, key=lambda one: one.row) if found else None


def _of_symbol(block: BarBlock, number: int) -> Poison | None:
    rows = np.flatnonzero(block.present[:, number])
    if not len(rows):
        return None
    prices = {name: getattr(block, name)[rows, number] for name in PRICE_COLUMNS}
    volume = block.volume[rows, number]
    symbol = block.symbols[number]

    def said(at: int, what: str) -> Poison:
        return Poison(int(block.seq + rows[at]), f"{symbol} at row {block.seq + int(rows[at]):,}: {what}")

    for name, values in prices.items():
        wrong = ~np.isfinite(values) | (values <= 0.0)
        if wrong.any():
            at = int(np.argmax(wrong))
            return said(at, f"{name} is {values[at]:g}, which is no price above 0")
    negative = np.isinf(volume) | (volume < 0.0)
    if negative.any():
        at = int(np.argmax(negative))
        return said(at, f"the volume is {volume[at]:g}")
    return _shape(prices, said) or _moves(prices, said)


def _shape(prices: dict[str, Floats], said: _Said) -> Poison | None:
    low, high = prices["low"], prices["high"]
    inner = [prices["open"], prices["close"]]
    wrong = (low > np.minimum(*inner)) | (high < np.maximum(*inner))
    if not wrong.any():
        return None
    at = int(np.argmax(wrong))
    return said(at, f"open or close lies outside of low {low[at]:g} and high {high[at]:g}")


def _moves(prices: dict[str, Floats], said: _Said) -> Poison | None:
    close = prices["close"]
    before = np.concatenate([prices["open"][:1], close[:-1]])
    after = np.concatenate([close[1:], close[-1:]])
    jump = np.maximum(prices["high"] / before, before / prices["low"]) - 1.0
    # from where the price was to where it is next: what lies beyond both came back at once
    high, low = np.maximum(before, after), np.minimum(before, after)
    reach = np.maximum(prices["high"] / high, low / prices["low"]) - 1.0
    typical = float(np.median(prices["high"] / prices["low"] - 1.0))
    spike = (reach > SPIKE * typical) & (reach > LEAST_SPIKE)
    wrong = (jump > MOST_JUMP) | spike
    if not wrong.any():
        return None
    at = int(np.argmax(wrong))
    if jump[at] > MOST_JUMP:
        return said(at, f"the price moves by {jump[at]:.0%} within a bar, more than {MOST_JUMP:.0%}")
    return said(at, f"a spike of {reach[at]:.1%}, {reach[at] / max(typical, 1e-12):,.0f} times a typical range")
