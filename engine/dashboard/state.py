"""What the dashboard knows of a run: a plain view model, updated by steps, read by the view.

It keeps a bounded amount however long the run is, and never a reference to memory that the simulator reuses.
Steps may be missing (a screen sees the latest state and may skip): whatever the account carries stays exact,
whatever is counted from rows covers the rows that were seen, and `rows_missed` says how many were not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.base.errors import UsageError
from engine.challengers.standing import Standing
from engine.challengers.takeovers import Takeover
from engine.dashboard.alerts import AlertLevel, AlertLine, Alerts, alerts_of
from engine.dashboard.history import EquityHistory
from engine.dashboard.learner_panel import LearnerSummary
from engine.dashboard.market import MarketRows
from engine.dashboard.monitor_line import MonitorSummary
from engine.dashboard.pace import Pace
from engine.types.blocks import Floats
from engine.types.records import ACCOUNT, ORDER, POSITION, Records
from engine.types.step import StepBlock

FILLS_KEPT = 100
QUIET_BARS = 3.0


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run before its first bar.

    Attributes:
        mode: "backtest", "replay", "paper" or another word for what is going on.
        agent: Name of the agent that decides.
        symbols: The S names, in the order of the blocks.
        name: Name of the run.
        source: Where the bars come from.
        currency: Account currency.
        total_rows: Rows of the whole run; None if it has no known end.
        pace: Seconds of data a second; None as fast as possible.
        live: Whether bars arrive as they close, so that lag is wall time minus close time; None if the bars tell.
        multipliers: Account value of one contract per unit of price, S values; empty means 1.
        tick_sizes: Price steps, S values; empty or 0 leaves the decimals to the price.
        challengers: How many may trade beside the agent.
    """

    mode: str
    agent: str
    symbols: tuple[str, ...]
    name: str = ""
    source: str = ""
    currency: str = "USD"
    total_rows: int | None = None
    pace: float | None = None
    live: bool | None = False
    multipliers: tuple[float, ...] = ()
    tick_sizes: tuple[float, ...] = ()
    challengers: int = 0

    def __post_init__(self) -> None:
        for field, values in (("multipliers", self.multipliers), ("tick_sizes", self.tick_sizes)):
            if values and len(values) != len(self.symbols):
                raise UsageError(
                    f"{field} must name a value for every symbol",
                    expected=f"none, or {len(self.symbols)} values",
                    found=f"{len(values)} values",
                )

    def tick(self, symbol: int) -> float:
        """Price step of a symbol, 0 if not known."""
        return self.tick_sizes[symbol] if self.tick_sizes else 0.0


@dataclass(frozen=True, slots=True)
class PositionLine:
    """One open position, money in account currency."""

    symbol: int
    quantity: float
    avg_price: float
    mark: float
    exposure: float
    unrealized: float
    realized: float


class DashboardState:
    """The latest state of a run.

    Args:
        info: What is known before the first bar.

    Attributes:
        account: The ACCOUNT record after the last row seen; all zero before the first.
        positions: POSITION records of all symbols, shape (S,).
        orders: Working ORDER records.
        fills: Last FILL records seen, newest first, at most FILLS_KEPT.
        fills_seen: Number of fills in the rows that were seen.
        history: Equity, downsampled.
        market: The last closes, and what the agents want.
        worst_drawdown: Deepest drawdown in the rows that were seen, as a fraction.
        alerts: Alerts, newest first.
        rows: Rows that the run has processed.
        rows_missed: Rows that the screen did not see.
        pace: How fast rows come, and whether they come late.
        standing: How a live session stands, in its own word: trading, waiting, paused, halted, stuck (its journal
            cannot be written) or stopped; empty where the account tells all there is.
        challengers: How champion and challengers stand; empty where nobody trades beside the agent.
        takeovers: From which rows on others decided.
        monitor: What the performance monitor of a live session says; None where there is none.
        learner: What the learner of a session does; None where nothing is learned.
        first_ts, last_ts: Close times of the first and last row seen, nanoseconds UTC; 0 before the first.
        version: Rises whenever anything changes.
    """

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.account: np.void = np.zeros(1, ACCOUNT)[0]
        self.positions: Records = np.zeros(len(info.symbols), POSITION)
        self.orders: Records = np.zeros(0, ORDER)
        self.fills: deque[np.void] = deque(maxlen=FILLS_KEPT)
        self.fills_seen = 0
        self.history = EquityHistory()
        self.market = MarketRows(len(info.symbols))
        self.worst_drawdown = 0.0
        self.alerts = Alerts()
        self.rows = 0
        self.rows_missed = 0
        self.pace = Pace(info.live, info.pace)
        self.first_ts = 0
        self.last_ts = 0
        self.feed = ""
        self.standing = ""
        self.challengers: list[Standing] = []
        self.takeovers: list[Takeover] = []
        self.monitor: MonitorSummary | None = None
        self.learner: LearnerSummary | None = None
        self.quarantined = 0
        self.ended = False
        self.version = 0
        self._multipliers = np.array(info.multipliers or [1.0] * len(info.symbols))
        self._peak = 0.0
        self._interval_s = 0.0
        self._updated: float | None = None

    @property
    def ready(self) -> bool:
        """Whether a row has been seen."""
        return self.last_ts != 0

    @property
    def equity(self) -> float:
        """Cash and open profit, account currency."""
        return float(self.account["equity"])

    @property
    def total_profit(self) -> float:
        """Equity less the initial capital."""
        return self.equity - float(self.account["initial"])

    @property
    def day_profit(self) -> float:
        """Equity less the equity at the end of the session before."""
        return self.equity - float(self.account["session_equity"])

    @property
    def drawdown(self) -> float:
        """Distance from the highest equity so far, as a fraction of it, 0 or above."""
        peak = float(self.account["peak_equity"])
        return max(0.0, 1.0 - self.equity / peak) if peak > 0 else 0.0

    @property
    def progress(self) -> float | None:
        """Fraction of the rows done; None if the end is not known."""
        total = self.info.total_rows
        return min(1.0, self.rows / total) if total else None

    @property
    def seconds_left(self) -> float | None:
        """Wall time until the end at the present rate; None if not known."""
        if not self.info.total_rows or not self.pace.rate:
            return None
        return max(0, self.info.total_rows - self.rows) / self.pace.rate

    def update(self, step: StepBlock, now: float) -> None:
        """Take in a step; steps between the last one and this may be missing.

        Args:
            step: What happened in the rows of a block.
            now: Wall time, seconds since 1970.
        """
        if self._take(step):
            self._updated = now
            self.pace.measure(now, self.rows, self.last_ts)

    def recall(self, step: StepBlock) -> None:
        """Take in a step from before the screen was there: nothing is measured by when it comes."""
        self._take(step)

    def tell(self, severity: AlertLevel, text: str, *, ts_event: int | None = None, count: int = 1) -> None:
        """Show an alert; it happened after the last row seen, if no time is given."""
        self.alerts.add(AlertLine(self.last_ts if ts_event is None else ts_event, severity, text, count))
        self.version += 1

    def _take(self, step: StepBlock) -> bool:
        start, end = step.bars.seq, step.bars.seq + len(step)
        if not len(step) or end <= self.rows:
            return False
        self.market.follow(step)
        self.rows_missed += max(0, start - self.rows)
        equity = np.ascontiguousarray(step.column("equity"))
        before = self.account if self.ready else None
        self.account = step.account[0].copy()
        self._follow_drawdown(equity)
        self.history.add(start, equity)
        self.rows = max(self.rows, end)
        self.positions, self.orders = step.position_records, step.orders
        self.fills_seen += len(step.fills)
        self.fills.extendleft(step.fills[-FILLS_KEPT:].copy())
        self._follow_time(step)
        for alert in alerts_of(step, before, self.info.symbols):
            self.alerts.add(alert)
        self.version += 1
        return True

    def quarantine(self, what: str, count: int = 1) -> None:
        """Show that bad input was refused: `what` says where and why."""
        self.quarantined += count
        self.tell(AlertLevel.WARNING, f"quarantined: {what}", count=count)

    def set_feed(self, status: str) -> None:
        """Show what the feed says of itself in a few words; an empty text shows what the bars tell."""
        self.version += status != self.feed
        self.feed = status

    def set_standing(self, word: str) -> None:
        """Show how a live session says that it stands."""
        self.version += word != self.standing
        self.standing = word

    def set_challengers(self, standings: Sequence[Standing]) -> None:
        """Show how champion and challengers stand."""
        self.version += list(standings) != self.challengers
        self.challengers = list(standings)

    def set_monitor(self, summary: MonitorSummary | None) -> None:
        """Show what the performance monitor of a live session says."""
        self.version += summary != self.monitor
        self.monitor = summary

    def set_takeovers(self, found: Sequence[Takeover]) -> None:
        """Show from which rows on others decided; those that are known already stay."""
        known = sorted({*self.takeovers, *found})
        self.version += known != self.takeovers
        self.takeovers = known

    def set_learner(self, summary: LearnerSummary | None) -> None:
        """Show what the learner of a session does."""
        self.version += summary != self.learner
        self.learner = summary

    def end(self) -> None:
        """The stream has ended: nothing will follow."""
        self.ended = True
        self.version += 1

    def feed_status(self, now: float) -> str:
        """What the feed says of itself, or what the bars tell: waiting, receiving, quiet, ended."""
        if self.ended:
            return "ended"
        if self.feed or self._updated is None:
            return self.feed or f"waiting for the {'next' if self.ready else 'first'} bar"
        expected = self._interval_s / (self.info.pace or 1.0)
        silent = now - self._updated
        return "quiet" if silent > max(5.0, QUIET_BARS * expected) else "receiving"

    def silence(self, now: float) -> float:
        """Seconds since the last step came, 0 before the first."""
        return 0.0 if self._updated is None else max(0.0, now - self._updated)

    def open_positions(self, limit: int) -> tuple[list[PositionLine], int]:
        """The largest open positions by exposure, and how many are open in all."""
        held = self.positions
        quantity, mark = held["quantity"], held["mark"]
        exposure = np.abs(quantity) * mark * self._multipliers
        unrealized = quantity * (mark - held["avg_price"]) * self._multipliers
        is_open = np.flatnonzero(quantity)
        # the exposure of equals is ordered by the order of the symbols, so that lines do not change places
        top = is_open[np.argsort(-exposure[is_open], kind="stable")][:limit]
        lines = [
            PositionLine(
                symbol=int(at),
                quantity=float(quantity[at]),
                avg_price=float(held["avg_price"][at]),
                mark=float(mark[at]),
                exposure=float(exposure[at]),
                unrealized=float(unrealized[at]),
                realized=float(held["realized"][at]),
            )
            for at in top
        ]
        return lines, len(is_open)

    def _follow_drawdown(self, equity: Floats) -> None:
        peak = max(self._peak, float(self.account["initial"]))
        top, low = max(peak, float(equity.max())), float(equity.min())
        # the exact course matters only where the extremes leave room for a deeper drawdown
        if peak > 0 and 1.0 - low / top > self.worst_drawdown:
            peaks = np.maximum(np.maximum.accumulate(equity), peak)
            self.worst_drawdown = max(self.worst_drawdown, float((1.0 - equity / peaks).max()))
        self.worst_drawdown = max(self.worst_drawdown, self.drawdown)
        self._peak = max(float(self.account["peak_equity"]), top)

    def _follow_time(self, step: StepBlock) -> None:
        ts = step.bars.ts_event
        if len(ts) > 1:
            self._interval_s = float(ts[-1] - ts[-2]) / 1e9
        elif self.ready and ts[0] > self.last_ts:
            self._interval_s = float(ts[0] - self.last_ts) / 1e9
        self.first_ts = self.first_ts or int(ts[0])
        self.last_ts = int(ts[-1])
