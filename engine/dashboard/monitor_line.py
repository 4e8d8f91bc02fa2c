"""What the performance monitor of a session says, on one line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.cells import BAD, DIM, GOOD, PLAIN, WARN, Line, fit, width_of
from engine.monitor.performance.advice import ACCEPTABLE
from engine.monitor.performance.figures import (
    CONFIDENCE,
    CONSISTENCY,
    INCONSISTENT_DECISIONS,
    LOW_MODEL_CONFIDENCE,
    LOW_SHARPE_RATIO,
    LOW_WIN_RATE,
    SHARPE,
    WIN_RATE,
)

SHOWN = (
    ("win rate", WIN_RATE, LOW_WIN_RATE),
    ("Sharpe", SHARPE, LOW_SHARPE_RATIO),
    ("consistency", CONSISTENCY, INCONSISTENT_DECISIONS),
    ("confidence", f"{CONFIDENCE}.strategic", LOW_MODEL_CONFIDENCE),
)
GAP = "   "


@dataclass(frozen=True, slots=True)
class MonitorSummary:
    """What is shown of a monitor.

    Attributes:
        values: Of the figures, by name; None where one is not known.
        below: Codes of the alerts that the values alone give.
        proved: Codes of the alerts that are proved.
        advice: From what is proved; None while there is too little data.
        drifted: Streams that have drifted.
    """

    values: Mapping[str, float | None]
    below: Collection[str]
    proved: Collection[str]
    advice: str | None
    drifted: Collection[str] = ()


def monitor_line(summary: MonitorSummary, width: int) -> Line:
    """The figures, those that are low coloured, with the advice; what does not fit at the end is left out."""
    parts: list[Line] = [[Segment(" monitor", DIM)]]
    for label, name, code in SHOWN:
        value = summary.values.get(name)
        if value is not None:
            style = BAD if code in summary.proved else WARN if code in summary.below else PLAIN
            parts.append([Segment(f"{label} ", DIM), Segment(f"{value:.2f}", style)])
    if summary.drifted:
        parts.append([Segment("drift ", DIM), Segment(text.clean(", ".join(summary.drifted)), WARN)])
    advice = (summary.advice or "too little data for advice").replace("_", " ").lower()
    parts.append([Segment(advice, GOOD if summary.advice == ACCEPTABLE else WARN if summary.advice else DIM)])
    line: Line = []
    for part in parts:
        more = [*([Segment(GAP)] if line else []), *part]
        if line and width_of(line) + width_of(more) > width:
            break
        line += more
    return fit(line, width)
