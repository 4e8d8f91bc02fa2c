"""A checkpoint as a training writes it, with random weights, and the same networks by torch alone."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.features.declared import FeaturesConfig
from agents.spec import AGENTS, TACTICAL_AGENT, Specs, agents_seeing
from training.checkpoint import Checkpoint, load, save
from training.config import AgentsConfig

Array = NDArray[np.float32]
DATA = "ab" * 32


def stack(rng: np.random.Generator, name: str, *sizes: int) -> dict[str, Array]:
    named = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        named[f"{name}.{number}.weight"] = rng.normal(0, 1.3 * inputs**-0.5, (outputs, inputs)).astype(np.float32)
        named[f"{name}.{number}.bias"] = rng.normal(0, 0.2, outputs).astype(np.float32)
    return named


def random_weights(seed: int, agents: AgentsConfig, specs: Specs = AGENTS) -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    one, two, three = (
        getattr(agents, f"{seat}_agent").network_architecture.hidden_layers
        for seat in ("strategic", "tactical", "risk")
    )
    shared, (head,) = (math.prod(specs["strategic"].observation), *one[:-1]), one[-1:]
    return {
        "strategic": {
            **stack(rng, "shared", *shared),
            **stack(rng, "policy", shared[-1], head, head // 2, 3),
            **stack(rng, "value", shared[-1], head, head // 2, 1),
        },
        "tactical": {
            **stack(rng, "trunk", math.prod(specs["tactical"].observation), *two),
            **stack(rng, "mean", two[-1], 3),
            **stack(rng, "log_deviation", two[-1], 3),
        },
        "risk": {
            **stack(rng, "trunk", 10, *three),
            **stack(rng, "value", three[-1], 1),
            **stack(rng, "advantage", three[-1], 5),
        },
    }


def random_statistics(seed: int, specs: Specs = AGENTS) -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    shapes = {seat: specs[seat].observation[-1] for seat in AGENTS}
    return {
        seat: {
            "mean": rng.normal(0, 0.5, count).astype(np.float32),
            "std": rng.uniform(0.5, 2, count).astype(np.float32),
        }
        for seat, count in shapes.items()
    }


def checkpoint(
    path: Path,
    seed: int = 0,
    agents: dict[str, Any] | None = None,
    kept: bool = False,
    features: dict[str, Any] | None = None,
    **state: Any,
) -> Checkpoint:
    """Write one and read it again."""
    declared = FeaturesConfig.model_validate(features or {})
    specs = agents_seeing(declared)
    config = AgentsConfig.model_validate(agents or {})
    tree: dict[str, Any] = {
        "learners": {seat: {"weights": named} for seat, named in random_weights(seed, config, specs).items()},
        "statistics": random_statistics(seed, specs),
        **state,
    }
    if kept:
        best = {"mean_reward": 2.5, "sharpe": None, "max_drawdown": 0.1}
        tree["kept"] = {"episode": 300, "weights": random_weights(seed + 1, config, specs), "evaluation": best}
    note = {
        "config": {"agents": config.model_dump(mode="json"), "features": declared.model_dump(mode="json")},
        "episode": 500,
        "evaluation": {"mean_reward": 1.25, "deviation": math.nan, "sharpe": None, "best": True},
        "training_data": [DATA],
        "seed": 7,
    }
    return load(save(path, tree, note))


def by_torch(
    seat: str, weights: dict[str, Array], statistics: dict[str, Array], observations: Array, activation: str
) -> dict[str, NDArray[Any]]:
    """What a network answers, in the way that a learner computes it: torch, float32, (outputs, inputs)."""
    with torch.no_grad():
        rows = torch.from_numpy(observations)
        rows = (rows - torch.from_numpy(statistics["mean"])) / torch.from_numpy(statistics["std"])
        hidden = rows.clamp(-10, 10).flatten(1)

        def layers(name: str, values: torch.Tensor, last_active: bool) -> torch.Tensor:
            count = sum(key.startswith(f"{name}.") and key.endswith("weight") for key in weights)
            for number in range(count):
                weight, bias = (torch.from_numpy(weights[f"{name}.{number}.{part}"]) for part in ("weight", "bias"))
                values = torch.nn.functional.linear(values, weight, bias)
                if last_active or number < count - 1:
                    values = getattr(torch, activation)(values)
            return values

        if seat == "strategic":
            logits = layers("policy", layers("shared", hidden, True), False)
            return {"action": logits.argmax(1).numpy(), "probabilities": logits.softmax(1).numpy()}
        hidden = layers("trunk", hidden, True)
        if seat == "tactical":
            squashed = layers("mean", hidden, False).tanh()
            low, high = torch.tensor(TACTICAL_AGENT.low), torch.tensor(TACTICAL_AGENT.high)
            deviation = layers("log_deviation", hidden, False).clamp(-5, 2).exp() * (1 - squashed**2)
            action = low + ((squashed / 0.9).clamp(-1, 1) + 1) / 2 * (high - low)
            return {"action": action.numpy(), "deviation": deviation.numpy()}
        advantage = layers("advantage", hidden, False)
        values = layers("value", hidden, False) + advantage - advantage.mean(1, keepdim=True)
        return {"action": values.argmax(1).numpy(), "q_values": values.numpy()}
