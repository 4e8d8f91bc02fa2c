"""`grandmodel tune`: search for better settings of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.interrupting import interruptible

if TYPE_CHECKING:
    from engine.app.tuning.study import TuningPlan, TuningRun

Trials = Annotated[int, typer.Option("--trials", min=1, help="Trials in all, those of an earlier run included.")]
Space = Annotated[
    Path | None,
    typer.Option("--space", help="Search space, YAML.  [default: learning rates, batches, widths, reward weights]"),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", help="URL of a database that several machines share.  [default: a journal file in --out]"
    ),
]
Name = Annotated[str, typer.Option("--name", help="Of the study in the storage.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes at once; more than one changes the order.")]
Sampler = Annotated[str, typer.Option("--sampler", help="tpe, or random to compare with.")]
Episodes = Annotated[int, typer.Option("--episodes", min=1, help="Of the validation part, which score a trial.")]
Prune = Annotated[bool, typer.Option("--prune", help="End trials early that validate below the median of the others.")]
WarmUp = Annotated[
    int, typer.Option("--warm-up", min=0, help="Episodes before which nothing is pruned.  [default: a third]")
]
Replay = Annotated[int | None, typer.Option("--replay", help="Run trial N of --out again, alone, and compare.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder; the same one again continues.  [default: runs/<time>-tune]", file_okay=False),
]
Device = Annotated[str, typer.Option("--device", help="Where torch computes: cpu, cuda, cuda:1.")]


def tune(
    config: options.ConfigFiles = None,
    trials: Trials = 50,
    space: Space = None,
    storage: Storage = None,
    name: Name = "grandmodel",
    workers: Workers = 1,
    sampler: Sampler = "tpe",
    episodes: Episodes = 64,
    prune: Prune = False,
    warm_up: WarmUp = 0,
    replay: Replay = None,
    set_: options.Settings = None,
    seed: options.Seed = None,
    out: Out = None,
    device: Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Search for better settings of a training; the best configuration is written ready to train.

    A trial is scored by the mean reward of an episode of the validation part, with the reward weights of -c. The same
    command with the same --out continues. Exit code 1: no trial finished, or a replay came out otherwise.

    Example: grandmodel tune -c configs/training/recommended.yaml --trials 40 --workers 2 --out runs/tuned
    """
    from engine.app.extras import need_training
    from engine.base.errors import UsageError
    from engine.cli.flags import default_folder

    need_training()
    if sampler not in {"tpe", "random"}:
        raise UsageError("there is no such sampler", where="--sampler", expected="tpe or random", found=sampler)
    from engine.app.training_plan import read_config, with_seed
    from engine.app.tuning.space import read_space
    from engine.app.tuning.study import TuningPlan

    settings = read_config(config or [], with_seed(set_ or [], seed), None, None)
    plan = TuningPlan(
        settings, read_space(space, settings), out or default_folder("tune"), trials, storage, name, workers, sampler,
        episodes, prune, warm_up, device,
    )  # fmt: skip
    with interruptible():
        if replay is not None:
            _replay(plan, replay, as_json)
        else:
            _tune(plan, as_json)


def _tune(plan: TuningPlan, as_json: bool) -> None:
    from engine.app.tuning.page import write_page
    from engine.app.tuning.study import run_tuning
    from engine.cli.console import note
    from engine.cli.odds import recording

    def watch(trial: Any, ended: int, total: int) -> None:
        score = "" if trial.value is None else f": score {trial.value:.4f}"
        why = str(trial.user_attrs.get("error", "")).partition("\n")[0]
        told = f"trial {trial.number} {trial.state.name.lower()}{score}" + (f": {why}" if why else "")
        note(f"{told} ({ended:,} of {total:,})")

    try:
        run = run_tuning(plan, recording("tune"), watch)
    except KeyboardInterrupt:
        note(f"what is finished is kept: the same command with --out {plan.folder} continues")
        raise typer.Exit(130) from None
    page = write_page(run)
    if as_json:
        typer.echo(json.dumps(_tree(run), allow_nan=False))
    else:
        _show(run, page)
    if run.best is None:
        raise typer.Exit(1)


def _tree(run: TuningRun) -> dict[str, Any]:
    from engine.app.tuning.study import BEST

    best = run.best
    return {
        "folder": str(run.plan.folder),
        "trials": [
            {"number": one.number, "state": one.state.name.lower(), "score": one.value, "params": one.params,
             "weights_sha256": one.user_attrs.get("weights_sha256"), "error": one.user_attrs.get("error")}
            for one in run.study.get_trials(deepcopy=False) if not one.user_attrs.get("stale")
        ],
        "best": None if best is None else {"number": best.number, "score": best.value, "params": best.params},
        "best_config": None if best is None else str(run.plan.folder / BEST),
        "ledger": str(run.ledger.path),
    }  # fmt: skip


def _show(run: TuningRun, page: Path) -> None:
    from engine.app.tuning.page import counts
    from engine.app.tuning.study import BEST
    from engine.cli.console import note

    typer.echo(counts(run))
    if (best := run.best) is not None:
        typer.echo(f"best: trial {best.number}, score {best.value:.4f}")
        for name, value in best.params.items():
            typer.echo(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
        note("the best of many is good by luck too: train it with other seeds before it is believed (--seeds)")
        note(f"train it   grandmodel train -c {run.plan.folder / BEST}")
    note(f"page       {page}")
    note(f"ledger     {run.ledger.path}")


def _replay(plan: TuningPlan, number: int, as_json: bool) -> None:
    from engine.app.tuning.replay import replay_trial
    from engine.base.errors import CheckFailed

    found = replay_trial(plan, number)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        typer.echo(
            f"trial {number}: score {found['score']!r}, then {found['then']!r}; weights {found['weights_sha256']}"
        )
    if not found["same"]:
        raise CheckFailed(f"trial {number} came out otherwise", expected=str(found["then"]), found=str(found["score"]))
