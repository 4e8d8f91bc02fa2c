"""The protocols between packages: sources of bars, the simulator, agents, and what folds fills into trades.

An agent steps the simulator through a block. Three kinds exist, and the loop cannot tell them apart: agents that
depend only on the market map the block to wanted positions first (agents.base.MarketAgent); compiled strategies
run inside the scan (agents.base.CompiledStrategy); strategies in plain Python are called row by row
(agents.strategy.Strategy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from engine.base.restoring import parts_of
from engine.base.state import State, Stateful
from engine.types.blocks import BarBlock, Floats
from engine.types.instruments import Instrument
from engine.types.records import Operation, Records
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS


class BarSource(Protocol):
    """A finite stream of closed bars, read lazily so that memory does not grow with the data."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        ...

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0."""
        ...


class Simulator(Stateful, Protocol):
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

    def catch_up(self, row: int) -> None:
        """Advance every row of the block begun up to this one that was not advanced yet, as if one by one."""
        ...

    def submit(self, commands: Records) -> None:
        """Apply commands after the row advanced last; their `order_id` is filled in."""
        ...

    def run_targets(self, block: BarBlock, targets: Floats) -> StepBlock:
        """Process a block for wanted positions in units, shape (rows, S); NaN keeps the last."""
        ...

    def run_compiled(self, block: BarBlock, signals: Any, decide: Any, params: Any, memory: Any) -> StepBlock:
        """Process a block with a compiled strategy inside the scan.

        `signals`, `params` and `memory` are what `decide` was compiled for: float64 arrays for a strategy.
        """
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

    def take(self) -> StepBlock:
        """Everything that happened in the current block."""
        ...


class Agent(Stateful, Protocol):
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

    def snapshot(self) -> Any:
        """Everything carried from block to block, as a tree (`engine.base.state`). Taken between blocks.

        None says that the state of this agent cannot be saved: only the bars themselves, run over again, rebuild it.
        """
        ...

    def restore(self, state: Any) -> None:
        """Continue from a snapshot; called after `bind`. After an error the agent must be bound again.

        Raises:
            DataError: If the snapshot is not one of an agent made alike: class, parameters, symbols, models.
        """
        ...


class TradeFolder(Stateful, Protocol):
    """Folds fills into round trips; portfolio.trades.TradeBook is the one."""

    def update(self, fills: Records) -> Records:
        """TRADE records of the trades that ended with these fills."""
        ...

    def open_trades(self, positions: Records, ts_event: int, seq: int) -> Records:
        """TRADE records of the trades that last, valued at the last close."""
        ...


@runtime_checkable
class KeepsMore(Protocol):
    """An agent whose base class carries state besides what the user's `snapshot` knows of."""

    @property
    def saved_beside(self) -> Stateful:
        """That state; its snapshot is None if it cannot be saved."""
        ...


def snapshot_of_agent(agent: Agent) -> State | None:
    """All that an agent carries from block to block; None if it cannot be saved."""
    own = agent.snapshot()
    if own is None or not isinstance(agent, KeepsMore):
        return None if own is None else {"own": own}
    beside = agent.saved_beside.snapshot()
    return None if beside is None else {"own": own, "beside": beside}


def restore_agent(agent: Agent, state: Any) -> None:
    """Let an agent that was bound continue from `snapshot_of_agent`.

    Raises:
        DataError: If the state is not one of an agent made alike.
    """
    more = isinstance(agent, KeepsMore)
    parts = parts_of(state, ("own", "beside") if more else ("own",))
    if isinstance(agent, KeepsMore):
        agent.saved_beside.restore(parts["beside"])
    agent.restore(parts["own"])
