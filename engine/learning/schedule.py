"""Which job begins before which row, and from which row its candidate may be used; nothing but numbers decides."""

from __future__ import annotations

from engine.learning.config import LearningConfig
from engine.learning.job import Job, job_seed


def is_due(config: LearningConfig, seq: int) -> bool:
    """Whether a job begins before the row `seq`, which is a cut."""
    return seq >= config.min_bars and seq % config.every_bars == 0


def next_due(config: LearningConfig, seq: int) -> int:
    """The first row from `seq` on before which a job begins."""
    return -(-max(seq, config.min_bars) // config.every_bars) * config.every_bars


def job_at(config: LearningConfig, seq: int, parent_sha256: str, seed: int) -> Job:
    """The job that begins before the row `seq`.

    Args:
        config: As above.
        seq: At least 1.
        parent_sha256: Of the version that decides there.
        seed: Of the run.
    """
    return Job(seq, max(0, seq - config.window_bars), seq - 1, parent_sha256, job_seed(seed, seq))


def usable_from(config: LearningConfig, job: Job) -> int:
    """The row before which the job's candidate may first be used, a cut."""
    return job.number + config.lag_bars
