"""What watches a session: alerts, metrics for Prometheus, and the forwarding of dead letters."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from agents.ensemble.seats import StoodIn
from engine.app.agents import stood_in
from engine.app.challengers import learner_of, standings_of
from engine.app.learning.live import RESTARTED
from engine.app.live.dead_letters import Relay
from engine.app.live.session import Session
from engine.app.live.watching import LEARNING_ALERTS, ROLE_ALERTS, Committed
from engine.journal.entries import Gap
from engine.monitor.alerts import Alert, Severity
from engine.monitor.dispatch import AlertDispatcher
from engine.monitor.metrics import SessionMetrics
from engine.monitor.performance.figures import CODES
from engine.monitor.performance.thresholds import LEVELS
from engine.types.dead_letter import DeadLetter
from engine.types.reasons import phrase
from engine.types.records import OrderEventKind, Reason

LOOK_S = 1.0
REMEDY = "A version that is activated takes over at the next cut where cuts.follow_store is on"
CAUSES = {Reason.MAX_DAILY_LOSS, Reason.MAX_DRAWDOWN, Reason.BANKRUPT, Reason.MARGIN_CALL}


class Alerting:
    """Sends alerts to the operator, and forwards dead letters.

    A flood refuses something in every transaction: the first is reported at once, those of the next `alerts.every_s`
    seconds together.

    Args:
        wall: Wall time, seconds since 1970.
        now: A clock in seconds that never runs backwards.
    """

    def __init__(
        self,
        dispatcher: AlertDispatcher,
        session: Session,
        relay: Relay,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher, self._session, self._relay, self._wall, self._now = dispatcher, session, relay, wall, now
        self._every_s = session.config.alerts.every_s
        self._halted = session.driver.flags[1]
        self._dead_letters, self._gaps = _DeadLetters(), _Gaps()
        self._stood_in: dict[str, StoodIn] = {}
        self._reported = {"dead_letters": -math.inf, "gap": -math.inf}

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Pass on what the session says."""
        self._dispatcher.raise_(Alert(int(self._wall() * 1e9), severity, kind, text))

    def committed(self, committed: Committed) -> None:
        """Raise alerts for what the operator should know."""
        arrival = committed.arrival
        if arrival.dead_letters:
            self._relay.wake()
            self._dead_letters.add(arrival.dead_letters)
        if arrival.gaps:
            self._gaps.add(arrival.gaps)
        self.report()
        if committed.steps:
            self.report_stand_ins()
        for step in committed.steps:
            for fill in step.fills:
                self.notice("info", "fill", _fill(fill, step.bars.symbols))
        halted = self._session.driver.flags[1]
        if halted != self._halted and halted in CAUSES:
            cause = phrase(halted)
            self.notice(
                "critical", "halted", f"trading was halted by a hard limit: {cause}; `grandmodel reset-halt` resumes it"
            )
        self._halted = halted

    def report_stand_ins(self) -> None:
        """Report the seats whose stand-in has taken over from a network, and those whose network decides again."""
        before, now = self._stood_in, stood_in(self._session.driver.agent)
        self._stood_in = now
        symbols = self._session.opened.setup.symbols
        if new := {seat: one for seat, one in now.items() if before.get(seat) != one}:
            told = "; ".join(
                f"the {seat} network cannot be used, and its stand-in decides from row {one.seq} on: asked about "
                f"{symbols[one.symbol]}, {one.because}"
                for seat, one in new.items()
            )
            self.notice("critical", "stand_in", f"{told}. {REMEDY}")
        elif over := [seat for seat in before if seat not in now]:
            self.notice("info", "stand_in_over", f"a network decides again in the seat of {', '.join(over)}")

    def report(self, *, last: bool = False) -> None:
        """Report what was refused and what is missing, each where it is time to, or at the end."""
        if self._due("dead_letters", last) and (text := self._dead_letters.take()):
            self.notice("warning", "dead_letters", text)
            self._reported["dead_letters"] = self._now()  # after it, so that no channel holds the next one back
        if self._due("gap", last) and (text := self._gaps.take()):
            self.notice("warning", "gap", text)
            self._reported["gap"] = self._now()

    def _due(self, kind: str, last: bool) -> bool:
        return last or self._now() - self._reported[kind] >= self._every_s

    async def run(self) -> None:
        """Report what has waited long enough, until cancelled; then whatever waits."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                self.report()
        finally:
            self.report(last=True)


class _DeadLetters:
    """Dead letters that were not reported yet: the first of them, and how many by reason."""

    def __init__(self) -> None:
        self._first: DeadLetter | None = None
        self._counts: Counter[str] = Counter()

    def add(self, dead_letters: Sequence[DeadLetter]) -> None:
        self._first = self._first or dead_letters[0]
        for letter in dead_letters:
            self._counts[letter.reason] += letter.count

    def take(self) -> str | None:
        """What to report of them; they count as reported then."""
        first, counts = self._first, self._counts
        self._first, self._counts = None, Counter()
        if first is None:
            return None
        counted = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
        where = f"{first.partition}, offset {first.offset}" if first.offset >= 0 else first.partition
        return f"messages refused: {counted}; first at {where}: expected {first.expected}, found {first.found}"


class _Gaps:
    """Gaps that were not reported yet: the first of them, how many came later, and the bars missing in those."""

    def __init__(self) -> None:
        self._first: Gap | None = None
        self._later = self._more = 0

    def add(self, gaps: Sequence[Gap]) -> None:
        new = gaps if self._first else gaps[1:]
        self._first = self._first or gaps[0]
        self._later += len(new)
        self._more += sum(gap.missing for gap in new)

    def take(self) -> str | None:
        """What to report of them; they count as reported then."""
        first, later, more = self._first, self._later, self._more
        self._first, self._later, self._more = None, 0, 0
        if first is None:
            return None
        after, before = (
            np.datetime_as_string(np.datetime64(ns, "ns"), "s") for ns in (first.after_ns, first.before_ns)
        )
        bars = f"1 bar of {first.symbol} is" if first.missing == 1 else f"{first.missing} bars of {first.symbol} are"
        text = f"{bars} missing between {after} and {before} UTC"
        return text + (f", and {more} more in {later} later gap{'s' if later > 1 else ''}" if more else "")


def _fill(fill: np.void, symbols: tuple[str, ...]) -> str:
    side = "bought" if fill["side"] > 0 else "sold"
    symbol = symbols[int(fill["symbol"])]
    return f"{side} {fill['quantity']:g} {symbol} at {fill['price']:.10g}, position {fill['position']:g}"


class Measuring:
    """Keeps the figures that Prometheus reads.

    Args:
        wall: Wall time, seconds since 1970.
    """

    def __init__(
        self, metrics: SessionMetrics, session: Session, relay: Relay, wall: Callable[[], float] = time.time
    ) -> None:
        self._metrics, self._session, self._relay, self._wall = metrics, session, relay, wall
        self._given_up = 0

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Of notices, changes of roles are counted, and what becomes of training jobs."""
        if kind in ROLE_ALERTS:
            self._metrics.role_changes.labels(kind).inc()
        elif kind in LEARNING_ALERTS:
            self._metrics.jobs.labels(kind).inc()
        elif kind == RESTARTED:
            self._metrics.trainer_restarts.inc()

    def committed(self, committed: Committed) -> None:
        """Count what happened."""
        metrics = self._metrics
        for letter in committed.arrival.dead_letters:
            metrics.dead_letters.labels(letter.reason).inc(letter.count)
        metrics.gaps.inc(len(committed.arrival.gaps))
        for step in committed.steps:
            metrics.rows.inc(len(step))
            metrics.bars.inc(int(step.bars.present.sum()))
            metrics.orders.inc(int((step.events["kind"] == OrderEventKind.SUBMITTED).sum()))
            metrics.fills.inc(len(step.fills))
        if committed.steps:
            last = committed.steps[-1]
            equity, peak = (float(last.account[0][name]) for name in ("equity", "peak_equity"))
            metrics.last_row.set(int(last.bars.ts_event[-1]) / 1e9)
            metrics.equity.set(equity)
            metrics.drawdown.set(max(0.0, 1.0 - equity / peak))
            for symbol, contracts in zip(last.bars.symbols, last.positions[-1].tolist(), strict=True):
                metrics.position.labels(symbol).set(contracts)
            metrics.commit.observe(committed.seconds)
            metrics.journal.set(self._session.opened.journal.size())

    def refresh(self) -> bytes:
        """The figures at this moment, in Prometheus's format."""
        session, metrics = self._session, self._metrics
        paused, halted = session.driver.flags
        metrics.halted.set(bool(halted))
        metrics.paused.set(paused)
        metrics.given_up.inc(self._relay.given_up - self._given_up)
        self._given_up = self._relay.given_up
        metrics.connected.set(session.source.connected)
        self._refresh_figures()
        self._refresh_challengers()
        if (learner := learner_of(session.driver)) is not None:
            metrics.training.set(learner.job is not None)
            metrics.learning_paused.set(learner.paused)
        if session.last_step is not None:
            metrics.lag.set(self._wall() - int(session.last_step.bars.ts_event[-1]) / 1e9)
        return metrics.exposition()

    def _refresh_challengers(self) -> None:
        """How champion and challengers stand; those of a role that is over are left out."""
        metrics = self._metrics
        gauges = (metrics.rival_equity, metrics.rival_e_value, metrics.rival_threshold, metrics.rival_blocks)
        for gauge in gauges:
            gauge.clear()
        for one in standings_of(self._session.driver):
            if one.role != "retired" and one.e_value is not None:
                for gauge, value in zip(gauges, (one.equity, one.e_value, one.threshold, one.blocks), strict=True):
                    gauge.labels(one.name, one.role).set(value or 0.0)

    def _refresh_figures(self) -> None:
        """What the performance monitor says; figures without a value are left out."""
        session, metrics = self._session, self._metrics
        followed = None if session.monitor is None else session.monitor.followed
        if followed is None:
            return
        for figure in followed.monitor.figures:
            if figure.value is not None:
                metrics.figure.labels(figure.name).set(figure.value)
            for one in figure.thresholds:
                metrics.e_value.labels(figure.name, f"{one.threshold:g}").set(one.evidence.value)
        for row in followed.drift.rows() if followed.drift is not None else ():
            metrics.drift.labels(row["stream"]).set(row["level"])
            metrics.drifted.labels(row["stream"]).set(row["drifted"])
        for level in LEVELS:
            standing = followed.monitor.alerts(level)
            for code in CODES:
                metrics.alert.labels(code, level).set(code in standing)
