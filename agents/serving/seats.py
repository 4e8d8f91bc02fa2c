"""The three seats of an ensemble: what a network in each of them reads, what it answers, and how sure it is.

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
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.serving.kernels import risk_confidences, tactical_confidences
from engine.base.errors import UsageError
from engine.types.blocks import Floats

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


@dataclass(frozen=True)
class Seat:
    """What a network must read and answer to sit here; `observation` is the shape without the batch axis."""

    name: str
    observation: tuple[int, ...]
    outputs: Mapping[str, Output]


BOX_LOW = (0.0, 0.001, 0.1)
BOX_HIGH = (1.0, 0.05, 2.0)
"""Bounds of the tactical action: entry timing, stop distance, position scale."""

_INT = np.dtype(np.int64)
_FLOAT = np.dtype(np.float32)


def _seat(name: str, observation: tuple[int, ...], **outputs: Output) -> Seat:
    return Seat(name, observation, MappingProxyType(outputs))


SEATS: Mapping[str, Seat] = MappingProxyType(
    {
        "strategic": _seat(
            "strategic",
            (48, 13),
            action=Output(_INT, (), (0.0,), (2.0,)),
            probabilities=Output(_FLOAT, (3,), (0.0,) * 3, (1.0,) * 3),
        ),
        "tactical": _seat(
            "tactical",
            (60, 7),
            action=Output(_FLOAT, (3,), BOX_LOW, BOX_HIGH),
            deviation=Output(_FLOAT, (3,), (0.0,) * 3, None),
        ),
        "risk": _seat("risk", (10,), action=Output(_INT, (), (0.0,), (4.0,)), q_values=Output(_FLOAT, (5,))),
    }
)


def seat_named(name: str) -> Seat:
    """The seat of that name.

    Raises:
        UsageError: If there is none.
    """
    if name not in SEATS:
        raise UsageError(f"no seat is called {name!r}", expected=", ".join(SEATS))
    return SEATS[name]


def confidence(seat: str, outputs: Mapping[str, NDArray[Any]]) -> Floats:
    """How sure a network is of each decision, from its own distribution.

    Strategic: the probability of the chosen action. Tactical: the probability that an action drawn from the policy
    lies within a quarter of the half range of the one taken, erf(0.25 / (deviation * sqrt(2))), averaged over the
    three components. Risk: the softmax probability of the best action, from the values as they are.

    Args:
        seat: Name of the seat.
        outputs: What the network answered to B observations.

    Returns:
        Probabilities 0..1, shape (B,); a row's value does not depend on its neighbours.

    Raises:
        UsageError: If there is no such seat.
    """
    if seat_named(seat).name == "strategic":
        chosen = np.take_along_axis(outputs["probabilities"], outputs["action"][:, None], axis=1)
        return np.ascontiguousarray(chosen[:, 0], dtype=np.float64)
    out = np.empty(len(outputs["action"]))
    if seat == "tactical":
        tactical_confidences(np.ascontiguousarray(outputs["deviation"], dtype=np.float32), out)
    else:
        risk_confidences(np.ascontiguousarray(outputs["q_values"], dtype=np.float32), out)
    return out
