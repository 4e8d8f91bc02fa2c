"""The deterministic heart of the loop: bars in; decisions, fills and ledger out. Knows no clock and no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.base.errors import DataError
from engine.loop.cuts import Cuts, NoCuts
from engine.types.agent import Agent
from engine.types.blocks import BarBlock
from engine.types.simulator import Simulator
from engine.types.step import StepBlock

CutHook = Callable[[int], None]


class Pipeline:
    """An agent and a simulator, stepped block by block.

    Args:
        agent: Already bound.
        simulator: Its account.
        cuts: Where models and weights may change; a block is split there.
        on_cut: Called with the number of the row before which the cut falls.
        first_seq: Number of the first row that will come.
    """

    def __init__(
        self,
        agent: Agent,
        simulator: Simulator,
        cuts: Cuts | None = None,
        on_cut: CutHook | None = None,
        first_seq: int = 0,
    ) -> None:
        self._agent = agent
        self._simulator = simulator
        self._cuts: Cuts = cuts or NoCuts()
        self._on_cut = on_cut
        self._next_seq = first_seq

    def process(self, block: BarBlock) -> Iterator[StepBlock]:
        """Step through a block, split at its cuts.

        Raises:
            DataError: If blocks do not follow each other.
        """
        if block.seq != self._next_seq:
            raise DataError("blocks must follow each other", expected=f"row {self._next_seq}", found=f"row {block.seq}")
        self._next_seq += len(block)
        if not len(block):
            return
        cuts = self._cuts.offsets(block)
        for part in block.split(cuts) if cuts else (block,):
            if self._on_cut is not None and part.seq - block.seq in cuts:
                self._on_cut(part.seq)
            yield self._agent.step(self._simulator, part)
