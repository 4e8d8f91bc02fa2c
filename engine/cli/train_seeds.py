"""`grandmodel train --seeds N`: the same training with several seeds, side by side, and one table of all."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from engine.cli.interrupting import interruptible

if TYPE_CHECKING:
    from engine.app.seeds.records import SeedRun
    from engine.app.seeds.seeds import SeedsPlan, SeedsRun

INTERRUPTED = 130


def train_seeds(
    files: Sequence[Path],
    settings: Sequence[str],
    given: dict[str, Any],
    how: dict[str, Any],
    project: str,
    *,
    wandb: bool,
    as_json: bool,
) -> None:
    """Run the command.

    Args:
        files: Configuration files.
        settings: Overrides.
        given: `seed`, `count` and `out`.
        how: `device`, `compiled`, `verbose` and `workers`.
        project: At Weights & Biases.
        wandb: Whether records go there, whatever the configuration says.
        as_json: Whether to print one JSON object and nothing else on standard output.
    """
    from engine.app.seeds.seeds import check_seeds, plan_seeds
    from engine.app.training import is_warm
    from engine.cli.console import note

    plan = plan_seeds(files, settings, **given)
    if not is_warm():
        note("Compiling the environments for this processor (once; a minute or two)")
    with interruptible():
        check_seeds(plan, how["device"])
    run = _run(plan, how, project if wandb or plan.config.logging.wandb else None)
    if as_json:
        typer.echo(json.dumps({**run.tree, "run_dir": str(run.folder), "continued": run.continued}))
    else:
        _show(run)
    if run.failures:
        raise typer.Exit(1)


def _run(plan: SeedsPlan, how: dict[str, Any], project: str | None) -> SeedsRun:
    from engine.app.seeds.seeds import train_seeds as train_all
    from engine.cli.console import note
    from engine.cli.odds import recording
    from engine.report.training.seeds import outcome_line

    def watch(run: SeedRun, finished: int, total: int) -> None:
        note(f"{outcome_line(asdict(run))} ({finished:,} of {total:,})")

    def stopping() -> None:
        note("stopping: every training saves a checkpoint (once more ends at once)")

    try:
        with _terminable():
            return train_all(plan, project=project, watch=watch, stopping=stopping, recording=recording("train"), **how)
    except KeyboardInterrupt:
        note(f"what is finished is kept: the same command with --out {plan.folder} continues")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(run: SeedsRun) -> None:
    from engine.app.seeds.records import FILE, PAGE
    from engine.base.errors import CheckFailed
    from engine.cli.console import note, print_error
    from engine.cli.console import out as console
    from engine.report.training.seeds import render_seeds

    console().print(render_seeds(run.tree))
    if run.continued:
        note(f"{run.continued:,} of {len(run.runs):,} seeds were finished already")
    for failed in run.failures:
        folder = run.folder / failed.folder
        print_error(CheckFailed(f"the training of seed {failed.seed} failed", where=str(folder), found=failed.error))
    note(f"table      {run.folder / PAGE}, {run.folder / FILE}")
    note(f"trainings  {run.folder / run.runs[0].folder} and beside it, each with checkpoints, models and evaluation")
