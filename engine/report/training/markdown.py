"""The training report as Markdown: plain tables, of curves their first, last, lowest and highest values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.report.presentation import UNDEFINED
from engine.report.training.charts import Chart, ChartSeries, Number, Panel
from engine.report.training.phrases import Evaluation, Table, findings, remarks, span, tables, title, verdicts

SPECIAL = "\\`*_{}[]<>|#"


def text(evaluation: Evaluation | None, panels: Sequence[Panel], learning: Sequence[Panel], heading: str) -> str:
    """The whole file.

    Args:
        evaluation: What `evaluation.json` holds; None for learning curves only.
        panels: Charts of the evaluation, as figures.
        learning: Charts of the training, likewise.
        heading: Where there is no evaluation to name.
    """
    blocks = [f"# {plain(title(evaluation) if evaluation else heading)}"]
    drawn = [table for panel in (*panels, *learning) if (table := _figures(panel)) is not None]
    if evaluation:
        blocks += _judgement(evaluation)
        drawn = [*tables(evaluation), *drawn]
    blocks += [block for table in drawn for block in table_blocks(table)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def plain(words: str) -> str:
    """Words with nothing that Markdown would read as its own."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in words.replace("\n", " "))


def _judgement(evaluation: Evaluation) -> list[str]:
    blocks = [plain(span(evaluation))]
    blocks += [f"**{plain(sentence)}**" for _, sentence in verdicts(evaluation)]
    if lines := remarks(evaluation):
        blocks.append("\n".join(f"> {plain(line)}" for line in lines))
    blocks.append("## Diagnosis")
    found = findings(evaluation)
    blocks.append(
        "\n".join(f"- **{plain(name)}**: {plain(message)}" for name, message in found) or "Nothing was found."
    )
    return [*blocks, "Figures are given with their 95 % confidence intervals."]


def table_blocks(table: Table) -> list[str]:
    """A table under its title and note."""
    rows = [table.head, *table.rows]
    lines = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" + " ---: |" * (len(table.head) - 1))
    return [f"## {plain(table.title)}", plain(table.note), "\n".join(lines)]


def _figures(panel: Panel) -> Table | None:
    """A panel's charts as a table; None for bars with intervals, which another table holds as figures."""
    if panel.charts[0].kind == "lines":
        rows = [_curve(chart, series) for chart in panel.charts for series in chart.series]
        return Table(panel.title, panel.note, ("Curve", "First", "Last", "Lowest", "Highest"), tuple(rows))
    bars = [bar for chart in panel.charts for series in chart.series if not series.low for bar in _bars(chart, series)]
    return Table(panel.title, panel.note, ("Chart", "Bar", "Value"), tuple(bars)) if bars else None


def _curve(chart: Chart, series: ChartSeries) -> tuple[str, ...]:
    name = chart.title if len(chart.series) == 1 else f"{chart.title}: {series.name}"
    known = [value for value in series.y if value is not None]
    values = (known[0], known[-1], min(known), max(known)) if known else (None,) * 4
    return (name, *(_number(value, chart.percent) for value in values))


def _bars(chart: Chart, series: ChartSeries) -> Iterator[tuple[str, ...]]:
    for x, value in zip(chart.x, series.y, strict=True):
        yield chart.title, str(x), _number(value, chart.percent)


def _number(value: Number, percent: bool) -> str:
    if value is None:
        return UNDEFINED
    return f"{100 * value:,.2f} %" if percent else f"{value:,.4g}"
