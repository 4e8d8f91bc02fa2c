"""The part of a run's page that shows what the performance monitor would have said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from engine.base.errors import DataError, GrandModelError
from engine.monitor.numbers import e_value_text
from engine.monitor.performance.advice import ACCEPTABLE
from engine.monitor.performance.monitor import Alarm, PerformanceMonitor
from engine.monitor.performance.words import figure_rows, shown
from engine.report.monitoring import monitor_run
from engine.report.payload import read_json
from engine.report.presentation import currency, money
from engine.types.moments import written

MILLION = 1_000_000
MOST = 50
TONES = {"": "", "below": "plain", "proved": "bad", "unknown": ""}
HINT = (
    "A value below its threshold is shown, and often there by chance. Only what an e-process proves to be below is an "
    "alert: false with a chance of at most {alpha:g} % for each figure, however often one looks. Click a row below to "
    "see it on the charts. Times in UTC."
)


DRIFT_HINT = (
    "How far the mean of about the last hundred observations of each stream is from its reference, in deviations; "
    "evidence and limit are logarithms. By chance a stream has an alarm once in {run_length:,.0f} observations."
)


class Episode(NamedTuple):
    """The time for which a figure was below a threshold, or proved to be.

    Attributes:
        begin: What began it.
        end_ns: When it ended, nanoseconds UTC; None if it lasts.
    """

    begin: Alarm
    end_ns: int | None


def episodes(monitor: PerformanceMonitor) -> list[Episode]:
    """The times that the monitor remembers, in order of their begins; thresholds without a code are left out."""
    begun: dict[tuple[str, str, float], Alarm] = {}
    found: list[Episode] = []
    for alarm in monitor.alarms:
        change = alarm.change
        key = (change.figure, change.level, change.threshold)
        if not change.code:
            continue
        if change.begins:
            begun[key] = alarm
        elif key in begun:
            found.append(Episode(begun.pop(key), change.ts_event))
    found += [Episode(alarm, None) for alarm in begun.values()]
    return sorted(found, key=lambda one: one.begin.number)


def monitor_panel(folder: Path, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The panel as HTML; empty where there is nothing to watch, or the run does not say how.

    Args:
        folder: Of the run.
        manifest, metrics: As it holds them.
    """
    try:
        monitor = monitor_run(folder, manifest, metrics)
    except GrandModelError:  # of another release: the page says all else
        return ""
    rows = figure_rows(monitor)
    if not rows:
        return ""
    hint = HINT.format(alpha=100 * monitor.config.alpha)
    end = int(monitor.alarms[-1].change.ts_event) if monitor.alarms else 0
    parts = (
        '<section class="panel" id="monitor"><h2>Monitor</h2>',
        f'<p class="verdict {_tone(monitor)}">{escape(_verdict(monitor))}</p><p class="hint">{escape(hint)}</p>',
        _figures(monitor),
        _episodes(episodes(monitor), currency(manifest), end),
        _drift(folder / "drift.json"),
        "</section>",
    )
    return "".join(parts)


def _tone(monitor: PerformanceMonitor) -> str:
    return "good" if monitor.advice("proved") == ACCEPTABLE else "plain"


def _verdict(monitor: PerformanceMonitor) -> str:
    advice, alerts = monitor.advice("proved"), ", ".join(monitor.alerts("proved"))
    if advice is None:
        return "Too little data for advice"
    by_value, below = monitor.advice("below"), ", ".join(monitor.alerts("below"))
    proved = f"At the end: {advice}" + (f", proved: {alerts}" if alerts else ", nothing is proved to be too low")
    return f"{proved}. By value alone: {by_value}" + (f", {below}" if below else "")


def _figures(monitor: PerformanceMonitor) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("Value", "Of the last", "Below", "E-value", ""))
    body = ""
    for row in figure_rows(monitor):
        name, *cells = map(escape, row.cells)
        shown_cells = "".join(f"<td>{cell}</td>" for cell in cells)
        status = f'<td class="word {TONES[row.level]}">{escape(row.status)}</td>'
        body += f'<tr><th class="word">{name}</th>{shown_cells}{status}</tr>'
    return _table(f'<th class="word">Figure</th>{head}', body)


def _table(head: str, body: str) -> str:
    table = f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _episodes(found: list[Episode], unit: str, end_ns: int) -> str:
    if not found:
        return ""
    names = ("From", "To", "Value", "Threshold", "E-value", "Last trades made")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_episode(one, unit, end_ns) for one in found[-MOST:])
    note = f'<p class="hint">The latest {MOST} of {len(found)} times.</p>' if len(found) > MOST else ""
    table = (
        f'<table class="rows"><thead><tr><th class="word">Alert</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return f'{note}<div class="scroll">{table}</div>'


def _drift(path: Path) -> str:
    """What the run says of drift; empty where it watched none."""
    if not path.exists():
        return ""
    found = read_json(path)
    try:
        rows = "".join(_stream(row) for row in found["streams"])
        alarms = "".join(_alarm(alarm) for alarm in found["alarms"][-MOST:])
        note = DRIFT_HINT.format(run_length=float(found["run_length"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"this is not what a run says of drift: {error!r}", where=str(path)) from error
    names = "".join(
        f"<th>{name}</th>" for name in ("Deviations", "Observations", "Evidence", "Limit", "Times reached", "")
    )
    table = _table(f'<th class="word">Drift of</th>{names}', rows)
    if not alarms:
        return f'<p class="hint">{escape(note)}</p>{table}'
    heads = "".join(f"<th>{name}</th>" for name in ("Time", "Deviations", "Evidence", "Limit"))
    return f'<p class="hint">{escape(note)}</p>{table}' + _table(f'<th class="word">Alarm</th>{heads}', alarms)


def _stream(row: Mapping[str, Any]) -> str:
    cells = (
        f"{row['level']:+.2f}",
        f"{row['observations']:,}",
        f"{row['evidence']:.1f}",
        f"{row['limit']:.1f}",
        f"{row['reached']:,}",
    )
    status = '<td class="word plain">drifted</td>' if row["drifted"] else "<td></td>"
    return f'<tr><th class="word">{escape(str(row["stream"]))}</th>{_cells(cells)}{status}</tr>'


def _alarm(alarm: Mapping[str, Any]) -> str:
    time = str(alarm["time"]).replace("T", " ").removesuffix("Z")
    at = int(datetime.fromisoformat(str(alarm["time"])).timestamp() * 1000)
    cells = (time[:16], f"{alarm['level']:+.2f}", f"{alarm['evidence']:.1f}", f"{alarm['limit']:.1f}")
    head = f'<th class="word">{escape(str(alarm["stream"]))}</th>'
    return f'<tr data-from="{at}" data-to="{at}">{head}{_cells(cells)}</tr>'


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _episode(one: Episode, unit: str, end_ns: int) -> str:
    change = one.begin.change
    until = one.end_ns or max(end_ns, change.ts_event)
    proved = change.level == "proved"
    seat = change.figure.partition(".")[2]
    name = f"{change.code}{f' ({seat})' if seat else ''}, {'proved' if proved else 'by value'}"
    cells = (
        written(change.ts_event),
        "lasts" if one.end_ns is None else written(one.end_ns),
        shown(change.value),
        f"{change.threshold:g}",
        e_value_text(change.e_value),
        f"{money(one.begin.result, unit)} in {one.begin.trades}",
    )
    tone = "bad" if proved else ""
    return (
        f'<tr data-from="{change.ts_event // MILLION}" data-to="{until // MILLION}"><th class="word {tone}">'
        f"{escape(name)}</th>{_cells(cells)}</tr>"
    )
