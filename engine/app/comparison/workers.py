"""Running variants one after the other, or side by side in processes; the results are the same."""

from __future__ import annotations

import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.app.comparison.bars import SETTING, save_bars
from engine.app.comparison.evaluation import Build, Setting, VariantOutcome, evaluate
from engine.types.blocks import BarBlock

PATIENCE = 4.0  # seconds of work left from which on starting processes (a second or two each) pays


@dataclass(frozen=True, slots=True)
class Job:
    """One variant to run.

    Attributes:
        number: Its place among all variants.
        spec: Its specification.
        build: Builds the agent, where no specification can; such a variant runs in this process.
        folder: Where to keep its run.
    """

    number: int
    spec: str
    build: Build | None = None
    folder: Path | None = None


Done = Callable[[Job, VariantOutcome], None]


def run_jobs(setting: Setting, bars: BarBlock, jobs: Sequence[Job], workers: int | None, done: Done) -> None:
    """Run every job and report each as it ends, in any order.

    Args:
        workers: Processes; None takes one for each processor, if there is enough to do.
        done: Called in this process, one call at a time.
    """
    here = [job for job in jobs if job.build is not None]
    other = [job for job in jobs if job.build is None]
    for job in here:
        done(job, evaluate(setting, bars, job.spec, job.build, job.folder))
    count = min(workers or len(os.sched_getaffinity(0)), len(other))
    if workers is None or count <= 1:
        other = _in_turn(setting, bars, other, done, forever=count <= 1)
        count = min(count, len(other))
    if other:
        _side_by_side(setting, bars, other, count, done)


def _in_turn(setting: Setting, bars: BarBlock, jobs: list[Job], done: Done, forever: bool) -> list[Job]:
    """Run jobs in this process until so much is left that processes pay; returns what is left."""
    began = time.perf_counter()
    for at, job in enumerate(jobs):
        passed = time.perf_counter() - began
        if not forever and at and passed / at * (len(jobs) - at) > PATIENCE:
            return jobs[at:]
        done(job, evaluate(setting, bars, job.spec, None, job.folder))
    return []


def _side_by_side(setting: Setting, bars: BarBlock, jobs: Sequence[Job], count: int, done: Done) -> None:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[Job, VariantOutcome]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    with tempfile.TemporaryDirectory(prefix="grandmodel-bars-") as folder, _stopping() as stopping:
        save_bars(bars, Path(folder))
        (Path(folder) / SETTING).write_bytes(pickle.dumps(setting))
        told = {"symbols": bars.symbols, "folder": folder, "path": [p for p in sys.path if p]}

        def work() -> None:
            worker: Worker | None = None
            while not stopping.stop:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    if worker is None or worker.ended:  # a variant may take its process with it; the others go on
                        worker = Worker(told, stopping)
                    answers.put((job, worker.run(job)))
                except Exception as error:  # a thread that dies in silence would leave the caller waiting
                    answers.put((job, VariantOutcome("failed", f"{type(error).__name__}: {error}")))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for _ in jobs:
            done(*answers.get())
        for thread in threads:
            thread.join()


@dataclass
class _Stopping:
    processes: list[subprocess.Popen[str]]
    stop: bool = False


@contextmanager
def _stopping() -> Iterator[_Stopping]:
    """End every process on the way out, however that is taken."""
    held = _Stopping([])
    try:
        yield held
    finally:
        held.stop = True
        for process in list(held.processes):
            process.terminate()
        for process in list(held.processes):
            process.wait()


class Worker:
    """A process that runs variants one after the other.

    Args:
        told: Symbols, folder of bars and setting, and where modules are found.
        stopping: Ends the process when the comparison ends.
    """

    def __init__(self, told: dict[str, Any], stopping: _Stopping) -> None:
        command = [sys.executable, "-m", "engine.app.comparison.worker"]
        # in its own session, so that Ctrl-C reaches this process only
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(told["path"])},
        )  # fmt: skip
        stopping.processes.append(self._process)
        self._told: dict[str, Any] | None = told

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def run(self, job: Job) -> VariantOutcome:
        """Run one variant there."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None and pipe_out is not None  # noqa: S101 - both were asked for
        try:
            if self._told is not None:
                pipe_in.write(json.dumps(self._told) + "\n")
                self._told = None
            pipe_in.write(json.dumps({"spec": job.spec, "folder": str(job.folder) if job.folder else None}) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except OSError:
            line = ""
        if not line:
            code = self._process.wait()
            return VariantOutcome("failed", f"the process that ran it ended with code {code}")
        return VariantOutcome.of(json.loads(line))
