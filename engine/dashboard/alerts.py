"""What the operator should know about a run: limits tripped, rejections, liquidations, bad input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from engine.dashboard.text import clean
from engine.types.reasons import phrase
from engine.types.records import OrderEventKind, Reason, Records, Role
from engine.types.step import StepBlock

ALERTS_KEPT = 50


class AlertLevel(IntEnum):
    """How much an alert matters."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One thing to know; `count` times until `ts_event` (nanoseconds UTC of the data)."""

    ts_event: int
    severity: AlertLevel
    text: str
    count: int = 1


class Alerts:
    """The last alerts, newest first; the same text again raises the count of its line."""

    def __init__(self) -> None:
        self._kept: dict[str, AlertLine] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[AlertLine]:
        return reversed(self._kept.values())

    def add(self, alert: AlertLine) -> None:
        """Take in an alert; the oldest is forgotten where there are too many."""
        before = self._kept.pop(alert.text, None)
        self._kept[alert.text] = replace(alert, count=alert.count + before.count) if before else alert
        if len(self._kept) > ALERTS_KEPT:
            del self._kept[next(iter(self._kept))]

    def warn(self, ts_event: int, text: str, count: int = 1) -> None:
        """Take in a warning."""
        self.add(AlertLine(ts_event, AlertLevel.WARNING, text, count))


def reason_name(reason: int) -> str:
    """The words for a reason code; its number where it has none."""
    return phrase(reason)


def alerts_of(step: StepBlock, before: np.void | None, symbols: Sequence[str]) -> list[AlertLine]:
    """What a step has to tell.

    Args:
        before: The ACCOUNT record of the last step seen, None at first.
    """
    alerts = []
    if len(step.events):
        kind, role = step.events["kind"], step.events["role"]
        closing = step.events[(kind == OrderEventKind.SUBMITTED) & (role == Role.LIQUIDATION)]
        rejected = step.events[kind == OrderEventKind.REJECTED]
        alerts += _grouped(rejected, "rejected", symbols, AlertLevel.WARNING)
        alerts += _grouped(closing, "liquidation order", symbols, AlertLevel.CRITICAL)
    if len(step.fills):
        alerts += _grouped(step.fills[step.fills["reason"] != Reason.NONE], "fill cut", symbols, AlertLevel.INFO)
    return alerts + _account_alerts(step.account[0], before, int(step.bars.ts_event[-1]))


def _grouped(records: Records, verb: str, symbols: Sequence[str], severity: AlertLevel) -> list[AlertLine]:
    """One alert for each symbol and reason, in order of the last time."""
    if not len(records):
        return []
    pairs = np.stack([records["symbol"], records["reason"]], axis=1)
    kinds, group, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    last = np.zeros(len(kinds), dtype=np.int64)
    np.maximum.at(last, group.reshape(-1), records["ts_event"])
    alerts = []
    for at in np.argsort(last, kind="stable")[-ALERTS_KEPT:]:
        symbol, reason = (int(value) for value in kinds[at])
        name = clean(symbols[symbol]) if 0 <= symbol < len(symbols) else f"symbol {symbol}"
        why = f": {reason_name(reason)}" if reason else ""
        alerts.append(AlertLine(int(last[at]), severity, f"{verb} {name}{why}", int(counts[at])))
    return alerts


def _account_alerts(account: np.void, before: np.void | None, ts_event: int) -> list[AlertLine]:
    found = []
    halted, was_halted = int(account["halted"]), int(before["halted"]) if before is not None else 0
    if halted and halted != was_halted:
        cause = "halted by the operator" if halted == Reason.BY_OPERATOR else f"limit tripped: {reason_name(halted)}"
        text = f"{cause}; trading is halted until it is reset"
        found.append(AlertLine(ts_event, AlertLevel.CRITICAL, text))
    if was_halted and not halted:
        found.append(AlertLine(ts_event, AlertLevel.INFO, "halt was reset; trading resumes"))
    paused, was_paused = bool(account["paused"]), before is not None and bool(before["paused"])
    if paused and not was_paused:
        found.append(AlertLine(ts_event, AlertLevel.WARNING, "paused by the operator; positions cannot open or grow"))
    if was_paused and not paused:
        found.append(AlertLine(ts_event, AlertLevel.INFO, "the pause is over"))
    liquidating = bool(account["liquidating"])
    was_liquidating = before is not None and bool(before["liquidating"])
    if liquidating and not was_liquidating:
        found.append(AlertLine(ts_event, AlertLevel.CRITICAL, "margin call: all positions are being closed"))
    if was_liquidating and not liquidating:
        found.append(AlertLine(ts_event, AlertLevel.INFO, "margin call is over: all positions are closed"))
    return found
