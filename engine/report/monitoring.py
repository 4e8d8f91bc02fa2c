"""What the performance monitor would have said of a finished run, from the tables of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.base.config import parse
from engine.base.errors import DataError
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.following import DAY, DECISION, TRADE, Event, feed
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.year import trading_days
from engine.record.reading import read_table
from engine.report.tables import coded, column
from engine.types.instruments import Instrument
from engine.types.records import SeatName


def monitor_run(folder: Path, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> PerformanceMonitor:
    """The monitor after the last row of a run.

    Args:
        folder: Of the run.
        manifest, metrics: As the folder holds them.

    Raises:
        UsageError: If a table is missing.
        DataError: If a table or the manifest does not hold what it should.
    """
    monitor = monitor_of(folder, manifest, metrics)
    feed(monitor, [*_days(folder), *_trades(folder), *_decisions(folder)])
    return monitor


def monitor_of(folder: Path, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> PerformanceMonitor:
    """A monitor as the run's configuration has it, before the first row.

    Raises:
        DataError: If the manifest does not say what was traded.
    """
    where, config = str(folder / "manifest.json"), manifest.get("config")
    instruments, initial = manifest.get("instruments"), metrics.get("initial_capital")
    if not isinstance(config, Mapping) or not isinstance(instruments, Mapping) or not isinstance(initial, int | float):
        raise DataError("the run does not say what was traded", where=where, expected="config and instruments")
    settings, statistics = config.get("monitor") or {}, config.get("statistics") or {}
    traded = [parse(Instrument, dict(tree), where=f"{where}, instruments.{name}") for name, tree in instruments.items()]
    return PerformanceMonitor(
        parse(MonitorConfig, dict(settings), where=f"{where}, config.monitor"),
        trading_days(traded, statistics.get("periods_per_year")),
        float(initial),
    )


def _days(folder: Path) -> Iterator[Event]:
    sessions = read_table(folder / "sessions.parquet")
    times, equity = (column(sessions, name, "sessions").tolist() for name in ("ts_event", "equity"))
    # the last one had not ended
    yield from ((ts_event, DAY, (value,)) for ts_event, value in zip(times[:-1], equity[:-1], strict=True))


def _trades(folder: Path) -> Iterator[Event]:
    trades = read_table(folder / "trades.parquet")
    open_, times, profits = (column(trades, name, "trades") for name in ("open", "exit_time", "profit"))
    for lasting, ts_event, profit in zip(open_, times.tolist(), profits.tolist(), strict=True):
        if not lasting:
            yield ts_event, TRADE, (profit,)


def _decisions(folder: Path) -> Iterator[Event]:
    path = folder / "agents.parquet"
    if not path.exists():  # runs of earlier releases
        return
    table = read_table(path)
    numbers, names = coded(table, "seat", "agents")
    known = {seat.name.lower(): int(seat) for seat in SeatName}
    if len(numbers) and (min(numbers) < 0 or not known.keys() >= {names[number] for number in set(numbers.tolist())}):
        raise DataError("the run has decisions of an unknown seat", where=str(path), expected=", ".join(known))
    seats = np.array([known.get(name, 0) for name in names], np.int64)[numbers] if len(numbers) else numbers
    symbols, _ = coded(table, "symbol", "agents")
    others = (column(table, name, "agents") for name in ("action_0", "confidence"))
    columns = (column(table, "ts_event", "agents"), seats, symbols, *others)
    for ts_event, *values in zip(*(one.tolist() for one in columns), strict=True):
        yield ts_event, DECISION, tuple(values)
