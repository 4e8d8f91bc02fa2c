"""An evaluation on one screen of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from engine.report.training.phrases import Evaluation, Table, findings, remarks, span, tables, title, verdicts


def render_evaluation(evaluation: Evaluation) -> RenderableType:
    """The figures of an evaluation, for consoles of 80 columns and more.

    Args:
        evaluation: What `evaluation.json` holds.
    """
    return Panel(
        Group(*_parts(evaluation)),
        title=Text(title(evaluation), style="bold"),
        title_align="left",
        subtitle=Text(span(evaluation), style="dim"),
        subtitle_align="left",
        border_style="dim",
        padding=(1, 2),
        expand=False,
    )


def _parts(evaluation: Evaluation) -> Iterator[RenderableType]:
    for good, sentence in verdicts(evaluation):
        yield Text(sentence, style="bold green" if good else "bold yellow")
    yield Text()
    for table in tables(evaluation):
        yield Padding(grid(table), (0, 0, 1, 0))
    for name, message in findings(evaluation):
        yield Text.assemble((f"{name} ", "bold red"), message)
    for sentence in remarks(evaluation):
        yield Text.assemble(("! ", "bold yellow"), (sentence, "yellow"))


def grid(table: Table) -> RenderableType:
    """A table with its title in the place of the first heading."""
    drawn = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    kept = [k for k, name in enumerate(table.head) if name != "Neutral stand-in"]
    for k in kept:
        heading = table.title if k == 0 else table.head[k]
        style = "bold not dim" if k == 0 else "dim"
        drawn.add_column(Text(heading, style=style), justify="left" if k == 0 else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(row[k], style="dim" if k == 0 else "") for k in kept))
    return drawn
