"""The deterministic core of every run: bars in; decisions, fills and ledger out. Knows no clock and no I/O.

A backtest drives it with the blocks of a replay, a live session with the rows that arrive, recovery and
`grandmodel journal replay` with the rows of a journal. Everything that decides what comes next is state of the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from engine.base.errors import DataError, UsageError
from engine.base.state import State
from engine.loop.cuts import Cuts
from engine.loop.learner import FOR_LEARNER, Entrant, Learner, LearningEvent
from engine.loop.ledger_hash import LedgerHash
from engine.loop.rivals import Rivals, RoleChange
from engine.loop.weights import Activation, FixedWeights, Weights
from engine.types.blocks import BarBlock
from engine.types.calendar import Sessions
from engine.types.contracts import Agent, Simulator, restore_agent, snapshot_of_agent
from engine.types.records import Operation
from engine.types.step import StepBlock

AGENT, SIMULATOR, HASH, RIVALS = "agent", "simulator", "hash", "challengers"
STATES = (AGENT, SIMULATOR, HASH)
ALL_STATES = (*STATES, RIVALS)
"""With the state of those who trade beside the agent, where there are any."""
FOR_RIVALS = frozenset({Operation.PROMOTE, Operation.ROLLBACK})


class Account(NamedTuple):
    """What trades, the sessions in which it may, and where models and weights may change."""

    simulator: Simulator
    sessions: Sessions
    cuts: Cuts = Cuts()


OpenAccount = Callable[[int], Account]
"""Given the close of the first bar (nanoseconds UTC), binds the agent and makes the simulator."""
Join = Callable[[BarBlock], BarBlock]
"""The same rows with further columns, whatever the blocks are cut like."""


class Driver:
    """An agent and its account, stepped block by block.

    Args:
        agent: What decides; bound by `open_account`.
        open_account: Makes the account when the first bar is known: sessions are computed from there on.
        weights: Which models take over at a cut.
        rivals: Who trades the same bars beside the agent.
        learner: Who learns from the rows, and lets versions enter among the rivals.
        join: Adds columns to the bars of a block, such as economic indicators.

    Attributes:
        agent: The one that decides now; a rival may have taken over.
        weights, rivals, learner: As given; weights may be replaced between two blocks.
        next_seq: Number of the row that comes next.
        activations: Models that took over since they were last taken out of this list.
    """

    def __init__(
        self,
        agent: Agent,
        open_account: OpenAccount,
        weights: Weights | None = None,
        rivals: Rivals | None = None,
        learner: Learner | None = None,
        join: Join | None = None,
    ) -> None:
        self.agent = agent
        self.rivals, self.learner = rivals, learner
        self._unfollowed: list[StepBlock] = []
        self._kept_changes: list[RoleChange] = []
        self.weights: Weights = weights or FixedWeights()
        self.next_seq = 0
        self.activations: list[Activation] = []
        self._open_account, self._join = open_account, join
        self._account: Account | None = None
        self._early: list[Operation] = []  # none of them names anybody
        self._hash = LedgerHash()

    def begin(self, first_ns: int, first_seq: int = 0) -> None:
        """Open the account; `process` does so itself with the first bar.

        Args:
            first_ns: Close of the run's first bar, nanoseconds UTC.
            first_seq: Number of the first row that will come.
        """
        self._account = self._open_account(first_ns)
        self.next_seq = first_seq
        if self.rivals is not None:
            self.rivals.open()
        for operation in self._early:
            self._operate(operation)
        self._early.clear()

    def process(self, block: BarBlock) -> Iterator[StepBlock]:
        """Step through the rows of a block, split at its cuts. The iterator must be used up before the next block.

        Raises:
            DataError: If blocks do not follow each other.
        """
        if block.seq != self.next_seq:
            raise DataError("blocks must follow each other", expected=f"row {self.next_seq}", found=f"row {block.seq}")
        if not len(block):
            return
        if self._account is None:
            self.begin(int(block.ts_event[0]), block.seq)
        if self._join is not None:
            block = self._join(block)
        self.follow()
        simulator, _, declared = self._opened
        cuts = declared.offsets(block, self.last_ns if block.seq else None)
        for part in block.split(cuts) if cuts else (block,):
            if part.seq - block.seq in cuts:
                self._cut(part.seq)
            step = self.agent.step(simulator, part)
            self._hash.update(step)
            self.next_seq = part.seq + len(part)
            if self.rivals is not None:
                self._unfollowed.append(step)
            if self.learner is not None:
                self.learner.follow(step)
            yield step

    def follow(self) -> None:
        """Let the rivals catch up with the last row.

        They do so by themselves before the next block, a cut, a command or a snapshot; whoever calls it earlier uses
        time in which nothing waits.
        """
        if self.rivals is not None:
            steps, self._unfollowed = self._unfollowed, []
            for step in steps:
                self.rivals.follow(step)

    def take_role_changes(self) -> list[RoleChange]:
        """Changes of roles among the rivals since the last call, in order."""
        kept, self._kept_changes = self._kept_changes, []
        return kept if self.rivals is None else kept + self.rivals.take_changes()

    def keep_role_changes(self, changes: list[RoleChange]) -> None:
        """Give changes of roles to the next one who takes them: they were not recorded yet."""
        self._kept_changes = changes

    def take_learning_events(self) -> list[LearningEvent]:
        """What has become of training jobs and of versions that were named since the last call, in order."""
        return [] if self.learner is None else self.learner.take_events()

    def _cut(self, seq: int) -> None:
        """Let other models, or a rival, take over before a row; what was learned enters first."""
        activation = self.weights.at_cut(seq)
        if self.rivals is not None:
            self.follow()
            if self.learner is not None:
                self.learner.at_cut(seq, partial(self._admit, self.rivals, seq))
            if activation is not None:
                self.rivals.replaced(activation)
            elif (found := self.rivals.at_cut(seq, self.agent, self.simulator)) is not None:
                self.agent, activation = found
        if activation is not None:
            self.activations.append(activation)
        if self.learner is not None:
            sha256 = self.agent.model_provenance.get("sha256")
            self.learner.begin(seq, None if sha256 is None else str(sha256))

    def _admit(self, rivals: Rivals, seq: int, entrant: Entrant) -> None:
        rivals.admit(seq, entrant, self.agent)

    def order(self, event: LearningEvent) -> None:
        """Let a version that the operator names enter at the next cut.

        Raises:
            UsageError: If nobody may enter this run.
        """
        if self.learner is None:
            raise UsageError(
                "no version can enter this session",
                expected="a session that began with --challenger, --learn or challengers.promote=true",
            )
        self.learner.order(event)

    def operate(self, operation: Operation, name: str = "") -> None:
        """Carry out a command of the operator, between the last row and the next.

        Args:
            operation: The command.
            name: Whom it names; empty for nobody.

        Raises:
            UsageError: If it cannot be obeyed now.
        """
        if operation in FOR_LEARNER:
            if self.learner is None:
                raise UsageError("this session does not learn", expected="a session that began with --learn FILE")
            self.learner.operate(operation, self.next_seq)
            return
        if operation in FOR_RIVALS and (self.rivals is None or self._account is None):
            raise UsageError(
                f"there is nobody to {operation.name.lower()}",
                expected="a session with challengers (--challenger) that has seen a bar",
            )
        if self._account is None:
            if operation is Operation.RESET_HALT and Operation.HALT not in self._early:
                raise UsageError("the session is not halted")
            self._early.append(operation)
            return
        self._operate(operation, name)

    def _operate(self, operation: Operation, name: str = "") -> None:
        """In the agent's account first: where that refuses, nothing happens to the others."""
        self.follow()
        if operation not in FOR_RIVALS:
            self.simulator.operate(operation, self.last_ns)
        if self.rivals is not None:
            self.rivals.operate(operation, self.last_ns, name)

    @property
    def begun(self) -> bool:
        """Whether a bar was seen."""
        return self._account is not None

    @property
    def last_ns(self) -> int:
        """Close of the last row, nanoseconds UTC; 0 before the first."""
        return int(self.simulator.account["ts_event"][0]) if self._account is not None else 0

    @property
    def flags(self) -> tuple[bool, int]:
        """Whether trading is paused, and the Reason of a halt or 0."""
        if self._account is None:
            paused = [op for op in self._early if op in {Operation.PAUSE, Operation.FLATTEN, Operation.RESUME}]
            return bool(paused) and paused[-1] is not Operation.RESUME, 0
        account = self.simulator.account[0]
        return bool(account["paused"]), int(account["halted"])

    @property
    def simulator(self) -> Simulator:
        """The account.

        Raises:
            UsageError: Before the first bar.
        """
        return self._opened.simulator

    @property
    def sessions(self) -> Sessions:
        """When the market is open.

        Raises:
            UsageError: Before the first bar.
        """
        return self._opened.sessions

    @property
    def ledger_sha256(self) -> str:
        """Hash of the rows so far."""
        return self._hash.hexdigest()

    def snapshot(self) -> State | None:
        """The carried state of every part by name (STATES, or ALL_STATES); None if an agent's cannot be saved.

        Raises:
            UsageError: Before the first bar.
        """
        agent = snapshot_of_agent(self.agent)
        if agent is None:
            return None
        if self.rivals is not None:
            self.follow()
            rivals = self.rivals.snapshot()
            if rivals is None:
                return None
            beside = {RIVALS: rivals}
        else:
            beside = {}
        return {AGENT: agent, SIMULATOR: self.simulator.snapshot(), HASH: self._hash.snapshot(), **beside}

    def restore(self, state: Mapping[str, Any], first_ns: int, next_seq: int) -> None:
        """Continue from a snapshot, before any other bar.

        Args:
            state: What `snapshot` gave.
            first_ns: Close of the run's first bar, nanoseconds UTC.
            next_seq: Number of the row that comes next.

        Raises:
            DataError: If it is not one of a driver made alike.
        """
        self.begin(first_ns, next_seq)
        if self.rivals is not None:
            self.agent = self.rivals.restore(state[RIVALS], self.agent)
        restore_agent(self.agent, state[AGENT])
        self.simulator.restore(state[SIMULATOR])
        self._hash.restore(state[HASH])

    @property
    def _opened(self) -> Account:
        if self._account is None:
            raise UsageError("no bar was seen yet")
        return self._account
