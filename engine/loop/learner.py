"""Who learns from the rows of a run, and lets versions of the ensemble enter beside the champion at cuts.

The driver knows only this much; `engine.learning` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from engine.types.records import Operation
from engine.types.step import StepBlock

Status = Literal["queued", "skipped", "late", "admitted", "refused", "failed", "ordered"]
FOR_LEARNER = frozenset({Operation.PAUSE_LEARNING, Operation.RESUME_LEARNING, Operation.LEARN})
BY_SCHEDULE = "learner"
"""Who decided, where the schedule of jobs did."""


class Entrant(NamedTuple):
    """A version of the ensemble that begins to trade beside the champion.

    Attributes:
        name: By which it goes in the run.
        version: Name of its models.
        sha256: Of its models.
        candidate: Whether a training job of the run has made it.
    """

    name: str
    version: str
    sha256: str
    candidate: bool


class LearningEvent(NamedTuple):
    """What became of a training job, or of a version that an operator named, before a row.

    Attributes:
        seq: The row.
        status: `queued`: a job begins. `skipped`: none does, though one is due. `late`: the job has not ended where its
            candidate could be used first. `admitted`: the candidate, or the version, trades from the row on. `refused`:
            it does not. `failed`: the job has ended without a result. `ordered`: the operator has named a version,
            which enters at the next cut.
        because: Why, in words.
        by: Who or what decided.
        job: Number of the job; None of what the operator named.
        name: Of the version in the run; empty where there is none.
        version, sha256: Of the models; empty where there are none.
        details: Of a job that begins what decides it, of one that has ended what it measured.
    """

    seq: int
    status: Status
    because: str
    by: str
    job: int | None = None
    name: str = ""
    version: str = ""
    sha256: str = ""
    details: Mapping[str, Any] = {}


class Learner(Protocol):
    """What the driver asks of whoever learns."""

    def follow(self, step: StepBlock) -> None:
        """Rows were traded."""
        ...

    def at_cut(self, seq: int, admit: Callable[[Entrant], None]) -> None:
        """Called before the row `seq`, before roles change there: what has been learned may enter now.

        Args:
            seq: The row.
            admit: Lets a version trade from the row on; raises UsageError if it cannot.
        """
        ...

    def begin(self, seq: int, champion_sha256: str | None) -> None:
        """Called before the row `seq`, after roles have changed there: a job may begin now.

        Args:
            seq: The row.
            champion_sha256: Of the models that decide from here on; None if the champion has none.
        """
        ...

    def operate(self, operation: Operation, seq: int) -> None:
        """Carry out a command of the operator that is for it, before the row `seq`.

        Raises:
            UsageError: If it cannot be obeyed now.
        """
        ...

    def order(self, event: LearningEvent) -> None:
        """The operator names a version that is to enter at the next cut."""
        ...

    def take_events(self) -> list[LearningEvent]:
        """What has happened since the last call, in order; without orders."""
        ...
