"""What a training ends with, and its evaluations in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.results import EpisodeResult

Tree = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a training ends with.

    Attributes:
        episodes, env_steps: In all, those before a resume included.
        run_steps: Steps of this run.
        seconds: Of this run.
        evaluation: Of the networks that were kept, on the validation part.
        checkpoint: The last one.
        weights_sha256: Of the last networks.
        kept_episode: After which the best networks, which are exported, were evaluated.
        stopped: Why: finished, early or interrupted.
    """

    episodes: int
    env_steps: int
    run_steps: int
    seconds: float
    evaluation: Tree | None
    checkpoint: Path
    weights_sha256: str
    kept_episode: int
    stopped: str


def described(results: Sequence[EpisodeResult]) -> Tree:
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
    }
