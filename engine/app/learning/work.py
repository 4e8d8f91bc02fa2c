"""What a trainer computes: the training side of online learning, behind two functions.

A trainer is told the name of a module that has these two, so that tests can put another in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.app.config import RunConfig
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument


class Learning(NamedTuple):
    """A run that learns.

    Attributes:
        config: Of the run.
        learning: Of its jobs.
        instruments: In the order of the symbols.
        timeframe_ns: Length of a bar, nanoseconds.
    """

    config: RunConfig
    learning: LearningConfig
    instruments: tuple[Instrument, ...]
    timeframe_ns: int


def check(run: Learning, parent: Path) -> None:
    """See that a run can learn, before it begins.

    Args:
        run: The run.
        parent: Folder of the version with which it begins.

    Raises:
        GrandModelError: If its configuration, its instruments or its networks do not let it.
    """
    from training.online.parent import read_parent, require_learnable  # noqa: PLC0415 - imports torch
    from training.online.run import JobRun, require_learnable_run  # noqa: PLC0415 - only where a run learns
    from training.online.setup import training_config  # noqa: PLC0415 - likewise

    own = JobRun(run.instruments, run.config, run.config.ensemble, run.timeframe_ns, run.config.indicators)
    require_learnable_run(own)
    version = read_parent(parent)
    require_learnable(version, tuple(name.removesuffix("_agent") for name in run.learning.agents))
    training_config(run.learning, own, version, 0)


def compute(job: Job, bars: BarBlock, older: Sequence[BarBlock], parent: Path, run: Learning, out: Path) -> Learned:
    """Learn; see `training.online.job.run_job`."""
    from training.online.job import run_job  # noqa: PLC0415 - imports torch
    from training.online.run import JobRun  # noqa: PLC0415 - only where a run learns

    own = JobRun(run.instruments, run.config, run.config.ensemble, run.timeframe_ns, run.config.indicators)
    return run_job(job, bars, parent, own, run.learning, out, older)
