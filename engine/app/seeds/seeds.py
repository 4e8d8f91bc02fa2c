"""The same training with several seeds: planned, run side by side, continued, and summed up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.app.comparison.differences import flat
from engine.app.seeds.processes import Answer, Job, default_workers, run_jobs
from engine.app.seeds.records import FILE, PAGE, SeedRun, finished_run, read_runs, tree_of_runs, write_runs
from engine.app.training import check_device
from engine.app.training_plan import read_config, with_seed
from engine.app.trials.ledger import Recording
from engine.app.trials.training import record_seed
from engine.base.aside import held_folder, is_leftover
from engine.base.config import Tree
from engine.base.errors import GrandModelError, UsageError
from engine.base.replacing import write_text
from engine.report.training.seeds import markdown
from training.config import TrainingConfig
from training.data.sources import require_first_tradable
from training.trainer.setup import TrainingSetup

_OWN = re.compile(rf"{re.escape(FILE)}|{re.escape(PAGE)}|seed-\d+(\.log)?")
Watch = Callable[[SeedRun, int, int], None]
"""Called with a seed that has ended, how many have finished, and how many there are."""


@dataclass(frozen=True)
class SeedsPlan:
    """Trainings that have not begun.

    Attributes:
        config: Of all of them, but for the seed.
        folder: Holds their run folders.
        seeds: Wanted, ascending.
    """

    config: TrainingConfig
    folder: Path
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SeedsRun:
    """What trainings over several seeds leave behind.

    Attributes:
        folder: Holds their run folders, `seeds.json` and `seeds.md`.
        tree: What `seeds.json` holds.
        runs: Of every seed that was ever begun there, ascending.
        continued: Seeds that had finished before.
    """

    folder: Path
    tree: Mapping[str, Any]
    runs: Sequence[SeedRun]
    continued: int

    @property
    def failures(self) -> list[SeedRun]:
        """Seeds whose training failed."""
        return [run for run in self.runs if run.status == "failed"]


def plan_seeds(
    files: Sequence[Path],
    settings: Sequence[str],
    *,
    count: int,
    seed: int | None = None,
    out: Path | None = None,
    base: Tree | None = None,
) -> SeedsPlan:
    """Read the configuration and choose the folder.

    Args:
        files: Configuration files, later ones over earlier ones.
        settings: `a.b=c` overrides.
        count: How many seeds, from the configuration's on.
        seed: The first, in place of the configuration's.
        out: The folder; by default a new one in `runs`.
        base: Configuration below the files.

    Raises:
        UsageError: If there is no configuration, or no seed is wanted.
        GrandModelError: If the configuration is wrong or its first source of bars cannot be traded.
    """
    if count < 1:
        raise UsageError("a training needs a seed", where="seeds", expected="1 or more", found=str(count))
    config = read_config(files, with_seed(settings, seed), None, base)
    require_first_tradable(config)
    folder = out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seeds"
    return SeedsPlan(config, folder, tuple(range(config.seed, config.seed + count)))


def check_seeds(plan: SeedsPlan, device: str) -> None:
    """See that the first seed can be trained, and compile what all need, before anything is written.

    Args:
        plan: From `plan_seeds`.
        device: Where torch computes.

    Raises:
        UsageError: If torch cannot compute there, or the folder holds other files, or trainings of another
            configuration.
        GrandModelError: If data or configuration are wrong.
    """
    check_device(device)
    _check_folder(plan.folder)
    config, known = read_runs(plan.folder)
    _check_continues(plan, config)
    if not all(seed in known and _is_whole(plan.folder, known[seed]) for seed in plan.seeds):
        TrainingSetup.prepare(plan.config)


def train_seeds(
    plan: SeedsPlan,
    *,
    workers: int | None = None,
    device: str = "cpu",
    compiled: bool = False,
    project: str | None = None,
    verbose: int = 0,
    watch: Watch | None = None,
    stopping: Callable[[], None] | None = None,
    recording: Recording | None = None,
) -> SeedsRun:
    """Train every seed that has not finished in its folder; one that was interrupted resumes from its checkpoint.

    Every training is that of its seed by itself, bit for bit. One that fails does not stop the others.

    Args:
        plan: From `plan_seeds`, checked by `check_seeds`.
        workers: Processes at once; by default one for each core.
        device: Where torch computes.
        compiled: Whether to compile the learners' updates first.
        project: At Weights & Biases, if records go there.
        verbose: How much each log says.
        watch: Told of every seed that ends.
        stopping: Called after Ctrl-C, before the wait for checkpoints.
        recording: Writes every training that ends into the trial ledger of its data.

    Raises:
        UsageError: If another process trains there.
        KeyboardInterrupt: After every training has saved a checkpoint and `seeds.json` says so.
    """
    with held_folder(plan.folder, "a training over several seeds"):
        _check_folder(plan.folder)
        config, known = read_runs(plan.folder)
        _check_continues(plan, config)
        kept = {seed: run for seed, run in known.items() if seed not in plan.seeds or _is_whole(plan.folder, run)}
        runs = {seed: SeedRun(seed, f"seed-{seed}") for seed in plan.seeds} | kept
        told = {
            "config": plan.config.model_dump(mode="json"), "device": device, "compiled": compiled, "project": project,
            "verbose": verbose,
        }  # fmt: skip
        jobs = [_job(plan.folder, seed, told) for seed in plan.seeds if runs[seed].status != "finished"]

        def done(job: Job, answer: Answer) -> None:
            runs[job.seed] = _ended(runs[job.seed], job, answer)
            _write(plan, runs)
            if recording is not None:
                record_seed(runs[job.seed], plan.config.model_copy(update={"seed": job.seed}), job.folder, recording)
            if watch is not None:
                watch(runs[job.seed], sum(run.status == "finished" for run in runs.values()), len(runs))

        _write(plan, runs)
        run_jobs(jobs, workers or default_workers(), done, stopping)
    ordered = [runs[seed] for seed in sorted(runs)]
    return SeedsRun(plan.folder, tree_of_runs(plan.config, ordered), ordered, len(plan.seeds) - len(jobs))


def _job(folder: Path, seed: int, told: Mapping[str, Any]) -> Job:
    return Job(seed, folder / f"seed-{seed}", folder / f"seed-{seed}.log", told)


def _ended(run: SeedRun, job: Job, answer: Answer) -> SeedRun:
    if "error" in answer:
        return replace(run, status="failed", error=answer["error"])
    if answer["stopped"] == "interrupted":
        return replace(run, status="interrupted")
    try:
        return finished_run(job.seed, job.folder, answer)
    except GrandModelError as error:
        return replace(run, status="failed", error=str(error))


def _write(plan: SeedsPlan, runs: Mapping[int, SeedRun]) -> None:
    tree = tree_of_runs(plan.config, [runs[seed] for seed in sorted(runs)])
    write_text(plan.folder / PAGE, markdown(tree))
    write_runs(plan.folder, tree)


def _is_whole(folder: Path, run: SeedRun) -> bool:
    """Whether a seed that has finished still has what it left."""
    held = folder / run.folder
    return run.status == "finished" and (held / "models").is_dir() and (held / "evaluation").is_dir()


def _check_folder(folder: Path) -> None:
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    foreign = sorted(name for name in found if not _OWN.fullmatch(name) and not is_leftover(name))
    if foreign:
        raise UsageError(
            "the folder holds other files than those of a training over several seeds",
            where=str(folder),
            expected="a new or empty folder, or that of such a training, which is continued",
            found=", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else ""),
            hint="choose another folder (--out)",
        )


def _check_continues(plan: SeedsPlan, config: Mapping[str, Any]) -> None:
    """Refuse to mix seeds of different configurations: their summary would mean nothing."""
    if not config:
        return
    before, now = flat(config), flat(plan.config.model_dump(mode="json", exclude={"seed"}))
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed:
        raise UsageError(
            "the folder holds trainings of another configuration",
            where=str(plan.folder),
            expected="the same configuration, to continue them or to add seeds",
            found=f"different: {', '.join(changed[:5])}" + (", ..." if len(changed) > 5 else ""),
            hint="choose another folder (--out)",
        )
