"""A walk-forward analysis for people: Markdown, and a page with the folds side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from engine.base.replacing import OutputKind
from engine.types.moments import written

FILES = ("walkforward.json", "walkforward.md", "walkforward.html")
FOLDER = OutputKind("a walk-forward analysis", frozenset({*FILES, "folds"}))
HEAD = (
    "fold",
    "trained on",
    "traded",
    "chosen",
    "of",
    "Sharpe before",
    "Sharpe",
    "return",
    "drawdown",
    "trades",
    "hold",
)
WIDTH, HEIGHT = 900, 260
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}
td,th{padding:.25rem .6rem .25rem 0;text-align:left;border-bottom:1px solid #ddd}
svg{width:100%;height:auto;margin:1rem 0}.line{fill:none;stroke:#2563eb;stroke-width:1.5}.zero{stroke:#999}
.edge{stroke:#999;stroke-dasharray:3 3}text{font-size:11px;fill:#666}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}td,th{border-color:#333}}
"""


def write_pages(tree: Mapping[str, Any], folder: Path) -> None:
    """Write `walkforward.json`, `walkforward.md` and `walkforward.html`."""
    (folder / FILES[0]).write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / FILES[1]).write_text(as_markdown(tree), encoding="utf-8")
    (folder / FILES[2]).write_text(as_page(tree), encoding="utf-8")


def rows_of(tree: Mapping[str, Any]) -> list[list[str]]:
    """A row of text for each fold, below HEAD."""
    return [
        [
            str(fold["window"]["number"]),
            f"{_day(fold['train_start'])} to {_day(fold['train_end'])}",
            f"{_day(fold['test_start'])} to {_day(fold['test_end'])}",
            fold["winner"],
            str(fold["tried"]),
            _number(fold["train"]["sharpe"]),
            _number(fold["test"]["sharpe"]),
            _percent(fold["test"]["total_return"]),
            _percent(fold["test"]["max_drawdown"]),
            str(fold["test"]["trades"]),
            _percent(fold["test"]["buy_and_hold_return"]),
        ]
        for fold in tree["folds"]
    ]


def sentences(tree: Mapping[str, Any]) -> list[str]:
    """What the folds say together."""
    plan, folds = tree["plan"], tree["folds"]
    gained = sum(fold["test"]["total_return"] > 0 for fold in folds)
    left = f"{plan['purge']:,} bars are purged, and {plan['embargo']:,} are left out after an earlier test"
    found = [
        f"The test parts one after the other return {_percent(tree['total_return'])}; {gained} of {len(folds)} gain.",
        f"Training parts are {plan['kind']}; before each test {left}.",
    ]
    if tree["efficiency"] is not None:
        found.append(
            f"Sharpe ratios of the test parts are {_percent(tree['efficiency'])} of those of the training parts."
        )
    return found


def as_markdown(tree: Mapping[str, Any]) -> str:
    """The analysis as Markdown."""
    lines = ["# Walk-forward analysis", "", *sentences(tree), "", _line(HEAD), _line(["---"] * len(HEAD))]
    return "\n".join([*lines, *map(_line, rows_of(tree)), ""])


def as_page(tree: Mapping[str, Any]) -> str:
    """The analysis as one HTML file that needs nothing else."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows_of(tree))
    said = "".join(f"<p>{escape(line)}</p>" for line in sentences(tree))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Walk-forward analysis</title>'
        f"<style>{STYLE}</style></head><body><h1>Walk-forward analysis</h1>{said}{_picture(tree)}"
        f"<table><tr>{head}</tr>{body}</table></body></html>\n"
    )


def _picture(tree: Mapping[str, Any]) -> str:
    """Growth over the test parts, one after the other; a dashed line where a fold begins."""
    points: list[tuple[int, float]] = []
    grown, edges = 1.0, []
    for fold in tree["folds"]:
        edges.append(len(points))
        points += [(ts, grown * (1.0 + value)) for ts, value in fold["curve"]]
        grown *= 1.0 + fold["test"]["total_return"]
    if len(points) < 2:
        return ""
    values = [value - 1.0 for _, value in points]
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return 10 + (HEIGHT - 30) * (high - value) / span

    step = WIDTH / (len(points) - 1)
    line = " ".join(f"{at * step:.1f},{y(value):.1f}" for at, value in enumerate(values))
    marks = "".join(
        f'<line class="edge" x1="{at * step:.1f}" x2="{at * step:.1f}" y1="0" y2="{HEIGHT - 18}"/>'
        f'<text x="{at * step + 3:.1f}" y="{HEIGHT - 4}">fold {number + 1}</text>'
        for number, at in enumerate(edges)
    )
    zero = f'<line class="zero" x1="0" x2="{WIDTH}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    ends = "".join(f'<text x="2" y="{y(value) - 2:.1f}">{_percent(value)}</text>' for value in (high, low))
    drawn = f'{zero}{marks}<polyline class="line" points="{line}"/>{ends}'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{drawn}</svg>'


def _day(ts: int) -> str:
    return written(ts)[:10]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
