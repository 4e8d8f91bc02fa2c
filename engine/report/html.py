"""The report of a run: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from engine.base.errors import GrandModelError
from engine.base.replacing import write_text
from engine.report.challengers_panel import challengers_panel
from engine.report.learning_panel import learning_panel
from engine.report.monitor_panel import monitor_panel
from engine.report.odds_panel import odds_panel
from engine.report.payload import MOST_TRADES, Contents, contents, read_json
from engine.report.presentation import assumptions, currency, span, title, warnings
from engine.report.sections import breakdown_panel, cards, drawdown_panel, metric_tables
from engine.report.shell import Head, fill, part, shell
from engine.report.stress_panel import stress_panel
from engine.report.verdict import verdict

SCRIPTS = (
    "page_data.js",
    "page_time.js",
    "page_overview.js",
    "page_trades.js",
    "page_price.js",
    "page_strips.js",
    "page_returns.js",
    "page_start.js",
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
    watched = monitor_panel(run_folder, manifest, metrics)
    stressed = stress_panel(run_folder)
    rated = odds_panel(run_folder)
    text = page(manifest, metrics, contents(run_folder, manifest, metrics), watched, stressed, rated)
    path = run_folder / "report.html"
    try:
        write_text(path, text)
    except OSError as error:
        raise GrandModelError(f"cannot write the report: {error}", where=str(path)) from error
    return path


def page(
    manifest: Mapping[str, Any],
    metrics: Mapping[str, Any],
    found: Contents,
    watched: str = "",
    stressed: str = "",
    odds: str = "",
) -> str:
    """The page as text; everything that comes from the run is escaped.

    Args:
        watched: What `engine.report.monitor_panel` gave.
        stressed: What `engine.report.stress_panel` gave.
        odds: What `engine.report.odds_panel` gave.
    """
    judged = verdict(metrics)
    head = Head(title(manifest), span(manifest, metrics), [judged] if judged else (), warnings(manifest, metrics))
    facts = assumptions(manifest, metrics)
    parts = {
        "cards": cards(manifest, metrics),
        "metrics": metric_tables(manifest, metrics),
        "drawdowns": drawdown_panel(found.drawdowns),
        "breakdowns": breakdown_panel(found.breakdowns, currency(manifest)),
        "monitor": watched,
        "stress": stressed,
        "odds": odds,
        "challengers": challengers_panel(manifest),
        "learning": learning_panel(manifest),
        "assumptions": escape("; ".join(f"{name}: {value}" for name, value in facts)),
        "trades_note": escape(_trades_note(metrics)),
        "manifest": escape(json.dumps(manifest, indent=2, ensure_ascii=False, default=str)),
    }
    main = fill(part("page.html"), parts)
    return shell(head, main, found.data, footer=_footer(manifest), styles=(), scripts=SCRIPTS)


def _trades_note(metrics: Mapping[str, Any]) -> str:
    count = metrics.get("trades")
    note = "Round trips from flat to flat, net of fees. Click a row to see the trade on the chart, a heading to sort."
    if isinstance(count, int) and count > MOST_TRADES:
        note += f" The first {MOST_TRADES:,} of {count:,} are shown; trades.parquet has all."
    return note


def _footer(manifest: Mapping[str, Any]) -> str:
    names = {"created_by": "{}", "ledger_sha256": "ledger {}", "config_sha256": "config {}", "seed": "seed {}"}
    found = {key: manifest.get(key) for key in names}
    return " · ".join(names[key].format(value) for key, value in found.items() if value is not None)
