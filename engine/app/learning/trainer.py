"""The process that learns, seen from the run: started, asked, waited for, and noticed when it dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.app.config import RunConfig
from engine.app.wiring import Setup
from engine.base.errors import GrandModelError, UsageError
from engine.learning.job import Job, Learned

WORK = "engine.app.learning.work"
"""Module that computes."""
LOG = "trainer.log"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Sums of several threads may come in any order, and those of the run are not to be held up."""


class TrainerLost(Exception):  # noqa: N818 - reads as what happened
    """The process ended before it answered."""


class TrainerTrouble(Exception):  # noqa: N818 - reads as what happened
    """The machine did not let it work, such as a full disk."""


class Trainer:
    """A process that computes training jobs, one after the other; started when it is asked first.

    Args:
        setup: Of the run.
        log: Takes what the process prints; None leaves it to the error output.
        nice: By how much it steps back behind other processes.
    """

    def __init__(self, setup: Setup, log: Path | None, nice: int = 0) -> None:
        config = setup.config.model_dump(mode="json", include=set(RunConfig.model_fields))
        traded = [one.model_dump(mode="json") for one in setup.instruments.values()]
        self._told = {
            "work": WORK,
            "nice": nice,
            "config": config,
            "instruments": traded,
            "timeframe_ns": setup.timeframe_ns,
        }
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process; None if none runs."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def check(self, parent: Path) -> None:
        """See that the run can learn.

        Args:
            parent: Folder of the version with which it begins.

        Raises:
            UsageError: If it cannot.
            TrainerLost, TrainerTrouble: As they say.
        """
        self._ask({"ask": "check", "parent": str(parent)})
        self._answer()

    def send(self, job: Job, folder: Path, parent: Path, *, rows: Path | None, session: Path | None) -> None:
        """Ask for a job; `wait` has its result.

        Args:
            job: Which.
            folder: Of the run, which keeps its candidate.
            parent: Folder of the version that it continues.
            rows: File of its rows.
            session: Folder of the journal that has its rows, where there is no file.
        """
        told = {"job": job.tree(), "folder": str(folder), "parent": str(parent)}
        places = {"rows": None if rows is None else str(rows), "session": None if session is None else str(session)}
        self._ask({"ask": "learn", **told, **places})

    def wait(self) -> Learned:
        """Wait for the result of the job that was asked for.

        Raises:
            GrandModelError: If the request was wrong.
            TrainerLost, TrainerTrouble: As they say.
        """
        return Learned.from_tree(self._answer()["learned"])

    def close(self) -> None:
        """End the process."""
        self._closed = True
        self._drop()

    def _drop(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        return code

    def _ask(self, request: dict[str, Any]) -> None:
        if self._process is None:
            self._process = self._started()
        with suppress(OSError):  # a process that is gone already is noticed at its answer
            assert self._process.stdin is not None  # noqa: S101 - asked for
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        process = self._process
        line = "" if process is None or process.stdout is None else process.stdout.readline()
        if not line:
            code = self._drop()
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
            raise TrainerLost(f"the training process {how}")
        answer: dict[str, Any] = json.loads(line)
        if "trouble" in answer:
            raise TrainerTrouble(str(answer["trouble"]))
        if "error" in answer:
            told = {key: answer["error"].get(key) for key in ("where", "expected", "found", "hint")}
            raise UsageError(str(answer["error"]["what"]), **told)
        return answer

    def _started(self) -> subprocess.Popen[str]:
        if self._closed:
            raise TrainerLost("the run has ended")
        path = os.pathsep.join(entry for entry in sys.path if entry)
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
        errors = None if self._log is None else self._log.open("a", encoding="utf-8")
        try:
            # in a session of its own, so that Ctrl-C reaches the run only
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.app.learning.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                start_new_session=True, env={**os.environ, "PYTHONPATH": path, **ONE_THREAD},
            )  # fmt: skip
        except OSError as error:
            raise TrainerTrouble(f"it cannot be started: {error.strerror}") from error
        finally:
            if errors is not None:
                errors.close()
        assert process.stdin is not None  # noqa: S101 - asked for
        with suppress(OSError):
            process.stdin.write(json.dumps(self._told) + "\n")
            process.stdin.flush()
        return process


def failed(error: GrandModelError) -> Learned:
    """The result of a job whose request was wrong, such as one whose parent is gone."""
    return Learned("refused", f"the job failed: {error.what}", "failed")
