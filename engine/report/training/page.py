"""The training report as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from engine.report.shell import Head, shell
from engine.report.training.charts import Chart, Panel
from engine.report.training.phrases import Evaluation, Table, findings, remarks, short, span, tables, title, verdicts

INTERVAL = re.compile(r"(\([^()]* to [^()]*\))$")
STYLES = ("training/page.css",)
SCRIPTS = ("training/charts.js",)
CARDS = (
    "mean_reward",
    "total_return",
    "sharpe",
    "max_drawdown",
    "win_rate",
    "profit_factor",
    "trades",
)


def text(evaluation: Evaluation | None, panels: Sequence[Panel], learning: Sequence[Panel], heading: str) -> str:
    """The page as text; everything that comes from a training is escaped.

    Args:
        evaluation: What `evaluation.json` holds; None for learning curves only.
        panels: Charts of the evaluation.
        learning: Charts of the training.
        heading: Where there is no evaluation to name.
    """
    charts = {chart.name: asdict(chart) for panel in (*panels, *learning) for chart in panel.charts}
    body = [*map(_panel, learning)]
    head, footer = Head(heading), ""
    if evaluation:
        head = Head(title(evaluation), span(evaluation), verdicts(evaluation), remarks(evaluation))
        footer = str((evaluation.get("about") or {}).get("created_by") or "")
        figures = map(_table, tables(evaluation))
        body = [_cards(evaluation), _diagnosis(evaluation), *map(_panel, panels), *figures, *body]
    return shell(head, "\n".join(body), charts, footer=footer, styles=STYLES, scripts=SCRIPTS)


def _cards(evaluation: Evaluation) -> str:
    cells = (
        f'<div class="card"><span>{escape(label)}</span><b>{escape(value)}</b></div>'
        for label, value in short(evaluation, CARDS)
    )
    return f'<section class="cards" aria-label="Key figures">{"".join(cells)}</section>'


def _diagnosis(evaluation: Evaluation) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(message)}</dd>" for name, message in findings(evaluation))
    body = f"<dl>{rows}</dl>" if rows else '<p class="hint">Nothing was found.</p>'
    return f'<section class="panel"><h2>Diagnosis</h2>{body}</section>'


def _chart(chart: Chart, size: str) -> str:
    heading = f"<h3>{escape(chart.title)}</h3>" if size == "small" else ""
    return f'<div class="cell">{heading}<div id="{escape(chart.name, quote=True)}" class="chart {size}"></div></div>'


def _panel(panel: Panel) -> str:
    size, places = ("medium", "one") if len(panel.charts) == 1 else ("small", "several")
    body = "".join(_chart(chart, size) for chart in panel.charts)
    head = f'<h2>{escape(panel.title)}</h2><p class="hint">{escape(panel.note)}</p>'
    return f'<section class="panel">{head}<div class="{places}">{body}</div></section>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    body = "".join(_row(row) for row in table.rows)
    note = f'<p class="hint">{escape(table.note)}</p>' if table.note else ""
    grid = f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<section class="panel"><h2>{escape(table.title)}</h2>{note}<div class="scroll">{grid}</div></section>'


def _row(row: Sequence[str]) -> str:
    # an interval may stand in a line of its own where there is little room
    cells = "".join(
        "<td>" + INTERVAL.sub(r"<span>\1</span>", escape(cell).replace(" %", "\u00a0%")) + "</td>" for cell in row[1:]
    )
    return f'<tr><th class="word">{escape(row[0])}</th>{cells}</tr>'
