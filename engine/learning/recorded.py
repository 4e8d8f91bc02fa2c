"""Jobs whose results were recorded: a run is repeated with the models that it kept."""

from __future__ import annotations

from collections.abc import Iterable

from engine.learning.job import Job, Learned
from engine.learning.learner import ENDED
from engine.loop.learner import LearningEvent
from engine.types.step import StepBlock


class RecordedJobs:
    """Gives the results of jobs before the rows where the run had them (`engine.learning.learner.Jobs`).

    Args:
        events: What the run recorded.
    """

    def __init__(self, events: Iterable[LearningEvent]) -> None:
        self._ended = {(one.job, one.seq): one for one in events if one.job is not None and one.status in ENDED}

    def follow(self, step: StepBlock) -> None:
        """Rows decide nothing here."""

    def start(self, job: Job) -> None:
        """It has been computed."""

    def result(self, job: Job, seq: int) -> Learned | None:
        """What was recorded before this row; None if the job ended later, or never."""
        found = self._ended.get((job.number, seq))
        return None if found is None else Learned.from_tree(found.details)
