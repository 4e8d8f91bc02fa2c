"""The whole training of three agents: bars a second, and the share of every learner."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.training.timing import Sections
from engine.base.config import parse
from training.config import TrainingConfig
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

NEVER = 1_000_000


def training_setup(seed: int, scenarios: int = 16, **changes: Any) -> TrainingSetup:
    """The default configuration on a generated market; neither evaluations nor checkpoints fall into the measurement.

    Args:
        seed: Of bars and training.
        scenarios: Of the market.
        changes: Of `training_params`.
    """
    # all three learn at once, as nothing else keeps every part of a training busy
    params = {
        "credit": "account",
        "total_episodes": NEVER,
        "evaluation_frequency": NEVER,
        "checkpoint_frequency": NEVER,
        **changes,
    }
    given = {
        "data": {"sources": [{"type": "synthetic", "generator": "monte_carlo", "scenarios": scenarios}]},
        "training_params": {**params, "early_stopping": None},
        "agents": {"strategic_agent": {"rollout_steps": 256}},
        "logging": {"tensorboard": False, "log_frequency": NEVER},
        "seed": seed,
    }
    return TrainingSetup.prepare(parse(TrainingConfig, given, where="benchmark"))


class Whole:
    """A training that can be run for some episodes at a time; as a sink it listens to itself.

    Args:
        setup: Market and configuration.
        folder: For checkpoints.
        compiled: Whether updates are compiled whole.
    """

    def __init__(self, setup: TrainingSetup, folder: Path, *, compiled: bool = False) -> None:
        self.trainer = Trainer(setup, folder, sinks=[self], compiled=compiled)
        self._until = self._bars = 0
        self._at = 0.0

    def write(self, record: dict[str, Any]) -> None:
        """Note when an episode ended, and ask to stop at the last that is wanted."""
        if record["kind"] == "episode":
            self._at, self._bars = time.process_time(), record["env_steps"]
            self.trainer.stop_requested = record["episode"] >= self._until

    def close(self) -> None:
        """Nothing to do."""

    def run(self, episodes: int) -> tuple[int, float]:
        """Train for at least so many more episodes; bars and CPU seconds until the last of them ended."""
        self._until, self.trainer.stop_requested = self.trainer.episodes + episodes, False
        bars, start = self.trainer.env_steps, time.process_time()
        self.trainer.run()
        return self._bars - bars, self._at - start

    def watched(self) -> Sections:
        """Time the trainer's sections from now on."""
        sections, trainer = Sections(), self.trainer
        trainings = trainer._trainings
        sections.watch(trainer._playing.env, "advance", "reset", name="environment")
        for training in trainings:
            sections.watch(training, "answer", name="acting")
            sections.watch(training, "begin", "close", name="transitions")
            sections.watch(training, "learn", name=f"{training.algorithm.upper()} learning")
        return sections
