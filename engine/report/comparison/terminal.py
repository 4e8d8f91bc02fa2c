"""A comparison in the terminal: one table, and what to think of its first row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from engine.report.comparison.rows import SHOWN, short_name, shown_parts
from engine.report.comparison.sentences import (
    counts,
    doubts,
    failures,
    luck_sentence,
    overfitting_sentence,
    walk_sentences,
    winner_sentence,
)
from engine.report.presentation import write

LISTED = 3
NARROWEST = 16
"""Characters that the name of a variant has at least."""


class ComparisonTable:
    """A rich renderable of a comparison that drops columns where the terminal is narrow.

    Args:
        rows: Sorted, from `rows_of`.
        top: How many rows are shown.
    """

    def __init__(self, tree: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], top: int) -> None:
        self._tree, self._rows, self._top = tree, rows, top

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._parts(options.max_width)

    def _parts(self, width: int) -> Iterator[RenderableType]:
        done = [row for row in self._rows if row["status"] == "done"]
        shown, parts = done[: self._top], shown_parts(self._tree)
        longest = max((len(short_name(row["variant"])) for row in shown), default=0)
        columns = columns_that_fit(width, len(parts), longest)
        yield self._table(shown, columns, max(width - 3 - len(parts) * sum(WIDTHS[one] for one in columns), NARROWEST))
        if len(done) > self._top:
            yield Text(f"and {len(done) - self._top:,} more (--top)", style="dim")
        if columns != ALL:
            yield Text("a wider terminal shows more columns; the CSV and the page have all", style="dim")
        yield Text()
        for sentence in (winner_sentence(self._tree), luck_sentence(self._tree), overfitting_sentence(self._tree)):
            if sentence:
                yield Text(sentence)
        for line in doubts(self._tree):
            yield Text(f"! {line}", style="yellow")
        for line in walk_sentences(self._tree):
            yield Text(line, style="dim")
        for status, words in (("refused", "not possible"), ("failed", "failed")):
            found = failures(self._tree, status)
            for name, reason in found[:LISTED]:
                yield Text(f"! {words}: {name}: {reason}", style="yellow" if status == "refused" else "red")
            if len(found) > LISTED:
                yield Text(f"! and {len(found) - LISTED} more {words}", style="yellow")

    def _table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], room: int) -> Table:
        parts = shown_parts(self._tree)
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        table.add_column("", no_wrap=True, width=1)
        table.add_column(counts(self._tree), overflow="fold", min_width=NARROWEST)
        for part in parts:
            # the name of a part stands above its first column, which is narrower than "out-of-sample"
            words = {"in": "\nin-sample", "out": "out-of-\nsample"}.get(part)
            for at, column in enumerate(columns):
                above = "" if words is None else (words if at == 0 else "\n") + "\n"
                heading = SHOWN[column][0].replace("leverage", "lev")
                table.add_column(Text(above + heading), justify="right", no_wrap=True)
        winner = self._tree["selection"]["winner"]
        for row in rows:
            best = winner is not None and row["number"] == winner + 1
            cells = [cell(row.get(f"{part}.{column}"), column) for part in parts for column in columns]
            table.add_row(
                "*" if best else "",
                Text(folded(short_name(row["variant"]), room)),
                *cells,
                style="bold" if best else "",
            )
        return table


WIDTHS = {"return": 10, "sharpe": 8, "drawdown": 10, "leverage": 6, "trades": 8, "excess": 10}
"""Of each column, with its margin."""
ALL = tuple(WIDTHS)
SETS = (ALL, ("return", "sharpe", "drawdown", "excess"), ("return", "sharpe", "drawdown"))
LONGEST = 46  # a name that is longer than this is folded


def folded(name: str, room: int) -> str:
    """A name in lines of at most `room` characters that end at its commas and colons where they can."""
    lines = [""]
    for piece in re.findall(r"[^,:]*[,:]?", name):
        if lines[-1] and len(lines[-1]) + len(piece) > room:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def columns_that_fit(width: int, parts: int, name: int) -> tuple[str, ...]:
    """The columns of each part that are shown.

    Args:
        parts: How many there are.
        name: Length of the longest name.
    """
    left = (width - 5 - min(name, LONGEST)) // parts
    return next((columns for columns in SETS if sum(WIDTHS[one] for one in columns) <= left), SETS[-1])


def cell(value: Any, column: str) -> Text:
    """A metric as a cell."""
    _, kind, signed = SHOWN[column]
    if value is None:
        return Text(write(None, kind), style="dim")
    style = "" if not signed or not value else "green" if value > 0 else "red"
    text = write(value, kind)
    return Text(f"+{text}" if signed and kind == "percent" and not text.startswith("-") else text, style=style)
