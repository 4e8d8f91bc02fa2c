"""What the simulator hands on for every block of bars it has processed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.records import AGENT_OUTPUT, LEDGER_COLUMNS, Records


@dataclass(frozen=True, slots=True, eq=False)
class Plots:
    """What a strategy plotted in the rows of one block, in order; no part of the ledger.

    Attributes:
        names: Of the series so far, by number.
        panels: Panel of each series below the price; None draws it over the price.
        symbols: Number of the symbol that each series belongs to.
        seq: Number of the row of each value, shape (n,).
        series: Number of the series of each value, shape (n,).
        values: Shape (n,); NaN leaves a gap.
    """

    names: tuple[str, ...]
    panels: tuple[str | None, ...]
    symbols: tuple[int, ...]
    seq: Ints
    series: Ints
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class StepBlock:
    """Everything that happened in the rows of one bar block.

    Attributes:
        bars: The rows themselves.
        ledger: One row per bar row, columns LEDGER_COLUMNS, shape (rows, 8), C-contiguous.
        positions: Signed contracts after each row, shape (rows, S), C-contiguous.
        fills: FILL records in order of happening.
        events: ORDER_EVENT records in order of happening.
        decisions: COMMAND records in order of happening.
        account: The ACCOUNT record after the last row, shape (1,), a copy.
        position_records: POSITION records after the last row, shape (S,), a copy.
        orders: Working ORDER records after the last row, a copy.
        outputs: AGENT_OUTPUT records of an ensemble, in order of the rows; empty for other agents.
        plots: What a strategy plotted; None if nothing. The journal of a live session does not keep it.
    """

    bars: BarBlock
    ledger: Floats
    positions: Floats
    fills: Records
    events: Records
    decisions: Records
    account: Records
    position_records: Records
    orders: Records
    outputs: Records = field(default_factory=lambda: np.empty(0, AGENT_OUTPUT))
    plots: Plots | None = None

    def __len__(self) -> int:
        return len(self.bars)

    def column(self, name: str) -> Floats:
        """One ledger column as a view, shape (rows,)."""
        return self.ledger[:, LEDGER_COLUMNS.index(name)]
