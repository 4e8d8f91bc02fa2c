"""Running episodes without exploration, and their results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.config import EnsembleConfig
from agents.spec import STRATEGIC_AGENT, TACTICAL_AGENT
from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from engine.types.records import Reason, Records
from portfolio.config import PortfolioConfig
from portfolio.ratios import session_returns
from portfolio.trades import TradeBook
from training.environment.market import Market
from training.environment.rewards import TERMS, Rewards
from training.environment.vector import VectorEnv
from training.evaluation.policies import Policy, asked, deciding
from training.evaluation.results import BINS, ActionUse, EpisodeResult
from training.evaluation.statistics import varies
from training.experience import Collector, Decision, moment_of

ENVS = 16


def run_episodes(
    market: Market,
    portfolio: PortfolioConfig,
    rewards: Rewards,
    ensemble: EnsembleConfig,
    policy: Policy,
    starts: Ints | Sequence[int],
    length: int,
    envs: int = ENVS,
) -> list[EpisodeResult]:
    """Let a policy trade.

    Args:
        market: Bars and what the agents see of them.
        portfolio: Of every account.
        rewards: What is rewarded.
        ensemble: How the agents decide together.
        policy: Decides; asked about several episodes at once.
        starts: First rows of the episodes, shape (n,); see `Market.starts`.
        length: Bars of each.
        envs: Episodes that run side by side; changes nothing but speed for a policy whose answer to an observation
            does not depend on others.

    Returns:
        One for each start, in the order given.

    Raises:
        UsageError: If there is no start, or an episode does not fit where it starts.
        DataError: If a reward is not a finite number.
    """
    if not len(starts):
        raise UsageError("an evaluation needs at least one episode")
    waiting = [(k, int(start)) for k, start in enumerate(starts)][::-1]
    width = min(envs, len(starts))
    env = VectorEnv(market, portfolio, rewards, ensemble, width, record_fills=True)
    stops = asked(policy)
    collector, agents, tally = Collector(width), deciding(policy), _Tally(width)
    running = np.full(width, -1)
    done: list[EpisodeResult | None] = [None] * len(starts)
    _begin(env, tally, running, waiting, np.arange(width), length)
    while (running >= 0).any():
        actions, decisions = collector.ask(moment_of(env), agents)
        tally.count(decisions)
        env.advance(actions, stops)
        collector.gather(moment_of(env))
        ended = (env.terminated | env.truncated) & (running >= 0)
        over = np.flatnonzero(ended)
        for which in over.tolist():
            done[running[which]] = _result(env, tally, collector.terms[which], which)
        running[over] = -1
        collector.forget(over)
        _begin(env, tally, running, waiting, over, length)
    return [result for result in done if result is not None]


def _begin(
    env: VectorEnv, tally: _Tally, running: Ints, waiting: list[tuple[int, int]], free: Ints, length: int
) -> None:
    """Give free environments the next episodes, as far as there are any."""
    which = free[: len(waiting)]
    if not len(which):
        return
    episodes = [waiting.pop() for _ in which]
    running[which] = [number for number, _ in episodes]
    tally.forget(which, [start for _, start in episodes])
    env.reset(which, np.array([start for _, start in episodes]), np.full(len(which), length))


class _Tally:
    """What is counted while episodes run, for every environment."""

    def __init__(self, envs: int) -> None:
        self.start = np.zeros(envs, np.int64)
        self.strategic = np.zeros((envs, 3), np.int64)
        self.risk = np.zeros((envs, 5), np.int64)
        self.tactical = np.zeros((envs, 3, BINS), np.int64)
        self._sums, self._squares = np.zeros((envs, 3)), np.zeros((envs, 3))

    def forget(self, which: Ints, starts: Sequence[int]) -> None:
        """Start over."""
        for array in (self.strategic, self.risk, self.tactical, self._sums, self._squares):
            array[which] = 0
        self.start[which] = starts

    def count(self, decisions: Sequence[Decision]) -> None:
        """Take decisions."""
        for agent, which, _, actions, _ in decisions:
            if agent == TACTICAL_AGENT.name:
                self._count_tactics(which, actions)
            else:
                np.add.at(self.strategic if agent == STRATEGIC_AGENT.name else self.risk, (which, actions), 1)

    def _count_tactics(self, which: Ints, actions: NDArray[np.float32]) -> None:
        """Take tactical actions into the histograms, as shares of the box."""
        low, high = np.array(TACTICAL_AGENT.low), np.array(TACTICAL_AGENT.high)
        share = (actions.astype(np.float64) - low) / (high - low)
        bins = np.clip((share * BINS).astype(np.int64), 0, BINS - 1)
        np.add.at(self.tactical, (which[:, None], np.arange(3), bins), 1)
        # about the middle of the box, so that little is lost to rounding
        self._sums[which] += share - 0.5
        self._squares[which] += (share - 0.5) ** 2

    def actions(self, env: int) -> ActionUse:
        """How often each action was taken."""
        count = max(int(self.tactical[env, 0].sum()), 1)
        low, high = np.array(TACTICAL_AGENT.low), np.array(TACTICAL_AGENT.high)
        mean = self._sums[env] / count
        variance = np.maximum(self._squares[env] / count - mean**2, 0.0)
        known = float(self.tactical[env, 0].sum() > 0)
        return ActionUse(
            strategic=tuple(self.strategic[env].tolist()),
            risk=tuple(self.risk[env].tolist()),
            tactical=tuple(tuple(row) for row in self.tactical[env].tolist()),
            tactical_mean=tuple(((low + (mean + 0.5) * (high - low)) * known).tolist()),
            tactical_deviation=tuple((np.sqrt(variance) * (high - low) * known).tolist()),
        )


def _result(env: VectorEnv, tally: _Tally, terms: Floats, which: int) -> EpisodeResult:
    halted = int(env.accounts["halted"][which])
    start, fills = int(tally.start[which]), env.fills(which)
    fills["seq"] -= env.market.row_in_source(start)
    return curve_result(
        env.market,
        start=start,
        equity=env.equity[which, : int(env.steps[which]) + 1],
        fills=fills,
        terms=terms,
        halted=Reason(halted).name.lower() if halted else None,
        actions=tally.actions(which),
    )


def curve_result(
    market: Market,
    *,
    start: int,
    equity: Floats,
    fills: Records,
    terms: Floats,
    halted: str | None = None,
    actions: ActionUse | None = None,
) -> EpisodeResult:
    """The figures of an episode from what happened to its account.

    Args:
        market: Tells the instrument, and how many bars a year holds.
        start: Row in which it began.
        equity: At the close of the first row and of every bar after it, shape (bars + 1,).
        fills: FILL records; `seq` counts rows from the first one on.
        terms: Of the agents' rewards, shape (3, 5).
        halted: The hard limit that ended it.
        actions: What the agents did.
    """
    initial, bars = float(equity[0]), len(equity) - 1
    book = TradeBook([market.instrument.multiplier * market.instrument.fx_rate])
    book.update(fills)
    stats = book.stats[0]
    returns = session_returns(equity[1:], initial)
    return EpisodeResult(
        start=start,
        bars=bars,
        reward=float(terms.sum(axis=1).mean()),
        agent_rewards=tuple(terms.sum(axis=1).tolist()),
        terms=_named(terms),
        total_return=float(equity[-1]) / initial - 1.0,
        sharpe=_sharpe(returns, market.bars_per_year),
        max_drawdown=_max_drawdown(equity),
        volatility=float(returns.std(ddof=1)) * math.sqrt(market.bars_per_year) if bars > 1 else None,
        trades=int(stats["trades"]),
        wins=int(stats["wins"]),
        losses=int(stats["losses"]),
        gross_profit=float(stats["gross_profit"]),
        gross_loss=float(stats["gross_loss"]),
        largest_win=float(stats["largest_win"]) if stats["wins"] else None,
        largest_loss=float(stats["largest_loss"]) if stats["losses"] else None,
        fees=float(stats["fees"]) / initial,
        exposure=_exposure(fills, bars),
        halted=halted,
        actions=actions,
    )


def _named(terms: Floats) -> Mapping[str, tuple[float, ...]]:
    return {name: tuple(terms[:, k].tolist()) for k, name in enumerate(TERMS)}


def _sharpe(returns: Floats, bars_per_year: float) -> float | None:
    if not varies(returns):
        return None
    return float(returns.mean()) / float(returns.std(ddof=1)) * math.sqrt(bars_per_year)


def _max_drawdown(equity: Floats) -> float:
    peak = np.maximum.accumulate(equity)
    return min(float((equity / peak - 1.0).min()), 0.0)


def _exposure(fills: Records, bars: int) -> float:
    """Share of the bars at whose close a position was held."""
    if not len(fills) or not bars:
        return 0.0
    last = np.searchsorted(fills["seq"], np.arange(1, bars + 1), side="right") - 1
    held = np.where(last >= 0, fills["position"][np.maximum(last, 0)], 0.0)
    return float((held != 0.0).mean())
