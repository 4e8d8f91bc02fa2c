"""The figures as Prometheus reads them, and as its own parser understands them."""

from __future__ import annotations

import builtins
import subprocess
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.base.errors import UsageError
from engine.monitor.metrics import COMMIT_BUCKETS, SessionMetrics


def _samples(metrics: SessionMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(one.name, tuple(one.labels.items())): one.value for family in families for one in family.samples}


def test_figures_read_as_they_were_given() -> None:
    metrics = SessionMetrics()
    for counter, counts in {
        metrics.rows: (3, 1),
        metrics.bars: (5, 2),
        metrics.orders: (2,),
        metrics.fills: (1,),
        metrics.dead_letters.labels("malformed"): (4,),
        metrics.dead_letters.labels("late"): (1,),
        metrics.given_up: (3, 0),
        metrics.gaps: (2,),
    }.items():
        for count in counts:
            counter.inc(count)
    for gauge, value in {
        metrics.last_row: 1_700_000_060,
        metrics.equity: 101_500.25,
        metrics.drawdown: 0.125,
        metrics.position.labels("6E"): -2.0,
        metrics.position.labels("ES"): 3.0,
        metrics.halted: True,
        metrics.paused: False,
        metrics.connected: False,
        metrics.lag: 1.5,
        metrics.journal: 12288,
    }.items():
        gauge.set(value)
    for seconds in (0.0002, 0.3, 7.0):
        metrics.commit.observe(seconds)
    found = _samples(metrics)
    expected = {
        "rows_total": 4,
        "bars_total": 7,
        "last_row_timestamp_seconds": 1_700_000_060,
        "orders_total": 2,
        "fills_total": 1,
        "dead_letters_given_up_total": 3,
        "gaps_total": 2,
        "equity": 101_500.25,
        "drawdown_ratio": 0.125,
        "halted": 1,
        "paused": 0,
        "feed_connected": 0,
        "feed_lag_seconds": 1.5,
        "journal_bytes": 12288,
        "commit_seconds_count": 3,
        "commit_seconds_sum": 7.3002,
    }
    for name, value in expected.items():
        assert found["grandmodel_" + name, ()] == pytest.approx(value), name
    assert found["grandmodel_dead_letters_total", (("reason", "malformed"),)] == 4
    assert found["grandmodel_dead_letters_total", (("reason", "late"),)] == 1
    assert found["grandmodel_position_contracts", (("symbol", "6E"),)] == -2
    assert found["grandmodel_position_contracts", (("symbol", "ES"),)] == 3
    buckets = [found["grandmodel_commit_seconds_bucket", (("le", str(bound)),)] for bound in COMMIT_BUCKETS]
    assert buckets == [sum(seconds <= bound for seconds in (0.0002, 0.3, 7.0)) for bound in COMMIT_BUCKETS]


def test_sessions_do_not_share_figures_and_the_process_is_not_among_them() -> None:
    one, other = SessionMetrics(), SessionMetrics()
    one.gaps.inc()
    assert _samples(other)["grandmodel_gaps_total", ()] == 0
    assert all(name.startswith("grandmodel_") for name, _ in _samples(one))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "prometheus_client":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="live") as missing:
        SessionMetrics()
    assert "prometheus_client" in str(missing.value)


def test_importing_the_monitor_does_not_import_the_package() -> None:
    code = "import engine.monitor.http, engine.monitor.dispatch, sys; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
