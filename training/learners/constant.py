"""Networks that always act the same: for seats that a constant action takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENTS, SQUASHED_EDGE
from engine.types.blocks import Floats

SURE = 20.0
LEAST_DEVIATION = -5.0
Action = tuple[float, ...]
"""Of an agent: the number of a choice, or a value for each component."""


def constant_weights(agent: str, weights: Mapping[str, NDArray[np.float32]], action: Action) -> dict[str, Any]:
    """Weights with which a network always acts the same.

    Last layers are emptied of weights, and their biases say the action: far into the saturation of softmax and tanh
    at the ends, so that the answer is exact there.
    """
    changed = {name: values.copy() for name, values in weights.items()}
    spec = AGENTS[agent]
    if spec.name == "strategic":
        _fill(changed, _last_policy(weights), np.where(np.arange(len(spec.choices)) == int(action[0]), SURE, 0.0))
    elif spec.name == "risk":
        _fill(changed, "advantage.0", np.where(np.arange(len(spec.choices)) == int(action[0]), 1.0, 0.0))
    else:
        _fill(changed, "mean.0", free_action(spec.name, action))
        _fill(changed, "log_deviation.0", np.full(len(action), LEAST_DEVIATION))
    return changed


def constant_of(agent: str, weights: Mapping[str, NDArray[np.float32]]) -> Action | None:
    """What a network of `constant_weights` always does; None of any other."""
    spec = AGENTS[agent]
    last = {"tactical": "mean.0", "risk": "advantage.0"}.get(spec.name) or _last_policy(weights)
    if weights[f"{last}.weight"].any():
        return None
    bias = weights[f"{last}.bias"].astype(np.float64)
    if spec.choices:
        return (float(bias.argmax()),)
    low, high = np.array(spec.low), np.array(spec.high)
    squashed = np.clip(np.tanh(bias) / SQUASHED_EDGE, -1.0, 1.0)
    return tuple(float(f"{part:.6g}") for part in low + (high - low) * (squashed + 1.0) / 2.0)


def _last_policy(weights: Mapping[str, NDArray[np.float32]]) -> str:
    return max((name for name in weights if name.startswith("policy.")), key=_number).rsplit(".", 1)[0]


def free_action(agent: str, action: Action) -> Floats:
    """A continuous action before it is squashed and scaled to the box, shape (components,); `action` lies within it."""
    spec = AGENTS[agent]
    low, high = np.array(spec.low), np.array(spec.high)
    share = np.clip(2.0 * (np.array(action) - low) / (high - low) - 1.0, -1.0, 1.0)
    free: Floats = np.where(np.abs(share) < 1.0, np.arctanh(SQUASHED_EDGE * share), SURE * share)
    return free


def _fill(weights: dict[str, Any], layer: str, bias: Floats) -> None:
    weights[f"{layer}.weight"][:] = 0.0
    weights[f"{layer}.bias"][:] = bias


def _number(name: str) -> int:
    return int(name.split(".")[1])
