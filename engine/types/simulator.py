"""What agents and the pipeline need of a simulator; portfolio.simulator provides it."""

from __future__ import annotations

from typing import Any, Protocol

from engine.types.blocks import BarBlock, Floats
from engine.types.records import Operation, Records
from engine.types.step import StepBlock


class Simulator(Protocol):
    """One account, advanced by bars and commands. Rules: docs/simulator.md."""

    @property
    def account(self) -> Records:
        """The ACCOUNT record, shape (1,), live."""
        ...

    @property
    def positions(self) -> Records:
        """The POSITION records, shape (S,), live."""
        ...

    @property
    def orders(self) -> Records:
        """The working ORDER records, live."""
        ...

    def begin(self, block: BarBlock) -> None:
        """Make a block the one whose rows are advanced next."""
        ...

    def advance(self, block: BarBlock, row: int) -> None:
        """Fill, mark and check limits in one row; the caller decides next."""
        ...

    def submit(self, commands: Records) -> None:
        """Apply commands after the row advanced last; their `order_id` is filled in."""
        ...

    def run_targets(self, block: BarBlock, targets: Floats) -> StepBlock:
        """Process a block for wanted positions in units, shape (rows, S); NaN keeps the last."""
        ...

    def run_compiled(self, block: BarBlock, signals: Floats, decide: Any, params: Floats, memory: Floats) -> StepBlock:
        """Process a block with a compiled strategy inside the scan."""
        ...

    def operate(self, kind: Operation, ts_event: int) -> None:
        """Apply an operator's command between two rows; its effects are part of the next `take`.

        Args:
            kind: What is ordered.
            ts_event: Time of the row advanced last, nanoseconds UTC; 0 before the first.

        Raises:
            UsageError: If RESET_HALT finds nothing to reset, or a book that is not empty or not solvent.
        """
        ...

    def snapshot(self) -> bytes:
        """All that is carried from row to row; equal states give equal bytes."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a simulator made alike.
        """
        ...

    def take(self) -> StepBlock:
        """Everything that happened in the current block."""
        ...
