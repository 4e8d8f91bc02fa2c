"""A training from configuration to run folder: setup, trainer, records, final models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.app.checkpoints import fitting
from engine.app.evaluation import EVALUATION, EvaluationRun, run_evaluation, write_evaluation
from engine.base.compiled import cache_dir
from engine.base.errors import UsageError
from engine.base.log import logger
from engine.base.replacing import replaced_folder, write_text
from engine.report.training.history import read_history
from training.checkpoint import Checkpoint, set_aside_later
from training.checkpoint import load as load_checkpoint
from training.config import TrainingConfig
from training.export import export
from training.trainer.ending import TrainingOutcome
from training.trainer.history import HISTORY, Sink
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

log = logger("train")
WARM = "complete-train"
CONFIG_FILE = "config.yaml"


@dataclass(frozen=True)
class TrainingRun:
    """What a training leaves behind.

    Attributes:
        folder: The run folder.
        outcome: What it ended with.
        models: Folder of the exported networks: the best of those that were evaluated.
        evaluation: Of these networks on the test part, or on what there is; `evaluation/` in the run folder holds it.
    """

    folder: Path
    outcome: TrainingOutcome
    models: Path
    evaluation: EvaluationRun


def check_device(device: str) -> None:
    """See that torch can compute there.

    Raises:
        UsageError: If it cannot.
    """
    import torch  # noqa: PLC0415 - takes two seconds, and mistakes in the command line should not wait for it

    torch.set_num_threads(1)  # small matrices: a second thread only costs, and one makes the sums repeatable
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"torch cannot compute on {device!r}",
            expected="cpu, or cuda where a GPU and a torch built for it are",
            found=str(error).splitlines()[0],
        ) from error


def wire(
    config: TrainingConfig,
    checkpoints: Path,
    sinks: Sequence[Sink],
    *,
    run: Path | None = None,
    resume: Checkpoint | None = None,
    device: str = "cpu",
    compiled: bool = False,
) -> Trainer:
    """A trainer that is ready to run.

    Raises:
        GrandModelError: For everything that the user can fix.
    """
    check_device(device)
    setup = TrainingSetup.prepare(config)
    if resume is not None:
        with fitting(resume.path):
            setup = setup.resumed(resume.state, resume.note, resume.path)
    try:
        trainer = Trainer(setup, checkpoints, sinks=sinks, device=device, compiled=compiled, run=run)
    except MemoryError as error:
        raise UsageError(
            "the training does not fit into memory",
            where="experience_replay.buffer_size, training.parallel_envs",
            found=str(error) or None,
            hint="lower them",
        ) from error
    if resume is not None:
        with fitting(resume.path):
            trainer.restore(resume.state, resume.note, resume.path)
        log.info("resumed", checkpoint=str(resume.path), episode=trainer.episodes)
        if resume.path.parent.resolve() == checkpoints.resolve():
            _set_aside(resume.path, trainer.episodes, sinks)
    return trainer


def _set_aside(path: Path, episode: int, sinks: Sequence[Sink]) -> None:
    """Make the checkpoint that a training resumes from the newest of its folder, with a note if it was not."""
    later = set_aside_later(path)
    log.info("set aside", checkpoints=[str(one) for one in later])
    if later:
        text = f"later checkpoints were set aside: {', '.join(one.name for one in later)}"
        for sink in sinks:
            sink.write({"kind": "alert", "episode": episode, "severity": "warning", "text": text})


def is_warm() -> bool:
    """Whether what a training compiles has been compiled for these sources on this processor."""
    return (cache_dir() / WARM).exists()


def write_config(folder: Path, config: TrainingConfig) -> None:
    """Keep the whole configuration in the run folder, where `grandmodel evaluate -c` finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / CONFIG_FILE, text)


def run_training(trainer: Trainer, folder: Path) -> TrainingRun:
    """Train, export what is best, and evaluate it.

    Args:
        trainer: From `wire`.
        folder: The run folder; its name is the version of the networks.
    """
    return finish_training(trainer, trainer.run(), folder)


def finish_training(trainer: Trainer, outcome: TrainingOutcome, folder: Path) -> TrainingRun:
    """Export what is best of a training that has ended, and evaluate it.

    Args:
        trainer: It has run.
        outcome: What it ended with.
        folder: The run folder.
    """
    (cache_dir() / WARM).touch()
    models = folder / "models"
    export(load_checkpoint(outcome.checkpoint), models, version_name(folder), overwrite=True)
    return TrainingRun(folder, outcome, models, final_evaluation(trainer.setup, models, folder))


def final_evaluation(setup: TrainingSetup, models: Path, folder: Path) -> EvaluationRun:
    """Let the exported networks trade what was held out longest, and write the report with the learning curves."""
    part = next((name for name in ("test", "validation") if getattr(setup.parts, name)), "training")
    found = run_evaluation(
        setup.config,
        str(models),
        part=part,
        episodes=setup.config.training_params.evaluation_episodes,
        loaded=(setup.market, setup.parts),
    )
    history = read_history(folder) if (folder / HISTORY).is_file() else []
    with replaced_folder(folder / "evaluation", EVALUATION, overwrite=True) as part_folder:
        write_evaluation(part_folder, found, {folder.name: history} if history else None)
    return found


def version_name(folder: Path) -> str:
    """A version called like the folder, with what a name may not hold replaced."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in folder.resolve().name)
    return name if name[:1].isalnum() else f"run{name}"
