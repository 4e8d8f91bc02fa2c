"""A worker process of a tuning, as its parent sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.app.seeds.processes import THREADS

Answer = dict[str, Any]


class TuningWorker:
    """A process that trains one trial after the other; it is started with the first.

    Args:
        log: File that takes what it prints.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, job: Mapping[str, Any], validated: Callable[[int, float], bool]) -> Answer:
        """Train a trial and wait for its end.

        Args:
            validated: Told of every evaluation, episode and value; returns whether to prune the trial.
        """
        process = self._running()
        assert process.stdout is not None  # noqa: S101 - asked for
        self._write(process, job)
        while line := process.stdout.readline():
            answer: Answer = json.loads(line)
            if answer["kind"] == "ended":
                return answer
            if validated(int(answer["episode"]), float(answer["value"])):
                self._write(process, {"kind": "prune"})
        code = process.wait()
        self._process = None
        return {"status": "failed", "error": f"its process ended with code {code}"}

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(entry for entry in sys.path if entry)
            with self._log.open("a", encoding="utf-8") as log:
                # in its own session, so that Ctrl-C reaches the parent only
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "engine.app.tuning.worker"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
                    start_new_session=True, env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREADS, "1")},
                )  # fmt: skip
        return self._process

    @staticmethod
    def _write(process: subprocess.Popen[str], told: Mapping[str, Any]) -> None:
        assert process.stdin is not None  # noqa: S101 - asked for
        with suppress(OSError):  # a process that is gone is noticed at its answer
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
