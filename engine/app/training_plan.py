"""What a training will do and where it writes, decided before anything is written: for the command and for Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.app.checkpoints import find
from engine.base.aside import held_folder, is_leftover
from engine.base.config import Tree, load
from engine.base.errors import UsageError
from engine.report.training.history import read_history
from training.checkpoint import Checkpoint, checkpoints
from training.config import TrainingConfig
from training.data.sources import require_first_tradable
from training.trainer.history import HISTORY, Sink
from training.trainer.sinks import open_sinks

CHECKPOINT_FOLDER = "checkpoints"
_BEGUN = re.compile(r"config\.yaml|history(-\d+)?\.jsonl|tensorboard|wandb|wandb_id\.txt|checkpoints")
"""What a training that was killed before its first checkpoint leaves."""
Warn = Callable[[str], None]


@dataclass(frozen=True)
class TrainingPlan:
    """A training that has not begun.

    Attributes:
        config: What to do.
        folder: The run folder.
        checkpoints: Where checkpoints go.
        resume: The checkpoint that it resumes from; None for a new training.
    """

    config: TrainingConfig
    folder: Path
    checkpoints: Path
    resume: Checkpoint | None


def plan_training(
    files: Sequence[Path],
    settings: Sequence[str],
    *,
    seed: int | None,
    resume: Path | None,
    out: Path | None,
    warn: Warn,
    base: Tree | None = None,
) -> TrainingPlan:
    """Read the configuration and choose the folders.

    Args:
        files: Configuration files, later ones over earlier ones; none to use that of a checkpoint.
        settings: `a.b=c` overrides.
        seed: In place of the configuration's.
        resume: A checkpoint, or the folder of a training.
        out: The run folder; by default that of the checkpoint, or a new one in `runs`.
        base: Configuration below the files.

    Raises:
        UsageError: If there is no configuration, or something else lies where this one would write.
        GrandModelError: If the configuration or the checkpoint does not fit, the first source of bars cannot be read,
            or not even one unit can be bought on it.
    """
    checkpoint = None if resume is None else find(resume, warn)
    config = read_config(files, with_seed(settings, seed), checkpoint, base)
    folder = out or _folder_of(checkpoint) or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-train"
    plan = TrainingPlan(config, folder, _checkpoints_of(config, folder, out, checkpoint), checkpoint)
    _refuse_others(plan)
    require_first_tradable(config)
    return plan


@contextmanager
def held(plan: TrainingPlan) -> Iterator[None]:
    """Keep other trainings out of the run folder; what came into it since the plan was made is refused.

    Raises:
        UsageError: If another process trains there, or has.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys((plan.folder.resolve(), plan.checkpoints.resolve())):
            stack.enter_context(held_folder(folder, "a training"))
        _refuse_others(plan)
        yield


@contextmanager
def training_files(plan: TrainingPlan, project: str | None, warn: Warn) -> Iterator[list[Sink]]:
    """The files that records go to; what an earlier run wrote after the checkpoint is cut off. Closed in the end.

    Args:
        project: At Weights & Biases, if records go there.
    """
    logging = plan.config.logging.model_copy(update={"wandb": project is not None})
    resumed, tree = episode_of(plan.resume), plan.config.model_dump(mode="json")
    with ExitStack() as stack:
        sinks = open_sinks(logging, plan.folder, tree, warn, resumed=resumed, project=project or "grandmodel")
        for sink in reversed(sinks):
            stack.callback(sink.close)
        yield sinks


def episode_of(checkpoint: Checkpoint | None) -> int | None:
    """Episode of a checkpoint; None if there is none."""
    return None if checkpoint is None else int(checkpoint.note["episode"])


def with_seed(settings: Sequence[str], seed: int | None) -> list[str]:
    """Overrides, and one of the seed if there is one."""
    return [*settings, *([f"seed={seed}"] if seed is not None else [])]


def read_config(
    files: Sequence[Path], settings: Sequence[str], checkpoint: Checkpoint | None, base: Tree | None
) -> TrainingConfig:
    """The configuration of files over `base`, or that of a checkpoint, with overrides.

    Raises:
        UsageError: If there is none.
        ConfigError: If it is wrong.
    """
    below: dict[str, Any] = base or {}
    if checkpoint is not None and not files and not below:
        below = checkpoint.note["config"]
    elif not files and not below:
        raise UsageError(
            "no configuration", expected="-c FILE", hint="configs/training/marl_training.yaml is one to begin with"
        )
    return load(TrainingConfig, files, settings, base=below)


def _folder_of(checkpoint: Checkpoint | None) -> Path | None:
    """The run folder that a training continues in: the one around its checkpoints, wherever it was moved or copied.

    Checkpoints that lie elsewhere name it in their notes, which is believed where that folder's history names them.

    Raises:
        UsageError: If it does not.
    """
    if checkpoint is None:
        return None
    folder = checkpoint.path.parent
    if folder.name == CHECKPOINT_FOLDER:
        return folder.parent
    named = checkpoint.note.get("run")
    if not named:
        return None
    run = Path(str(named))
    records = read_history(run) if (run / HISTORY).is_file() else []
    written = (str(one.get("path", "")) for one in records if one.get("kind") == "checkpoint")
    if not any(Path(path).resolve() == checkpoint.path.resolve() for path in written):
        raise UsageError(
            "the checkpoint names a run folder whose history does not know it",
            where=str(checkpoint.path),
            found=str(run),
            hint="say where the training goes on (--out DIR)",
        )
    return run


def _checkpoints_of(config: TrainingConfig, folder: Path, out: Path | None, checkpoint: Checkpoint | None) -> Path:
    if out is not None:
        return out / CHECKPOINT_FOLDER
    return checkpoint.path.parent if checkpoint is not None else config.logging.checkpoint_dir / folder.name


def _refuse_others(plan: TrainingPlan) -> None:
    """A training writes over nothing but its own files, and over what one left that was killed at its beginning."""
    own = None if plan.resume is None else plan.resume.path.parent.resolve()
    for place in (plan.checkpoints, plan.folder / CHECKPOINT_FOLDER):
        if place.resolve() != own and checkpoints(place):
            raise UsageError(
                "another training lies there already",
                where=str(place),
                hint=f"resume it (--resume {place}), or choose another folder (--out)",
            )
    if plan.folder.is_dir() and own not in (plan.checkpoints.resolve(), (plan.folder / CHECKPOINT_FOLDER).resolve()):
        found = (path.name for path in plan.folder.iterdir() if not is_leftover(path.name))
        foreign = sorted(name for name in found if not _BEGUN.fullmatch(name))
        if foreign:
            raise UsageError(
                "the folder holds other files than a training begins with",
                where=str(plan.folder),
                expected="a new or empty folder; --resume continues a training",
                found=", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else ""),
                hint="choose another folder (--out)",
            )
