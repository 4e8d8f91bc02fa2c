"""What the networks of the ensemble answer, and how sure they are.

Outputs by seat, for B observations:

    strategic   action int64 (B,): 0 short, 1 neutral, 2 long    probabilities float32 (B, 3)
    tactical    action float32 (B, 3): entry timing 0..1, stop distance 0.001..0.05, position scale 0.1..2.0
                deviation float32 (B, 3): standard deviation of the squashed policy before it is scaled to the box,
                in units of -1..1, to first order: exp(log deviation) * (1 - tanh(mean)^2)
    risk        action int64 (B,): 0..4, the exposure levels     q_values float32 (B, 5)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.serving.kernels import risk_confidences, tactical_confidences
from agents.spec import AgentSpec, find_agent
from engine.types.blocks import Floats

_INT = np.dtype(np.int64)
_FLOAT = np.dtype(np.float32)

Outputs = dict[str, NDArray[Any]]
"""Arrays by output name, the first axis is the observation."""


@dataclass(frozen=True)
class Output:
    """One output of a network.

    Attributes:
        dtype: Its element type.
        shape: Its shape without the batch axis.
        low, high: Bounds of every element along the last axis, inclusive; None where there are none.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@cache
def outputs_of(spec: AgentSpec) -> Mapping[str, Output]:
    """What a network of this agent answers, by output name."""
    count = len(spec.choices)
    if spec.algorithm == "SAC":
        width = spec.width
        return {
            "action": Output(_FLOAT, (width,), spec.low, spec.high),
            "deviation": Output(_FLOAT, (width,), (0.0,) * width, None),
        }
    action = Output(_INT, (), (0.0,), (count - 1.0,))
    if spec.algorithm == "PPO":
        return {"action": action, "probabilities": Output(_FLOAT, (count,), (0.0,) * count, (1.0,) * count)}
    return {"action": action, "q_values": Output(_FLOAT, (count,))}


def confidence(agent: str, outputs: Mapping[str, NDArray[Any]]) -> Floats:
    """How sure a network is of each decision, from its own distribution.

    Strategic: the probability of the chosen action. Tactical: the probability that an action drawn from the policy
    lies within a quarter of the half range of the one taken, erf(0.25 / (deviation * sqrt(2))), averaged over the
    three components. Risk: the softmax probability of the best action, from the values as they are.

    Args:
        agent: Its name.
        outputs: What the network answered to B observations.

    Returns:
        Probabilities 0..1, shape (B,); a row's value does not depend on its neighbours.

    Raises:
        UsageError: If there is no such agent.
    """
    algorithm = find_agent(agent).algorithm
    if algorithm == "PPO":
        chosen = np.take_along_axis(outputs["probabilities"], outputs["action"][:, None], axis=1)
        return np.ascontiguousarray(chosen[:, 0], dtype=np.float64)
    out = np.empty(len(outputs["action"]))
    if algorithm == "SAC":
        tactical_confidences(np.ascontiguousarray(outputs["deviation"], dtype=np.float32), out)
    else:
        risk_confidences(np.ascontiguousarray(outputs["q_values"], dtype=np.float32), out)
    return out
