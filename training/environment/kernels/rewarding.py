"""The reward terms of a bar; `training.environment.rewards` gives the formulas."""

from __future__ import annotations

import math

from engine.base.compiled import inlined
from engine.types.blocks import Floats
from engine.types.records import Record
from training.environment.kernels.layout import AGENT_COUNT, Seen

PROFIT, COST, PENALTY, SHARPE, DRAWDOWN = range(5)
SPAN = 240.0  # bars, of the differential Sharpe ratio
ETA = 1.0 / SPAN
ROOT_SPAN = math.sqrt(SPAN)
MOST = 10.0
NOTHING = 1e-12  # share of the second moment below which the variance is rounding


@inlined
def differential_sharpe(episode: Record, x: float) -> float:
    """Take one return into the moving averages; returns what it adds to the Sharpe ratio per unit of eta."""
    average, square = episode.average, episode.square
    variance = square - average * average
    value = 0.0
    if variance > NOTHING * square:
        value = (square * (x - average) - 0.5 * average * (x * x - square)) / (variance * math.sqrt(variance))
        value = min(max(value, -MOST), MOST)
    episode.average = average + ETA * (x - average)
    episode.square = square + ETA * (x * x - square)
    return value


@inlined
def reward(account: Record, episode: Record, seen: Seen, weights: Floats, e: int, equity: float, fees: float) -> int:
    """Add the reward terms of the bar just taken; returns the term that is no finite number, or -1.

    Args:
        equity, fees: Of the account before the bar.
    """
    scale = 100.0 / account.initial
    x = (account.equity - equity) * scale
    c = (account.fees - fees) * scale
    present = 100.0 * (1.0 - account.equity / account.peak_equity)
    profit = weights[0] * (x + c)
    cost = -weights[0] * c
    penalty = -weights[1] * 0.5 * x * x
    sharpe = weights[2] * ROOT_SPAN * ETA * differential_sharpe(episode, x)
    drawdown = -weights[3] * (present - episode.drawdown)
    episode.drawdown = present
    for a in range(AGENT_COUNT):
        terms = seen.terms[e, a]
        terms[PROFIT] += profit
        terms[COST] += cost
        terms[PENALTY] += penalty
        terms[SHARPE] += sharpe
        terms[DRAWDOWN] += drawdown
        seen.rewards[e, a] = terms[0] + terms[1] + terms[2] + terms[3] + terms[4]
    if math.isfinite(profit + cost + penalty + sharpe + drawdown):
        return -1
    if not math.isfinite(profit):
        return PROFIT
    if not math.isfinite(cost):
        return COST
    if not math.isfinite(penalty):
        return PENALTY
    return SHARPE if not math.isfinite(sharpe) else DRAWDOWN
