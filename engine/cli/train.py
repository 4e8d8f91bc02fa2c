"""`grandmodel train`: from a configuration file to networks, with a live view, a history and checkpoints."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.interrupting import interruptible

if TYPE_CHECKING:
    from engine.app.training import TrainingRun
    from engine.app.training_plan import TrainingPlan
    from training.trainer.trainer import Trainer

Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Resume from a checkpoint, or from the newest one of a training's folder."),
]
Device = Annotated[str, typer.Option("--device", help="Where torch computes: cpu, cuda, cuda:1.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the learners' updates first: half a minute, then faster.")
]
Wandb = Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases too (offline without a key).")]
Project = Annotated[str, typer.Option("--project", help="Project at Weights & Biases.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/<time>-train]", file_okay=False)]
Seed = Annotated[int | None, typer.Option("--seed", help="Of weights, exploration, episodes and generators.")]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        min=1,
        help="Train N seeds, from --seed on, each in its folder below --out; the same command again continues.",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Of --seeds: processes at once; by default one per core.")
]
INTERRUPTED = 130


def train(
    config: options.ConfigFiles = None,
    resume: Resume = None,
    device: Device = "cpu",
    compile_: Compile = False,
    wandb: Wandb = False,
    project: Project = "grandmodel",
    set_: options.Settings = None,
    out: Out = None,
    seed: Seed = None,
    seeds: Seeds = None,
    workers: Workers = None,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Train the ensemble on your own bars and on synthetic ones.

    Without -c the recommended configuration is used, on a market that it generates.

    Example: grandmodel train -c configs/training/marl_training.yaml --set data.sources.0.path=bars.csv.gz
    """
    from engine.app.extras import need_training
    from engine.base.log import configure_logging

    need_training()
    configure_logging(verbose)
    config = _or_recommended(config or [], resume)
    if seeds is not None or workers is not None:
        from engine.cli.train_seeds import train_seeds

        _refuse_without_seeds(seeds, resume)
        how = {"device": device, "compiled": compile_, "verbose": verbose, "workers": workers}
        given = {"seed": seed, "count": seeds, "out": out}
        train_seeds(config, set_ or [], given, how, project, wandb=wandb, as_json=as_json)
        return
    from engine.app.training_plan import plan_training
    from engine.cli.console import note

    plan = plan_training(config, set_ or [], seed=seed, resume=resume, out=out, warn=note)
    options = {"device": device, "compiled": compile_}
    run = _run(plan, options, project if wandb or plan.config.logging.wandb else None, as_json)
    if as_json:
        typer.echo(json.dumps(result_object(run)))
    else:
        _show(run)
    if run.outcome.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _refuse_without_seeds(seeds: int | None, resume: Path | None) -> None:
    from engine.base.errors import UsageError

    if seeds is None:
        raise UsageError("--workers is for trainings over several seeds", hint="add --seeds N")
    if resume is not None:
        raise UsageError(
            "--resume is for one training",
            hint="to continue trainings over several seeds, give the same command again, with the same --out",
        )


def _or_recommended(config: list[Path], resume: Path | None) -> list[Path]:
    """The configuration files that are given, or else the recommended one."""
    if config or resume is not None:
        return config
    from engine.base.paths import shipped
    from engine.cli.console import note

    found = shipped("configs") / "training" / "recommended.yaml"
    note(f"no -c: training by {found}")
    return [found]


def _run(plan: TrainingPlan, options: dict[str, Any], project: str | None, quiet: bool) -> TrainingRun:
    from engine.app.training import is_warm, run_training, wire, write_config
    from engine.app.training_plan import held, training_files
    from engine.cli.console import err, note
    from engine.cli.training_records import screen

    if not is_warm():
        err().print("Compiling the environments for this processor (once; a minute or two)", style="dim")
    with interruptible(), ExitStack() as stack:
        stack.enter_context(held(plan))
        watching = [] if quiet else [stack.enter_context(screen(plan, options["device"]))]
        trainer = wire(plan.config, plan.checkpoints, watching, resume=plan.resume, run=plan.folder, **options)
        # only now, when nothing can be refused any more, is anything written
        trainer.listen(stack.enter_context(training_files(plan, project, note)))
        write_config(plan.folder, plan.config)
        with _stopping_cleanly(trainer):
            return run_training(trainer, plan.folder)


@contextmanager
def _stopping_cleanly(trainer: Trainer) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the training after the current update, with a checkpoint; the second at once."""

    def ask(number: int, _frame: Any) -> None:
        trainer.stop_requested = True
        signal.signal(number, before[signal.SIGINT])

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
        "why": outcome.why,
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
        f"this run {outcome.seconds:,.1f} s, {speed:,.0f} steps/s; {outcome.why}"
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
        note(f"continue with: grandmodel train --resume {outcome.checkpoint}")


def _evaluation_line(episode: int, evaluation: dict[str, Any]) -> str:
    sharpe = "not defined" if evaluation["sharpe"] is None else f"{evaluation['sharpe']:.2f}"
    return (
        f"kept networks of episode {episode}: mean reward {evaluation['mean_reward']:.4f} over "
        f"{evaluation['episodes']} validation episodes (deviation {evaluation['deviation']:.4f}), "
        f"mean return {evaluation['mean_return']:.2%}, Sharpe {sharpe}, {evaluation['trades']:.1f} trades an episode"
    )
