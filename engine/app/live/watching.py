"""What a session tells those who watch it, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.app.live.intake import Arrival
from engine.base.log import logger
from engine.loop.learner import LearningEvent
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


LEARNING_ALERTS: Mapping[str, Severity] = {
    "job_started": "info",
    "job_skipped": "warning",
    "job_late": "warning",
    "candidate_admitted": "warning",
    "candidate_refused": "info",
    "job_failed": "critical",
}
"""Kinds of the alerts about training jobs and versions that enter, and how much they matter."""
_KINDS = {
    "queued": "job_started",
    "skipped": "job_skipped",
    "late": "job_late",
    "admitted": "candidate_admitted",
    "refused": "candidate_refused",
    "failed": "job_failed",
}


def learning_alert(event: LearningEvent) -> tuple[Severity, str, str]:
    """Severity, kind and text of the alert about what has become of a training job, or of a version that was named."""
    kind = _KINDS[event.status]
    who = event.name if event.job is None else f"training job {event.job}"
    if event.status == "admitted" and event.job is not None:
        who = f"{event.name}, the candidate of training job {event.job},"
    verbs = {
        "queued": f"begins before row {event.seq}",
        "skipped": f"does not begin before row {event.seq}",
        "late": f"is late at row {event.seq}",
        "admitted": f"trades beside the champion from row {event.seq} on",
        "refused": f"gave no challenger at row {event.seq}" if event.job is not None else "is refused",
        "failed": f"has failed, as known at row {event.seq}",
    }
    return LEARNING_ALERTS[kind], kind, f"{who} {verbs[event.status]}: {event.because}"


def harmless(call: Callable[..., object], *values: object) -> None:
    """What watches may fail; the session may not fail with it."""
    try:
        call(*values)
    except Exception:
        logger("session").exception("an observer failed, the session continues")
