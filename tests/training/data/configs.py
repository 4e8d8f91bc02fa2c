"""Small training configurations for tests."""

from __future__ import annotations

from typing import Any

from engine.base.config import merge, parse
from training.config import TrainingConfig


def small(sources: list[dict[str, Any]], **changes: Any) -> TrainingConfig:
    """A configuration of these sources; changes are merged over it."""
    tree = {
        "data": {"sources": sources},
        "instrument": "GENERIC",
        "training_params": {"episode_length": 200},
    }
    return parse(TrainingConfig, merge(tree, changes), "test")


def synthetic(generator: str = "random_walk", scenarios: int = 6, **more: Any) -> dict[str, Any]:
    """One synthetic source."""
    return {"type": "synthetic", "generator": generator, "scenarios": scenarios, **more}
