"""Where a run keeps its training jobs: `learning/NUMBER/` with the job, its candidate and what came of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

from engine.base.errors import DataError
from engine.base.files import read_json
from engine.base.replacing import write_text
from engine.learning.job import Job, Learned

LEARNING_FOLDER = "learning"
CANDIDATE, JOB, LEARNED = "candidate", "job.json", "learned.json"


class JobFolder:
    """The folder of one training job.

    Args:
        run: Folder of the run.
        number: Of the job.
    """

    def __init__(self, run: Path, number: int) -> None:
        self.path = run / LEARNING_FOLDER / str(number)

    @property
    def candidate(self) -> Path:
        """The version that the job has written, whatever became of it."""
        return self.path / CANDIDATE

    def begin(self, job: Job) -> Path:
        """Note the job, and make room for its candidate.

        Returns:
            Where the candidate is to be written; it has its place once `end` was called.

        Raises:
            OSError: If the disk does not take it.
        """
        part = self.path / f"{CANDIDATE}.part"
        shutil.rmtree(part, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / JOB, json.dumps(job.tree(), indent=1) + "\n")
        return part

    def end(self, learned: Learned) -> None:
        """Put the candidate and then the result in their places: who sees the result sees all of the candidate.

        Raises:
            OSError: If the disk does not take it.
        """
        part = self.path / f"{CANDIDATE}.part"
        if part.is_dir():
            shutil.rmtree(self.candidate, ignore_errors=True)
            part.rename(self.candidate)
        write_text(self.path / LEARNED, json.dumps(learned.tree(), indent=1) + "\n")

    def result(self, job: Job) -> Learned | None:
        """What came of the job; None if it has not ended, or another job has this folder.

        Raises:
            DataError: If the file does not hold a result.
        """
        if not (self.path / LEARNED).is_file():
            return None
        try:
            if Job.from_tree(read_json(self.path / JOB)) != job:
                return None
            return Learned.from_tree(read_json(self.path / LEARNED))
        except (OSError, ValueError, AttributeError) as error:
            raise DataError("the result of a training job cannot be read", where=str(self.path)) from error


def forget_jobs(run: Path, admitted: Collection[int], keep: int) -> None:
    """Remove the candidates of all but the last jobs, and of those that were admitted; results stay."""
    folder = run / LEARNING_FOLDER
    if not folder.is_dir():
        return
    numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    others = [number for number in numbers if number not in admitted]
    for number in others[: max(0, len(others) - keep)]:
        shutil.rmtree(folder / str(number) / CANDIDATE, ignore_errors=True)
