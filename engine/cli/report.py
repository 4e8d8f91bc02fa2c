"""`grandmodel report`: the summary of a finished run, and its report page again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run; runs/latest is the last that ended.", show_default=False)
]
Open = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the metrics as one JSON object, and nothing else.")]


def report(run: Run, open_: Open = False, as_json: AsJson = False) -> None:
    """Show the result of a run, and write its report.html again.

    Example: grandmodel report runs/20240131-120000-sma_cross --open
    """
    import json

    from engine.app.runs import resolved
    from engine.cli.console import note, out
    from engine.report.html import write_report
    from engine.report.payload import read_json
    from engine.report.summary import RunSummary

    run = resolved(run)
    manifest, metrics = read_json(run / "manifest.json"), read_json(run / "metrics.json")
    path = write_report(run)
    if as_json:
        typer.echo(json.dumps(metrics, allow_nan=False))
    else:
        out().print(RunSummary(metrics, manifest, _equity(run)))
        note(f"report {path}")
    if open_:
        typer.launch(path.resolve().as_uri())


def _equity(run: Path) -> list[Any]:
    """Equity over the run, at the points of its chart."""
    from engine.record.reading import read_table

    curve: list[Any] = read_table(run / "chart.parquet").column("equity").to_pylist()
    return curve
