"""`grandmodel walkforward`: choose or train on what lies before, trade what comes after, fold by fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli import options
from engine.cli.completing import agents
from engine.cli.flags import default_folder, instruments, load_settings


def walkforward(
    data: options.Files = None,
    instrument: options.InstrumentName = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            help="Variants to choose from: sma_cross:fast=5..20:5,slow=30|60 (repeatable).",
            autocompletion=agents,
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="FILE", help="Train the ensemble in each fold: a training configuration."),
    ] = None,
    train_set: Annotated[
        list[str] | None, typer.Option("--train-set", help="Override a key of that configuration (repeatable).")
    ] = None,
    folds: Annotated[int, typer.Option(min=1, metavar="N", help="Test parts.")] = 5,
    rolling: Annotated[
        bool, typer.Option("--rolling/--anchored", help="Train on a window of one length, or on all bars before.")
    ] = False,
    train_size: Annotated[
        float, typer.Option(min=0.01, max=0.99, metavar="F", help="Share of the bars before the first test part.")
    ] = 0.5,
    purge: Annotated[int, typer.Option(min=0, metavar="N", help="Bars left out before a test part.")] = 0,
    embargo: Annotated[int, typer.Option(min=0, metavar="N", help="Bars left out after an earlier test part.")] = 0,
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes.")] = None,
    start: options.Start = None,
    end: options.End = None,
    initial_capital: options.Capital = None,
    fee: options.Fee = None,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    timeframe: options.Timeframe = None,
    seed: options.Seed = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder.  [default: runs/<time>-walkforward]")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Walk forward: in each fold choose the variant with the best Sharpe ratio before, and trade what comes after.

    Nothing of a test part can change what is chosen for it. The exit code is 1 if a variant failed.

    Example: grandmodel walkforward --data es-synthetic --agent sma_cross:fast=5..20:5,slow=30|60 --folds 4
    """
    from engine.app.comparison.comparison import variants_of
    from engine.app.preparing import prepare
    from engine.app.walkforward.pages import FOLDER, write_pages
    from engine.app.walkforward.walk import walk_forward
    from engine.app.walkforward.windows import Plan
    from engine.base.replacing import replaced_folder
    from engine.cli.odds import recording
    from feeds.quarantine import Quarantine

    reading = {"labels": labels, "timezone": timezone, "timeframe": timeframe, "start": start, "end": end}
    flags: dict[str, Any] = {
        "data": data,
        "instrument": instruments(instrument),
        "initial_capital": initial_capital,
        "fee": fee,
        "seed": seed,
        "replay": reading,
    }
    settings = load_settings(config or [], flags, set_ or [])
    specs = agent or ([] if train is not None else [settings.agent])
    plan = Plan(folds, "rolling" if rolling else "anchored", train_size, purge, embargo)
    folder = out or default_folder("walkforward")
    with replaced_folder(folder, FOLDER, overwrite=overwrite) as made:
        prepared = prepare(settings, Quarantine(None, settings.replay.strict))
        retrain = None
        if train is not None:
            from engine.app.walkforward.retraining import Retraining

            retrain = Retraining(prepared, train, train_set or [], made / "folds")
        found = walk_forward(
            prepared, variants_of(specs), plan, retrain=retrain, workers=workers, recording=recording("walkforward")
        )
        tree = _placed(found.tree(), made, folder)
        write_pages(tree, made)
    _show(tree, folder, as_json)
    if found.failures:
        raise typer.Exit(1)


def _placed(tree: dict[str, Any], made: Path, folder: Path) -> dict[str, Any]:
    """The same with the models of the folds where they will lie: the folder gets its name when it is complete."""
    found: dict[str, Any] = json.loads(json.dumps(tree, allow_nan=False).replace(str(made), str(folder)))
    return found


def _show(tree: dict[str, Any], folder: Path, as_json: bool) -> None:
    from rich.table import Table

    from engine.app.walkforward.pages import FILES, HEAD, rows_of, sentences
    from engine.cli.console import note
    from engine.cli.console import out as console

    if as_json:
        typer.echo(json.dumps({**tree, "folder": str(folder)}, allow_nan=False))
        return
    shown = [at for at, name in enumerate(HEAD) if name not in {"trained on", "of", "drawdown", "trades", "hold"}]
    table = Table()
    for at in shown:
        words = HEAD[at] in {"traded", "chosen"}
        table.add_column(HEAD[at], overflow="fold", justify="left" if words else "right", no_wrap=HEAD[at] != "chosen")
    for row in rows_of(tree):
        table.add_row(*(row[at] for at in shown))
    console().print(table)
    for line in (*sentences(tree), *(f"! {failure}" for failure in tree["failures"])):
        note(line)
    note(f"page   {folder / FILES[2]}")
