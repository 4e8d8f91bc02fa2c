"""A figure held against a threshold on two levels: its value is below, and it is proved to be below.

The value alone says little: with a true win rate of 0.50, fifty trades show less than 0.45 in about a quarter of all
looks. So a value below its threshold is shown, and an alert is sent only where an e-process
(`engine.monitor.evidence`) proves it. `python -m benchmarks.monitor` prints how often each of them is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from engine.base.state import State
from engine.monitor.evidence import MeanEvidence

Level = Literal["below", "proved"]
LEVELS: tuple[Level, ...] = ("below", "proved")


class Change(NamedTuple):
    """That a figure began or ceased to be below a threshold.

    Attributes:
        ts_event: Time of the observation that made it so, nanoseconds UTC.
        figure: Name of the figure.
        code: Of the alert: LOW_WIN_RATE, ...; empty for a threshold that only advice depends on.
        level: Whether it is about the value or about the proof.
        begins: Whether it began.
        observations: How many there were so far.
        value: Of the figure then.
        threshold: Below which it is.
        e_value: Evidence that it is below: 1 is none.
        alpha: Largest chance that a proof is wrong.
    """

    ts_event: int
    figure: str
    code: str
    level: Level
    begins: bool
    observations: int
    value: float
    threshold: float
    e_value: float
    alpha: float


Report = Callable[[Change], None]


@dataclass
class Threshold:
    """One threshold of a figure.

    Below: the value is under the threshold; it no longer is once it has risen above threshold + margin. Proved: the
    e-value reached 1/alpha; it is over once a full `least` of new observations have come and the value has recovered
    by the margin, and then the evidence starts from 1 again.

    Attributes:
        figure: Name of the figure.
        code: Of the alert; empty for none.
        threshold: What it is held against.
        evidence: That the mean of its observations is below.
        margin: As in FigureConfig.
        least: As in FigureConfig.
        alpha: Largest chance of a wrong proof, between two restarts of the evidence.
        report: Called with every change.
        below, proved: How it stands.
    """

    figure: str
    code: str
    threshold: float
    evidence: MeanEvidence
    margin: float
    least: int
    alpha: float
    report: Report
    below: bool = False
    proved: bool = False
    _since: int = 0

    def judge(self, ts_event: int, value: float | None, count: int) -> None:
        """Hold a figure against the threshold.

        Args:
            ts_event: Time, nanoseconds UTC.
            value: Of the figure; None while it is not defined, and nothing is said.
            count: Observations so far.
        """
        if value is None:
            return
        recovered = value >= self.threshold + self.margin
        if not self.below and value < self.threshold:
            self.below = True
            self._say(ts_event, "below", value, count)
        elif self.below and recovered:
            self.below = False
            self._say(ts_event, "below", value, count)
        if not self.proved and self.evidence.proved(self.alpha):
            self.proved, self._since = True, count
            self._say(ts_event, "proved", value, count)
        elif self.proved and recovered and count - self._since >= self.least:
            self.proved = False
            self._say(ts_event, "proved", value, count)
            self.evidence.reset()

    def _say(self, ts_event: int, level: Level, value: float, count: int) -> None:
        begins = self.below if level == "below" else self.proved
        e_value = self.evidence.value
        self.report(
            Change(ts_event, self.figure, self.code, level, begins, count, value, self.threshold, e_value, self.alpha)
        )

    def tree(self) -> dict[str, Any]:
        """As it stands, JSON-able."""
        return {
            "code": self.code or None,
            "threshold": self.threshold,
            "below": self.below,
            "proved": self.proved,
            "e_value": self.evidence.value,
            "e_value_needed": 1.0 / self.alpha,
            "evidence_count": self.evidence.count,
            "alpha": self.alpha,
        }

    def snapshot(self) -> State:
        """The carried state."""
        return {"evidence": self.evidence.snapshot(), "state": [self.below, self.proved, self._since]}

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a threshold made alike.
        """
        self.evidence.restore(state["evidence"])
        self.below, self.proved, self._since = state["state"]
