"""The performance monitor inside a running session: it follows committed steps, and can neither fail nor change one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.app.journal.monitoring import new_monitor
from engine.app.wiring import Setup
from engine.base.log import logger
from engine.base.state import State
from engine.monitor.alerts import Severity
from engine.monitor.drift.detector import alarm_text as drift_text
from engine.monitor.performance.advice import RETRAIN, RETRAIN_NOW
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.figures import CODES
from engine.monitor.performance.following import StepMonitor
from engine.monitor.performance.monitor import Alarm
from engine.monitor.performance.words import alarm_text
from engine.types.calendar import Sessions
from engine.types.step import StepBlock

DRIFT = "drift"
KINDS = {code: code.lower() for code in (*CODES, RETRAIN)}
"""Kinds of the alerts, by code."""


class News(NamedTuple):
    """What to tell the operator."""

    severity: Severity
    kind: str
    text: str


class LiveMonitor:
    """Follows the steps of a session.

    Args:
        setup: Of the session.
        settings: Of the monitor.
        followed: As after the last committed row; None before the first.
    """

    def __init__(self, setup: Setup, settings: MonitorConfig, followed: StepMonitor | None) -> None:
        self._setup, self._settings = setup, settings
        self._followed = followed
        self._told = followed.monitor.raised if followed is not None else 0
        self._drifts = followed.drift.raised if followed is not None and followed.drift is not None else 0
        self._failed = False

    @property
    def followed(self) -> StepMonitor | None:
        """The monitor; None before the first row, and after it has failed."""
        return None if self._failed else self._followed

    def follow(self, steps: Sequence[StepBlock], sessions: Sessions) -> list[News]:
        """Follow committed steps; what they prove about a figure is returned. Raises nothing."""
        if self._failed:
            return []
        try:
            if self._followed is None:
                self._followed = new_monitor(self._setup, self._settings, sessions)
            for step in steps:
                self._followed.update(step)
            return [*self._news(self._followed), *self._drift_news(self._followed)]
        except Exception:
            self._fail()
            return []

    def _news(self, followed: StepMonitor) -> Iterator[News]:
        monitor = followed.monitor
        new = [alarm for alarm in monitor.alarms if alarm.number > self._told]
        self._told = monitor.raised
        for alarm in new:
            if alarm.change.level == "proved":
                yield self._one(followed, alarm)

    def _drift_news(self, followed: StepMonitor) -> Iterator[News]:
        drift = followed.drift
        if drift is None:
            return
        new = [alarm for alarm in drift.alarms if alarm.number > self._drifts]
        self._drifts = drift.raised
        for alarm in new:
            yield News("warning", DRIFT, drift_text(alarm))

    def standing(self) -> list[News]:
        """What is proved already and not over: it is told again at every start."""
        if self._followed is None:
            return []
        last = {}
        for alarm in self._followed.monitor.alarms:
            if alarm.change.level == "proved":
                last[alarm.change.figure, alarm.change.threshold] = alarm
        return [self._one(self._followed, alarm) for alarm in last.values() if alarm.change.begins]

    def _one(self, followed: StepMonitor, alarm: Alarm) -> News:
        advice = followed.monitor.advice("proved")
        urgent: Severity = "critical" if advice == RETRAIN_NOW else "warning"
        kind = KINDS[alarm.change.code or RETRAIN]
        text = alarm_text(alarm, self._setup.config.currency)
        return News(urgent if alarm.change.begins else "info", kind, f"{text}; advice: {advice}")

    def state(self, next_seq: int) -> State | None:
        """The state to save behind a row; None where the monitor is off, or at another row. Raises nothing."""
        followed = self.followed
        if followed is None or followed.next_seq != next_seq:
            return None
        try:
            return followed.snapshot()
        except Exception:
            self._fail()
            return None

    def _fail(self) -> None:
        self._failed = True
        logger("monitor").exception("the performance monitor failed and is off, the session continues")
