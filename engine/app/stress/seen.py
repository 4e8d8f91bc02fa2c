"""An agent on a faulty feed: it decides on what it sees, while its account lives on what happened.

The rows of both are the same, one for one, with the same times and numbers. Where the feed shows an older bar, or
none, the agent sees that; fills, marks, stops and hard limits take the true bar. An order can therefore never fill
earlier, or at another price, than the true market allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Floats
from engine.types.contracts import Agent, restore_agent, snapshot_of_agent
from engine.types.instruments import Instrument
from engine.types.records import Operation, Records
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS
from portfolio.simulator import Simulator


class TrueAccount:
    """The account as an agent on a faulty feed drives it: the agent hands over the rows that it sees.

    Args:
        simulator: The account.
        truth: The rows that it trades on.
    """

    def __init__(self, simulator: Simulator, truth: BarBlock) -> None:
        self._simulator, self._truth = simulator, truth

    @property
    def account(self) -> Records:
        """The ACCOUNT record, live."""
        return self._simulator.account

    @property
    def positions(self) -> Records:
        """The POSITION records, live."""
        return self._simulator.positions

    @property
    def orders(self) -> Records:
        """The working ORDER records, live."""
        return self._simulator.orders

    def begin(self, block: BarBlock) -> None:
        """Make the true rows those that are advanced next."""
        self._simulator.begin(self._truth)

    def advance(self, block: BarBlock, row: int) -> None:
        """Fill, mark and check limits in one row."""
        self._simulator.advance(self._truth, row)

    def catch_up(self, row: int) -> None:
        """Advance up to a row."""
        self._simulator.catch_up(row)

    def submit(self, commands: Records) -> None:
        """Apply commands after the row advanced last."""
        self._simulator.submit(commands)

    def run_targets(self, block: BarBlock, targets: Floats) -> StepBlock:
        """Scan the true rows; where the agent sees no bar it decides nothing."""
        return self._simulator.run_targets(self._truth, np.where(block.present, targets, np.nan))

    def run_compiled(self, block: BarBlock, signals: Any, decide: Any, params: Any, memory: Any) -> StepBlock:
        """Scan the true rows with a strategy that is given those that it sees."""
        return self._simulator.run_compiled_seen(self._truth, block, signals, decide, params, memory)

    def operate(self, kind: Operation, ts_event: int) -> None:
        """Apply an operator's command."""
        self._simulator.operate(kind, ts_event)

    def take(self) -> StepBlock:
        """Everything that happened in the true rows."""
        return self._simulator.take()

    def snapshot(self) -> Any:
        """State of the account."""
        return self._simulator.snapshot()

    def restore(self, state: Any) -> None:
        """Return to a state of the account."""
        self._simulator.restore(state)


class OnFaultyFeed:
    """An agent that sees other bars than those its account trades on.

    Args:
        agent: What decides.
        seen: All rows of the run as it sees them, numbered from 0.
    """

    def __init__(self, agent: Agent, seen: BarBlock) -> None:
        self._agent, self._seen = agent, seen

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Bind the agent."""
        self._agent.bind(symbols, instruments, timeframe_ns)

    @property
    def unready_because(self) -> str | None:
        """What the agent still needs."""
        return self._agent.unready_because

    @property
    def model_provenance(self) -> Mapping[str, Any]:
        """What the agent is made of."""
        return self._agent.model_provenance

    def step(self, simulator: Any, block: BarBlock) -> StepBlock:
        """Let the agent decide on what it sees of these rows.

        Raises:
            DataError: If the rows are not those of the feed.
        """
        seen = self._seen.slice(block.seq, block.seq + len(block))
        if not np.array_equal(seen.ts_event, block.ts_event):
            raise DataError("what the agent sees must have the rows of the bars", where=f"row {block.seq}")
        account: Any = TrueAccount(simulator, block)
        return self._agent.step(account, seen)

    def snapshot(self) -> Any:
        """State of the agent."""
        return snapshot_of_agent(self._agent)

    def restore(self, state: Any) -> None:
        """Continue from a snapshot."""
        restore_agent(self._agent, state)
