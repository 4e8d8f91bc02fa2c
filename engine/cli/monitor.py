"""`grandmodel monitor`: how a strategy does, and whether it should be trained again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.app.monitoring import Monitored
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


def monitor(folder: Folder, most: Most = 10, as_json: options.Json = False) -> None:
    """Show win rate, Sharpe ratio, decision consistency and confidence, what is too low, and what to do.

    A value below its threshold is shown. Only what is proved to be below is an alert; exit code 1 if there is one.

    Example: grandmodel monitor runs/live
    """
    import json

    from engine.app.monitoring import monitored
    from engine.app.runs import resolved

    found = monitored(resolved(folder))
    if as_json:
        typer.echo(json.dumps(found.tree(), allow_nan=False))
        if found.alerting:
            raise typer.Exit(1)
        return
    _show(found, most)
    found.check()


def _show(found: Monitored, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.monitor.performance.words import alarm_text, figure_rows
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
        out().print(f"{words:<9} {alerts}; {monitor.advice(level) or 'too little data for advice'}", highlight=False)
    if most and monitor.alarms:
        note(f"the latest of {monitor.raised:,} changes:")
        for alarm in list(monitor.alarms)[-most:]:
            note(f"{written(alarm.change.ts_event)}  {alarm_text(alarm, found.currency)}")
    data = found.quality
    refused = sum(data["refused"].values()) if isinstance(data["refused"], dict) else data["refused"]
    note(f"data: {data['bars'] or 0:,} bars, {data['gaps'] or 0:,} gaps, {refused:,} refused")


STYLES = {"": "default", "below": "yellow", "proved": "bold red", "unknown": "dim"}
