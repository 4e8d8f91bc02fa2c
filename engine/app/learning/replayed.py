"""Training jobs of a run that is replayed: the loop waits for each at the row where its candidate may be used first."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from agents.models.metadata import read_ensemble
from engine.app.agents import models_folder
from engine.app.extras import need_training
from engine.app.learning.folder import JobFolder, forget_jobs
from engine.app.learning.rows import LastRows, first_row, write_rows
from engine.app.learning.trainer import LOG, Trainer, TrainerLost, TrainerTrouble
from engine.app.wiring import Setup
from engine.base.errors import DataError, GrandModelError, UsageError
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned
from engine.types.step import StepBlock

ROWS = "rows.part"


class ReplayedJobs:
    """Computes the jobs of a replay in a process of its own (`engine.learning.learner.Jobs`).

    Args:
        setup: Of the run; see `Setup.find_models` and `find`.
        learning: Of its jobs.
        folder: Of the run, which keeps candidates; None keeps them until `close`.

    Raises:
        UsageError: If the run cannot learn.
    """

    def __init__(self, setup: Setup, learning: LearningConfig, folder: Path | None) -> None:
        need_training()
        first = models_folder(setup.config)
        if first is None:
            raise UsageError("an ensemble without networks cannot learn", expected="networks in all seats")
        self._learning = learning
        self._temporary = None if folder is not None else Path(tempfile.mkdtemp(prefix="grandmodel-learning-"))
        self._folder = folder or self._temporary or Path()
        self._log = JobFolder(self._folder, 0).path.parent / LOG
        self._trainer = Trainer(setup, self._log)
        self._versions: dict[str, Path] = {read_ensemble(first)[1]: first}
        self._rows = LastRows(learning)
        self._admitted: set[int] = set()
        try:
            self._trainer.check(first)
        except (TrainerLost, TrainerTrouble) as error:
            lost = self._lost(error)
            self.close()
            raise lost from error
        except BaseException:
            self.close()
            raise

    def find(self, sha256: str) -> Path:
        """Folder of a version of the run.

        Raises:
            DataError: If the run has none with this hash.
        """
        if sha256 not in self._versions:
            raise DataError("this run has no such version", expected=f"sha256 {sha256}")
        return self._versions[sha256]

    def follow(self, step: StepBlock) -> None:
        """Keep the rows that jobs learn from."""
        self._rows.add(step.bars)

    def start(self, job: Job) -> None:
        """Hand a job to the process."""
        rows = JobFolder(self._folder, job.number).path / ROWS
        rows.parent.mkdir(parents=True, exist_ok=True)
        write_rows(rows, self._rows.between(first_row(self._learning, job), job.last))
        parent = self.find(job.parent_sha256)
        self._trainer.send(job, self._folder, parent, rows=rows, session=None)

    def result(self, job: Job, seq: int) -> Learned:
        """Wait for a job.

        Raises:
            GrandModelError: If its process dies, or the machine does not let it work.
        """
        try:
            learned = self._trainer.wait()
        except (TrainerLost, TrainerTrouble) as error:
            raise self._lost(error) from error
        own = JobFolder(self._folder, job.number)
        (own.path / ROWS).unlink(missing_ok=True)
        if learned.status == "candidate" and learned.sha256 is not None:
            self._versions[learned.sha256] = own.candidate
            self._admitted.add(job.number)
        forget_jobs(self._folder, self._admitted, self._learning.keep)
        return learned

    def close(self) -> None:
        """End the process, and forget candidates that no folder keeps."""
        self._trainer.close()
        for rows in self._log.parent.glob(f"*/{ROWS}"):
            rows.unlink(missing_ok=True)
        if self._log.is_file() and not self._log.stat().st_size:
            self._log.unlink()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _lost(self, error: Exception) -> GrandModelError:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip() if self._log.is_file() else ""
        last = said.splitlines()[-1:] if said else []
        return GrandModelError(
            f"a training job could not be computed: {error}",
            where=str(self._log),
            found=last[0] if last else None,
            hint="see that there is memory and space on the disk, then run it again",
        )
