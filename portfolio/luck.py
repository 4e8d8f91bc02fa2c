"""What the best of many trials shows by chance alone.

Source: Bailey and Lopez de Prado, "The Deflated Sharpe Ratio" (2014). Sharpe ratios here are those of one period
(a session) or annualised, as long as one call mixes no two kinds: the expected maximum is linear in them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from engine.types.blocks import Floats

EULER = 0.5772156649015329
_NORMAL = NormalDist()


def expected_maximum(trials: float) -> float:
    """About the expected maximum of so many independent standard normal numbers; 0 for one or fewer."""
    if trials <= 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return max(0.0, (1 - EULER) * first + EULER * second)


def luck(deviation: float, trials: float) -> float:
    """The Sharpe ratio that the best of so many trials without skill is expected to show.

    Args:
        deviation: Standard deviation of the Sharpe ratios of the trials.
        trials: How many were independent, see `independent_trials`.
    """
    return deviation * expected_maximum(trials)


def deflated_sharpe(sharpe: float, benchmark: float, periods: int, skew: float, kurtosis: float) -> float | None:
    """Probability that a Sharpe ratio exceeds what luck explains, given how the returns are distributed.

    Args:
        sharpe: Of one period, not annualised.
        benchmark: Likewise: that of luck.
        periods: How many returns it rests on.
        skew: Of the returns.
        kurtosis: Of the returns, not in excess: 3 for normal ones.

    Returns:
        The probability; None where there are too few periods, or these moments give no variance.
    """
    variance = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if periods < 2 or variance <= 0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(periods - 1) / math.sqrt(variance))


def independent_trials(returns: Sequence[Floats]) -> float:
    """How many independent trials these amount to, by the mean correlation of their returns.

    Args:
        returns: Of each trial, over the same periods, shape (periods,) each.

    Returns:
        Between 1 and their number: `c + (1 - c) * number`, c the mean correlation (0 where it is negative). Trials
        whose returns do not vary count for nothing.
    """
    if not returns:
        return 1.0
    table = np.stack(returns)
    centred = table - table.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    alive = norms > 1e-12
    count = int(alive.sum())
    if count < 2:
        return 1.0
    total = (centred[alive] / norms[alive, None]).sum(axis=0)
    mean = (float(total @ total) - count) / (count * (count - 1))
    correlation = min(max(mean, 0.0), 1.0)
    return correlation + (1 - correlation) * count
