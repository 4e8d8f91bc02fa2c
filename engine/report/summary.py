"""The summary of a run in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from engine.report.challengers_panel import challengers_table, changes_of, rows_of
from engine.report.learning_panel import learning_sentences
from engine.report.presentation import GROUPS, Row, ShownMetric, assumptions, figures, span, title, warnings
from engine.report.verdict import verdict

STYLES = {"good": "green", "bad": "red", "": "default"}
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 60
WIDE = 120
FRAME = 6
MOST_CHANGES = 6


def sparkline(values: Sequence[float], width: int = SPARK_WIDTH) -> str:
    """A curve as one line of block characters, at most `width` of them; empty if there is nothing to show."""
    if len(values) < 2:
        return ""
    count = min(width, len(values))
    picked = [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in picked)


@dataclass(frozen=True)
class RunSummary:
    """The run on one screen, for consoles of any width from 80 columns on; rich prints it.

    Attributes:
        metrics: Of portfolio.metrics.compute_metrics.
        manifest: Of the run; missing keys are left out.
        curve: Equity over time, of any length, for a small curve.
    """

    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]
    curve: Sequence[float] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        heading, bars = title(self.manifest), span(self.manifest, self.metrics)
        # what does not fit into the frame stands within, where lines are wrapped and not cut
        within = [text for text in (heading, bars) if cell_len(text) > options.max_width - FRAME]
        yield Panel(
            Group(*(Text(text, style="bold") for text in within), *self._parts(wide, options.max_width - FRAME)),
            title=None if heading in within else Text(heading, style="bold"),
            title_align="left",
            subtitle=None if bars in within else Text(bars, style="dim"),
            subtitle_align="left",
            border_style="dim",
            padding=(1, 2),
            width=WIDE if wide else None,
        )

    def _parts(self, wide: bool, room: int) -> Iterator[RenderableType]:
        judged = verdict(self.metrics)
        if judged:
            yield Text(judged[1], style="bold green" if judged[0] else "bold yellow")
        line = sparkline(self.curve, 110 if wide else max(2, min(68, room)))
        if line:
            yield Text(line, style="cyan")
        yield Text()
        shown = GROUPS if wide else GROUPS[:3]
        tables = [_table(name, some) for name, rows in shown if (some := self._figures(rows))]
        # side by side as far as they fit, so that no figure is ever cut short
        yield Columns(tables, padding=(0, 3 if wide else 2))
        if not wide:
            for _, rows in GROUPS[3:]:
                yield _inline(self._figures(rows))
        if beside := rows_of(self.manifest):
            yield Padding(challengers_table(beside), (1, 0, 1, 0))
            for change in changes_of(self.manifest)[-MOST_CHANGES:]:
                yield Text(change, style="dim")
        for learned in learning_sentences(self.manifest)[-MOST_CHANGES:]:
            yield Text(learned, style="dim")
        for sentence in warnings(self.manifest, self.metrics):
            yield Text.assemble(("! ", "bold yellow"), (sentence, "yellow"))
        facts = assumptions(self.manifest, self.metrics)
        if facts:
            yield Text("; ".join(f"{name}: {value}" for name, value in facts), style="dim")

    def _figures(self, rows: Sequence[Row]) -> list[ShownMetric]:
        return figures([row for row in rows if row.short], self.manifest, self.metrics)


def _table(name: str, shown: Sequence[ShownMetric]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text(name, style="bold not dim"), "")
    for figure in shown:
        table.add_row(figure.label, Text(figure.text, style=STYLES[figure.tone]))
    return Padding(table, (0, 0, 1, 0))


def _inline(shown: Sequence[ShownMetric]) -> Text:
    pieces = Text()
    for figure in shown:
        if len(pieces):
            pieces.append(" · ", "dim")
        pieces.append(f"{figure.label.lower()} ", "dim").append(figure.text)
    return pieces
