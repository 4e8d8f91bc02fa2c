"""Training jobs of a live session: in a process of its own, watched by a thread; the session never waits for either."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from engine.app.agents import build_agent
from engine.app.learning.folder import JobFolder, forget_jobs
from engine.app.learning.trainer import LOG, Trainer, TrainerLost, TrainerTrouble, failed
from engine.app.models import KeptModels
from engine.app.wiring import Setup
from engine.base.errors import GrandModelError
from engine.base.log import logger
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned
from engine.monitor.alerts import Severity
from engine.types.step import StepBlock

RESTARTED, STUCK = "trainer_restarted", "learning_stuck"
"""Kinds of the alerts about the training process: it died, or the machine does not let it work."""
NICE = 10
MOST_DEATHS = 5
"""Of the process in one job, which then has failed."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
Tell = Callable[[Severity, str, str], None]


class LiveJobs:
    """Computes the jobs of a live session (`engine.learning.learner.Jobs`).

    Args:
        setup: Of the session.
        learning: Of its jobs.
        folder: Of the session.
        admitted: Numbers of jobs whose candidates were admitted, which are kept.

    Attributes:
        tell: Takes alerts, from any thread; None drops them.
        restarts: How often the process was started again.
    """

    def __init__(self, setup: Setup, learning: LearningConfig, folder: Path, admitted: frozenset[int]) -> None:
        self._setup, self._learning, self._folder = setup, learning, folder
        self._admitted = set(admitted)
        self._kept = KeptModels(folder)
        self._trainer = Trainer(setup, JobFolder(folder, 0).path.parent / LOG, NICE)
        self._begun: Job | None = None
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results: dict[int, Learned] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="learning", daemon=True)
        self.tell: Tell | None = None
        self.restarts = 0
        self.computing: Job | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None while none runs."""
        return self._trainer.pid

    def check(self, parent: Path) -> None:
        """See that the session can learn, before it trades; this is waited for.

        Raises:
            GrandModelError: If it cannot.
        """
        try:
            self._trainer.check(parent)
        except (TrainerLost, TrainerTrouble) as error:
            raise GrandModelError(f"the training process does not work: {error}", where=str(self._folder)) from error

    def follow(self, step: StepBlock) -> None:
        """Rows are read from the journal."""

    def start(self, job: Job) -> None:
        """A job begins; its process may begin once its rows are in the journal, see `committed`."""
        self._begun = job

    def committed(self) -> None:
        """The journal has every row so far: let the process begin with a job that has begun."""
        if self._begun is not None:
            if not self._thread.is_alive():
                self._thread.start()
            self._jobs.put(self._begun)
            self._begun = None

    def result(self, job: Job, seq: int) -> Learned | None:
        """What came of the job; None if it has not ended, whose candidate then is late."""
        return self._results.get(job.number)

    def close(self) -> None:
        """End thread and process; a job that has not ended is computed again by the next start."""
        self._closing.set()
        self._jobs.put(None)
        self._trainer.close()
        if self._thread.is_alive():
            self._thread.join(timeout=LONGEST_WAIT_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._closing.is_set():
            self.computing = job
            try:
                self._results[job.number] = self._computed(job)
            except _Closed:
                return
            except Exception as error:  # the session trades on, whatever happens here
                if self._closing.is_set():
                    return
                logger("learning").exception("a training job failed")
                self._results[job.number] = Learned("refused", f"the job failed: {error}", "failed")
            self.computing = None
            self._forget(job)

    def _computed(self, job: Job) -> Learned:
        """The result of a job, whose candidate the session keeps; tried again where process or disk fail."""
        own, deaths, wait_s = JobFolder(self._folder, job.number), 0, FIRST_WAIT_S
        while True:
            try:
                learned = own.result(job) or self._asked(job)
                if learned.status == "candidate":
                    self._prepare(own.candidate, str(learned.sha256))
                return learned
            except TrainerLost as error:
                deaths += 1
                if deaths >= MOST_DEATHS:
                    return Learned("refused", f"{error}, {deaths} times in a row", "failed")
                self.restarts += 1
                self._say("warning", RESTARTED, f"{error} in training job {job.number}; it is started again")
            except (TrainerTrouble, OSError) as error:
                text = f"training job {job.number} waits, the session trades on: {error}"
                self._say("critical", STUCK, text)
            except GrandModelError as error:
                if not own.candidate.is_dir():
                    return failed(error)
                # what the disk holds is not what was learned: it is learned again
                shutil.rmtree(own.path, ignore_errors=True)
                deaths += 1
                if deaths >= MOST_DEATHS:
                    return failed(error)
            if self._closing.wait(wait_s):
                raise _Closed
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _prepare(self, candidate: Path, sha256: str) -> None:
        """Let the session keep a candidate, and build its agent here, so that no row waits for that."""
        kept, own = self._kept.keep(candidate), self._setup.config.model_copy(update={"agent": "ensemble"})
        self._setup.built.clear()  # one that was never used is not used any more
        self._setup.built[sha256] = build_agent(own, kept)

    def _asked(self, job: Job) -> Learned:
        parent = self._kept.find(job.parent_sha256)
        self._trainer.send(job, self._folder, parent, rows=None, session=self._folder)
        try:
            return self._trainer.wait()
        except TrainerLost as error:
            if self._closing.is_set():
                raise _Closed from error
            raise

    def _forget(self, job: Job) -> None:
        if self._results[job.number].status == "candidate":
            self._admitted.add(job.number)
        forget_jobs(self._folder, self._admitted, self._learning.keep)

    def _say(self, severity: Severity, kind: str, text: str) -> None:
        logger("learning").warning(text)
        if self.tell is not None:
            self.tell(severity, kind, text)


class _Closed(Exception):  # noqa: N818 - reads as what happened
    """The session ends."""
