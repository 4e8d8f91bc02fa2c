"""Figures of a series of returns: growth, risk, and both beside each other.

The risk-free rate is 0 throughout. Source of the definitions of Sharpe, Sortino, volatility, omega, tail ratio, VaR and
CVaR: empyrical-reloaded, which the tests hold them against (importing it takes longer than a backtest). What is not
defined is None, never NaN or infinity.
"""

from __future__ import annotations

import math

import numpy as np

from engine.types.blocks import Floats
from portfolio.frequency import DAYS_A_YEAR

Metrics = dict[str, float | int | str | None]
ROUNDING = 1e-12
"""Returns closer to 0 than this are rounding of the sums that they come from."""

ALIKE = 1e-2
"""Returns whose range is a smaller share of the largest one do not vary.

A price is known to half a unit of its last decimal, so returns of a price that grows evenly still differ by up to two
units over the price: at 100.000000 by 2e-8, which is a hundredth of a return of 0.0002 %; cash that is left over adds
as much. The prices are gone where returns are judged, hence one share for all. No market moves so evenly: a ratio of
mean and deviation beyond it, a Sharpe ratio of thousands, would be a measure of decimals and not of risk.
"""


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def ratio(numerator: float, denominator: float) -> float | None:
    """The quotient, or None where it is not defined."""
    return finite(numerator / denominator) if denominator else None


def session_returns(values: Floats, initial: float) -> Floats:
    """Return of each session; 0 from the session on that began with nothing."""
    before = np.concatenate([[initial], values[:-1]]) if len(values) else values
    worth = np.minimum.accumulate(before) > 0
    returns: Floats = np.divide(values - before, before, out=np.zeros(len(values)), where=worth)
    return returns


def compounded(returns: Floats, share: float = 1.0) -> float | None:
    """What returns compound to for an account that holds `share` times its equity, rebalanced at every return.

    Args:
        returns: Simple returns, shape (n,).
        share: 0.5 holds half in cash; 2 borrows as much as it owns, free of interest. At a loss of everything it ends.
    """
    return finite(float(np.prod(np.maximum(1 + share * returns, 0.0))) - 1)


def yearly_growth(total: float, days: float) -> float | None:
    """CAGR, `(1 + total) ** (365.25 / days) - 1`, days by the calendar; -1 where everything is lost."""
    if days <= 0:
        return None
    if total <= -1:
        return -1.0
    try:
        return finite((1 + total) ** (DAYS_A_YEAR / days) - 1)
    except OverflowError:
        return None


def risk_adjusted(returns: Floats, periods_per_year: float) -> Metrics:
    """Annualised and risk-adjusted figures of returns, by the definitions of empyrical.

    Args:
        returns: Simple returns, shape (n,).
    """
    names = ("annual_volatility", "sharpe", "sortino", "omega", "tail_ratio", "var_95", "cvar_95", "skew", "kurtosis")
    metrics: Metrics = dict.fromkeys(names)
    if len(returns) < 2:
        return metrics
    mean, root = float(returns.mean()), math.sqrt(periods_per_year)
    low, high = (float(np.percentile(returns, share)) for share in (5, 95))
    tail = np.sort(returns)[: int((len(returns) - 1) * 0.05) + 1]
    deviation, varied = deviation_of(returns), disperse(returns)
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    fourth = _standardised_moment(returns, 4)
    return metrics | {
        "annual_volatility": finite(deviation * root),
        "sharpe": ratio(mean * root, deviation) if varied else None,
        "sortino": ratio(mean * root, downside) if varied else None,
        "omega": ratio(float(returns[returns > 0].sum()), -float(returns[returns < 0].sum())),
        "tail_ratio": ratio(abs(high), abs(low)),
        "var_95": finite(low),
        "cvar_95": finite(float(tail.mean())),
        "skew": _standardised_moment(returns, 3),
        "kurtosis": None if fourth is None else fourth - 3.0,
    }


def deviation_of(returns: Floats) -> float:
    """Standard deviation; 0 where they differ by the rounding of sums only."""
    return float(returns.std(ddof=1)) if np.ptp(returns) > ROUNDING else 0.0


def disperse(returns: Floats) -> bool:
    """Whether returns differ by more than the rounding of sums and prices."""
    spread = float(np.ptp(returns))
    return spread > ROUNDING and spread > ALIKE * float(np.abs(returns).max())


def _standardised_moment(returns: Floats, order: int) -> float | None:
    if not disperse(returns):
        return None
    deviations = returns - returns.mean()
    # scaled first, or powers of tiny returns underflow
    deviations /= np.abs(deviations).max()
    variance = float((deviations**2).mean())
    return finite(float((deviations**order).mean()) / variance ** (order / 2))
