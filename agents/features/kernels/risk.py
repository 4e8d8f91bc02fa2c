"""The ten risk metrics of the portfolio, called inside the simulator's scan.

The state is a record of 8-byte fields, so that a compiled strategy can keep it in the first places of its `memory`:
`memory[:RISK_PLACES].view(RISK_STATE)[0]`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.base.compiled import inlined, kernel

SPAN = 240
DECAY = 1.0 - 2.0 / (SPAN + 1)
HORIZON = math.sqrt(SPAN)
QUANTILE = 1.645  # of the standard normal distribution, 95 percent
LEVERAGE, USAGE, UNREALIZED, VOLATILITY, SHARPE, LONGEST = 20.0, 4.0, 2.0, 2.0, 5.0, 4.0  # the ends of ranges

RISK_STATE = np.dtype([(name, np.float64) for name in ("equity", "weight", "mean", "squares", "held")])
"""Equity of the row before (0 before the first), then weight, mean and weighted squared deviations of the equity
returns, and rows since the book was last flat."""

RISK_PLACES = RISK_STATE.itemsize // 8
"""How many float64 places the state takes."""


@inlined
def clipped(value: float, low: float, high: float) -> float:
    """The value within its range."""
    return min(max(value, low), high)


@inlined
def over_equity(value: float, equity: float, most: float) -> float:
    """A share of equity within -most..most; anything but nothing is the most that can be where equity is lost."""
    if equity > 0.0:
        return clipped(value / equity, -most, most)
    return math.copysign(most, value) if value != 0.0 else 0.0


@kernel
def update_risk(state: Any, account: Any) -> None:
    """Take one row, after its mark; to be called in every row.

    Args:
        state: A RISK_STATE record, changed; zeros before the first row.
        account: The ACCOUNT record after the mark.
    """
    if state.equity > 0.0:
        change = clipped(account.equity / state.equity - 1.0, -1.0, 1.0)
        # exponentially weighted moments that divide by the weights so far, so that they hold from the first return
        state.weight = DECAY * state.weight + 1.0
        distance = change - state.mean
        state.mean += distance / state.weight
        state.squares = DECAY * state.squares + distance * (change - state.mean)
    state.equity = account.equity
    state.held = state.held + 1.0 if account.gross_exposure != 0.0 else 0.0


@kernel
def risk_metrics(state: Any, account: Any, out: Any) -> None:
    """Write the ten metrics; finite and within their ranges whatever the account.

    Args:
        state: The RISK_STATE record after `update_risk` of this row.
        account: The ACCOUNT record after the mark.
        out: Metrics in the order of `RISK`, float32 or float64, shape (10,).
    """
    equity = account.equity
    deviation = math.sqrt(state.squares / state.weight) if state.weight > 0.0 else 0.0
    volatility = min(deviation * HORIZON, VOLATILITY)
    peak, start = account.peak_equity, account.session_equity
    out[0] = clipped(1.0 - equity / peak, 0.0, 1.0) if peak > 0.0 else 0.0
    out[1] = clipped(equity / start - 1.0, -1.0, 1.0) if start > 0.0 else 0.0
    out[2] = over_equity(account.gross_exposure, equity, LEVERAGE)
    out[3] = over_equity(account.net_exposure, equity, LEVERAGE)
    out[4] = over_equity(account.margin, equity, USAGE)
    out[5] = over_equity(account.unrealized, equity, UNREALIZED)
    out[6] = volatility
    out[7] = clipped(state.mean / deviation * HORIZON, -SHARPE, SHARPE) if deviation > 0.0 else 0.0
    out[8] = QUANTILE * volatility
    out[9] = min(state.held / SPAN, LONGEST)
