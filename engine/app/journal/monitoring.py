"""The performance monitor of a live session, as its journal has it: from a saved state, or from the first row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from engine.app.wiring import Setup, drift_detector, trade_book
from engine.base.config import parse
from engine.base.errors import GrandModelError
from engine.base.restoring import MADE
from engine.journal.journal import OLDER
from engine.journal.reading import JournalReader
from engine.monitor.performance.config import DriftConfig, MonitorConfig
from engine.monitor.performance.following import StepMonitor
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.year import trading_days
from engine.types.calendar import Sessions, sessions_for

MONITOR: Final = "monitor"
"""Name of the state in a journal."""


def new_monitor(setup: Setup, settings: MonitorConfig, sessions: Sessions) -> StepMonitor:
    """A monitor before the first row of a session.

    Args:
        settings: Of the monitor, which a restart may change.
        sessions: Where trading days end.

    Raises:
        GrandModelError: As `drift_detector`.
    """
    config, instruments = setup.config, setup.instruments
    days = trading_days(instruments.values(), config.statistics.periods_per_year)
    monitor = PerformanceMonitor(settings, days, config.initial_capital)
    return StepMonitor(monitor, trade_book(instruments), sessions, len(instruments), drift_detector(setup, settings))


def recover_monitor(
    reader: JournalReader, setup: Setup, settings: MonitorConfig | None = None, reference: Path | None = None
) -> StepMonitor | None:
    """The monitor as it is after the last row of a journal; None before the first.

    A saved state that cannot be used, or was made with other settings, is passed over: the rows say the same. Where the
    first rows are gone, the monitor then begins with those that are kept.

    Args:
        settings: Of the monitor; None for those with which the session saved it last, else those it began with.
        reference: What drift is measured from, in place of that of the settings.

    Raises:
        DataError: If a row is damaged.
        GrandModelError: As `drift_detector`.
    """
    first_ns = reader.meta("first_ns")
    if first_ns is None:
        return None
    sessions = sessions_for(list(setup.instruments.values()), int(first_ns))
    states = reader.states(MONITOR, OLDER + MONITOR)
    saved = [states[name][1] for name in (MONITOR, OLDER + MONITOR) if name in states]
    chosen = settings or _settings(saved) or setup.config.monitor
    if reference is not None:
        chosen = chosen.model_copy(update={"drift": DriftConfig(reference=str(reference))})
    for state in saved:
        followed = new_monitor(setup, chosen, sessions)
        try:
            followed.restore(state)
        except GrandModelError:
            continue
        if reader.first_seq <= followed.next_seq <= reader.next_seq:
            return _caught_up(followed, reader, followed.next_seq)
    return _caught_up(new_monitor(setup, chosen, sessions), reader, reader.first_seq)


def summary_of(followed: StepMonitor) -> dict[str, Any]:
    """The most important of what a monitor says, JSON-able."""
    monitor, drift = followed.monitor, followed.drift
    return {
        "advice": monitor.advice("proved"),
        "alerts": monitor.alerts("proved"),
        "alerts_by_value": monitor.alerts("below"),
        "values": {figure.name: figure.value for figure in monitor.figures},
        "drifted": [] if drift is None else list(drift.drifted),
    }


def _caught_up(followed: StepMonitor, reader: JournalReader, since: int) -> StepMonitor:
    for step in reader.steps(since):
        followed.update(step)
    return followed


def _settings(saved: Iterable[Any]) -> MonitorConfig | None:
    """The settings that a saved state names."""
    for state in saved:
        try:
            return parse(MonitorConfig, json.loads(state[MONITOR][MADE])[MONITOR], where="saved state")
        except (GrandModelError, ValueError, KeyError, TypeError):
            continue
    return None
