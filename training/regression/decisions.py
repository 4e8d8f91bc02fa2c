"""Consecutive decisions of the strategic agent, what they would earn, and when what is held is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats, Ints
from training.environment.kernels.layout import STRATEGIC_DUE
from training.environment.market import Market

BANDS = 24


class Stretch(NamedTuple):
    """Consecutive decisions within one source.

    Attributes:
        rows: At whose close a position is decided, shape (n,).
        ahead: Return from each fill to the fill of the next decision, shape (n,).
    """

    rows: Ints
    ahead: Floats


def stretches(market: Market, rows: tuple[int, int]) -> Iterator[Stretch]:
    """The decisions of each source within a range of rows that see a whole window, and what follows them."""
    for segment in market.segments:
        start, stop = max(rows[0], segment.start), min(rows[1], segment.stop)
        at = start + np.flatnonzero((market.due[start : max(start, stop - 1)] & STRATEGIC_DUE) > 0)
        at = at[market.strategic_end[at] >= 0]
        if len(at) > 1:
            price = market.bars.open[at + 1, 0]
            yield Stretch(at[:-1].astype(np.int64), price[1:] / price[:-1] - 1.0)


def discounted(ahead: Floats, discount: float) -> Floats:
    """Weighted mean of each return and those after it, weights falling by `discount`, shape (n,); 0 leaves them."""
    found, later = np.empty(len(ahead)), 0.0
    for at in range(len(ahead) - 1, -1, -1):
        later = (1.0 - discount) * float(ahead[at]) + discount * later
        found[at] = later
    return found


def kept(forecasts: Floats, band: float) -> Ints:
    """The side of each forecast beyond the band; in between, that of the last one beyond, or none; shape (n,)."""
    last = np.maximum.accumulate(np.where(np.abs(forecasts) > band, np.arange(len(forecasts)), -1))
    return np.where(last >= 0, np.sign(forecasts[last]), 0.0).astype(np.int64)


class Earning(NamedTuple):
    """What a band earns in units of the price, over all series together, and its standard error."""

    profit: float
    error: float
    band: float


NOTHING = Earning(0.0, 0.0, float("inf"))


def best_band(series: Sequence[tuple[Floats, Floats]], cost: float) -> Earning:
    """The band of the largest profit; an infinite one if no profit is beyond its standard error.

    Args:
        series: Forecasts and returns of consecutive decisions, by source.
        cost: Of trading one unit, a fraction of the price.
    """
    forecasts, ahead = (np.concatenate(parts) for parts in zip(*series, strict=True))
    starts = np.cumsum([0, *(len(part) for part, _ in series[:-1])])
    first = np.repeat(starts, [len(part) for part, _ in series])
    ends = np.concatenate((starts[1:], [len(forecasts)])) - 1
    sizes, signs, at = np.abs(forecasts), np.sign(forecasts), np.arange(len(forecasts))
    best = NOTHING
    for band in (0.0, *np.quantile(sizes, np.linspace(0.02, 0.998, BANDS)).tolist()):
        # `kept` of all sources at once: what was held in the source before counts for nothing
        last = np.maximum.accumulate(np.where(sizes > band, at, -1))
        sides = np.where(last >= first, signs[last], 0.0)
        before = np.concatenate(([0.0], sides[:-1]))
        before[starts] = 0.0
        paid = np.abs(sides - before)
        # what is held at the end is closed, so that no trade is free
        paid[ends] += np.abs(sides[ends])
        earned = np.add.reduceat(sides * ahead - cost * paid, starts)
        found = Earning(float(earned.sum()), float(earned.std()) * float(np.sqrt(len(earned))), float(band))
        if found.profit > max(best.profit, found.error):
            best = found
    return best
