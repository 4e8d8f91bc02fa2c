"""What decides: the protocol that every agent satisfies.

An agent steps the simulator through a block. Three kinds exist, and the loop cannot tell them apart: agents that
depend only on the market map the block to wanted positions first (agents.base.MarketAgent); compiled strategies
run inside the scan (agents.base.CompiledStrategy); strategies in plain Python are called row by row
(agents.strategy.Strategy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument
from engine.types.simulator import Simulator
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS


class Agent(Protocol):
    """Anything that trades."""

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded and the length of its bars, before the first block; resets the carried state."""
        ...

    @property
    def unready_because(self) -> str | None:
        """What it still needs before it can decide; None once it can."""
        ...

    @property
    def model_provenance(self) -> Mapping[str, Any]:
        """What it is made of, for the manifest: versions and hashes of models; empty where there are none."""
        ...

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Take the simulator through the rows of a block."""
        ...

    def snapshot(self) -> bytes | None:
        """Everything carried from block to block; equal states give equal bytes. Taken between blocks.

        None says that the state of this agent cannot be saved: only the bars themselves, run over again, rebuild it.
        """
        ...

    def restore(self, state: bytes) -> None:
        """Continue from a snapshot; called after `bind`. After an error the agent must be bound again.

        Raises:
            DataError: If the snapshot is not one of an agent made alike: class, parameters, symbols, models.
        """
        ...


@runtime_checkable
class KeepsMore(Protocol):
    """An agent whose base class carries state besides what the user's `snapshot` knows of."""

    def saved_state(self) -> bytes | None:
        """All of its state; None if it cannot be saved."""
        ...

    def resume_from(self, state: bytes) -> None:
        """Continue from `saved_state`; called after `bind`.

        Raises:
            DataError: If the state is not one of an agent made alike.
        """
        ...


def saved_state(agent: Agent) -> bytes | None:
    """All that an agent carries from block to block; None if it cannot be saved."""
    return agent.saved_state() if isinstance(agent, KeepsMore) else agent.snapshot()


def resume_from(agent: Agent, state: bytes) -> None:
    """Let an agent that was bound continue from `saved_state`.

    Raises:
        DataError: If the state is not one of an agent made alike.
    """
    if isinstance(agent, KeepsMore):
        agent.resume_from(state)
    else:
        agent.restore(state)
