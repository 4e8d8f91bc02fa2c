"""What the three agents see and may do, as gymnasium spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from agents.spec import AgentSpec, find_agent, spec_of


def observation_space(seat: str | AgentSpec) -> Box:
    """What the agent of a seat sees: strategic (48, 13), tactical (60, 7), risk (10,); float32.

    Declared features are further columns. The bounds are the ranges to which features are clipped (docs/features.md),
    so every observation lies within.

    Raises:
        UsageError: If there is no such seat.
    """
    spec = spec_of(seat)
    features, shape = spec.features, spec.observation
    low = np.array([feature.low for feature in features], np.float32)
    high = np.array([feature.high for feature in features], np.float32)
    return Box(np.broadcast_to(low, shape), np.broadcast_to(high, shape), dtype=np.float32)


def action_space(seat: str) -> Space[Any]:
    """What the agent of a seat may do.

    Strategic: 0 short, 1 neutral, 2 long. Tactical: entry timing 0..1, stop distance 0.001..0.05 of the entry price,
    position scale 0.1..2. Risk: 0..4, exposure in quarters.

    Raises:
        UsageError: If there is no such seat.
    """
    spec = find_agent(seat)
    if spec.choices:
        return Discrete(len(spec.choices))
    return Box(np.array(spec.low, np.float32), np.array(spec.high, np.float32), dtype=np.float32)
