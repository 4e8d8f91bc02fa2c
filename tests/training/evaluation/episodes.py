"""Episode results for tests."""

from __future__ import annotations

from typing import Any

from training.environment.rewards import TERMS
from training.evaluation.results import BINS, ActionUse, EpisodeResult


def histogram(*counts: tuple[int, int]) -> tuple[int, ...]:
    """Counts by bin."""
    row = [0] * BINS
    for place, count in counts:
        row[place] = count
    return tuple(row)


def use(**changes: Any) -> ActionUse:
    """Actions that are nothing special."""
    spread = histogram((3, 5), (9, 5), (15, 5))
    given: dict[str, Any] = {
        "strategic": (5, 5, 5),
        "risk": (3, 3, 3, 3, 3),
        "tactical": (spread, spread, spread),
        "tactical_mean": (0.5, 0.02, 1.0),
        "tactical_deviation": (0.2, 0.01, 0.4),
    }
    return ActionUse(**given | changes)


def result(reward: float = 1.0, start: int = 0, **changes: Any) -> EpisodeResult:
    """An episode that is nothing special."""
    given: dict[str, Any] = {
        "start": start,
        "bars": 100,
        "reward": reward,
        "agent_rewards": (reward, reward, reward),
        "terms": dict.fromkeys(TERMS, (reward / 5,) * 3),
        "total_return": reward / 100,
        "sharpe": reward,
        "max_drawdown": -0.01,
        "volatility": 0.1,
        "trades": 4,
        "wins": 2,
        "losses": 1,
        "gross_profit": 300.0,
        "gross_loss": -100.0,
        "largest_win": 200.0,
        "largest_loss": -100.0,
        "fees": 0.001,
        "exposure": 0.5,
        "actions": use(),
    }
    return EpisodeResult(**given | changes)
