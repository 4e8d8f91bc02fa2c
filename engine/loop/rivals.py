"""Those who trade the same bars in books of their own, and may take the agent's place at a cut.

The driver knows only this much of them; `engine.challengers` decides. Whatever they do, the agent's own book is the
same as without them until one of them takes over.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

from engine.base.state import State
from engine.loop.learner import Entrant
from engine.loop.weights import Activation
from engine.types.contracts import Agent, Simulator
from engine.types.records import Operation
from engine.types.step import StepBlock

FAILURE = "failure"
"""Who decided, where an agent that failed was retired."""
BY_EVIDENCE, BY_ORDER = "its evidence suffices", "the operator promoted it"
BY_GATE = "its training job has found it better"
PROMOTIONS = frozenset({BY_EVIDENCE, BY_ORDER, BY_GATE})
"""Why a challenger became the champion; other reasons took a promotion back."""
Role = Literal["champion", "challenger", "shadow", "retired"]


class RoleChange(NamedTuple):
    """Somebody's role, and the number of the row from which it holds.

    Attributes:
        seq: The row.
        name: Specification of the agent.
        role: Its role from there on.
        because: Why, in words.
        by: Who or what decided: `test`, `rule`, `failure`, `operator`, `job` or `start`.
        blocks: Blocks of the test behind it.
        e_value: Evidence at that moment.
        threshold: Evidence that was wanted.
    """

    seq: int
    name: str
    role: Role
    because: str
    by: str
    blocks: int = 0
    e_value: float = 1.0
    threshold: float = 0.0


class TakeOver(NamedTuple):
    """Who decides from a cut on: the agent, and the activation to record where its models are others."""

    agent: Agent
    activation: Activation | None


class Rivals(Protocol):
    """What the driver asks of those who trade beside its agent."""

    def open(self) -> None:
        """Open their accounts; the first bar is known."""
        ...

    def follow(self, step: StepBlock) -> None:
        """Trade the bars of a step of the agent's, and compare."""
        ...

    def admit(self, seq: int, entrant: Entrant, agent: Agent) -> None:
        """Let a version trade beside the agent, from the row `seq` on, before which there is a cut.

        Args:
            seq: The row.
            entrant: The version.
            agent: The present one, whose knowledge of the market it begins with.

        Raises:
            UsageError: If it cannot trade.
        """
        ...

    def at_cut(self, seq: int, agent: Agent, simulator: Simulator) -> TakeOver | None:
        """Called before the row `seq`; says who takes over there, if anybody does.

        Args:
            agent: The present one.
            simulator: Its account.
        """
        ...

    def replaced(self, activation: Activation) -> None:
        """Other models took over in the agent itself."""
        ...

    def operate(self, operation: Operation, ts_event: int, name: str = "") -> None:
        """Carry out a command of the operator in their accounts, or one that is for them.

        Args:
            operation: The command.
            ts_event: Close of the last row, nanoseconds UTC.
            name: Whom it names; empty for nobody.

        Raises:
            UsageError: If it cannot be obeyed now.
        """
        ...

    def take_changes(self) -> list[RoleChange]:
        """Changes of roles since the last call, in order."""
        ...

    def snapshot(self) -> State | None:
        """The carried state; None if that of an agent cannot be saved."""
        ...

    def restore(self, state: Any, agent: Agent) -> Agent:
        """Continue from a snapshot, after `open`.

        Args:
            agent: The agent of the beginning.

        Returns:
            The agent that decides now, bound.

        Raises:
            DataError: If it is not one of rivals made alike.
        """
        ...
