"""What a session tells those who watch it, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.app.live.intake import Arrival
from engine.base.log import logger
from engine.loop.rivals import PROMOTIONS, RoleChange
from engine.monitor.alerts import Severity
from engine.monitor.latency import Latencies
from engine.monitor.numbers import e_value_text
from engine.types.step import StepBlock


@dataclass(frozen=True, slots=True, eq=False)
class Committed:
    """A transaction that has happened.

    Attributes:
        arrival: What it began with.
        steps: What happened in its rows.
        seconds: From the receipt of the delivery to the commit.
    """

    arrival: Arrival
    steps: Sequence[StepBlock]
    seconds: float


class Observer(Protocol):
    """Watches a session; what it raises is logged and changes nothing."""

    def committed(self, committed: Committed) -> None:
        """A transaction has happened."""

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Something that the operator should know."""


@dataclass
class Ended:
    """Why a session ended, and what this run of it did.

    Attributes:
        because: Why.
        refused: Detects that most messages were refused.
        short: Says so where fewer bars came than were expected.
    """

    because: str = "the feed ended"
    refused: str | None = None
    short: str | None = None
    rows: int = 0
    bars: int = 0
    seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)


ROLE_ALERTS: Mapping[str, Severity] = {
    "promoted": "critical",
    "rolled_back": "critical",
    "shadow": "info",
    "challenger_retired": "warning",
}
"""Kinds of the alerts about changes of roles, and how much they matter."""


def role_alert(change: RoleChange) -> tuple[Severity, str, str]:
    """Severity, kind and text of the alert about a change of roles."""
    evidence = f" (E {e_value_text(change.e_value)} of {e_value_text(change.threshold)} in {change.blocks:,} blocks)"
    if change.role == "champion":
        back = change.because not in PROMOTIONS
        kind, what = ("rolled_back", "is the champion again") if back else ("promoted", "is the champion now")
        text = f"{change.name} {what} from row {change.seq} on: {change.because}{evidence}"
    elif change.role == "shadow":
        kind, text = "shadow", f"{change.name} trades on beside the champion: {change.because}"
    else:
        kind, text = "challenger_retired", f"{change.name} is retired from row {change.seq} on: {change.because}"
    return ROLE_ALERTS[kind], kind, text


def harmless(call: Callable[..., object], *values: object) -> None:
    """What watches may fail; the session may not fail with it."""
    try:
        call(*values)
    except Exception:
        logger("session").exception("an observer failed, the session continues")
