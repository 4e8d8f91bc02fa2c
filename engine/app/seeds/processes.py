"""One process for each training, as many at once as wanted; stopped together, each with a checkpoint."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Held at 1 in every process: trainings side by side would take each other's cores."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        seed: Its seed.
        folder: Its run folder; resumed if it holds checkpoints.
        log: File that takes what the process prints; removed if that is nothing.
        told: What else the worker receives: configuration, device, compiled, project, verbose.
    """

    seed: int
    folder: Path
    log: Path
    told: Mapping[str, Any]


Answer = dict[str, Any]
"""`stopped`, `episodes`, `seconds` and `weights_sha256`, or `error` and `exit_code`."""
Done = Callable[[Job, Answer], None]


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(jobs: Sequence[Job], workers: int, done: Done, stopping: Callable[[], None] | None = None) -> None:
    """Run every job and report each as it ends, in any order.

    Args:
        workers: Processes at once.
        done: Called in this thread, one call at a time.
        stopping: Called when all have been asked to stop, before waiting for them.

    Raises:
        KeyboardInterrupt: After all trainings have saved a checkpoint; at once if it comes again meanwhile.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[Job, Answer]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    processes = _Processes()

    def work() -> None:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answer = processes.run(job)
            except Exception as error:  # a thread that dies in silence would leave the caller waiting
                answer = {"error": f"{type(error).__name__}: {error}", "exit_code": 1}
            if answer is None:
                return
            answers.put((job, answer))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            done(*answers.get())
    except KeyboardInterrupt:
        processes.stop()
        if stopping is not None:
            stopping()
        for thread in threads:
            thread.join()
        while not answers.empty():
            done(*answers.get())
        raise
    finally:
        processes.kill()


class _Processes:
    """The processes that run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopping = False

    def run(self, job: Job) -> Answer | None:
        """Train in a process of its own and wait for its end; None if no more is wanted."""
        process = self._start(job)
        if process is None:
            return None
        with process:
            assert process.stdout is not None  # noqa: S101 - asked for
            line = process.stdout.readline()
            code = process.wait()
        with self._lock:
            self._running.discard(process)
            stopping = self._stopping
        if not job.log.stat().st_size:
            job.log.unlink()
        if line:
            answer: Answer = json.loads(line)
            return answer
        if stopping:
            return {"stopped": "interrupted"}
        return {"error": f"its process ended with code {code}", "exit_code": 1}

    def _start(self, job: Job) -> subprocess.Popen[str] | None:
        told = {**job.told, "seed": job.seed, "folder": str(job.folder)}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with self._lock:
            if self._stopping:
                return None
            with job.log.open("w", encoding="utf-8") as log:
                # in its own session, so that Ctrl-C reaches this process only
                process = subprocess.Popen(
                    [sys.executable, "-m", "engine.app.seeds.worker"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
                    start_new_session=True, env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREADS, "1")},
                )  # fmt: skip
            self._running.add(process)
            assert process.stdin is not None  # noqa: S101 - asked for
            with suppress(OSError):  # a process that is gone already is noticed at its answer
                process.stdin.write(json.dumps(told) + "\n")
                process.stdin.flush()
        return process

    def stop(self) -> None:
        """Start no more, and let those that run save a checkpoint and end."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                with suppress(OSError):
                    if process.stdin is not None:
                        process.stdin.close()

    def kill(self) -> None:
        """End at once what still runs."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.kill()
        for process in running:
            process.wait()
