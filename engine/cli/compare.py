"""`grandmodel compare`: many variants on the same bars, or finished runs beside each other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.completing import agents
from engine.cli.flags import default_folder, instruments, load_settings

if TYPE_CHECKING:
    from engine.app.comparison.comparison import Comparison
    from engine.app.comparison.evaluation import VariantOutcome
    from engine.app.preparing import Prepared

Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[RUN]...", help="Run folders: compares them instead of running variants."),
]
AgentSpecs = Annotated[
    list[str] | None,
    typer.Option(
        "--agent",
        help="As of backtest, with ranges: sma_cross:fast=5..20:5,slow=30|60 (repeatable; every combination is run).",
        autocompletion=agents,
    ),
]
Split = Annotated[str | None, typer.Option("--split", help="In-sample before this date or time, out-of-sample after.")]
Folds = Annotated[int | None, typer.Option("--folds", help="Cut the bars into N parts in order and walk forward.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes; by default one per processor, if that pays."),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", help="Column: sharpe, return, drawdown, leverage, trades, excess; out.sharpe and so on."),
]
Top = Annotated[int, typer.Option("--top", min=1, help="Rows of the table.")]
Reports = Annotated[
    int, typer.Option("--reports", min=0, help="Variants, from the top, whose run and report.html are kept.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the run folder of every variant.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder; the same one again continues.  [default: runs/<time>-compare]", file_okay=False
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print the table as CSV, and nothing else, on standard output.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Write neither compare.html nor reports of variants.")]


def compare(
    runs: Runs = None,
    data: options.Files = None,
    instrument: options.InstrumentName = None,
    agent: AgentSpecs = None,
    benchmark: options.Benchmark = None,
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
    split: Split = None,
    folds: Folds = None,
    workers: Workers = None,
    sort: Sort = None,
    top: Top = 30,
    reports: Reports = 5,
    keep: Keep = False,
    start: options.Start = None,
    end: options.End = None,
    initial_capital: options.Capital = None,
    fee: options.Fee = None,
    labels: options.Labels = None,
    timezone: options.Timezone = None,
    format_: options.FileFormat = None,
    columns: options.Columns = None,
    adjusted: options.Adjusted = False,
    date_order: options.DateOrderName = None,
    bars: options.Bars = None,
    timeframe: options.Timeframe = None,
    seed: options.Seed = None,
    out: Out = None,
    as_json: options.Json = False,
    as_csv: Csv = False,
    strict: options.Strict = False,
    no_report: NoReport = False,
    verbose: options.Verbose = 0,
) -> None:
    """Compare variants of agents on the same bars, in-sample and out-of-sample; or finished runs.

    The best of many is good by luck already: the table says by how much. The exit code is 1 if a variant failed.

    Example: grandmodel compare --data bars.csv.gz --instrument ES --agent sma_cross:fast=5..20:5,slow=30|60
    --agent buy_and_hold --split 2024-01-20
    """
    from engine.base.log import configure_logging

    configure_logging(verbose)
    reading = {"labels": labels, "timezone": timezone, "timeframe": timeframe, "start": start, "end": end}
    form = {"format": format_, "columns": columns, "adjusted": adjusted or None, "date_order": date_order, "bars": bars}
    flags: dict[str, Any] = {
        "data": data,
        "instrument": instruments(instrument),
        "benchmark": benchmark,
        "initial_capital": initial_capital,
        "fee": fee,
        "seed": seed,
        "replay": {**reading, **form, "strict": strict or None},
    }
    if runs:
        from engine.cli.compare_runs import compare_runs

        compare_runs(runs, as_json, given=bool(agent or data))
        return
    settings = load_settings(config or [], flags, set_ or [])
    folder = out or default_folder("compare")
    from engine.app.comparison.keeping import write_comparison
    from engine.app.comparison.store import held_comparison

    with held_comparison(folder):
        prepared, found = _run(
            settings, agent or [settings.agent], split, folds, workers, folder, keep, quiet=as_json or as_csv
        )
        kept = 0 if no_report else reports
        write_comparison(prepared, found, folder, sort=sort, reports=kept, workers=workers, page=not no_report)
    _show(found, folder, sort, top, as_json, as_csv, page=not no_report, assumptions=prepared.assumptions)
    if found.failures:
        raise typer.Exit(1)


def _run(
    settings: Any,
    specs: list[str],
    split: str | None,
    folds: int | None,
    workers: int | None,
    folder: Path,
    keep: bool,
    quiet: bool,
) -> tuple[Prepared, Comparison]:
    from engine.app.comparison.comparison import compare as run_all
    from engine.app.comparison.comparison import variants_of
    from engine.app.preparing import prepare
    from engine.cli.odds import recording
    from engine.cli.progress import compiled
    from feeds.quarantine import Quarantine

    given = variants_of(specs)
    prepared = prepare(settings, Quarantine(None, settings.replay.strict))
    for spec in dict.fromkeys(one.variant.agent for one in given):
        compiled(spec)
    try:
        with _progress(len(given), quiet) as watch:
            found = run_all(
                prepared, given, split=split, folds=folds, workers=workers, folder=folder, keep=keep, watch=watch,
                recording=recording("compare"),
            )  # fmt: skip
    except KeyboardInterrupt:
        from engine.cli.console import note

        note(f"what is finished is kept: the same command with --out {folder} continues")
        sys.exit(130)
    return prepared, found


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[int, int, str, VariantOutcome], None] | None]:
    """A bar on standard error; nothing if it is not a terminal or not wanted."""
    from engine.cli.console import err

    if quiet or not err().is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("variants"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("compare", total=total)
        yield lambda finished, _total, _spec, _outcome: bar.update(task, completed=finished)


def _show(
    found: Comparison,
    folder: Path,
    sort: str | None,
    top: int,
    as_json: bool,
    as_csv: bool,
    page: bool,
    assumptions: Sequence[str],
) -> None:
    from engine.app.comparison.store import PAGE, TABLE
    from engine.report.comparison.rows import rows_of, shown_parts, sorted_rows, write_csv

    tree = found.tree()
    rows = sorted_rows(rows_of(tree), sort, shown_parts(tree))
    if as_json:
        typer.echo(json.dumps({**tree, "folder": str(folder), "continued": found.continued}, allow_nan=False))
        return
    if as_csv:
        typer.echo(write_csv(rows), nl=False)
        return
    from engine.cli.console import note, out
    from engine.report.comparison.terminal import ComparisonTable

    out().print(ComparisonTable(tree, rows, top))
    if found.continued:
        note(f"{found.continued:,} of {len(found.given):,} variants were finished already")
    for number in found.unsteady:
        note(f"! {found.given[number].variant.spec} gave another ledger when it was run again: it is not deterministic")
    note(f"labels {found.setting.labels}: {found.setting.labels_reason}")
    for line in assumptions:
        note(line)
    note(f"table  {folder / TABLE}" + (f", page {folder / PAGE}" if page else ""))
