"""`grandmodel stress`: named scenarios beside the undisturbed run, and whether declared bounds held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.flags import default_folder, instruments, load_settings, slug

if TYPE_CHECKING:
    from engine.app.preparing import Prepared
    from engine.app.stress.stress import Plan

Subject = Annotated[
    Path | None,
    typer.Argument(metavar="[CONFIG|RUN]", help="YAML file as of backtest --config, or the folder of a finished run."),
]
Names = Annotated[list[str] | None, typer.Option("--scenario", help="Only this one (repeatable).")]
File = Annotated[Path | None, typer.Option("--scenarios", help="YAML file of scenarios.  [default: the 30 that ship]")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Strikes of each scenario.")]
Horizon = Annotated[int, typer.Option("--horizon", min=1, help="Rows from a strike that count.")]
MaxLoss = Annotated[
    float | None, typer.Option("--max-loss", min=0.0, help="Largest loss allowed, as a fraction: 0.2 is 20 %.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Run folder.  [default: runs/<time>-stress-<agent>]", file_okay=False)
]


def stress(
    subject: Subject = None,
    data: options.Files = None,
    instrument: options.InstrumentName = None,
    agent: options.AgentSpec = None,
    set_: options.Settings = None,
    scenario: Names = None,
    scenarios: File = None,
    seeds: Seeds = 5,
    horizon: Horizon = 1440,
    max_loss: MaxLoss = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    no_report: options.NoReport = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Strike a backtest with crashes, gaps, droughts, costs and faults of the feed, each at several times.

    Exit code 0: all bounds held. 1: a loss above --max-loss, or a hard limit that did not hold. 2: wrong usage.

    Example: grandmodel stress configs/demo.yaml --max-loss 0.3
    """
    from engine.app.stress.stress import Plan
    from feeds.stress.scenarios import load_scenarios

    plan = Plan(load_scenarios(scenarios, scenario or ()), seeds, horizon, max_loss)
    if subject is not None and subject.is_dir():
        if data or instrument or agent or set_ or out:
            from engine.base.errors import UsageError

            raise UsageError(
                "a finished run is stressed as it was",
                expected="no --data, --instrument, --agent, --set or --out beside the folder of a run",
            )
        folder, tree = _of_run(subject, plan, trust_code=trust_code, report=not no_report, quiet=as_json)
    else:
        flags = {"data": data, "instrument": instruments(instrument), "agent": agent}
        folder, tree = _of_config(
            [subject] if subject else [], flags, set_ or [], plan, out, overwrite, not no_report, as_json
        )
    if as_json:
        typer.echo(json.dumps({"run_dir": str(folder), **tree}, allow_nan=False))
    else:
        _show(folder, tree, report=not no_report)
    if tree["broken"]:
        raise typer.Exit(1)


def _of_run(run: Path, plan: Plan, *, trust_code: bool, report: bool, quiet: bool) -> tuple[Path, dict[str, Any]]:
    """Stress the configuration of a finished run; the result joins what its folder holds."""
    from engine.app.code import allow_code
    from engine.app.manifest import write_json
    from engine.app.preparing import prepare
    from engine.app.runs import resolved
    from engine.app.stress.evidence import STRESS_FILE
    from engine.app.verify import find_manifest, read_manifest, recorded_config
    from engine.cli.backtest import report_file
    from feeds.quarantine import Quarantine

    run = resolved(run)
    path = find_manifest(str(run))
    manifest = read_manifest(path)
    config, known = recorded_config(path, manifest)
    allow_code(config, manifest.get("code"), str(path), trust=trust_code)
    prepared = prepare(config, Quarantine(None, config.replay.strict), known)
    tree = _stress(prepared, plan, quiet)
    write_json(run / STRESS_FILE, tree)
    if report and (run / "metrics.json").is_file():
        report_file(run, wanted=True)
    return run, tree


def _of_config(
    files: list[Path],
    flags: dict[str, Any],
    settings: list[str],
    plan: Plan,
    out: Path | None,
    overwrite: bool,
    report: bool,
    quiet: bool,
) -> tuple[Path, dict[str, Any]]:
    """Run the backtest undisturbed into a new folder, then stress it."""
    from engine.app.backtest import RUN, run_backtest
    from engine.app.manifest import write_json
    from engine.app.preparing import prepare
    from engine.app.stress.evidence import STRESS_FILE
    from engine.app.stress.stress import alone
    from engine.base.replacing import new_folder, replaced_folder
    from engine.cli.backtest import report_file
    from engine.cli.progress import compiled
    from feeds.quarantine import Quarantine

    config = alone(load_settings(files, flags, settings))
    folder = out or new_folder(default_folder(f"stress-{slug(config.agent)}"))
    with replaced_folder(folder, RUN, overwrite=overwrite) as part:
        prepared = prepare(config, Quarantine(part / "quarantine.jsonl", config.replay.strict))
        compiled(config.agent)
        run_backtest(config, part, prepared=prepared)
        tree = _stress(prepare(config, Quarantine(None, config.replay.strict)), plan, quiet)
        write_json(part / STRESS_FILE, tree)
        report_file(part, wanted=report)
    return folder, tree


def _stress(prepared: Prepared, plan: Plan, quiet: bool) -> dict[str, Any]:
    from engine.app.stress.stress import run_stress
    from engine.cli.console import err
    from engine.cli.progress import compiled

    compiled(prepared.config.agent)
    if quiet or not err().is_terminal:
        return run_stress(prepared, plan)
    with err().status("undisturbed run") as status:
        return run_stress(prepared, plan, watch=status.update)


def _show(folder: Path, tree: dict[str, Any], *, report: bool) -> None:
    """The table, what was broken, and where it is written."""
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.report.stress_panel import HEADINGS, stress_rows

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(HEADINGS):
        table.add_column(title, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in stress_rows(tree):
        table.add_row(*(Text(cell, style="red" if row.broken else "") for cell in row.cells))
    out().print(table)
    strikes = tree["strikes"]
    note(
        f"{len(strikes)} strikes at rows {', '.join(f'{row:,}' for row in strikes[:10])}"
        f"{', ...' if len(strikes) > 10 else ''}; {tree['horizon']:,} rows from each count; means with 95 % intervals "
        "over the strikes"
    )
    for line in tree["broken"][:20]:
        out().print(Text(f"broken: {line}", style="red"), soft_wrap=True)
    if len(tree["broken"]) > 20:
        note(f"... and {len(tree['broken']) - 20} more; stress.json has all")
    note(f"run    {folder}" + (f", report {folder / 'report.html'}" if report else ""))
