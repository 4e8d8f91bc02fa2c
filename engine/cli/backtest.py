"""`grandmodel backtest`: options to configuration, progress while it runs, summary and report after."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.completing import agents, data_files
from engine.cli.completing import instruments as known_instruments

if TYPE_CHECKING:
    from engine.app.backtest import BacktestRun
    from engine.app.config import BacktestConfig
    from engine.app.preparing import Prepared

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="File of bars: CSV (plain, .gz, .zst), Parquet or Feather. Repeat for several symbols.",
        autocompletion=data_files,
    ),
]
InstrumentName = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        help="Name or YAML file; SYMBOL=NAME (repeatable) where symbols differ.",
        autocompletion=known_instruments,
    ),
]
AgentSpec = Annotated[
    str | None,
    typer.Option(
        "--agent",
        help="flat, buy_and_hold, sma_cross:fast=10,slow=30,size=1, random:seed=1, ensemble[:FOLDER] or file.py:Class.",
        autocompletion=agents,
    ),
]
ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", "-c", help="YAML file; later ones override earlier ones.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Override one key: limits.max_drawdown=0.2 (repeatable).")
]
Benchmark = Annotated[
    str | None,
    typer.Option(
        "--benchmark",
        help="File of bars, or a symbol of the run, to compare with.  [default: buy and hold of all symbols]",
        autocompletion=data_files,
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="First date or time (inclusive).")]
End = Annotated[str | None, typer.Option("--end", help="Last date (to its end) or time.")]
Capital = Annotated[float | None, typer.Option("--initial-capital", help="Account currency.  [default: 100000]")]
Fee = Annotated[
    float | None,
    typer.Option("--fee", help="Fraction of notional per fill, in place of the instrument's fees (GENERIC: 0.001)."),
]
Labels = Annotated[
    str | None, typer.Option("--labels", help="What bar times mean: open, close or auto.  [default: auto]")
]
Timezone = Annotated[str | None, typer.Option("--timezone", help="Of times without an offset.  [default: UTC]")]
Timeframe = Annotated[str | None, typer.Option("--timeframe", help="Aggregate the bars first: 5min, 1h, ...")]
Block = Annotated[int | None, typer.Option("--block", help="Rows per block; changes nothing but speed.")]
Seed = Annotated[int | None, typer.Option("--seed", help="For agents that draw random numbers.  [default: 42]")]
Speed = Annotated[str | None, typer.Option("--speed", help="max, realtime or a factor such as 60.  [default: max]")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/<time>-<agent>]", file_okay=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that the folder of --out holds.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]
WithDashboard = Annotated[bool, typer.Option("--dashboard", help="Show the terminal dashboard while it runs.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad row instead of quarantining it.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log more; -vv logs every block.")]


def backtest(
    data: Files = None,
    instrument: InstrumentName = None,
    agent: AgentSpec = None,
    benchmark: Benchmark = None,
    config: ConfigFiles = None,
    set_: Settings = None,
    start: Start = None,
    end: End = None,
    initial_capital: Capital = None,
    fee: Fee = None,
    labels: Labels = None,
    timezone: Timezone = None,
    timeframe: Timeframe = None,
    block: Block = None,
    seed: Seed = None,
    speed: Speed = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    dashboard: WithDashboard = False,
    strict: Strict = False,
    no_report: NoReport = False,
    verbose: Verbose = 0,
) -> None:
    """Replay a file of bars through an agent and the simulator.

    Example: grandmodel backtest --data bars.csv.gz --instrument ES --agent sma_cross:fast=10,slow=30
    """
    began = time.perf_counter()
    from engine.base.log import configure_logging

    configure_logging(verbose)
    flags: dict[str, Any] = {
        "data": data,
        "instrument": instruments(instrument),
        "agent": agent,
        "benchmark": benchmark,
        "initial_capital": initial_capital,
        "fee": fee,
        "block": block,
        "seed": seed,
        "speed": speed,
        "replay": {
            "labels": labels,
            "timezone": timezone,
            "timeframe": timeframe,
            "start": start,
            "end": end,
            "strict": strict or None,
        },
    }
    settings = load_settings(config or [], flags, set_ or [])
    from engine.app.warmup import kind_of
    from engine.types.arrow import leave_out_pandas

    if kind_of(settings.agent) == "rules":
        leave_out_pandas()
    from engine.app.backtest import RUN
    from engine.base.replacing import new_folder, replaced_folder

    folder = out or new_folder(Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(settings.agent)}")
    with replaced_folder(folder, RUN, overwrite=overwrite) as part:
        run = _run(settings, part, dashboard, quiet=as_json)
        seconds = {"report": report_file(part, wanted=not no_report)}
    run.moved(folder)
    seconds["total"] = time.perf_counter() - began
    if as_json:
        typer.echo(json.dumps(result_object(run, seconds), allow_nan=False))
        return
    _show(run, seconds, report=not no_report)


def report_file(folder: Path, wanted: bool) -> float:
    """Write report.html, or remove that of an earlier run in the same folder; returns the seconds it took."""
    if not wanted:
        (folder / "report.html").unlink(missing_ok=True)
        return 0.0
    from engine.report.html import write_report

    before = time.perf_counter()
    write_report(folder)
    return time.perf_counter() - before


def load_settings(files: list[Path], flags: dict[str, Any], settings: list[str]) -> BacktestConfig:
    """Defaults, then files, then options, then --set."""
    from engine.app.config import BacktestConfig
    from engine.base.config import merge, override, parse, read_yaml

    tree: dict[str, Any] = {}
    for file in files:
        tree = merge(tree, read_yaml(file))
    tree = override(merge(tree, given(flags)), settings)
    where = ", ".join(map(str, files)) or "command line"
    return parse(BacktestConfig, tree, where=where, names=option_names(flags, settings))


def option_names(
    flags: dict[str, Any], settings: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The options that were given, by the dotted keys of the configuration that they set.

    Args:
        flags: Values of options, as a tree.
        settings: Of --set, which count more.
        renamed: Options that are not called like the last part of their key, by key.
    """
    found: dict[str, str] = {}

    def collect(tree: dict[str, Any], above: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict) and key != "instrument":
                collect(value, f"{above}{key}.")
            else:
                found[above + key] = (renamed or {}).get(above + key) or "--" + key.replace("_", "-")

    collect(given(flags), "")
    over = {setting.partition("=")[0].strip() for setting in settings}
    return {key: name for key, name in found.items() if key not in over}


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as a tree."""
    nested = {key: given(value) if isinstance(value, dict) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value not in (None, {})}


def instruments(given: list[str] | None) -> str | dict[str, str] | None:
    """`--instrument NAME` as one name, `--instrument SYMBOL=NAME` (repeated) as a mapping."""
    from engine.base.errors import UsageError

    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [text.partition("=") for text in given]
    if not all(separator for _, separator, _ in pairs):
        raise UsageError(
            "several instruments need their symbols",
            expected="--instrument SYMBOL=NAME for each",
            found=" ".join(given),
        )
    return {symbol: name for symbol, _, name in pairs}


def slug(agent: str) -> str:
    """An agent's specification as part of a folder's name."""
    name = Path(agent.partition(":")[0]).stem if ".py" in agent else agent.partition(":")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _run(config: BacktestConfig, folder: Path, dashboard: bool, quiet: bool) -> BacktestRun:
    from engine.app.backtest import run_backtest
    from engine.app.preparing import prepare
    from engine.cli.progress import compiled, progress
    from feeds.quarantine import Quarantine

    quarantine = Quarantine(folder / "quarantine.jsonl", config.replay.strict)
    prepared = prepare(config, quarantine)
    compiled(config.agent)
    if dashboard and not quiet:
        return run_backtest(config, folder, prepared=prepared, screens=[_dashboard_screen])
    with progress(prepared, quiet) as watch:
        return run_backtest(config, folder, prepared=prepared, watch=watch)


def _dashboard_screen(prepared: Prepared) -> Any:
    from engine.cli.console import out
    from engine.cli.progress import total_rows
    from engine.dashboard.live import Dashboard
    from engine.dashboard.state import RunInfo
    from feeds.pacing import parse_speed

    pace = parse_speed(prepared.config.speed)
    info = RunInfo(
        mode="backtest",
        agent=prepared.config.agent,
        symbols=prepared.source.symbols,
        source=", ".join(path.name for path in prepared.paths),
        currency=prepared.config.currency,
        total_rows=total_rows(prepared),
        pace=None if pace == float("inf") else pace,
        multipliers=tuple(item.multiplier * item.fx_rate for item in prepared.instruments.values()),
        tick_sizes=tuple(item.tick_size for item in prepared.instruments.values()),
    )
    return Dashboard(info, out(), time.time, stdin=sys.stdin).run


def result_object(run: BacktestRun, seconds: dict[str, float]) -> dict[str, Any]:
    """What `--json` prints."""
    from engine.report.presentation import warnings

    metrics, timings = run.metrics, run.timings
    loop = timings.loop
    return {
        "run_dir": str(run.folder) if run.folder else None,
        "bars": timings.bars,
        "fills": metrics["fills"],
        "trades": metrics["trades"],
        "final_equity": metrics["final_equity"],
        "total_return": metrics["total_return"],
        "sharpe": metrics["sharpe"],
        "max_drawdown": metrics["max_drawdown"],
        "fees": metrics["fees"],
        "quarantined": run.quarantined,
        "gaps": run.manifest["gaps"],
        "seconds": round(loop, 6),
        "bars_per_second": round(timings.bars / loop) if loop > 0 else None,
        "ledger_sha256": run.manifest["ledger_sha256"],
        "config_sha256": run.manifest["config_sha256"],
        "warnings": warnings(run.manifest, metrics),
        "reading_seconds": round(timings.reading, 6),
        "recording_seconds": round(timings.recording, 6),
        "report_seconds": round(seconds["report"], 6),
        "total_seconds": round(seconds["total"], 6),
    }


def _show(run: BacktestRun, seconds: dict[str, float], report: bool) -> None:
    from engine.cli.console import note, out
    from engine.report.summary import render_summary

    curve = run.recorder.tallies.sessions["equity"].tolist()
    out().print(render_summary(run.metrics, run.manifest, curve))
    timings = run.timings
    rate = timings.bars / timings.loop if timings.loop > 0 else 0.0
    note(
        f"{timings.bars:,} bars in {timings.loop:.3f} s ({rate:,.0f} bars/s); reading {timings.reading:.3f} s, "
        f"recording {timings.recording:.3f} s, report {seconds['report']:.2f} s, everything {seconds['total']:.2f} s"
    )
    note(f"labels {run.manifest['labels']}: {run.manifest['labels_reason']}")
    for line in run.manifest["assumptions"]:
        note(line)
    note(f"ledger {run.manifest['ledger_sha256']}")
    if run.folder is not None:
        note(f"run    {run.folder}" + (f", report {run.folder / 'report.html'}" if report else ""))
