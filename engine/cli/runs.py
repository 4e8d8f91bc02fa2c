"""`grandmodel runs`: the runs that there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

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

WIDE = 110
MARGIN = 2  # between columns
SHORTEST = 12  # characters of a name, in however narrow a terminal
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
    as_json: options.Json = False,
) -> None:
    """List finished runs, the latest first.

    Example: grandmodel runs --filter sma_cross --filter 'sharpe>0' --sort sharpe
    """
    from engine.app.runs import find_runs, matching, ordered
    from engine.base.errors import UsageError

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

    from engine.base.quoting import shortened
    from engine.cli.console import note, out
    from engine.report.presentation import write

    if not listed:
        note(f"no runs in {folder}")
        return
    wide = out().width >= WIDE
    columns = [column for column in COLUMNS if wide or column[0] != "lev"]
    heads = ["run", *(["agent", "symbols"] if wide else [])]
    texts, figures = [], []
    for run in listed[:limit]:
        symbols = run.symbols[0] + (f" +{len(run.symbols) - 1}" if len(run.symbols) > 1 else "") if run.symbols else ""
        name = str(run.folder.relative_to(folder)) if run.folder != folder else str(folder)
        texts.append([name, run.agent, symbols][: len(heads)])
        ended = f"{run.ended:%Y-%m-%d %H:%M}" if wide else f"{run.ended:%m-%d %H:%M}"
        figures.append([ended, *(write(run.value(key), kind) for _, key, kind in columns)])
    shown = ["ended (UTC)", *(label for label, _, _ in columns)]
    taken = sum(max(map(len, (head, *cells))) + MARGIN for head, *cells in zip(shown, *figures, strict=True))
    needed = [max(map(len, (head, *cells))) for head, *cells in zip(heads, *texts, strict=True)]
    most = longest_that_fit(needed, out().width - taken - MARGIN * len(heads))
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for head in (heads[0], shown[0], *heads[1:]):
        table.add_column(head, no_wrap=True)
    for label in shown[1:]:
        table.add_column(label, justify="right", no_wrap=True)
    for words, (ended, *cells) in zip(texts, figures, strict=True):
        first, *others = (Text(shortened(word, most)) for word in words)
        table.add_row(first, ended, *others, *cells)
    out().print(table)
    if len(listed) > limit:
        note(f"and {len(listed) - limit:,} more (--limit)")


def longest_that_fit(needed: Sequence[int], room: int) -> int:
    """Characters that each text may have at most, so that columns which need so many fit side by side into the room.

    Args:
        needed: Characters of the longest text of each column.
        room: Characters that there are for all of them.
    """
    fits = (most for most in range(max(needed), SHORTEST, -1) if sum(min(need, most) for need in needed) <= room)
    return next(fits, SHORTEST)
