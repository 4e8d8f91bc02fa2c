"""What a Prometheus server reads of a session: counters, gauges and one histogram, all named `grandmodel_*`."""

from __future__ import annotations

from engine.base.errors import UsageError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COMMIT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class SessionMetrics:
    """The session's figures, each an attribute, in a separate registry.

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
        self.rows = Counter("grandmodel_rows", "Rows taken in", registry=own)
        self.bars = Counter("grandmodel_bars", "Bars in those rows", registry=own)
        self.fills = Counter("grandmodel_fills", "Fills", registry=own)
        self.orders = Counter("grandmodel_orders", "Orders submitted", registry=own)
        self.dead_letters = Counter("grandmodel_dead_letters", "Messages refused", ["reason"], registry=own)
        self.given_up = Counter(
            "grandmodel_dead_letters_given_up", "Dead letters deleted before they could be forwarded", registry=own
        )
        self.gaps = Counter("grandmodel_gaps", "Gaps within trading sessions", registry=own)
        self.equity = Gauge("grandmodel_equity", "Marked equity in the account currency", registry=own)
        self.drawdown = Gauge("grandmodel_drawdown_ratio", "Fall from the highest equity as a fraction", registry=own)
        self.position = Gauge("grandmodel_position_contracts", "Signed position", ["symbol"], registry=own)
        self.halted = Gauge("grandmodel_halted", "1 while a limit or the operator has halted trading", registry=own)
        self.paused = Gauge("grandmodel_paused", "1 while the operator has paused trading", registry=own)
        self.connected = Gauge("grandmodel_feed_connected", "1 while the feed is connected", registry=own)
        self.lag = Gauge("grandmodel_feed_lag_seconds", "Seconds from a bar's close to its receipt", registry=own)
        self.commit = Histogram(
            "grandmodel_commit_seconds",
            "Seconds from a delivery's receipt to its commit",
            buckets=COMMIT_BUCKETS,
            registry=own,
        )
        self.figure = Gauge("grandmodel_monitor_value", "Figure of the performance monitor", ["figure"], registry=own)
        self.e_value = Gauge(
            "grandmodel_monitor_e_value",
            "Evidence that a figure is below a threshold",
            ["figure", "threshold"],
            registry=own,
        )
        self.drift = Gauge(
            "grandmodel_monitor_drift_deviations",
            "Mean score of a stream against its reference",
            ["stream"],
            registry=own,
        )
        self.drifted = Gauge("grandmodel_monitor_drifted", "1 while a stream has drifted", ["stream"], registry=own)
        self.alert = Gauge(
            "grandmodel_monitor_alert", "1 while a figure is below, or proved below", ["code", "level"], registry=own
        )
        names = ["agent", "role"]
        self.rival_equity = Gauge("grandmodel_challenger_equity", "Equity of a challenger's book", names, registry=own)
        self.rival_e_value = Gauge(
            "grandmodel_challenger_e_value", "Evidence that it is better than the champion", names, registry=own
        )
        self.rival_threshold = Gauge("grandmodel_challenger_threshold", "Evidence that promotes", names, registry=own)
        self.rival_blocks = Gauge("grandmodel_challenger_blocks", "Blocks of its test", names, registry=own)
        self.role_changes = Counter("grandmodel_role_changes", "Changes of roles", ["kind"], registry=own)
        self.jobs = Counter("grandmodel_training_jobs", "What became of training jobs", ["kind"], registry=own)
        self.trainer_restarts = Counter(
            "grandmodel_trainer_restarts", "Times that the training process was started again", registry=own
        )
        self.training = Gauge("grandmodel_training", "1 while a training job has not ended", registry=own)
        self.learning_paused = Gauge("grandmodel_learning_paused", "1 while no job begins by itself", registry=own)
        self.journal = Gauge("grandmodel_journal_bytes", "Size of the journal", registry=own)
        self.last_row = Gauge("grandmodel_last_row_timestamp_seconds", "Close of the last row, UTC", registry=own)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format, whose media type is CONTENT_TYPE."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - the constructor has seen that it is there

        return generate_latest(self._registry)
