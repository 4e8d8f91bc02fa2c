"""The result of one episode without exploration, and of several in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 20
"""Bins of the histograms of tactical actions, even over the box of the seat."""


@dataclass(frozen=True)
class ActionUse:
    """How often each action was taken in an episode.

    Attributes:
        strategic: Decisions to be short, neutral and long.
        risk: Decisions for each of the five levels.
        tactical: Decisions by component (entry timing, stop distance, position scale) and bin, 3 times `BINS`.
        tactical_mean, tactical_deviation: By component, in the units of the box; 0 without a decision.
    """

    strategic: tuple[int, ...]
    risk: tuple[int, ...]
    tactical: tuple[tuple[int, ...], ...]
    tactical_mean: tuple[float, ...]
    tactical_deviation: tuple[float, ...]


@dataclass(frozen=True)
class EpisodeResult:
    """One episode.

    Attributes:
        start: Row of the market in which it began.
        bars: Bars that it lasted.
        reward: Of the team: what the rewards of the agents add up to over the episode, averaged over the agents.
        agent_rewards: Strategic, tactical, risk; each its own sum, in percent of the initial capital.
        terms: Of each agent, by name of the reward's term.
        total_return: Fraction of the initial capital.
        sharpe: Of the returns of the bars, annualised; None without a deviation.
        max_drawdown: Largest fall from a peak as a fraction of it, 0 or negative.
        volatility: Annualised deviation of the returns of the bars; None for less than two bars.
        trades: Round trips that ended within the episode.
        wins, losses: Of them; one that breaks even is neither.
        gross_profit, gross_loss: Account currency, net of fees; the loss is 0 or negative.
        largest_win, largest_loss: Account currency; None where there is none.
        fees: Fraction of the initial capital.
        exposure: Share of the bars at whose close a position was held.
        halted: Name of the hard limit that ended the episode, if one did.
        actions: None for a baseline that has no agents.
    """

    start: int
    bars: int
    reward: float
    agent_rewards: tuple[float, ...]
    terms: Mapping[str, tuple[float, ...]]
    total_return: float
    sharpe: float | None
    max_drawdown: float
    volatility: float | None
    trades: int
    wins: int
    losses: int
    gross_profit: float
    gross_loss: float
    largest_win: float | None
    largest_loss: float | None
    fees: float
    exposure: float
    halted: str | None = None
    actions: ActionUse | None = None

    @property
    def win_rate(self) -> float | None:
        """Share of the round trips that made money; None without one."""
        return self.wins / self.trades if self.trades else None

    @property
    def profit_factor(self) -> float | None:
        """What was won over what was lost; None without a loss."""
        return self.gross_profit / -self.gross_loss if self.gross_loss else None

    @property
    def average_win(self) -> float | None:
        """Account currency; None without a win."""
        return self.gross_profit / self.wins if self.wins else None

    @property
    def average_loss(self) -> float | None:
        """Account currency, negative; None without a loss."""
        return self.gross_loss / self.losses if self.losses else None


def headline(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """An evaluation in a few numbers; None where one is not defined."""
    rewards = np.array([result.reward for result in results])
    sharpes = [result.sharpe for result in results if result.sharpe is not None]
    return {
        "episodes": len(results),
        "mean_reward": float(rewards.mean()),
        "deviation": float(rewards.std(ddof=1)) if len(rewards) > 1 else 0.0,
        "mean_return": float(np.mean([result.total_return for result in results])),
        "sharpe": float(np.mean(sharpes)) if sharpes else None,
        "max_drawdown": float(np.mean([result.max_drawdown for result in results])),
        "trades": float(np.mean([result.trades for result in results])),
        "exposure": float(np.mean([result.exposure for result in results])),
    }
