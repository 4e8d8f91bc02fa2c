"""`grandmodel monitor`: how a strategy does, and whether it should be trained again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.app.monitoring import Monitored
    from engine.monitor.drift.detector import DriftDetector
    from engine.monitor.performance.thresholds import Level

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Session folder, of a session that runs or has ended; or folder of a run (runs/latest is the last).",
        show_default=False,
    ),
]
Most = Annotated[int, typer.Option("--alarms", min=0, help="Changes to list, the latest ones.")]


Reference = Annotated[
    Path | None,
    typer.Option("--reference", help="Compare with what this file has, and show drift.", dir_okay=False),
]
Write = Annotated[
    Path | None,
    typer.Option("--write-reference", help="Write what others are compared with, and do no more.", dir_okay=False),
]
RunLength = Annotated[
    float,
    typer.Option("--run-length", min=100, max=1e9, help="Of --write-reference: observations between false alarms."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --write-reference.")]


def monitor(
    folder: Folder,
    most: Most = 10,
    reference: Reference = None,
    write: Write = None,
    run_length: RunLength = 1_000_000,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Show win rate, Sharpe ratio, decision consistency and confidence, what is too low, and what to do.

    A value below its threshold is shown. Only what is proved to be below is an alert; exit code 1 if there is one.

    Example: grandmodel monitor runs/live
    """
    import json

    from engine.app.monitoring import monitored
    from engine.app.runs import resolved

    folder = resolved(folder)
    if write is not None:
        _write(folder, write, run_length, overwrite=overwrite, as_json=as_json)
        return
    found = monitored(folder, reference)
    if as_json:
        typer.echo(json.dumps(found.tree(), allow_nan=False))
        if found.alerting:
            raise typer.Exit(1)
        return
    _show(found, most)
    found.check()


def _write(folder: Path, path: Path, run_length: float, *, overwrite: bool, as_json: bool) -> None:
    import json
    import math

    from engine.app.drift import reference_of
    from engine.base.replacing import refuse_existing
    from engine.cli.console import note

    hint = "--overwrite replaces it; or choose another file (--write-reference)"
    refuse_existing(path, overwrite=overwrite, hint=hint)
    reference = reference_of(folder, run_length)
    reference.write(path)
    watched = {
        name: {"observations": int(count), "limit": math.log(limit)}
        for name, count, limit in zip(reference.names, reference.counts, reference.limits, strict=True)
        if math.isfinite(limit)
    }
    left_out = reference.unwatched
    if as_json:
        tree = {"file": str(path), "run_length": run_length, "streams": watched, "not_watched": left_out}
        typer.echo(json.dumps(tree))
        return
    note(f"reference {path}: {', '.join(watched) or 'no stream is watched'}")
    for why in dict.fromkeys(left_out.values()):
        note(f"not watched: {', '.join(name for name in left_out if left_out[name] == why)}: {why}")


def _show(found: Monitored, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.monitor.numbers import percent
    from engine.monitor.performance.words import advice_text, alarm_text, figure_rows
    from engine.types.moments import written

    monitor = found.monitor
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("figure", no_wrap=True)
    for head in ("value", "of last", "below", "e-value"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in figure_rows(monitor):
        table.add_row(*map(Text, row.cells), Text(row.status, style=STYLES[row.level]))
    out().print(table)
    levels: tuple[tuple[Level, str], ...] = (("below", "by value"), ("proved", "proved"))
    for level, words in levels:
        alerts = ", ".join(monitor.alerts(level)) or "no alerts"
        out().print(f"{words:<9} {alerts}; {advice_text(monitor, level)}", highlight=False)
    if found.drift is not None:
        _show_drift(found.drift, most)
    if most and monitor.alarms:
        note(latest(most, monitor.raised, "change", "changes"))
        for alarm in list(monitor.alarms)[-most:]:
            note(f"{written(alarm.change.ts_event)}  {alarm_text(alarm, found.currency)}")
    for part in found.calibration:
        note(
            f"strategic decisions with a confidence of {part['from']:g} to {part['to']:g}, {part['confidence']:.2f} on "
            f"average: {part['decisions']:,}, and the price went their way after {percent(part['right'])} of them"
        )
    if found.latency is not None and found.latency["p50"] is not None:
        note(f"from receipt to commit: {found.latency['p50']:g} ms, 99 %: {found.latency['p99']:g} ms")
    data = found.quality
    refused = sum(data["refused"].values()) if isinstance(data["refused"], dict) else data["refused"]
    note(f"data: {data['bars'] or 0:,} bars, {data['gaps'] or 0:,} gaps, {refused:,} refused")


def _show_drift(drift: DriftDetector, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.monitor.drift.detector import alarm_text
    from engine.types.moments import written

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("drift of", no_wrap=True)
    for head in ("level", "seen", "evidence", "reached"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    for row in drift.rows():
        cells = (f"{row['level']:+.2f}", f"{row['observations']:,}", f"{row['evidence']:.1f} of {row['limit']:.1f}")
        status = Text("drifted" if row["drifted"] else "", style=STYLES["below"])
        table.add_row(Text(row["stream"]), *cells, f"{row['reached']:,}", status)
    out().print(table)
    if most and drift.alarms:
        note(latest(most, drift.raised, "alarm of drift", "alarms of drift"))
        for alarm in list(drift.alarms)[-most:]:
            note(f"{written(alarm.ts_event)}  {alarm_text(alarm)}")


def latest(most: int, count: int, one: str, several: str) -> str:
    """The heading of a list of the latest."""
    if count == 1:
        return f"1 {one}:"
    return f"{count:,} {several}:" if count <= most else f"the latest {most:,} of {count:,} {several}:"


STYLES = {"": "default", "below": "yellow", "proved": "bold red", "unknown": "dim"}
