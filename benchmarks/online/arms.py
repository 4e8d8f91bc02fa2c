"""The four arms: what each learns at the cuts of a market, and which version decides from which row on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from agents.models.metadata import read_ensemble
from engine.base.config import parse
from engine.learning.config import LearningConfig
from engine.learning.job import Learned
from engine.learning.schedule import is_due, job_at, usable_from
from engine.types.blocks import BarBlock
from training.online.job import run_job
from training.online.run import JobRun

REWARDS = {"risk_penalty": 0.0, "sharpe_bonus": 0.0, "max_drawdown_penalty": 0.0}
"""Returns alone, so that rewards can be held against the optimum."""
TRAINING = {"reward_shaping": REWARDS}


class Arm(NamedTuple):
    """How versions come about.

    Attributes:
        learns: Whether there are jobs at all.
        settings: Of its jobs, over those that all arms share.
        takes: Whether what came of a job takes over.
        continues: Whether a job goes on from the version in force; else from the first one.
    """

    learns: bool
    settings: dict[str, object]
    takes: Callable[[Learned], bool]
    continues: bool = True


def _accepted(learned: Learned) -> bool:
    return learned.status == "candidate"


def _written(learned: Learned) -> bool:
    return learned.sha256 is not None


UNCHECKED: dict[str, object] = {"recent_share": 1.0, "max_kl": 1e9, "relearn_errors": None}
ARMS = {
    "frozen": Arm(False, {}, _written),
    # goes on with every window and always takes the newest
    "naive": Arm(True, {**UNCHECKED, "shrink": 1.0, "perturb": 0.0}, _written),
    # a fresh network in every window: weights are shrunk to nothing and a fresh network's are added
    "scratch": Arm(True, {**UNCHECKED, "shrink": 1e-9, "perturb": 1.0, "episodes": 600}, _written, continues=False),
    "ours": Arm(True, {}, _accepted),
}


class Learnt(NamedTuple):
    """A run of an arm.

    Attributes:
        versions: Rows from which versions decide, and their folders.
        jobs: Row, status, reason and figures of every job.
    """

    versions: list[tuple[int, Path]]
    jobs: list[dict[str, object]]


def config_of(arm: Arm, every: int, window: int) -> LearningConfig:
    """What an arm's jobs learn by."""
    shared: dict[str, object] = {
        "every_bars": every,
        "window_bars": window,
        "min_bars": window,
        "takes_over": "gate",
        "training": TRAINING,
    }
    return parse(LearningConfig, shared | arm.settings, where="benchmarks.online")


def learn(arm: Arm, bars: BarBlock, parent: Path, run: JobRun, config: LearningConfig, seed: int, out: Path) -> Learnt:
    """Run all jobs of an arm, as a fast replay does: what is accepted decides `lag_bars` after its job began.

    Args:
        arm: Which.
        bars: The whole market.
        parent: Version that decides at first.
        run: What is traded, and how.
        config: Of the jobs.
        seed: Of the run.
        out: Folder for versions.
    """
    found = Learnt([(0, parent)], [])
    for row in range(config.every_bars, len(bars), config.every_bars) if arm.learns else ():
        if not is_due(config, row):
            continue
        begins = found.versions[-1][1] if arm.continues else parent
        job = job_at(config, row, read_ensemble(begins)[1], seed)
        older = [bars.slice(max(0, job.first - config.window_bars), job.first)] if job.first else []
        learned = run_job(job, bars.slice(job.first, row), begins, run, config, out / str(row), older)
        found.jobs.append({"row": row, "status": learned.status, "reason": learned.reason, **learned.figures})
        if arm.takes(learned):
            found.versions.append((usable_from(config, job), out / str(row)))
    return found
