"""Computing the training jobs of a session again: do they come to the same candidates?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from engine.app.extras import need_training
from engine.app.learning.trainer import LOG, Trainer, TrainerLost, TrainerTrouble
from engine.app.live.open_or_resume import stored_setup
from engine.app.models import KeptModels
from engine.base.errors import CheckFailed, GrandModelError
from engine.journal.reading import JournalReader
from engine.learning.job import Job, Learned
from engine.learning.learner import ENDED
from engine.loop.learner import LearningEvent


class Retrained(NamedTuple):
    """What was computed again.

    Attributes:
        jobs: How many jobs came to the same.
        passed_over: Numbers of those that could not be compared: they had not ended, or their process had died.
    """

    jobs: int
    passed_over: tuple[int, ...]


def retrain(folder: Path) -> Retrained:
    """Compute every training job of a session again, from the rows of its journal, and compare what came of it.

    The same kind of machine and the same versions of packages are needed for the same bits.

    Raises:
        CheckFailed: If jobs come to something else; it names them.
        UsageError: If torch is not installed.
        GrandModelError: If a job cannot be computed.
    """
    need_training()
    with JournalReader(folder) as reader:
        setup, events = stored_setup(reader), reader.learning_events()
    recorded = {one.job: one for one in events if one.job is not None and one.status in ENDED}
    begun = [Job.from_tree(one.details) for one in events if one.status == "queued"]
    jobs = [job for job in begun if _comparable(recorded.get(job.number))]
    differing = []
    with tempfile.TemporaryDirectory(prefix="grandmodel-retrain-") as temporary:
        trainer = Trainer(setup, Path(temporary) / LOG)
        try:
            for job in jobs:
                then = Learned.from_tree(recorded[job.number].details)
                now = _computed(trainer, job, folder, Path(temporary))
                if _outcome(then) != _outcome(now):
                    differing.append(f"job {job.number}: {_words(then)} then, {_words(now)} now")
        finally:
            trainer.close()
    if differing:
        raise CheckFailed(
            "training jobs that are computed again come to something else",
            where=str(folder),
            expected="what the journal has of them, bit for bit",
            found="; ".join(differing),
            hint="the code, the packages or the kind of processor differ from those of the session",
        )
    known = {job.number for job in jobs}
    return Retrained(len(jobs), tuple(job.number for job in begun if job.number not in known))


def _comparable(event: LearningEvent | None) -> bool:
    return event is not None and event.status != "failed"


def _computed(trainer: Trainer, job: Job, session: Path, folder: Path) -> Learned:
    parent = KeptModels(session).find(job.parent_sha256)
    trainer.send(job, folder, parent, rows=None, session=session)
    try:
        return trainer.wait()
    except (TrainerLost, TrainerTrouble) as error:
        raise GrandModelError(
            f"training job {job.number} could not be computed: {error}", where=str(session)
        ) from error


def _outcome(learned: Learned) -> tuple[str, str | None, str | None]:
    return learned.status, learned.reason, learned.sha256


def _words(learned: Learned) -> str:
    what = learned.status if learned.reason is None else f"{learned.status} ({learned.reason})"
    return what if learned.sha256 is None else f"{what}, sha256 {learned.sha256[:12]}"
