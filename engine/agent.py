"""What decides: the protocol that every agent satisfies.

An agent steps the simulator through a block. Three kinds exist, and the loop cannot tell them apart: agents that
depend on the market alone map the block to wanted positions first (agents.base.MarketAgent); compiled strategies
run inside the scan (agents.base.CompiledStrategy); strategies in plain Python are called row by row
(agents.strategy.Strategy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.blocks import BarBlock
from engine.instruments import Instrument
from engine.simulator import Simulator
from engine.step import StepBlock


class Agent(Protocol):
    """Anything that trades."""

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        """Learn what is traded, before the first block; carried state starts anew."""
        ...

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Take the simulator through the rows of a block."""
        ...
