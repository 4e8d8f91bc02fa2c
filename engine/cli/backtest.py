"""`grandmodel backtest`: options to configuration, progress while it runs, summary and report after."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.flags import default_folder, instruments, load_settings, slug

if TYPE_CHECKING:
    from engine.app.backtest import BacktestRun
    from engine.app.config import BacktestConfig
    from engine.app.preparing import Prepared

Block = Annotated[int | None, typer.Option("--block", help="Rows per block; changes nothing but speed.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/<time>-<agent>]", file_okay=False)]
WithDashboard = Annotated[bool, typer.Option("--dashboard", help="Show the terminal dashboard while it runs.")]


def backtest(
    data: options.Files = None,
    instrument: options.InstrumentName = None,
    agent: options.AgentSpec = None,
    challenger: options.Challengers = None,
    learn: options.Learn = None,
    benchmark: options.Benchmark = None,
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
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
    block: Block = None,
    seed: options.Seed = None,
    speed: options.Speed = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    dashboard: WithDashboard = False,
    strict: options.Strict = False,
    no_report: options.NoReport = False,
    verbose: options.Verbose = 0,
) -> None:
    """Replay a file of bars through an agent and the simulator.

    Example: grandmodel backtest --data bars.csv.gz --instrument ES --agent sma_cross:fast=10,slow=30
    """
    began = time.perf_counter()
    from engine.base.log import configure_logging

    configure_logging(verbose)
    reading = {"labels": labels, "timezone": timezone, "timeframe": timeframe, "start": start, "end": end}
    form = {"format": format_, "columns": columns, "adjusted": adjusted or None, "date_order": date_order, "bars": bars}
    flags: dict[str, Any] = {
        "data": data,
        "instrument": instruments(instrument),
        "agent": agent,
        "challengers": {"agents": challenger or None},
        "benchmark": benchmark,
        "initial_capital": initial_capital,
        "fee": fee,
        "block": block,
        "seed": seed,
        "speed": speed,
        "replay": {**reading, **form, "strict": strict or None},
    }
    settings = load_settings(config or [], flags, set_ or [], learn)
    from engine.app.warmup import kind_of
    from engine.types.arrow import leave_out_pandas

    if {kind_of(agent) for agent in (settings.agent, *settings.challengers.agents)} == {"rules"}:
        leave_out_pandas()
    from engine.app.backtest import RUN
    from engine.base.replacing import new_folder, replaced_folder

    folder = out or new_folder(default_folder(slug(settings.agent)))
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


def _run(config: BacktestConfig, folder: Path, dashboard: bool, quiet: bool) -> BacktestRun:
    from engine.app.backtest import run_backtest
    from engine.app.preparing import prepare
    from engine.cli.challengers import tell_wait
    from engine.cli.odds import BacktestRecorder
    from engine.cli.progress import compiled, progress
    from feeds.quarantine import Quarantine

    quarantine = Quarantine(folder / "quarantine.jsonl", config.replay.strict)
    prepared = prepare(config, quarantine)
    compiled(config.agent, challengers=config.challengers.agents)
    if not quiet:
        tell_wait(config)
    recorder = BacktestRecorder(prepared)
    if dashboard and not quiet:
        seen = recorder.watching(None)
        run = run_backtest(config, folder, prepared=prepared, screens=[_dashboard_screen], watch=seen)
    else:
        with progress(prepared, quiet) as watch:
            run = run_backtest(config, folder, prepared=prepared, watch=recorder.watching(watch))
    recorder.record(run, folder)
    return run


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
        **{name: run.manifest[name] for name in ("challengers", "roles", "learning") if name in run.manifest},
        "reading_seconds": round(timings.reading, 6),
        "recording_seconds": round(timings.recording, 6),
        "report_seconds": round(seconds["report"], 6),
        "total_seconds": round(seconds["total"], 6),
    }


def _show(run: BacktestRun, seconds: dict[str, float], report: bool) -> None:
    from engine.cli.console import note, out
    from engine.report.summary import RunSummary

    curve = run.recorder.tallies.sessions["equity"].tolist()
    out().print(RunSummary(run.metrics, run.manifest, curve))
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
