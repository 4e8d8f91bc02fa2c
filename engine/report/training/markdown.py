"""The training report as Markdown, with its charts as SVG files in a folder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from engine.report.training.charts import Panel
from engine.report.training.words import Evaluation, Table, findings, remarks, span, tables, title, verdicts

SPECIAL = "\\`*_{}[]<>|#"


def text(
    evaluation: Evaluation | None, panels: Sequence[Panel], learning: Sequence[Panel], charts_folder: str, heading: str
) -> str:
    """The whole file.

    Args:
        evaluation: What `evaluation.json` holds; None for learning curves only.
        panels: Charts of the evaluation, drawn as `<charts_folder>/<chart's name>.svg`.
        learning: Charts of the training, likewise.
        charts_folder: Name of the folder beside the file.
        heading: Where there is no evaluation to name.
    """
    blocks = [f"# {plain(title(evaluation) if evaluation else heading)}"]
    if evaluation:
        blocks += _judgement(evaluation)
        blocks += [block for table in tables(evaluation) for block in _table(table)]
    for panel in (*panels, *learning):
        blocks += [f"## {plain(panel.title)}", plain(panel.note), _charts(panel, charts_folder)]
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


def _table(table: Table) -> list[str]:
    rows = [table.head, *table.rows]
    lines = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" + " ---: |" * (len(table.head) - 1))
    return [f"## {plain(table.title)}", plain(table.note), "\n".join(lines)]


def _charts(panel: Panel, folder: str) -> str:
    width = "100%" if len(panel.charts) == 1 else "49%"
    return "\n".join(
        f'<img src="{folder}/{chart.name}.svg" width="{width}" alt="{escape(chart.title)}">' for chart in panel.charts
    )
