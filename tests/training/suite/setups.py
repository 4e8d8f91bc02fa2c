"""Setups of trainings without statistics, which yardsticks do not need."""

from __future__ import annotations

from typing import Any

from tests.training.data.configs import small
from training.data.sources import load_market
from training.environment.rewards import Rewards
from training.trainer.setup import TrainingSetup


def setup_of(sources: list[dict[str, Any]], length: int = 2000, seed: int = 3, **changes: Any) -> TrainingSetup:
    """At a fee of 1 bp and a unit of half the equity."""
    config = small(
        sources,
        training_params={"episode_length": length},
        portfolio={"sizing": {"mode": "equity_fraction", "value": 0.5}},
        reward_shaping={"transaction_cost": 1e-4},
        seed=seed,
        **changes,
    )
    return TrainingSetup(config, *load_market(config, seed), {}, Rewards.of(config.reward_shaping), ())
