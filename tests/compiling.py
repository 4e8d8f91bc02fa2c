"""The kernels that the tests share, compiled once: `python -m tests.compiling`.

Two processes that meet a kernel which is not compiled yet would both compile it, for half a minute on a slow machine,
and write the same files of the cache.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

from engine.app.warmup import Kind, warm_up
from engine.base.compiled import cache_dir

ROOT = Path(__file__).resolve().parents[1]
MARKER = "complete-tests"


def begin_compiling() -> subprocess.Popen[bytes]:
    """Compile in a process beside this one."""
    return subprocess.Popen([sys.executable, "-m", "tests.compiling"], cwd=ROOT, stdout=subprocess.DEVNULL)


def compile_once() -> None:
    """Compile, unless it is done; or wait until the process that came first has done it."""
    with (cache_dir() / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache_dir() / MARKER).exists():
            _run_one_of_each()
            (cache_dir() / MARKER).touch()


def _run_one_of_each() -> None:
    """A small backtest of every kind, and a small training."""
    from engine.app.training import run_training, wire
    from tests.training.trainer.small import small_config

    for kind in get_args(Kind):
        warm_up(kind)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # with the evaluation at its end, which has kernels of its own
        run_training(wire(small_config(training_params={"total_episodes": 4}), folder / "checkpoints", []), folder)


if __name__ == "__main__":
    compile_once()
