"""States of random generators as plain numbers, so that a checkpoint needs no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.base.state import State

if TYPE_CHECKING:
    import torch


def generator_state(generator: np.random.Generator) -> State:
    """State of a PCG64 generator; its large integers as text."""
    state: Any = generator.bit_generator.state
    return {
        "state": str(state["state"]["state"]),
        "inc": str(state["state"]["inc"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def load_generator(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Put a PCG64 generator into a state that `generator_state` gave."""
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": int(state["state"]), "inc": int(state["inc"])},
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def torch_generator_state(generator: torch.Generator) -> State:
    """State of a torch generator on the CPU, as bytes."""
    return {"bytes": generator.get_state().numpy().copy()}


def load_torch_generator(generator: torch.Generator, state: Mapping[str, Any]) -> None:
    """Put a torch generator into a state that `torch_generator_state` gave."""
    import torch  # noqa: PLC0415 - takes seconds, and environments do without it

    generator.set_state(torch.from_numpy(np.asarray(state["bytes"], dtype=np.uint8)))
