"""Figures and alarms of the performance monitor in words."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.monitor.numbers import e_value_text
from engine.monitor.performance.advice import ACCEPTABLE, RETRAIN
from engine.monitor.performance.figures import CONFIDENCE, CONSISTENCY, SHARPE, WIN_RATE
from engine.monitor.performance.monitor import Alarm, PerformanceMonitor
from engine.monitor.performance.thresholds import Level

LABELS = {WIN_RATE: "win rate", SHARPE: "Sharpe ratio", CONSISTENCY: "decision consistency"}
_UNITS = {WIN_RATE: "trades", SHARPE: "days"}
COUNTED = {WIN_RATE: "closed trades", SHARPE: "trading days"}


def label(figure: str) -> str:
    """The name of a figure as people read it."""
    if figure.startswith(CONFIDENCE):
        return f"confidence of the {figure.removeprefix(f'{CONFIDENCE}.')} network"
    return LABELS[figure]


def counted(figure: str) -> str:
    """What a figure counts, in the plural."""
    return COUNTED.get(figure, "decisions")


def shown(value: float | None) -> str:
    """A value of a figure."""
    return "not known" if value is None else f"{value:.2f}"


def _evidence(e_value: float, alpha: float) -> str:
    return f"{e_value_text(e_value)} of {e_value_text(1 / alpha)}"


def alarm_text(alarm: Alarm, currency: str) -> str:
    """One line on a change: what it is about, what it rests on, how often such a line is wrong, what the time cost."""
    change = alarm.change
    name = change.code or RETRAIN
    value = f"{label(change.figure)} {shown(change.value)} after {change.observations:,} {counted(change.figure)}"
    if change.level == "below":
        side = "below" if change.begins else "no longer below"
        return f"{name}: {value}, {side} {change.threshold:g}"
    if not change.begins:
        return f"{name} is over: {value}, threshold {change.threshold:g}"
    proof = f"e-value {_evidence(change.e_value, change.alpha)} needed; false with a chance of at most"
    result = f"the last {alarm.trades:,} closed trades made {alarm.result:+,.2f} {currency}"
    return f"{name}: {value}, proved below {change.threshold:g} ({proof} {100 * change.alpha:g} %); {result}"


def advice_text(monitor: PerformanceMonitor, level: Level) -> str:
    """What the guide advises from what stands on a level, and why it is content where an alert stands."""
    advice = monitor.advice(level)
    if advice is None:
        return "too little data for advice"
    if advice == ACCEPTABLE and monitor.alerts(level):
        return f"advice: {advice}, since one alert alone does not ask for retraining"
    return f"advice: {advice}"


class FigureRow(NamedTuple):
    """A figure and one of its thresholds for a table.

    Attributes:
        cells: Figure, value, observations that it is of, threshold, e-value and what a proof needs.
        level: How it stands.
        status: The same in words.
    """

    cells: tuple[str, str, str, str, str]
    level: Literal["", "below", "proved", "unknown"]
    status: str


def figure_rows(monitor: PerformanceMonitor) -> list[FigureRow]:
    """The figures of a monitor, those without any observation left out, a row for each threshold."""
    rows = []
    for figure in monitor.figures:
        if not figure.count:
            continue
        of = f"{figure.held} {_UNITS.get(figure.name, 'decisions')}"
        name, value = label(figure.name).removesuffix(" network").replace("of the ", ""), shown(figure.value)
        for one in figure.thresholds:
            cells = (
                name,
                value,
                of,
                f"{one.threshold:g}",
                _evidence(one.evidence.value, one.alpha),
            )
            if one.proved:
                rows.append(FigureRow(cells, "proved", "proved below"))
            elif one.below:
                rows.append(FigureRow(cells, "below", "below"))
            elif figure.value is None:
                few = figure.held < figure.least
                why = f"too few: {figure.held} of {figure.least}" if few else "the returns do not vary"
                rows.append(FigureRow(cells, "unknown", why))
            else:
                rows.append(FigureRow(cells, "", ""))
        if not figure.thresholds:
            rows.append(FigureRow((name, value, of, "", ""), "", ""))
    return rows
