"""`grandmodel runs`: the runs that there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.app.runs import FoundRun
    from engine.report.presentation import Kind

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to look, folders within it too.")]
Sort = Annotated[
    str | None, typer.Option("--sort", help="Column: ended, agent, return, sharpe, drawdown, trades or any metric.")
]
Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", help="Word in folder, agent or symbols, or a condition: 'sharpe>1' (repeatable)."),
]
Latest = Annotated[bool, typer.Option("--latest", help="Print the folder of the latest run, and nothing else.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="Rows to print.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array, and nothing else, on standard output.")]

WIDE = 110
NARROW = 58  # columns that the figures and times of a narrow table take
COLUMNS: tuple[tuple[str, str, Kind], ...] = (
    ("return", "total_return", "percent"),
    ("Sharpe", "sharpe", "ratio"),
    ("max DD", "max_drawdown", "percent"),
    ("lev", "mean_leverage", "ratio"),
    ("trades", "trades", "count"),
)


def runs(
    folder: Folder = Path("runs"),
    sort: Sort = None,
    filter_: Filter = None,
    latest: Latest = False,
    limit: Most = 30,
    as_json: Json = False,
) -> None:
    """List finished runs, the latest first.

    Example: grandmodel runs --filter sma_cross --filter 'sharpe>0' --sort sharpe
    """
    from engine.app.runs import find_runs, matching, ordered
    from engine.errors import UsageError

    found = matching(find_runs(folder), filter_ or [])
    if latest:
        if not found:
            raise UsageError("there is no such run", where=str(folder))
        typer.echo(json.dumps(found[0].tree()) if as_json else str(found[0].folder))
        return
    listed = ordered(found, sort)
    if as_json:
        typer.echo(json.dumps([run.tree() for run in listed[:limit]]))
        return
    _show(listed, limit, folder)


def _show(listed: Sequence[FoundRun], limit: int, folder: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import note, out
    from engine.report.presentation import write

    if not listed:
        note(f"no runs in {folder}")
        return
    wide = out().width >= WIDE
    columns = [column for column in COLUMNS if wide or column[0] != "lev"]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold", width=None if wide else max(out().width - NARROW, 12))
    table.add_column("ended (UTC)", no_wrap=True)
    if wide:
        table.add_column("agent", overflow="ellipsis", no_wrap=True, max_width=40)
        table.add_column("symbols", overflow="ellipsis", no_wrap=True, max_width=14)
    for label, _, _ in columns:
        table.add_column(label, justify="right", no_wrap=True)
    for run in listed[:limit]:
        cells = [write(run.value(name), kind) for _, name, kind in columns]
        symbols = run.symbols[0] + (f" +{len(run.symbols) - 1}" if len(run.symbols) > 1 else "") if run.symbols else ""
        name = str(run.folder.relative_to(folder)) if run.folder != folder else str(folder)
        told = [Text(run.agent), Text(symbols)] if wide else []
        table.add_row(Text(name), f"{run.ended:%Y-%m-%d %H:%M}", *told, *cells)
    out().print(table)
    if len(listed) > limit:
        note(f"and {len(listed) - limit:,} more (--limit)")
