"""The training report as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources

from engine.report.html import fill, plotly_script
from engine.report.training.charts import Chart, Panel
from engine.report.training.words import (
    Evaluation,
    Table,
    findings,
    remarks,
    short,
    span,
    tables,
    title,
    verdicts,
)

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
    ours, shared = resources.files("engine.report.training"), resources.files("engine.report")
    charts = {chart.name: chart.tree() for panel in (*panels, *learning) for chart in panel.charts}
    parts = {
        "title": escape(title(evaluation) if evaluation else heading),
        "header": _header(evaluation) if evaluation else "",
        "cards": _cards(evaluation) if evaluation else "",
        "diagnosis": _diagnosis(evaluation) if evaluation else "",
        "panels": "".join(_panel(panel) for panel in panels),
        "tables": "".join(_table(table) for table in tables(evaluation)) if evaluation else "",
        "learning": "".join(_panel(panel) for panel in learning),
        "footer": escape(str((evaluation or {}).get("about", {}).get("created_by") or "")),
        # a script element ends at "</script", so no "<" may stand in its data
        "data": json.dumps(charts, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c"),
        "css": shared.joinpath("page.css").read_text("utf-8") + ours.joinpath("extra.css").read_text("utf-8"),
        "js": shared.joinpath("page_layout.js").read_text("utf-8") + ours.joinpath("charts.js").read_text("utf-8"),
        "plotly": plotly_script(),
    }
    return fill(ours.joinpath("page.html").read_text("utf-8"), parts)


def _header(evaluation: Evaluation) -> str:
    parts = [f'<p class="span">{escape(span(evaluation))}</p>']
    for good, sentence in verdicts(evaluation):
        parts.append(f'<p class="verdict {"good" if good else "plain"}">{escape(sentence)}</p>')
    lines = remarks(evaluation)
    if lines:
        parts.append('<ul class="warnings">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>")
    return "".join(parts)


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
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
    return f'<tr><th class="word">{escape(row[0])}</th>{cells}</tr>'
