"""`grandmodel evaluate`: what an ensemble does on data of a training, with intervals, contributions and baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.flags import default_folder
from engine.cli.interrupting import interruptible

if TYPE_CHECKING:
    from training.config import TrainingConfig

Model = Annotated[
    str | None, typer.Option("--model", metavar="VERSION|FOLDER", help="Models to evaluate; else the active version.")
]
Part = Annotated[str, typer.Option("--part", help="Part of the data: validation, test (for a last look) or train.")]
Episodes = Annotated[int, typer.Option("--episodes", min=1, help="How many; fewer where the part holds fewer.")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Draw the episodes at random; else they are spread evenly.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder.  [default: runs/<time>-evaluate]", file_okay=False)]
NoContributions = Annotated[
    bool, typer.Option("--no-contributions", help="Do not try what is lost without each agent: four times as fast.")
]
Histories = Annotated[
    list[Path] | None,
    typer.Option("--history", help="history.jsonl of a training, or its folder, for learning curves (repeatable)."),
]


def evaluate(
    config: options.ConfigFiles = None,
    model: Model = None,
    part: Part = "validation",
    episodes: Episodes = 100,
    seed: Seed = None,
    set_: options.Settings = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    no_contributions: NoContributions = False,
    history: Histories = None,
) -> None:
    """Evaluate an ensemble on episodes without exploration, and report the results.

    Buy-and-hold and staying flat are measured on the same episodes. Figures come with 95 % confidence intervals.

    Example: grandmodel evaluate -c configs/training/marl_training.yaml --part test
    """
    settings = _load(config or [], set_ or [])
    from engine.app.evaluation import EVALUATION, run_evaluation, write_evaluation
    from engine.base.replacing import new_folder, replaced_folder

    histories = _histories(history or [])
    folder = out or new_folder(default_folder("evaluate"))
    with replaced_folder(folder, EVALUATION, overwrite=overwrite) as part_folder, _progress(quiet=as_json) as watch:
        run = run_evaluation(
            settings,
            model,
            part=part,
            episodes=episodes,
            seed=seed,
            contributions=not no_contributions,
            watch=watch,
        )
        write_evaluation(part_folder, run, histories)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **run.tree}, allow_nan=False))
        return
    from engine.cli.console import note
    from engine.cli.console import out as console
    from engine.report.training.terminal import render_evaluation

    console().print(render_evaluation(run.tree))
    note(f"report {folder / 'evaluation.html'}")


def _load(files: list[Path], settings: list[str]) -> TrainingConfig:
    from engine.base.config import load
    from engine.base.errors import UsageError
    from training.config import TrainingConfig

    if not files and not settings:
        raise UsageError(
            "an evaluation needs the configuration of a training, which names the data",
            expected="--config FILE",
            hint="grandmodel evaluate -c configs/training/marl_training.yaml",
        )
    return load(TrainingConfig, files, settings)


def _histories(paths: list[Path]) -> dict[str, list[dict[str, Any]]]:
    from engine.report.training.history import read_history

    found = {}
    for path in paths:
        name = path.name if path.is_dir() else path.resolve().parent.name
        found[name if name not in found else str(path)] = read_history(path)
    return found


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Say on standard error what is being done; nothing if it is not a terminal or not wanted."""
    from engine.app.evaluation import is_warm
    from engine.cli.console import err

    if not is_warm():
        err().print("Compiling the environments for this processor (once; a minute or two)", style="dim")
    if quiet or not err().is_terminal:
        with interruptible():
            yield None
        return
    with interruptible(), err().status("evaluating") as status:
        yield lambda what: status.update(f"evaluating: {what}")
