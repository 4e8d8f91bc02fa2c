"""A result as text and as HTML, with the figures and words of the terminal's summary."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rich.console import Console, RenderableType

from engine.report.presentation import GROUPS, Row, ShownMetric, assumptions, figures, span, title, warnings
from engine.report.summary import WIDE, RunSummary
from engine.report.verdict import verdict

NARROWEST = 80
CURVE = (600, 60)
CURVE_POINTS = 300
TONES = {"good": "color:#0a7d33", "bad": "color:#c0392b", "": ""}


def rendered(renderable: RenderableType) -> str:
    """What rich would show, as plain text as wide as the terminal, 80 to 120 columns."""
    width = min(max(shutil.get_terminal_size((NARROWEST, 24)).columns, NARROWEST), WIDE)
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def as_text(metrics: Mapping[str, Any], manifest: Mapping[str, Any], curve: Sequence[float]) -> str:
    """The summary of a run as plain text."""
    return rendered(RunSummary(metrics, manifest, curve))


def as_html(metrics: Mapping[str, Any], manifest: Mapping[str, Any], curve: Sequence[float]) -> str:
    """The summary of a run as HTML for a notebook; everything that comes from the run is escaped."""
    judged = verdict(metrics)
    parts = [
        f"<p><b>{escape(title(manifest))}</b><br><small>{escape(span(manifest, metrics))}</small></p>",
        f"<p><b>{escape(judged[1])}</b></p>" if judged else "",
        curve_svg(curve),
        '<div style="display:flex;flex-wrap:wrap;align-items:flex-start;gap:2em">',
        *(_group(name, some) for name, rows in GROUPS if (some := _short(rows, manifest, metrics))),
        "</div>",
        *(f"<p>&#9888; {escape(line)}</p>" for line in warnings(manifest, metrics)),
    ]
    facts = "; ".join(f"{name}: {value}" for name, value in assumptions(manifest, metrics))
    return f'<div style="line-height:1.35">{"".join(parts)}<p><small>{escape(facts)}</small></p></div>'


def curve_svg(values: Sequence[float]) -> str:
    """A curve as a small drawing in the colour of the text; empty if there is nothing to show."""
    if len(values) < 2:
        return ""
    width, height = CURVE
    count = min(CURVE_POINTS, len(values))
    picked = [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (height - 2) / (high - low) if high > low else 0.0
    points = " ".join(
        f"{width * i / (count - 1):.1f},{height - 1 - (value - low) * scale:.1f}" for i, value in enumerate(picked)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="max-width:100%">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def _short(rows: Sequence[Row], manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[ShownMetric]:
    return figures([row for row in rows if row.short], manifest, metrics)


def _group(name: str, shown: Sequence[ShownMetric]) -> str:
    body = ""
    for figure in shown:
        text = f'<td style="text-align:right;{TONES[figure.tone]}">{escape(figure.text)}</td>'
        body += f'<tr><td style="text-align:left">{escape(figure.label)}</td>{text}</tr>'
    return f"<table><thead><tr><th colspan=2>{escape(name)}</th></tr></thead><tbody>{body}</tbody></table>"
