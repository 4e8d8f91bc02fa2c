"""A run beside the result of holding the market.

The benchmark is buy-and-hold of the traded symbols (equal shares, bought at the first close, no leverage, no fees),
or a series of prices that the user names. Returns of both are compared over the same periods; the risk-free rate is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.types.blocks import Floats, Ints
from portfolio.ratios import Metrics, compounded, deviation_of, disperse, finite, ratio, risk_adjusted

BUY_AND_HOLD = "buy and hold"
FEWEST_RETURNS = 3
LARGEST_SHARE = 100.0
"""Nobody borrows more than so many times what they own to reach an equal risk."""


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Prices of a benchmark.

    Attributes:
        name: For reading: its file or symbol.
        ts_event: Close times, nanoseconds UTC, ascending, shape (n,).
        close: Positive prices, shape (n,).
    """

    name: str
    ts_event: Ints
    close: Floats

    def growth(self, times: Ints, since: int) -> Floats:
        """Value at each time of one unit of money invested at `since`, or at the first price after it; shape (m,)."""
        begin = max(int(np.searchsorted(self.ts_event, since, side="right")) - 1, 0)
        at = np.searchsorted(self.ts_event, times, side="right") - 1
        growth: Floats = self.close[np.maximum(at, begin)] / self.close[begin]
        return growth

    def depth(self, since: int, until: int) -> float:
        """Deepest decline from a peak between two times, as a positive fraction."""
        inside = self.ts_event[(self.ts_event > since) & (self.ts_event <= until)]
        curve = np.concatenate([[1.0], self.growth(inside, since)])
        return float((1 - curve / np.maximum.accumulate(curve)).max())


def benchmark_metrics(own: Floats, held: Floats, periods_per_year: float, leverage: float | None) -> Metrics:
    """The benchmark's own figures, and the run's in relation to it.

    - `alpha`, `beta` (Jensen, 1968): beta is the covariance of both returns over the variance of the benchmark's; alpha
      the mean of `own - beta * held`, compounded to a year as empyrical does.
    - `tracking_error`: standard deviation of `own - held`, times the root of the returns a year.
    - `information_ratio` (Grinold and Kahn, Active Portfolio Management, 1999): the mean of `own - held` over a year,
      divided by the tracking error.
    - `benchmark_at_exposure_return`: the benchmark held at the run's mean leverage, rebalanced at every return.
    - `equal_risk_return`: the benchmark held at the leverage at which it has the run's volatility.

    Args:
        own: Returns of the run, shape (n,).
        held: Those of the benchmark over the same periods, shape (n,).
        leverage: Mean gross exposure over equity of the run.
    """
    total, judged = compounded(own), risk_adjusted(held, periods_per_year)
    volatility, other = risk_adjusted(own, periods_per_year)["annual_volatility"], judged["annual_volatility"]
    share = ratio(volatility, other) if isinstance(volatility, float) and isinstance(other, float) else None
    at_exposure = None if leverage is None else compounded(held, leverage)
    at_risk = None if share is None or share > LARGEST_SHARE or not disperse(held) else compounded(held, share)
    return {
        "benchmark_sharpe": judged["sharpe"],
        "benchmark_volatility": judged["annual_volatility"],
        "benchmark_at_exposure_return": at_exposure,
        "excess_at_exposure": _difference(total, at_exposure),
        "equal_risk_return": at_risk,
        "excess_at_equal_risk": _difference(total, at_risk),
        **_regression(own, held, periods_per_year),
    }


def _regression(own: Floats, held: Floats, periods_per_year: float) -> Metrics:
    metrics: Metrics = dict.fromkeys(("alpha", "beta", "correlation", "tracking_error", "information_ratio"))
    if len(own) < FEWEST_RETURNS:
        return metrics
    active = own - held
    # the difference of two even series is what their rounding and a remainder of cash leave
    uneven = disperse(active) and (disperse(own) or disperse(held))
    deviation = deviation_of(active)
    metrics["tracking_error"] = finite(deviation * math.sqrt(periods_per_year))
    metrics["information_ratio"] = (
        ratio(float(active.mean()) * math.sqrt(periods_per_year), deviation) if uneven else None
    )
    if not disperse(held):
        return metrics
    covariance = np.cov(own, held)
    beta = float(covariance[0, 1] / covariance[1, 1])
    metrics["beta"] = finite(beta)
    metrics["alpha"] = finite(float(np.power(1 + (own - beta * held).mean(), periods_per_year)) - 1)
    if disperse(own):
        metrics["correlation"] = finite(float(np.clip(np.corrcoef(own, held)[0, 1], -1.0, 1.0)))
    return metrics


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
