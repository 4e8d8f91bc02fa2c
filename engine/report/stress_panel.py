"""The part of a run's page that shows how it stood stress scenarios, and the rows of the table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from engine.base.errors import DataError
from engine.report.payload import read_json

STRESS_FILE = "stress.json"
HEADINGS = ("Scenario", "Loss %", "Worst %", "Drawdown %", "Halts", "Bars to flat", "Fills")
HINT = (
    "Each scenario strikes at {strikes} rows; {horizon:,} rows from each count. Loss is the largest fall of equity "
    "below that before the strike. Means with 95 % intervals over the strikes; worst is the largest loss of them, bars "
    "to flat those from a halt to a flat book, at worst."
)


class StressRow(NamedTuple):
    """One scenario.

    Attributes:
        cells: As shown, under HEADINGS.
        about: What it does.
        broken: Whether a bound did not hold.
    """

    cells: tuple[str, ...]
    about: str
    broken: bool


def stress_rows(tree: Mapping[str, Any]) -> list[StressRow]:
    """The rows of the table.

    Args:
        tree: What stress.json holds.
    """
    count = len(tree["strikes"])
    calm = _row("undisturbed", "the run as it was", tree["undisturbed"], count, broken=False)
    scenarios = tree["scenarios"]
    return [calm, *(_row(str(x["name"]), str(x["about"]), x, count, broken=bool(x["broken"])) for x in scenarios)]


def stress_panel(folder: Path) -> str:
    """The panel as HTML; empty where the run was not stressed.

    Raises:
        DataError: If stress.json holds something else.
    """
    path = folder / STRESS_FILE
    if not path.exists():
        return ""
    tree = read_json(path)
    try:
        rows = stress_rows(tree)
        broken = [str(line) for line in tree["broken"]]
        hint = HINT.format(strikes=len(tree["strikes"]), horizon=int(tree["horizon"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"this is not what a stress test gives: {error!r}", where=str(path)) from error
    head = "".join(f"<th>{name}</th>" for name in HEADINGS[1:])
    body = "".join(_html(row) for row in rows)
    first = f'<th class="word">{HEADINGS[0]}</th>'
    table = f'<table class="rows"><thead><tr>{first}{head}</tr></thead><tbody>{body}</tbody></table>'
    verdict = f"{len(broken)} bounds broken: {broken[0]}" if broken else "Every bound held"
    tone = "plain" if broken else "good"
    return (
        '<section class="panel" id="stress"><h2>Stress</h2>'
        f'<p class="verdict {tone}">{escape(verdict)}</p><p class="hint">{escape(hint)}</p>'
        f'<div class="scroll">{table}</div></section>'
    )


def _row(name: str, about: str, one: Mapping[str, Any], strikes: int, *, broken: bool) -> StressRow:
    flat = one["rows_to_flat"]
    cells = (
        name,
        _spread(one["loss"]),
        f"{100 * one['worst_loss']:.1f}",
        _spread(one["drawdown"]),
        f"{one['halts']} of {strikes}" if one["halts"] else "-",
        "-" if flat is None else str(flat),
        f"{one['fills']:.1f}",
    )
    return StressRow(cells, about, broken)


def _spread(estimate: Mapping[str, Any]) -> str:
    """A mean in per cent, with half of its interval."""
    value, high = estimate["value"], estimate["high"]
    return f"{100 * value:.1f}" if high is None else f"{100 * value:.1f} ±{100 * (high - value):.1f}"


def _html(row: StressRow) -> str:
    name, *cells = map(escape, row.cells)
    tone = ' class="bad"' if row.broken else ""
    shown = "".join(f"<td{tone}>{cell}</td>" for cell in cells)
    return f'<tr><th class="word" title="{escape(row.about)}">{name}</th>{shown}</tr>'
