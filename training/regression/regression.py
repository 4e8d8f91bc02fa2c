"""Ridge regressions of what a position earns after each decision of the strategic agent.

Around a forecast of 0 there is a band in which what is held is kept. Penalty, horizon and band are those that earn most
where each quarter of the sources is forecast from the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from training.environment.market import Market
from training.regression.decisions import NOTHING, Earning, Stretch, best_band, discounted, kept, stretches
from training.regression.moments import Moments
from training.regression.terms import Array, Terms

MOST_DECISIONS = 65_536
CHUNK = 8192
PENALTIES = (1e2, 1e3, 1e4, 3e4)
"""Of standardised terms, in decisions: what a weight costs."""
DISCOUNTS = (0.0, 0.5)
"""Of returns after the next half hour: a position is seldom closed so soon, and pays its cost once."""
FOLDS = 4
FEWEST = 1000


@dataclass(frozen=True, eq=False)
class Regression:
    """A forecast of returns, and when it is worth a trade.

    Attributes:
        terms: What is made of a window, k numbers.
        mean, deviation: Of the features, float32, shape (13,).
        weights: Of the terms, shape (k,).
        intercept: Forecast where all terms are 0.
        earning: On decisions that were not fitted; its band is infinite if no trade pays.
        decisions: How many there were.
        unseen: Rows of consecutive decisions and their forecasts by the other quarters, by source and quarter.
    """

    terms: Terms
    mean: Array
    deviation: Array
    weights: Floats
    intercept: float
    earning: Earning
    decisions: int
    unseen: tuple[tuple[Ints, Floats], ...] = ()

    def forecasts(self, market: Market, rows: Ints) -> Floats:
        """Of the return after each row, shape (n,)."""
        weights = self.weights.astype(np.float32)
        parts = [chunk @ weights for chunk in _chunks(market, rows, self.terms, self.mean, self.deviation)]
        return np.concatenate([np.empty(0), *parts]).astype(np.float64) + self.intercept

    def sides(self, market: Market, rows: Ints) -> Ints:
        """Short (-1), flat (0) or long (1) after each of consecutive decisions, from nothing held, shape (n,)."""
        return kept(self.forecasts(market, rows), self.earning.band)


def decisions_in(market: Market, ranges: Sequence[tuple[int, int]]) -> list[Stretch]:
    """The decisions of ranges of rows; of many, those of every second source, or third, and so on."""
    series = [part for one in ranges for part in stretches(market, one)]
    return series[:: max(1, -(-sum(len(part.rows) for part in series) // MOST_DECISIONS))]


def fit(
    market: Market,
    ranges: Sequence[tuple[int, int]],
    cost: float,
    terms: Terms,
    discounts: Sequence[float] = DISCOUNTS,
    fewest: int = FEWEST,
) -> Regression:
    """Fit on ranges of rows.

    Args:
        market: What the strategic agent sees, and the prices.
        ranges: First row and row after the last of each.
        cost: Of trading one unit, a fraction of the price.
        terms: What is regressed on.
        discounts: Horizons to choose from.
        fewest: Decisions that it needs.

    Raises:
        UsageError: If there are too few decisions.
    """
    series = decisions_in(market, ranges)
    found = sum(len(part.rows) for part in series)
    if found < fewest:
        raise UsageError(f"a regression needs at least {fewest:,} decisions of the strategic agent", found=f"{found}")
    folds = _folds(series)
    ends = np.unique(market.strategic_end[np.concatenate([part.rows for part in series])])
    # one row of features stands for its 48 places in windows
    seen = market.strategic_rows[ends - 1].astype(np.float64)
    deviation = np.where(seen.std(axis=0) > 1e-9, seen.std(axis=0), 1.0).astype(np.float32)
    scale = _Scale(terms, seen.mean(axis=0).astype(np.float32), deviation)
    parts = [_moments(market, fold, scale, discounts) for fold in folds]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.plus(part)
    spread = whole.deviations()
    earning, penalty, which, forecasts = _chosen(market, folds, parts, whole, spread, scale, cost)
    unseen = zip((part.rows for fold in folds for part in fold), forecasts, strict=True)
    weights, intercepts = whole.solve(penalty, spread)
    return Regression(*scale, weights[:, which], float(intercepts[which]), earning, whole.decisions, tuple(unseen))


class _Scale(NamedTuple):
    terms: Terms
    mean: Array
    deviation: Array


def _folds(series: Sequence[Stretch]) -> list[list[Stretch]]:
    """Quarters of the sources; of fewer sources than quarters, quarters of each."""
    if len(series) >= FOLDS:
        cuts = [round(fold * len(series) / FOLDS) for fold in range(FOLDS + 1)]
        return [list(series[start:stop]) for start, stop in itertools.pairwise(cuts)]
    split = [(np.array_split(part.rows, FOLDS), np.array_split(part.ahead, FOLDS)) for part in series]
    return [[Stretch(rows[fold], ahead[fold]) for rows, ahead in split] for fold in range(FOLDS)]


def _moments(market: Market, fold: Sequence[Stretch], scale: _Scale, discounts: Sequence[float]) -> Moments:
    rows = np.concatenate([part.rows for part in fold])
    targets = np.concatenate([np.stack([discounted(part.ahead, one) for one in discounts], axis=1) for part in fold])
    found, at = None, 0
    for chunk in _chunks(market, rows, *scale):
        part = Moments.of(chunk, targets[at : at + len(chunk)])
        found, at = part if found is None else found.plus(part), at + len(chunk)
    assert found is not None  # noqa: S101 - a fold has decisions
    return found


def _chosen(
    market: Market,
    folds: Sequence[Sequence[Stretch]],
    parts: Sequence[Moments],
    whole: Moments,
    spread: Floats,
    scale: _Scale,
    cost: float,
) -> tuple[Earning, float, int, list[Floats]]:
    """What earns most of decisions that were not fitted: earning, penalty, number of the discount, and forecasts."""
    count = len(whole.totals)
    series: list[list[tuple[Floats, Floats]]] = [[] for _ in range(len(PENALTIES) * count)]
    for fold, part in zip(folds, parts, strict=True):
        solved = [whole.plus(part, -1).solve(penalty, spread) for penalty in PENALTIES]
        weights = np.concatenate([one for one, _ in solved], axis=1).astype(np.float32)
        intercepts = np.concatenate([one for _, one in solved])
        rows = np.concatenate([stretch.rows for stretch in fold])
        found = np.concatenate([chunk @ weights for chunk in _chunks(market, rows, *scale)]) + intercepts
        cuts = np.cumsum([len(stretch.rows) for stretch in fold])[:-1]
        for forecasts, stretch in zip(np.split(found, cuts), fold, strict=True):
            for column, kind in enumerate(series):
                kind.append((forecasts[:, column], stretch.ahead))
    best, chosen = NOTHING, 0
    for column, kind in enumerate(series):
        earning = best_band(kind, cost)
        if earning.profit > best.profit:
            best, chosen = earning, column
    return best, PENALTIES[chosen // count], chosen % count, [forecasts for forecasts, _ in series[chosen]]


def _chunks(market: Market, rows: Ints, terms: Terms, mean: Array, deviation: Array) -> Iterator[Array]:
    """Terms of the windows seen at rows, a few thousand at a time."""
    for at in range(0, len(rows), CHUNK):
        windows = market.strategic_windows(market.strategic_end[rows[at : at + CHUNK]])
        yield terms((windows - mean) / deviation)
