"""Baselines over the same episodes: one position held throughout, and none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.spec import AGENT_NAMES
from engine.types.blocks import Floats, Ints
from engine.types.records import Reason, Role
from engine.types.step import StepBlock
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from training.environment.kernels.rewarding import ETA, MOST, NOTHING, ROOT_SPAN
from training.environment.market import Market
from training.environment.rewards import TERMS, Rewards
from training.evaluation.episodes import curve_result
from training.evaluation.results import EpisodeResult

BASELINES = {"buy_and_hold": 1.0, "flat": 0.0}
"""Wanted position of each, in units of the configured base size."""


def run_baseline(
    name: str,
    market: Market,
    portfolio: PortfolioConfig,
    rewards: Rewards,
    starts: Ints | Sequence[int],
    length: int,
) -> list[EpisodeResult]:
    """Let a baseline trade, through the simulator of the backtest.

    The position is ordered at the close of an episode's first row, as the agents' first one is, and kept to the end,
    where it is valued at the last close. It has no stop.

    Args:
        name: One of `BASELINES`.
        market: Bars.
        portfolio: Of the account; hard limits hold as for the agents.
        rewards: What would have been rewarded.
        starts: First rows of the episodes.
        length: Bars of each.
    """
    return [_episode(BASELINES[name], market, portfolio, rewards, int(start), length) for start in starts]


def _episode(
    units: float, market: Market, portfolio: PortfolioConfig, rewards: Rewards, start: int, length: int
) -> EpisodeResult:
    block = market.block(start, start + length + 1)
    simulator = Simulator(portfolio, [market.instrument], market.session_ends, market.bars_per_year)
    step = simulator.run_targets(block, np.full((len(block), 1), units))
    last = _last_row(step, length)
    equity, fees = step.ledger[: last + 1, 1], step.ledger[: last + 1, 4]
    team = reward_terms(equity, fees, rewards)
    halted = int(simulator.account["halted"][0]) if last < length else 0
    return curve_result(
        market,
        start=start,
        equity=equity,
        fills=step.fills[step.fills["seq"] <= last],
        terms=np.tile(team, (len(AGENT_NAMES), 1)),
        halted=Reason(halted).name.lower() if halted else None,
    )


def _last_row(step: StepBlock, length: int) -> int:
    """The row in which a hard limit closed the book, or the last one."""
    closing = step.events[step.events["role"] == int(Role.KILL_SWITCH)]
    if not len(closing):
        return length
    return int(np.searchsorted(step.bars.ts_event, int(closing["ts_event"][0])))


def reward_terms(equity: Floats, fees: Floats, rewards: Rewards) -> Floats:
    """Reward terms of an account over a whole episode, shape (5,), by the formulas of `training.environment.rewards`.

    Args:
        equity: At the close of the first row and of every bar after it, shape (bars + 1,).
        fees: Paid so far at the same closes.
        rewards: Weights.
    """
    x, cost = 100.0 * np.diff(equity) / equity[0], 100.0 * np.diff(fees) / equity[0]
    depth = 100.0 * (1.0 - equity / np.maximum.accumulate(equity))
    terms = dict.fromkeys(TERMS, 0.0)
    terms["profit"] = rewards.profit_weight * float((x + cost).sum())
    terms["cost"] = -rewards.profit_weight * float(cost.sum())
    terms["risk"] = -rewards.risk_penalty * 0.5 * float((x**2).sum())
    terms["sharpe"] = rewards.sharpe_bonus * ROOT_SPAN * ETA * float(differential_sharpe(x).sum())
    terms["drawdown"] = -rewards.max_drawdown_penalty * float(depth[-1] - depth[0])
    return np.array([terms[name] for name in TERMS])


def differential_sharpe(returns: Floats) -> Floats:
    """What each return adds to the Sharpe ratio, per unit of eta (Moody and Saffell, 2001); shape (n,)."""
    out = np.zeros(len(returns))
    average = square = 0.0
    for k, x in enumerate(returns.tolist()):
        variance = square - average * average
        if variance > NOTHING * square:
            value = (square * (x - average) - 0.5 * average * (x * x - square)) / variance**1.5
            out[k] = min(max(value, -MOST), MOST)
        average += ETA * (x - average)
        square += ETA * (x * x - square)
    return out
