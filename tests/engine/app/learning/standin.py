"""In place of a training job: as pure and as deterministic, but done at once. Keys of `learning.training` steer it."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.models.metadata import read_ensemble
from agents.models.untrained import write_untrained
from engine.app.learning import trainer
from engine.app.learning.work import Learning
from engine.base.errors import UsageError
from engine.learning.job import Job, Learned
from engine.types.blocks import BarBlock

EVERY, LAG, WINDOW = 40, 20, 60
SEATS = {"strategic": "sma_cross:fast=2,slow=4"}


def check(run: Learning, parent: Path) -> None:
    if run.learning.training.get("unfit"):
        raise UsageError("these networks cannot learn", where=str(parent))


def compute(job: Job, bars: BarBlock, older: Sequence[BarBlock], parent: Path, run: Learning, out: Path) -> Learned:
    told = run.learning.training
    assert (bars.seq, bars.seq + len(bars) - 1) == (job.first, job.last)
    assert sum(map(len, older)) == min(job.first, run.learning.window_bars)
    assert read_ensemble(parent)[1] == job.parent_sha256
    time.sleep(float(told.get("seconds", 0.0)))
    mark = Path(told["mark"]) if "mark" in told else None
    if mark is not None and not mark.exists():  # once
        mark.touch()
        how = told.get("how")
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "disk":
            raise OSError(28, "No space left on device")
    if told.get("how") == "always_die":
        os.kill(os.getpid(), signal.SIGKILL)
    if told.get("how") == "raise":
        raise ValueError("no luck")
    digest = hashlib.sha256(repr(job).encode())
    for block in (*older, bars):
        for name in ("ts_event", "open", "high", "low", "close", "volume", "present"):
            digest.update(getattr(block, name).tobytes())
    seed = int.from_bytes(digest.digest()[:4], "big")
    write_untrained(out, seed=seed, version=f"learned-{job.number}-{seed:08x}")
    sha256 = read_ensemble(out)[1]
    if seed % 4 == 0 or told.get("refuse"):
        return Learned("refused", "it is not better", "gate", sha256, f"learned-{job.number}", {"gain": -0.5})
    return Learned("candidate", "it is better", None, sha256, f"learned-{job.number}-{seed:08x}", {"gain": 1.5})


def settings(parent: Path, **learning: Any) -> dict[str, Any]:
    """Of a run that learns with this module, see `standing_in`."""
    keys = {"every_bars": EVERY, "lag_bars": LAG, "window_bars": WINDOW, "min_bars": 40}
    return {
        "agent": f"ensemble:{parent}",
        "ensemble": {"seats": SEATS},
        "fee": 0.0002,
        "sizing": {"value": 100.0},
        "cuts": {"every_bars": 10},
        "challengers": {"block_bars": 5, "min_blocks": 10, "bound": 0.01, "cooldown_blocks": 10},
        "learning": {**keys, **learning},
    }


@contextmanager
def standing_in() -> Iterator[None]:
    """Trainers that are started inside compute with this module."""
    before, trainer.WORK = trainer.WORK, __name__
    try:
        yield
    finally:
        trainer.WORK = before
