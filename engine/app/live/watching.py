"""What watches a session: alerts, metrics for Prometheus, and the forwarding of dead letters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from engine.app.live.dead_letters import Relay
from engine.app.live.session import Committed, Session
from engine.journal.journal import Gap
from engine.monitor.alerts import Alert, Severity
from engine.monitor.dispatch import AlertDispatcher
from engine.monitor.metrics import SessionMetrics
from engine.reasons import phrase
from engine.records import OrderEventKind, Reason

CAUSES = {Reason.MAX_DAILY_LOSS, Reason.MAX_DRAWDOWN, Reason.BANKRUPT, Reason.MARGIN_CALL}


class Alerting:
    """Sends alerts to the operator, and forwards dead letters.

    Args:
        dispatcher: Reaches them.
        session: Watched.
        relay: Of the dead letters.
        wall: Wall time, seconds since 1970.
    """

    def __init__(
        self, dispatcher: AlertDispatcher, session: Session, relay: Relay, wall: Callable[[], float] = time.time
    ) -> None:
        self._dispatcher, self._session, self._relay, self._wall = dispatcher, session, relay, wall
        self._halted = session.trader.flags[1]

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Pass on what the session says."""
        self._dispatcher.raise_(Alert(int(self._wall() * 1e9), severity, kind, text))

    def committed(self, committed: Committed) -> None:
        """Raise alerts for what the operator should know."""
        arrival = committed.arrival
        if arrival.letters:
            self._relay.wake()
            first = arrival.letters[0]
            counts: Counter[str] = Counter()
            for letter in arrival.letters:
                counts[letter.reason] += letter.count
            counted = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
            where = f"{first.partition}, offset {first.offset}" if first.offset >= 0 else first.partition
            found = f"first at {where}: expected {first.expected}, found {first.found}"
            self.notice("warning", "dead_letters", f"messages refused: {counted}; {found}")
        if arrival.gaps:
            self.notice("warning", "gap", _gaps(arrival.gaps))
        for step in committed.steps:
            for fill in step.fills:
                self.notice("info", "fill", _fill(fill, step.bars.symbols))
        halted = self._session.trader.flags[1]
        if halted != self._halted and halted in CAUSES:
            cause = phrase(halted)
            self.notice(
                "critical", "halted", f"trading was halted by a hard limit: {cause}; `grandmodel reset-halt` resumes it"
            )
        self._halted = halted


def _gaps(gaps: Sequence[Gap]) -> str:
    first = gaps[0]
    after, before = (np.datetime_as_string(np.datetime64(ns, "ns"), "s") for ns in (first.after_ns, first.before_ns))
    bars = f"1 bar of {first.symbol} is" if first.missing == 1 else f"{first.missing} bars of {first.symbol} are"
    text = f"{bars} missing between {after} and {before} UTC"
    more, later = sum(gap.missing for gap in gaps[1:]), len(gaps) - 1
    return text + (f", and {more} more in {later} later gap{'s' if later > 1 else ''}" if more else "")


def _fill(fill: np.void, symbols: tuple[str, ...]) -> str:
    side = "bought" if fill["side"] > 0 else "sold"
    symbol = symbols[int(fill["symbol"])]
    return f"{side} {fill['quantity']:g} {symbol} at {fill['price']:.10g}, position {fill['position']:g}"


class Measuring:
    """Keeps the figures that Prometheus reads.

    Args:
        metrics: The figures.
        session: Watched.
        wall: Wall time, seconds since 1970.
    """

    def __init__(self, metrics: SessionMetrics, session: Session, wall: Callable[[], float] = time.time) -> None:
        self._metrics, self._session, self._wall = metrics, session, wall

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Notices are not counted."""

    def committed(self, committed: Committed) -> None:
        """Count what happened."""
        metrics = self._metrics
        for letter in committed.arrival.letters:
            metrics.dead_letters(letter.reason, letter.count)
        if committed.arrival.gaps:
            metrics.gaps(len(committed.arrival.gaps))
        for step in committed.steps:
            metrics.rows(len(step), int(step.bars.present.sum()), int(step.bars.ts_event[-1]))
            submitted = int((step.events["kind"] == OrderEventKind.SUBMITTED).sum())
            metrics.traded(orders=submitted, fills=len(step.fills))
        if committed.steps:
            last = committed.steps[-1]
            account = last.account[0]
            peak = float(account["peak_equity"])
            held = dict(zip(last.bars.symbols, map(float, last.positions[-1]), strict=True))
            metrics.account(float(account["equity"]), max(0.0, 1.0 - float(account["equity"]) / peak), held)
            metrics.committed(committed.seconds, self._session.opened.journal.size())

    def refresh(self) -> bytes:
        """The figures at this moment, in Prometheus's format."""
        session = self._session
        paused, halted = session.trader.flags
        self._metrics.trading(halted=bool(halted), paused=paused)
        step = session.last_step
        lag = None if step is None else self._wall() - int(step.bars.ts_event[-1]) / 1e9
        self._metrics.feed(connected=session.source.connected, lag_s=lag)
        return self._metrics.exposition()
