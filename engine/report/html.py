"""The report of a run: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from engine.errors import GrandModelError
from engine.replacing import write_text
from engine.report.payload import MOST_TRADES, payload, read_json
from engine.report.presentation import (
    GROUPS,
    Row,
    assumptions,
    span,
    title,
    tone,
    warnings,
    write,
)
from engine.report.verdict import verdict

SCRIPTS = ("page_layout.js", "page_data.js", "page_charts.js", "page_tables.js")
CARDS = (
    "total_return",
    "buy_and_hold_return",
    "net_profit",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "annual_volatility",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
    "fees",
)


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder, from nothing but what the folder holds.

    Args:
        run_folder: Holds manifest.json, metrics.json and the recorder's Parquet files.

    Returns:
        Path of the report.

    Raises:
        UsageError: If a file is missing.
        DataError: If a file does not hold what it should.
        GrandModelError: If the disk refuses.
    """
    manifest, metrics = read_json(run_folder / "manifest.json"), read_json(run_folder / "metrics.json")
    text = page(manifest, metrics, payload(run_folder, manifest, metrics))
    path = run_folder / "report.html"
    try:
        write_text(path, text)
    except OSError as error:
        raise GrandModelError(f"cannot write the report: {error}", where=str(path)) from error
    return path


def page(manifest: Mapping[str, Any], metrics: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The page as text; everything that comes from the run is escaped."""
    files = resources.files("engine.report")
    facts = assumptions(manifest, metrics)
    parts = {
        "title": escape(title(manifest)),
        "span": escape(span(manifest, metrics)),
        "verdict": _verdict(metrics),
        "warnings": _warnings(manifest, metrics),
        "cards": _cards(metrics),
        "metrics": "".join(_metric_table(name, rows, metrics) for name, rows in GROUPS),
        "assumptions": escape("; ".join(f"{name}: {value}" for name, value in facts)),
        "trades_note": escape(_trades_note(metrics)),
        "manifest": escape(json.dumps(manifest, indent=2, ensure_ascii=False, default=str)),
        "footer": escape(_footer(manifest)),
        # a script element ends at "</script", so no "<" may stand in its data
        "data": json.dumps(data, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c"),
        "css": files.joinpath("page.css").read_text(encoding="utf-8"),
        "js": "\n".join(files.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS),
        "plotly": plotly_script(),
    }
    return fill(files.joinpath("page.html").read_text(encoding="utf-8"), parts)


def plotly_script() -> str:
    """The charting library, to be laid into a page."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


def fill(template: str, parts: Mapping[str, str]) -> str:
    """A template with every `{{name}}` replaced, once: what is put in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _verdict(metrics: Mapping[str, Any]) -> str:
    judged = verdict(metrics)
    if judged is None:
        return ""
    return f'<p class="verdict {"good" if judged[0] else "plain"}">{escape(judged[1])}</p>'


def _warnings(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    lines = warnings(manifest, metrics)
    if not lines:
        return ""
    return '<ul class="warnings">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _cards(metrics: Mapping[str, Any]) -> str:
    rows = {row.key: row for _, group in GROUPS for row in group}
    cells = []
    for key in CARDS:
        row, value = rows[key], metrics.get(key)
        label, shown = escape(row.label), escape(write(value, row.kind))
        cells.append(f'<div class="card"><span>{label}</span><b class="{tone(key, value)}">{shown}</b></div>')
    return "".join(cells)


def _metric_table(name: str, rows: tuple[Row, ...], metrics: Mapping[str, Any]) -> str:
    body = ""
    for row in rows:
        value = metrics.get(row.key)
        label, shown = escape(row.label), escape(write(value, row.kind))
        body += f'<tr><th>{label}</th><td class="{tone(row.key, value)}">{shown}</td></tr>'
    return f"<table><caption>{escape(name)}</caption><tbody>{body}</tbody></table>"


def _trades_note(metrics: Mapping[str, Any]) -> str:
    count = metrics.get("trades")
    note = "Round trips from flat to flat; profit is net of fees. Click a heading to sort."
    if isinstance(count, int) and count > MOST_TRADES:
        note += f" The first {MOST_TRADES:,} of {count:,} are shown; trades.parquet has all."
    return note


def _footer(manifest: Mapping[str, Any]) -> str:
    names = {"created_by": "{}", "ledger_sha256": "ledger {}", "config_sha256": "config {}", "seed": "seed {}"}
    found = {key: manifest.get(key) for key in names}
    return " · ".join(names[key].format(value) for key, value in found.items() if value is not None)
