"""A training that takes a second: small networks, short episodes, a generated market."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.base.config import merge, parse
from training.config import TrainingConfig
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

SMALL: dict[str, Any] = {
    "training": {"parallel_envs": 3},
    "data": {"sources": [{"type": "synthetic", "generator": "regime_drift", "scenarios": 6, "length": 3600}]},
    "agents": {
        "strategic_agent": {
            "network_architecture": {"hidden_layers": [16, 8], "activation": "relu", "dropout": 0.1},
            "rollout_steps": 16,
            "batch_size": 8,
            "epochs_per_update": 2,
        },
        "tactical_agent": {
            "network_architecture": {"hidden_layers": [16, 8], "activation": "tanh", "dropout": 0.05},
            "batch_size": 8,
            "target_update_frequency": 5,
        },
        "risk_agent": {"network_architecture": {"hidden_layers": [16, 8], "activation": "relu"}, "batch_size": 8},
    },
    "training_params": {
        "credit": "account",
        "total_episodes": 12,
        "episode_length": 240,
        "evaluation_frequency": 4,
        "evaluation_episodes": 3,
        "checkpoint_frequency": 4,
    },
    "experience_replay": {"buffer_size": 300, "min_size_to_train": 32},
    "logging": {"tensorboard": False, "log_frequency": 1},
    "seed": 5,
}


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        """Take one record."""
        self.records.append(record)

    def close(self) -> None:
        """Nothing to do."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The records of one kind."""
        return [record for record in self.records if record["kind"] == kind]


def small_config(**changes: Any) -> TrainingConfig:
    """The configuration, with changes."""
    return parse(TrainingConfig, merge(SMALL, changes), where="test")


def small_trainer(folder: Path, config: TrainingConfig | None = None) -> tuple[Trainer, Heard]:
    """A trainer and what listens to it."""
    heard = Heard()
    return Trainer(TrainingSetup.prepare(config or small_config()), folder, sinks=[heard]), heard
