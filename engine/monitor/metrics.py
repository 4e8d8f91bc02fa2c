"""What a Prometheus server reads of a session: counters, gauges and one histogram, all named `grandmodel_*`."""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.errors import UsageError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COMMIT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class SessionMetrics:
    """The session's figures, in a separate registry.

    The counters count what this process did and begin at 0 when it starts, as Prometheus expects.

    Raises:
        UsageError: If prometheus_client is not installed.
    """

    def __init__(self) -> None:
        try:
            # only a session whose endpoint is on needs it
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                "the metrics endpoint needs a package that is not installed",
                expected="the extra `live`",
                found="no prometheus_client",
                hint="pip install 'grandmodel[live]', or leave the endpoint off",
            ) from error
        own = CollectorRegistry()
        self._registry = own
        self._rows = Counter("grandmodel_rows", "Rows taken in", registry=own)
        self._bars = Counter("grandmodel_bars", "Bars in those rows", registry=own)
        self._fills = Counter("grandmodel_fills", "Fills", registry=own)
        self._orders = Counter("grandmodel_orders", "Orders submitted", registry=own)
        self._dead = Counter("grandmodel_dead_letters", "Messages refused", ["reason"], registry=own)
        self._given_up = Counter(
            "grandmodel_dead_letters_given_up", "Dead letters deleted before they could be forwarded", registry=own
        )
        self._gaps = Counter("grandmodel_gaps", "Gaps within trading sessions", registry=own)
        self._equity = Gauge("grandmodel_equity", "Marked equity in the account currency", registry=own)
        self._drawdown = Gauge("grandmodel_drawdown_ratio", "Fall from the highest equity as a fraction", registry=own)
        self._position = Gauge("grandmodel_position_contracts", "Signed position", ["symbol"], registry=own)
        self._halted = Gauge("grandmodel_halted", "1 while a limit or the operator has halted trading", registry=own)
        self._paused = Gauge("grandmodel_paused", "1 while the operator has paused trading", registry=own)
        self._connected = Gauge("grandmodel_feed_connected", "1 while the feed is connected", registry=own)
        self._lag = Gauge("grandmodel_feed_lag_seconds", "Seconds from a bar's close to its receipt", registry=own)
        self._commit = Histogram(
            "grandmodel_commit_seconds",
            "Seconds from a delivery's receipt to its commit",
            buckets=COMMIT_BUCKETS,
            registry=own,
        )
        self._journal = Gauge("grandmodel_journal_bytes", "Size of the journal", registry=own)
        self._last_row = Gauge("grandmodel_last_row_timestamp_seconds", "Close of the last row, UTC", registry=own)

    def rows(self, rows: int, bars: int, last_ns: int) -> None:
        """Count rows taken in and the bars in them; `last_ns` is the last row's close, nanoseconds UTC."""
        self._rows.inc(rows)
        self._bars.inc(bars)
        self._last_row.set(last_ns / 1e9)

    def traded(self, *, orders: int, fills: int) -> None:
        """Count orders submitted and fills."""
        self._orders.inc(orders)
        self._fills.inc(fills)

    def dead_letters(self, reason: str, count: int = 1) -> None:
        """Count refused messages; the reason is from a short fixed list."""
        self._dead.labels(reason).inc(count)

    def given_up(self, count: int) -> None:
        """Count dead letters that were deleted before they could be forwarded."""
        self._given_up.inc(count)

    def gaps(self, count: int = 1) -> None:
        """Count gaps within sessions."""
        self._gaps.inc(count)

    def account(self, equity: float, drawdown: float, positions: Mapping[str, float]) -> None:
        """Show the account: currency, a fraction from 0 to 1, and signed contracts by symbol."""
        self._equity.set(equity)
        self._drawdown.set(drawdown)
        for symbol, contracts in positions.items():
            self._position.labels(symbol).set(contracts)

    def trading(self, *, halted: bool, paused: bool) -> None:
        """Show whether trading is halted or paused."""
        self._halted.set(halted)
        self._paused.set(paused)

    def feed(self, *, connected: bool, lag_s: float | None = None) -> None:
        """Show the feed's connection; `lag_s` None leaves the lag as it is."""
        self._connected.set(connected)
        if lag_s is not None:
            self._lag.set(lag_s)

    def committed(self, seconds: float, journal_bytes: int) -> None:
        """Take in one commit: seconds since its delivery was received, and the journal's size after it."""
        self._commit.observe(seconds)
        self._journal.set(journal_bytes)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format, whose media type is CONTENT_TYPE."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - the constructor has seen that it is there

        return generate_latest(self._registry)
