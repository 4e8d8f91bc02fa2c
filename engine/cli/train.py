"""`grandmodel train`: from a configuration file to networks, with a live view, a history and checkpoints."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from engine.app.training import TrainingRun
    from training.checkpoint import Checkpoint
    from training.config import TrainingConfig
    from training.trainer.trainer import Trainer

ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", "-c", help="YAML file; later ones override earlier ones.")
]
Resume = Annotated[
    Path | None, typer.Option("--resume", help="Checkpoint, or the folder of a training: go on from its newest one.")
]
Device = Annotated[str, typer.Option("--device", help="Where torch computes: cpu, cuda, cuda:1.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the learners' updates first: half a minute, then faster.")
]
Wandb = Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases too (offline without a key).")]
Project = Annotated[str, typer.Option("--project", help="Project at Weights & Biases.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key: training_params.total_episodes=500 (repeatable)."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/<time>-train]", file_okay=False)]
Seed = Annotated[int | None, typer.Option("--seed", help="Of weights, exploration, episodes and generators.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log more.")]
INTERRUPTED = 130
CHECKPOINT_FOLDER = "checkpoints"


def train(
    config: ConfigFiles = None,
    resume: Resume = None,
    device: Device = "cpu",
    compile_: Compile = False,
    wandb: Wandb = False,
    project: Project = "grandmodel",
    set_: Settings = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Train the ensemble on bars of one's own and synthetic ones.

    Example: grandmodel train -c configs/training/marl_training.yaml --set data.sources.0.path=bars.csv.gz
    """
    from engine.cli.extras import need_training
    from engine.log import configure_logging

    need_training()
    configure_logging(verbose)
    checkpoint = _checkpoint(resume)
    settings = _config(config, set_ or [], seed, checkpoint)
    folder = out or _folder_of(checkpoint) or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-train"
    places = Places(folder, _checkpoints_of(settings, folder, out, checkpoint))
    _refuse_other_training(places, checkpoint)
    options = {"device": device, "compiled": compile_}
    run = _run(settings, places, checkpoint, options, project if wandb or settings.logging.wandb else None, as_json)
    if as_json:
        typer.echo(json.dumps(result_object(run)))
    else:
        _show(run)
    if run.outcome.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


class Places(NamedTuple):
    """Where a training writes."""

    folder: Path
    checkpoints: Path


def _checkpoint(resume: Path | None) -> Checkpoint | None:
    if resume is None:
        return None
    from engine.cli.checkpoints import find

    return find(resume)


def _config(
    files: list[Path] | None, settings: list[str], seed: int | None, checkpoint: Checkpoint | None
) -> TrainingConfig:
    from engine.config import load
    from engine.errors import UsageError
    from training.config import TrainingConfig

    base: dict[str, Any] = {}
    if checkpoint is not None and not files:
        base = checkpoint.note["config"]
    elif not files:
        raise UsageError(
            "no configuration", expected="-c FILE", hint="configs/training/marl_training.yaml is one to begin with"
        )
    chosen = [*settings, *([f"seed={seed}"] if seed is not None else [])]
    return load(TrainingConfig, files or [], chosen, base=base)


def _folder_of(checkpoint: Checkpoint | None) -> Path | None:
    """The run folder that a training goes on in: the one around its checkpoints, wherever it was moved or copied."""
    if checkpoint is None:
        return None
    folder = checkpoint.path.parent
    if folder.name == CHECKPOINT_FOLDER:
        return folder.parent
    return Path(checkpoint.note["run"]) if checkpoint.note.get("run") else None


def _checkpoints_of(config: TrainingConfig, folder: Path, out: Path | None, checkpoint: Checkpoint | None) -> Path:
    if out is not None:
        return out / CHECKPOINT_FOLDER
    return checkpoint.path.parent if checkpoint is not None else config.logging.checkpoint_dir / folder.name


def _refuse_other_training(places: Places, checkpoint: Checkpoint | None) -> None:
    """A new training does not write over another one."""
    from engine.errors import UsageError

    if checkpoint is None and any(places.checkpoints.glob("*.ckpt")):
        raise UsageError(
            "another training lies there already",
            where=str(places.checkpoints),
            hint=f"go on with it (--resume {places.checkpoints}), or choose another folder (--out)",
        )


def _run(
    config: TrainingConfig,
    places: Places,
    checkpoint: Checkpoint | None,
    options: dict[str, Any],
    project: str | None,
    quiet: bool,
) -> TrainingRun:
    from engine.app.training import is_warm, run_training, wire, write_config
    from engine.cli.console import err
    from engine.cli.training_records import files, screen

    if not is_warm():
        err().print("Compiling the environments for this processor (once; a minute or two)", style="dim")
    with ExitStack() as stack:
        watching = [] if quiet else [stack.enter_context(screen(config, places.folder, checkpoint, options["device"]))]
        trainer = wire(config, places.checkpoints, watching, resume=checkpoint, run=places.folder, **options)
        # only now, when nothing can be refused any more, is anything written
        trainer.listen(stack.enter_context(files(config, places.folder, checkpoint, project)))
        write_config(places.folder, config)
        with _stopping_cleanly(trainer):
            return run_training(trainer, places.folder)


@contextmanager
def _stopping_cleanly(trainer: Trainer) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the training after the turn at hand, with a checkpoint; the second at once."""

    def ask(number: int, _frame: Any) -> None:
        trainer.stop_requested = True
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def result_object(run: TrainingRun) -> dict[str, Any]:
    """What `--json` prints."""
    outcome = run.outcome
    return {
        "run_dir": str(run.folder),
        "episodes": outcome.episodes,
        "env_steps": outcome.env_steps,
        "seconds": round(outcome.seconds, 3),
        "steps_per_second": round(outcome.run_steps / outcome.seconds) if outcome.seconds > 0 else None,
        "evaluation": outcome.evaluation,
        "kept_episode": outcome.kept_episode,
        "final_evaluation": final_numbers(run.evaluation.tree),
        "stopped": outcome.stopped,
        "checkpoint": str(outcome.checkpoint),
        "models": str(run.models),
        "weights_sha256": outcome.weights_sha256,
    }


def final_numbers(tree: dict[str, Any]) -> dict[str, Any]:
    """The final evaluation in a few numbers; the whole of it lies in the run folder."""
    each = tree["per_episode"]
    means = {name: sum(each[name]) / len(each[name]) for name in ("reward", "total_return", "max_drawdown", "trades")}
    return {
        "part": tree["about"]["part"],
        "episodes": len(each["reward"]),
        **{f"mean_{name}": value for name, value in means.items()},
        "findings": [finding["name"] for finding in tree["findings"]],
    }


def _show(run: TrainingRun) -> None:
    from engine.cli.console import note
    from engine.cli.console import out as console
    from engine.report.training.terminal import render_evaluation

    outcome = run.outcome
    speed = outcome.run_steps / outcome.seconds if outcome.seconds > 0 else 0.0
    typer.echo(
        f"{outcome.stopped}: {outcome.episodes:,} episodes, {outcome.env_steps:,} steps; "
        f"this run {outcome.seconds:,.1f} s, {speed:,.0f} steps/s"
    )
    if outcome.evaluation is not None:
        typer.echo(_evaluation_line(outcome.kept_episode, outcome.evaluation))
    console().print(render_evaluation(run.evaluation.tree))
    note(f"checkpoint {outcome.checkpoint}")
    note(f"models     {run.models} (grandmodel backtest --agent ensemble:{run.models} --data FILE)")
    note(f"report     {run.folder / 'evaluation' / 'evaluation.html'}")
    note(f"history    {run.folder / 'history.jsonl'}")
    note(f"weights    {outcome.weights_sha256}")
    if outcome.stopped == "interrupted":
        note(f"go on with: grandmodel train --resume {outcome.checkpoint}")


def _evaluation_line(episode: int, evaluation: dict[str, Any]) -> str:
    sharpe = "not defined" if evaluation["sharpe"] is None else f"{evaluation['sharpe']:.2f}"
    return (
        f"kept networks of episode {episode}: mean reward {evaluation['mean_reward']:.4f} over "
        f"{evaluation['episodes']} validation episodes (deviation {evaluation['deviation']:.4f}), "
        f"mean return {evaluation['mean_return']:.2%}, Sharpe {sharpe}, {evaluation['trades']:.1f} trades an episode"
    )
