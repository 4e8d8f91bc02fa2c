"""Jobs at cuts: when they begin, when their candidates enter, and what is recorded of them.

Everything follows from the rows, the commands and the results of jobs: only how long a job takes live is no property of
them, and where one is late, that is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from engine.base.errors import UsageError
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned
from engine.learning.schedule import is_due, job_at, next_due, usable_from
from engine.loop.learner import BY_SCHEDULE, Entrant, LearningEvent, Status
from engine.types.records import Operation
from engine.types.step import StepBlock

ENDED = frozenset({"admitted", "refused", "failed"})
"""States of a job that has ended."""


class Jobs(Protocol):
    """Computes training jobs, one at a time."""

    def follow(self, step: StepBlock) -> None:
        """Rows were traded."""
        ...

    def start(self, job: Job) -> None:
        """A job begins before the row that comes next."""
        ...

    def result(self, job: Job, seq: int) -> Learned | None:
        """What came of the job before the row `seq`; None if it has not ended."""
        ...


class JobLearner:
    """Who learns in a run; what the driver knows as `engine.loop.learner.Learner`.

    Args:
        config: When jobs begin; None for a run without jobs, in which an operator may name versions.
        seed: Of the run.
        jobs: Computes them; may be replaced between two blocks.

    Attributes:
        paused: Whether no job begins by itself.
        job: The one that has not ended, if any.
    """

    def __init__(self, config: LearningConfig | None, seed: int, jobs: Jobs | None = None) -> None:
        self.config, self.jobs = config, jobs
        self._seed = seed
        self.paused = self._asked = self._late = False
        self.job: Job | None = None
        self._orders: list[LearningEvent] = []
        self._events: list[LearningEvent] = []

    def follow(self, step: StepBlock) -> None:
        """Rows were traded."""
        if self.jobs is not None:
            self.jobs.follow(step)

    def at_cut(self, seq: int, admit: Callable[[Entrant], None]) -> None:
        """Let those in that the operator has named, and the candidate of a job that has ended."""
        due = [one for one in self._orders if one.seq <= seq]
        self._orders = [one for one in self._orders if one.seq > seq]
        for order in due:
            self._enter(seq, Entrant(order.name, order.version, order.sha256, candidate=False), admit, order)
        job = self.job
        if job is None or self.config is None or self.jobs is None or seq < usable_from(self.config, job):
            return
        learned = self.jobs.result(job, seq)
        if learned is None:
            if not self._late:
                self._late = True
                self._note(seq, "late", "the job has not ended yet; its candidate waits for another cut", job)
            return
        self.job, self._late = None, False
        if learned.status == "candidate":
            sha256 = str(learned.sha256)
            entrant = Entrant(candidate_name(job), learned.version, sha256, candidate=True)
            origin = LearningEvent(seq, "admitted", learned.because, BY_SCHEDULE, job.number, details=learned.tree())
            self._enter(seq, entrant, admit, origin)
        else:
            status: Status = "failed" if learned.reason == "failed" else "refused"
            self._note(seq, status, learned.because, job, learned)

    def begin(self, seq: int, champion_sha256: str | None) -> None:
        """Begin a job where one is due or was asked for."""
        asked, self._asked = self._asked, False
        if self.config is None or self.jobs is None or not (asked or (is_due(self.config, seq) and not self.paused)):
            return
        if self.job is not None or champion_sha256 is None:
            why = f"job {self.job.number} has not ended" if self.job else "the champion has no networks"
            self._events.append(LearningEvent(seq, "skipped", why, BY_SCHEDULE, seq))
            return
        self.job = job_at(self.config, seq, champion_sha256, self._seed)
        self.jobs.start(self.job)
        because = "it was asked for" if asked else f"every {self.config.every_bars} rows"
        self._note(seq, "queued", because, self.job)

    def operate(self, operation: Operation, seq: int) -> None:
        """Pause or resume learning, or begin a job at the next cut.

        Raises:
            UsageError: If the run does not learn, or a job has not ended.
        """
        if self.config is None:
            raise UsageError("this session does not learn", expected="a session that began with --learn FILE")
        if operation is not Operation.LEARN:
            self.paused = operation is Operation.PAUSE_LEARNING
            return
        if self.job is not None:
            raise UsageError("a training job has not ended yet", found=f"job {self.job.number}")
        if seq < self.config.min_bars:
            raise UsageError(
                "there are too few rows to learn from", expected=f"{self.config.min_bars} rows", found=f"{seq} rows"
            )
        self._asked = True

    def order(self, event: LearningEvent) -> None:
        """The operator names a version that is to enter at the next cut."""
        self._orders.append(event)

    def take_events(self) -> list[LearningEvent]:
        """What has happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def next_job(self, seq: int) -> int | None:
        """The row before which the next job begins by itself, from the row `seq` on; None if none will."""
        return None if self.config is None or self.paused else next_due(self.config, seq)

    def resume(self, events: Sequence[LearningEvent], operations: Iterable[tuple[int, Operation]], since: int) -> None:
        """Be as after what was recorded of the rows before `since`; orders of later rows wait for theirs.

        Args:
            events: All that were recorded, orders included.
            operations: Rows and commands, in order; those before `since` count.
            since: Number of the row that comes next.
        """
        ended = {one.job for one in events if one.status in ENDED and one.seq < since}
        begun = [one for one in events if one.status == "queued" and one.seq < since and one.job not in ended]
        self.job = Job.from_tree(begun[-1].details) if begun else None
        self._late = self.job is not None and any(
            one.status == "late" and one.job == self.job.number and one.seq < since for one in events
        )
        before = [(seq, operation) for seq, operation in operations if seq < since]
        learning = [one for _, one in before if one in {Operation.PAUSE_LEARNING, Operation.RESUME_LEARNING}]
        self.paused = bool(learning) and learning[-1] is Operation.PAUSE_LEARNING
        self._events = []
        self._orders = [
            one for one in events if one.status == "ordered" and (one.seq >= since or not _answered(one, events, since))
        ]
        asked = [seq for seq, operation in before if operation is Operation.LEARN]
        answered = [one.seq for one in events if one.status in {"queued", "skipped"} and one.seq < since]
        self._asked = bool(asked) and not any(seq >= asked[-1] for seq in answered)

    def _enter(self, seq: int, entrant: Entrant, admit: Callable[[Entrant], None], origin: LearningEvent) -> None:
        """Let a version in, and record whether it could."""
        found = origin._replace(seq=seq, name=entrant.name, version=entrant.version, sha256=entrant.sha256)
        try:
            admit(entrant)
        except UsageError as error:
            self._events.append(found._replace(status="refused", because=f"it cannot trade: {error.what}"))
        else:
            self._events.append(found._replace(status="admitted"))

    def _note(self, seq: int, status: Status, because: str, job: Job, learned: Learned | None = None) -> None:
        details = job.tree() if status == "queued" else {} if learned is None else learned.tree()
        sha256 = "" if learned is None or learned.sha256 is None else learned.sha256
        version = "" if learned is None else learned.version
        event = LearningEvent(seq, status, because, BY_SCHEDULE, job.number, "", version, sha256, details)
        self._events.append(event)


def candidate_name(job: Job) -> str:
    """By which the candidate of a job goes in its run."""
    return f"learned-{job.number}"


def _answered(order: LearningEvent, events: Sequence[LearningEvent], since: int) -> bool:
    """Whether what the operator named has entered, or was refused, before a row."""
    return any(
        one.job is None and one.status in ENDED and one.name == order.name and order.seq <= one.seq < since
        for one in events
    )
