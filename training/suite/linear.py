"""What a linear regression makes of the strategic agent's windows: the least that a network should earn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from training.environment.kernels.layout import STRATEGIC_DUE
from training.environment.market import Market

MOST_DECISIONS = 60_000
CHUNK = 8192
PENALTIES = (1e2, 1e3, 1e4, 1e5)
"""Of standardised features, in decisions: what a coefficient costs."""

BANDS = 24
HELD_BACK = 0.25
"""Share of the training series on which penalty and band are chosen."""


class Stretch(NamedTuple):
    """Consecutive decisions within one source.

    Attributes:
        rows: At whose close a position is decided, shape (n,).
        ahead: Return from each fill to the fill of the next decision, shape (n,).
    """

    rows: Ints
    ahead: Floats


@dataclass(frozen=True)
class Linear:
    """A ridge regression of the next half hour's return, and a band in which what is held is kept.

    Attributes:
        mean, deviation: Of the features, shape (48 * 13,).
        weights: Of the standardised features, shape (48 * 13,).
        intercept: Mean return.
        band: Forecasts within it change nothing; infinite if no trade pays.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercept: float
    band: float

    def forecasts(self, market: Market, rows: Ints) -> Floats:
        """Of the return after each row, shape (n,)."""
        parts = [self.intercept + chunk @ self.weights for chunk in _standardised(market, rows, self)]
        return np.concatenate([np.empty(0), *parts]).astype(np.float64)

    def sides(self, market: Market, rows: Ints) -> Ints:
        """Short (-1), flat (0) or long (1) after each of consecutive decisions, from nothing held, shape (n,)."""
        return kept(self.forecasts(market, rows), self.band)


def fit(market: Market, ranges: Sequence[tuple[int, int]], cost: float) -> Linear:
    """Fit on ranges of rows; penalty and band are those that earn most on a quarter of the series, held back.

    Args:
        market: What the strategic agent sees, and the prices.
        ranges: First row and row after the last of each.
        cost: Of trading one unit, a fraction of the price.

    Raises:
        UsageError: If there are too few decisions.
    """
    series = [part for one in ranges for part in stretches(market, one)]
    if sum(len(part.rows) for part in series) < 1000:
        raise UsageError("a regression needs at least 1,000 decisions of the strategic agent", found=f"{len(series)}")
    every = -(-sum(len(part.rows) for part in series) // MOST_DECISIONS)
    series = series[::every]
    if len(series) == 1:
        only = series[0]
        cut = round((1.0 - HELD_BACK) * len(only.rows))
        series = [Stretch(only.rows[:cut], only.ahead[:cut]), Stretch(only.rows[cut:], only.ahead[cut:])]
    count = min(len(series) - 1, round((1.0 - HELD_BACK) * len(series)))
    first, back = _Moments.of(market, series[:count]), series[count:]
    tried = [first.solve(penalty) for penalty in PENALTIES]
    found = [best_band([(one.forecasts(market, part.rows), part.ahead) for part in back], cost) for one in tried]
    best = int(np.argmax([profit for profit, _ in found]))
    whole = first.joined(_Moments.of(market, back, like=first)).solve(PENALTIES[best])
    return Linear(whole.mean, whole.deviation, whole.weights, whole.intercept, found[best][1])


def stretches(market: Market, rows: tuple[int, int]) -> Iterator[Stretch]:
    """The decisions of each source within a range of rows that see a whole window, and what follows them."""
    for segment in market.segments:
        start, stop = max(rows[0], segment.start), min(rows[1], segment.stop)
        at = start + np.flatnonzero((market.due[start : max(start, stop - 1)] & STRATEGIC_DUE) > 0)
        at = at[market.strategic_end[at] >= 0]
        if len(at) > 1:
            price = market.bars.open[at + 1, 0]
            yield Stretch(at[:-1].astype(np.int64), price[1:] / price[:-1] - 1.0)


def kept(forecasts: Floats, band: float) -> Ints:
    """The side of each forecast beyond the band; in between, that of the last one beyond, or none; shape (n,)."""
    last = np.maximum.accumulate(np.where(np.abs(forecasts) > band, np.arange(len(forecasts)), -1))
    return np.where(last >= 0, np.sign(forecasts[last]), 0.0).astype(np.int64)


def best_band(series: Sequence[tuple[Floats, Floats]], cost: float) -> tuple[float, float]:
    """Largest profit of all series together, and its band; infinite if no profit is beyond its standard error.

    Args:
        series: Forecasts and returns of consecutive decisions, by source.
        cost: Of trading one unit, a fraction of the price.
    """
    sizes = np.abs(np.concatenate([forecasts for forecasts, _ in series]))
    best, chosen = 0.0, float("inf")
    for band in (0.0, *np.quantile(sizes, np.linspace(0.02, 0.998, BANDS)).tolist()):
        earned = np.array([_earned(kept(forecasts, band), ahead, cost) for forecasts, ahead in series])
        error = float(earned.std()) * float(np.sqrt(len(earned)))
        if float(earned.sum()) > max(best, error):
            best, chosen = float(earned.sum()), float(band)
    return best, chosen


def _earned(sides: Ints, ahead: Floats, cost: float) -> float:
    # what is held at the end is closed, so that no trade is free
    return float(sides @ ahead) - cost * float(np.abs(np.diff(sides, prepend=0, append=0)).sum())


class _Moments(NamedTuple):
    """Sums over decisions, of standardised features and of returns."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    squares: Floats
    products: Floats
    sums: Floats
    total: float
    decisions: int

    @classmethod
    def of(cls, market: Market, series: Sequence[Stretch], like: _Moments | None = None) -> _Moments:
        """Of these series, standardised by themselves or as others were."""
        rows = np.concatenate([part.rows for part in series])
        ahead = np.concatenate([part.ahead for part in series])
        if like is None:
            ends = market.strategic_end[rows]
            # one row of features stands for its 48 places in windows
            seen = market.strategic_rows[np.unique(ends) - 1].astype(np.float64)
            deviation = np.where(seen.std(axis=0) > 1e-9, seen.std(axis=0), 1.0)
            window = market.strategic_windows(ends[:1]).shape[1]
            mean, width = (np.tile(part, window).astype(np.float32) for part in (seen.mean(axis=0), deviation))
        else:
            mean, width = like.mean, like.deviation
        scale = Linear(mean, width, mean, 0.0, 0.0)
        size = len(mean)
        squares, products, sums, at = np.zeros((size, size)), np.zeros(size), np.zeros(size), 0
        for chunk in _standardised(market, rows, scale):
            squares += chunk.T @ chunk
            products += chunk.T @ ahead[at : at + len(chunk)].astype(np.float32)
            sums += chunk.sum(axis=0)
            at += len(chunk)
        return cls(mean, width, squares, products, sums, float(ahead.sum()), len(rows))

    def joined(self, other: _Moments) -> _Moments:
        """Of both; standardised alike."""
        return self._replace(
            squares=self.squares + other.squares,
            products=self.products + other.products,
            sums=self.sums + other.sums,
            total=self.total + other.total,
            decisions=self.decisions + other.decisions,
        )

    def solve(self, penalty: float) -> Linear:
        """The ridge regression, with a free intercept and no band."""
        centre, level = self.sums / self.decisions, self.total / self.decisions
        square = self.squares - self.decisions * np.outer(centre, centre) + penalty * np.eye(len(centre))
        weights = np.linalg.solve(square, self.products - self.decisions * centre * level)
        intercept = level - float(centre @ weights)
        return Linear(self.mean, self.deviation, weights.astype(np.float32), intercept, 0.0)


def _standardised(market: Market, rows: Ints, scale: Linear) -> Iterator[NDArray[np.float32]]:
    """Windows seen at rows, flat and standardised, a few thousand at a time."""
    for at in range(0, len(rows), CHUNK):
        ends = market.strategic_end[rows[at : at + CHUNK]]
        flat = market.strategic_windows(ends).reshape(len(ends), -1)
        yield (flat - scale.mean) / scale.deviation
