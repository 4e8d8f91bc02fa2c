"""Where an operator strikes, and the base classes of operators."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from engine.base.config import Config
from engine.types.blocks import BarBlock

Rows = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Move = Annotated[float, Field(gt=-1, le=10)]
Depth = Annotated[float, Field(gt=0, lt=1)]


class Strike(NamedTuple):
    """Where and how an operator strikes.

    Attributes:
        row: First row that changes.
        seed: Of what the operator draws.
        ticks: Tick size of each symbol; 0 is none.
    """

    row: int
    seed: tuple[int, ...]
    ticks: Sequence[float]

    @property
    def random(self) -> np.random.Generator:
        """Its random numbers, from the beginning."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed)))

    def of(self, block: BarBlock, after: int) -> int:
        """The row of a block so many rows after the strike; at most the block's end."""
        return min(max(self.row + after, 0), len(block))


class Operator(Config):
    """A change of bars: a pure function of the block, its parameters and the strike.

    Attributes:
        after: Rows between the strike of the scenario and that of this operator.
    """

    after: Annotated[int, Field(ge=0)] = 0


class BarOperator(Operator):
    """An operator on bars."""

    @abstractmethod
    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block; rows before the strike are those that were given."""


class MarketOperator(BarOperator):
    """Changes what happened: account and agent see it.

    Attributes:
        symbol: The only one that changes; null is all.
    """

    symbol: str | None = None


class FeedOperator(BarOperator):
    """Changes what the agent sees, row by row: a row never shows what happens after it."""


class CostOperator(Operator):
    """Changes what trading costs, over the whole run; `after` means nothing."""
