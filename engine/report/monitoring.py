"""What the performance monitor would have said of a finished run, from the tables of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.base.config import parse
from engine.base.errors import DataError
from engine.monitor.drift.streams import Observations, Streams
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.following import DAY, TRADE, Event, decided, feed
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.year import trading_days
from engine.record.reading import read_table
from engine.report.tables import coded, column, text_column
from engine.types.blocks import Floats
from engine.types.instruments import Instrument
from engine.types.records import AGENT_OUTPUT, ORDER_EVENT, OrderEventKind, OrderType, Records, Role, SeatName


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
    check_tables(folder, manifest)
    feed(monitor, [*_days(folder), *_trades(folder), *_decisions(folder)])
    return monitor


def of_ensemble(agent: object) -> bool:
    """Whether the specification of an agent is one of the ensemble: `ensemble`, or `ensemble:` and a version."""
    return str(agent).partition(":")[0] == "ensemble"


def check_tables(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a run that has lost its ledger, or the table of what its ensemble decided.

    Raises:
        UsageError: If one is missing.
        DataError: If one is damaged.
    """
    read_table(folder / "ledger.parquet", ["ts_event"])
    if of_ensemble(manifest.get("agent")):
        read_table(folder / "agents.parquet", ["ts_event"])


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


def table_observations(folder: Path, streams: Streams) -> list[Observations]:
    """What the tables of a run say for the drift detector: its decisions, and how its limit orders ended.

    Raises:
        UsageError: If a table is missing.
        DataError: If a table does not hold what it should.
    """
    found = []
    if (folder / "agents.parquet").exists():
        outputs = _outputs(folder)
        if len(outputs):
            found.append(streams.decisions(outputs))
    orders = read_table(folder / "orders.parquet")
    if orders.num_rows:
        words = {name: text_column(orders, name, "orders") for name in ("type", "role", "status")}
        events = np.zeros(orders.num_rows, ORDER_EVENT)
        events["ts_event"] = np.nan_to_num(column(orders, "closed", "orders")).astype(np.int64)
        for name, kinds in (("type", OrderType), ("role", Role), ("kind", OrderEventKind)):
            numbers = {kind.name.lower(): int(kind) for kind in kinds}
            events[name] = [numbers.get(word, -1) for word in words["status" if name == "kind" else name].tolist()]
        found.append(streams.order_ends(events))
    return found


def _outputs(folder: Path) -> Records:
    """AGENT_OUTPUT records of a run, without the times of the bars observed."""
    path = folder / "agents.parquet"
    table = read_table(path)
    numbers, names = coded(table, "seat", "agents")
    known = {seat.name.lower(): int(seat) for seat in SeatName}
    if len(numbers) and (numbers.min() < 0 or not known.keys() >= {names[number] for number in set(numbers.tolist())}):
        raise DataError("the run has decisions of an unknown seat", where=str(path), expected=", ".join(known))
    outputs = np.zeros(len(numbers), AGENT_OUTPUT)
    if len(numbers):
        outputs["seat"] = np.array([known.get(name, 0) for name in names], np.int64)[numbers]
    outputs["symbol"], _ = coded(table, "symbol", "agents")
    outputs["ts_event"] = column(table, "ts_event", "agents")
    for name in ("action_0", "confidence"):
        outputs[name] = _numbers(table, name, path)
    return outputs


def _numbers(table: pa.Table, name: str, path: Path) -> Floats:
    """A column of finite numbers.

    Raises:
        DataError: If it is something else.
    """
    values = column(table, name, path.stem)
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the column {name} holds no numbers", where=str(path), found=str(error)) from error
    if not np.isfinite(found).all():
        raise DataError(f"the column {name} holds NaN or infinity", where=str(path), expected="finite numbers")
    return found


def _days(folder: Path) -> Iterator[Event]:
    path = folder / "sessions.parquet"
    sessions = read_table(path)
    times, equity = column(sessions, "ts_event", "sessions").tolist(), _numbers(sessions, "equity", path).tolist()
    # the last one had not ended
    yield from ((ts_event, DAY, (value,)) for ts_event, value in zip(times[:-1], equity[:-1], strict=True))


def _trades(folder: Path) -> Iterator[Event]:
    path = folder / "trades.parquet"
    trades = read_table(path)
    lasting, times = (column(trades, name, "trades") for name in ("open", "exit_time"))
    for open_, ts_event, profit in zip(lasting, times.tolist(), _numbers(trades, "profit", path).tolist(), strict=True):
        if not open_:
            yield ts_event, TRADE, (profit,)


def _decisions(folder: Path) -> Iterator[Event]:
    if (folder / "agents.parquet").exists():  # runs of earlier releases have none
        yield from decided(_outputs(folder))
