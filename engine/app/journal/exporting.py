"""A live session as a run folder: the tables, metrics and manifest of a backtest, and the bars that it saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.app.agents import stood_in
from engine.app.backtest import DRIFT
from engine.app.challengers import challengers_entries, learning_entries
from engine.app.config import RunConfig
from engine.app.indicators import indicator_entries, indicators_of
from engine.app.journal.monitoring import MONITOR, recover_monitor
from engine.app.manifest import build_manifest, data_entries, write_json
from engine.app.provenance import synthetic_names
from engine.app.wiring import Setup, limits_entry, limits_in_the_way, trade_book
from engine.base.errors import DataError, GrandModelError
from engine.base.log import logger
from engine.journal.entries import letters_by_reason
from engine.journal.reading import JournalReader
from engine.loop.driver import Driver
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock
from engine.types.instruments import never_closes
from engine.types.step import StepBlock
from engine.types.timeframe import format_timeframe
from feeds.export import write_bars
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics

BARS = "bars.parquet"
RECORDER = "recorder"
CHUNK_ROWS = 16_384


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        manifest: Of the session.
        metrics: By name; None where not defined.
        curve: Equity at the end of every trading day.
    """

    folder: Path
    manifest: dict[str, Any]
    metrics: Metrics
    curve: list[float]


def export_session(reader: JournalReader, setup: Setup, driver: Driver, out: Path) -> Exported:
    """Write the run folder of a session.

    Args:
        driver: As after its last row.
        out: The folder; the session's own, or another.

    Raises:
        DataError: If no bar was traded yet.
    """
    if not driver.next_seq:
        raise DataError("the session has no bar yet", where=str(reader.folder))
    trades = trade_book(setup.instruments)
    recorder = RunRecorder(out, setup.symbols, setup.config.initial_capital, trades, driver.sessions)
    base = reader.states(RECORDER).get(RECORDER)
    if reader.first_seq > 0 and (base is None or base[0] != reader.first_seq):
        raise DataError("the figures of the rows removed from the journal are lost", where=str(reader.path))
    if base is not None and base[0] == reader.first_seq:
        recorder.restore(base[1])
    last, in_the_way = None, list[str]()
    for step in reader.steps(reader.first_seq, CHUNK_ROWS):
        if last is None:
            in_the_way = limits_in_the_way(setup.config, setup.instruments, step.bars)
        else:
            recorder.write(last)
        last = step
    if last is None:
        raise DataError("the journal holds no bar", where=str(reader.path))
    simulator = driver.simulator
    account, held, orders = (records.copy() for records in (simulator.account, simulator.positions, simulator.orders))
    recorder.write(replace(last, account=account, position_records=held, orders=orders))
    recorder.close()
    metrics = compute_metrics(
        recorder.tallies,
        trades.stats,
        setup.config.statistics,
        always_open=never_closes(setup.instruments.values()),
    )
    indicators = {one.name for one in setup.config.indicators}  # joined again by whoever reads the bars
    extra = tuple(name for name in last.bars.extra if name not in indicators)
    write_bars(out / BARS, _bars(reader), extra=extra)
    manifest = _manifest(reader, setup, driver, out) | limits_entry(in_the_way)
    write_json(out / "metrics.json", metrics)
    _write_drift(reader, setup, out)
    write_json(out / "manifest.json", manifest)
    return Exported(out, manifest, metrics, recorder.tallies.sessions["equity"].tolist())


def _write_drift(reader: JournalReader, setup: Setup, out: Path) -> None:
    """Write what the session's monitor says of drift, if it watches that."""
    if not reader.states(MONITOR):
        return
    try:
        followed = recover_monitor(reader, setup)
    except GrandModelError as error:  # such as a reference that is gone: the run has all else
        logger("monitor").warning("drift is left out of the run", reason=error.what)
        return
    if followed is not None and followed.drift is not None:
        write_json(out / DRIFT, followed.drift.tree())


def _bars(reader: JournalReader) -> Iterator[BarBlock]:
    steps: Iterator[StepBlock] = reader.steps(reader.first_seq, CHUNK_ROWS)
    return (step.bars for step in steps)


def _manifest(reader: JournalReader, setup: Setup, driver: Driver, out: Path) -> dict[str, Any]:
    """Such that `grandmodel verify` runs the session's bars through a backtest and compares the hash."""
    session, counters = reader.session, reader.counters()
    manifest = build_manifest(
        setup.config,
        setup.instruments,
        data_entries([out / BARS]),
        agent=setup.config.agent,
        seed=setup.config.seed,
        timeframe_ns=setup.timeframe_ns,
        labels="close",
        labels_reason="a live bar is known at its close",
        rows=driver.next_seq,
        quarantined=letters_by_reason(counters),
        gaps=counters.get("gaps", 0),
        synthetic=synthetic_names(counters),
        models=session["models"],
        warnings=[
            f"the {seat} network could not be used from row {one.seq} on, and its stand-in decided: {one.because}"
            for seat, one in stood_in(driver.agent).items()
        ],
        code=session["code"],
        decisions=counters.get("decisions", 0),
        activations=[one._asdict() for one in reader.activations() if one.seq > 0],
        operations=[{**one._asdict(), "kind": one.kind.name.lower()} for one in reader.operations()],
        first_row=reader.first_seq,
        ledger_sha256=driver.ledger_sha256,
        **indicator_entries(indicators_of(setup.config.indicators)),
        **challengers_entries(driver, reader.role_changes()),
        **learning_entries(driver, reader.learning_events()),
    )
    # what a backtest's configuration shares with a session's
    shared = {key: value for key, value in manifest["config"].items() if key in RunConfig.model_fields}
    replay = {"labels": "close", "bar_width": format_timeframe(setup.timeframe_ns), "symbols": list(setup.symbols)}
    manifest["config"] = {**shared, "data": [BARS], "replay": replay}
    manifest["config"]["instrument"] = {symbol: item.name for symbol, item in setup.instruments.items()}
    manifest["kind"] = "paper"
    return manifest
