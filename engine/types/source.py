"""What every feed of bars offers to the loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from engine.types.blocks import BarBlock


class BarSource(Protocol):
    """A finite stream of closed bars, read lazily so that memory does not grow with the data."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        ...

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0."""
        ...
