"""What `grandmodel journal sum` prints and writes: sessions, and below them their sum."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.app.journal.summing import SessionPart, Summed
from engine.base.replacing import replaced_file
from engine.cli.console import note, out
from engine.report.presentation import money, write
from engine.types.moments import written
from feeds.export import check_suffix

SHOWN = 6  # open positions, by size


def write_table(summed: Summed, path: Path, *, overwrite: bool) -> None:
    """Write the sum after every row.

    Raises:
        UsageError: If the suffix is none that can be written, or the file exists and is not to be replaced.
    """
    suffix = check_suffix(path)
    with replaced_file(path, overwrite=overwrite) as part:
        if suffix == ".parquet":
            summed.curve.write_parquet(part)
        else:
            text = summed.curve.write_csv().encode()
            part.write_bytes(gzip.compress(text, mtime=0) if suffix == ".csv.gz" else text)


def sum_object(summed: Summed) -> dict[str, Any]:
    """What `--json` prints; money in the currency of the accounts, times in UTC."""
    return {
        "currency": summed.currency,
        "initial_capital": summed.initial,
        **summed.figures,
        "fills": summed.fills,
        "positions": summed.positions,
        "total_return": summed.figures["equity"] / summed.initial - 1.0,
        "max_drawdown": summed.max_drawdown,
        "through": _time(summed.through_ns),
        "sessions": [
            {
                "folder": str(part.folder),
                "symbols": list(part.symbols),
                "rows": part.first_row + len(part.ts_event),
                "last_bar": _time(part.last_ns),
                "initial_capital": part.initial,
                **part.figures,
                "fills": part.fills,
                "positions": part.held,
            }
            for part in summed.parts
        ],
    }


def show_sum(summed: Summed, path: Path | None) -> None:
    """Print the table.

    Args:
        path: File that was written, if any.
    """
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("session", overflow="fold")
    for head in ("symbols", "last bar (UTC)", "equity", "cash", "fills", "open"):
        table.add_column(head, justify="right", no_wrap=True)
    for part in summed.parts:
        table.add_row(Text(str(part.folder)), *_cells(part))
    figures = summed.figures
    symbols = sum(len(part.symbols) for part in summed.parts)
    last = max((part.last_ns for part in summed.parts if part.last_ns is not None), default=None)
    cells = (f"{symbols:,}", _shown(last), money(figures["equity"]), money(figures["cash"]), f"{summed.fills:,}")
    table.add_section()
    table.add_row("sum", *cells, f"{len(summed.positions):,}", style="bold")
    out().print(table)
    gain = write(figures["equity"] / summed.initial - 1.0, "percent")
    note(
        f"{summed.currency}, from {money(summed.initial)}: return {gain}, max drawdown "
        f"{write(summed.max_drawdown, 'percent')}, fees {money(figures['fees'])}, gross exposure "
        f"{money(figures['gross_exposure'])}"
    )
    if summed.positions:
        held = sorted(summed.positions.items(), key=lambda one: (-abs(one[1]), one[0]))
        more = f" and {len(held) - SHOWN:,} more (--json)" if len(held) > SHOWN else ""
        note("open   " + ", ".join(f"{symbol} {quantity:+g}" for symbol, quantity in held[:SHOWN]) + more)
    behind = [part for part in summed.parts if part.last_ns != last]
    if behind:
        names = ", ".join(f"{part.folder} ({_shown(part.last_ns)})" for part in behind)
        note(f"behind the others, and counted with their last row: {names}")
    if path is not None:
        note(f"rows   {path}")


def _cells(part: SessionPart) -> tuple[str, ...]:
    figures = part.figures
    amounts = (money(figures["equity"]), money(figures["cash"]))
    return (f"{len(part.symbols):,}", _shown(part.last_ns), *amounts, f"{part.fills:,}", f"{len(part.held):,}")


def _shown(time_ns: int | None) -> str:
    return "no bar yet" if time_ns is None else written(time_ns)


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else written(time_ns, "s").replace(" ", "T") + "Z"
