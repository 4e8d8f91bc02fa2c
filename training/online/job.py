"""A training job of a run that learns: from its recent bars to a candidate, or to the reason why there is none.

A job is a pure function of what it is given: the same job on the same kind of machine gives the same bytes, in any
process, as long as NumPy computes with one thread there (torch is set to one here).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from agents.models.loading import load_ensemble
from engine.base.errors import DataError
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned, Refusal
from engine.types.blocks import BarBlock
from training.checkpoint import weights_sha256
from training.errors import ExplodingLoss
from training.evaluation.policies import ServedPolicy
from training.export import write_learned
from training.online.continuing import Continued, learn_on
from training.online.judging import Judgement, compare, judge_candidate, judge_relearned
from training.online.parent import Parent, read_parent, require_learnable
from training.online.run import JobRun, require_learnable_run
from training.online.screening import find_poison
from training.online.setup import JobSetup, job_setup
from training.online.windows import TooFewBars

CREATED_BY = "grandmodel learning"


def run_job(
    job: Job,
    bars: BarBlock,
    parent: Path,
    run: JobRun,
    config: LearningConfig,
    out: Path,
    older: Sequence[BarBlock] = (),
) -> Learned:
    """Learn on from a version, and judge what came of it.

    Args:
        job: Which rows, which parent, which seed.
        bars: The rows, all symbols; `seq` is the job's first row.
        parent: Folder of the version that goes on.
        run: That the job belongs to.
        config: Of its learning.
        out: Folder of the candidate, made; written for a refused one, too, once something was learned.
        older: Rows of the run before `bars`; one block that ends where `bars` begins is one series with it.

    Returns:
        The candidate, or why it is refused.

    Raises:
        UsageError: If the run or the parent cannot learn at all, or `config` does not fit.
        DataError, CheckFailed: If the parent is damaged or another version.
    """
    require_learnable_run(run)
    version = read_parent(parent, job.parent_sha256)
    require_learnable(version, tuple(name.removesuffix("_agent") for name in config.agents))
    for block in (bars, *older):
        poison = find_poison(block)
        if poison is not None:
            return _refused("data", poison.what, {"row": float(poison.row)})
    with one_thread():
        try:
            setup = job_setup(config, run, version, job.seed, bars, older)
        except TooFewBars as error:
            return _refused("data", f"{error.what}: {error.found}", {})
        return _learned(job, setup, version, config, out)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside: sums of several may come in any order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _learned(job: Job, setup: JobSetup, parent: Parent, config: LearningConfig, out: Path) -> Learned:
    try:
        seats = learn_on(setup, parent, config)
    except ExplodingLoss as error:
        return _refused("diverged", f"{error.what} ({error.where})", {})
    except DataError as error:
        # a reward that is no number: the bars passed the screen, and an account did not survive them
        return _refused("data", f"{error.what} ({error.where})", {})
    figures = {f"{seat}_kl": one.divergence for seat, one in seats.items()}
    figures |= {f"{seat}_updates": float(one.updates) for seat, one in seats.items()}
    broken = [seat for seat, one in seats.items() if not _finite(one)]
    if broken:
        return _refused("diverged", f"a weight of the {broken[0]} network is no finite number", {})
    version, sha256 = write_candidate(job, setup, parent, seats, out)
    verdict = _unmoved(seats, config) or _judged(setup, parent, config, out, seats)
    figures |= verdict.figures
    if verdict.reason is None:
        return Learned("candidate", verdict.because, None, sha256, version, figures)
    return Learned("refused", verdict.because, verdict.reason, sha256, version, figures)


def write_candidate(
    job: Job, setup: JobSetup, parent: Parent, seats: Mapping[str, Continued], out: Path
) -> tuple[str, str]:
    """Write a version: seats that have learned, and the parent's files for the others.

    Returns:
        Its name and its sha256.
    """
    digest = weights_sha256({seat: dict(one.network.weights) for seat, one in seats.items()})
    version = f"learned-{job.number}-{digest[:8]}"
    write_learned(
        {seat: one.network for seat, one in seats.items()},
        parent.folder,
        out,
        version,
        created_by=CREATED_BY,
        seed=job.seed,
        training_data=setup.training.training_data,
    )
    return version, load_ensemble(out).sha256


def _unmoved(seats: Mapping[str, Continued], config: LearningConfig) -> Judgement | None:
    """Of a candidate that has learned nothing, or moved too far at once."""
    overshot = [seat for seat, one in seats.items() if one.overshot]
    if overshot:
        because = (
            f"the first update of the {overshot[0]} network already moves its decisions by more than "
            f"learning.max_kl ({config.max_kl:g}): lower its learning rate, or raise max_kl"
        )
        return Judgement("kl", because, {})
    if any(one.updates for one in seats.values()):
        return None
    return Judgement("gate", "nothing was learned: too few episodes for one update", {})


def _judged(
    setup: JobSetup, parent: Parent, config: LearningConfig, out: Path, seats: Mapping[str, Continued]
) -> Judgement:
    training, windows = setup.training, setup.windows
    candidate, before = (ServedPolicy(load_ensemble(folder)) for folder in (out, parent.folder))
    recent = compare(training, candidate, before, windows.judged)
    older = compare(training, candidate, before, windows.judged_older)
    if recent is None:
        raise AssertionError("windows without a judged part are refused when they are built")
    relearned = next((one.relearned for one in seats.values() if one.relearned is not None), None)
    if relearned is not None:
        return judge_relearned(recent, older, relearned)
    return judge_candidate(recent, older, config.recent_share)


def _finite(one: Continued) -> bool:
    return all(np.isfinite(values).all() for values in one.network.weights.values())


def _refused(reason: Refusal, because: str, figures: Mapping[str, float]) -> Learned:
    return Learned("refused", because, reason, None, "", dict(figures))
