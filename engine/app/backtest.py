"""A backtest from configuration to run folder: the one place that wires feed, agent, simulator and recorder."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.strategy import Strategy
from engine.app.benchmark import BenchmarkPrices
from engine.app.challengers import challengers_entries, learner_of, learning_entries
from engine.app.code import code_entries
from engine.app.config import BacktestConfig
from engine.app.indicators import indicator_entries, refuse_taken
from engine.app.learning.folder import LEARNING_FOLDER
from engine.app.manifest import build_manifest, data_entries, write_json
from engine.app.preparing import Prepared, prepare
from engine.app.wiring import (
    Setup,
    drift_detector,
    limits_entry,
    limits_in_the_way,
    make_driver,
    trade_book,
    warn_of_obstacles,
)
from engine.base.errors import DataError, UsageError
from engine.base.log import logger
from engine.base.replacing import OutputKind
from engine.loop.driver import Driver
from engine.loop.runner import Clock, Screen, Timings, run_loop, timed
from engine.record.recorder import TABLES, RunRecorder
from engine.types.blocks import BarBlock
from engine.types.contracts import Agent
from engine.types.instruments import never_closes
from engine.types.step import StepBlock
from feeds.indicators.joining import Indicators
from feeds.pacing import paced, parse_speed
from feeds.quarantine import Quarantine
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics
from portfolio.trades import TradeBook

if TYPE_CHECKING:
    from engine.monitor.drift.detector import DriftDetector

log = logger("backtest")
LOOK_S = 0.1
"""Seconds that a block takes while a plain Python strategy is watched: screens and Ctrl-C wait for its end."""
FEWEST_ROWS = 16
DRIFT = "drift.json"
RUN = OutputKind(
    "a run",
    frozenset(
        {
            *(f"{name}.parquet" for name in (*TABLES, "bars")),
            DRIFT,
            "odds.json",
            "manifest.json",
            "metrics.json",
            LEARNING_FOLDER,
            "report.html",
            "quarantine.jsonl",
            "stress.json",
        }
    ),
)
ScreenFactory = Callable[[Prepared], Screen]
Watch = Callable[[StepBlock], None]


@dataclass
class BacktestRun:
    """What a backtest leaves behind.

    Attributes:
        folder: The run folder, or None if everything stayed in memory.
        manifest: What decides the result, and its hash.
        metrics: By name; None where not defined.
        recorder: Closed; its `frames()` are the tables.
        timings: Where the time went, seconds.
        quarantined: Rows that were quarantined.
    """

    folder: Path | None
    manifest: dict[str, Any]
    metrics: Metrics
    recorder: RunRecorder
    timings: Timings
    quarantined: int
    counts: dict[str, int] = field(default_factory=dict)

    def moved(self, folder: Path) -> None:
        """Know the folder by its new name."""
        self.folder = folder
        self.recorder.moved(folder)


class _Hashing:
    """Hashes the data files beside the run: hashing releases the GIL and would only make the user wait."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._entries: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._entries = data_entries(self._paths)

    def result(self) -> list[dict[str, Any]]:
        self._thread.join()
        return self._entries


def run_coroutine(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end, also from inside a notebook, whose event loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(asyncio.run, coroutine).result()
    finally:
        pool.shutdown(wait=False)


@dataclass
class _Taps:
    """The driver of one run, and what reads its steps."""

    driver: Driver
    trades: TradeBook
    recorder: RunRecorder
    models_at_start: dict[str, Any]
    drift: DriftDetector | None = None
    decisions: int = 0
    in_the_way: list[str] = field(default_factory=list)

    def record(self, step: StepBlock) -> None:
        """Take one step into the recording."""
        log.debug("step", seq=step.bars.seq, rows=len(step), fills=len(step.fills), events=len(step.events))
        self.recorder.write(step)
        self.decisions += len(step.decisions)
        if self.drift is not None:
            self.drift.update(step)


def _wire(
    prepared: Prepared,
    folder: Path | None,
    first_ns: int,
    agent: Agent | None,
    closing: ExitStack,
    *,
    stands_in: bool = False,
) -> _Taps:
    config, symbols = prepared.config, prepared.source.symbols
    indicators = Indicators(prepared.indicators)
    setup = Setup(config, prepared.instruments, prepared.timeframe_ns, stands_in=stands_in, indicators=indicators)
    driver = _learning_driver(setup, folder, agent, closing) or make_driver(setup, agent)
    if config.cuts.follow_store:
        from engine.app.models import follow_store  # noqa: PLC0415 - only an ensemble has models

        driver.weights = follow_store(driver.agent)
    driver.begin(first_ns)
    trades = trade_book(prepared.instruments)
    log.info(
        "begin",
        agent=config.agent,
        symbols=symbols,
        timeframe_seconds=prepared.timeframe_ns // 1_000_000_000,
        labels=prepared.labels,
        because=prepared.labels_reason,
    )
    recorder = RunRecorder(folder, symbols, config.initial_capital, trades, driver.sessions)
    drift = None if folder is None else drift_detector(setup, config.monitor)
    return _Taps(driver, trades, recorder, dict(driver.agent.model_provenance), drift)


def _learning_driver(setup: Setup, folder: Path | None, agent: Agent | None, closing: ExitStack) -> Driver | None:
    """A driver whose run learns; None where it does not."""
    learning = setup.config.learning
    if learning is None:
        return None
    if agent is not None:
        raise UsageError("an agent object cannot learn", expected="an ensemble by its specification, such as ensemble")
    from engine.app.learning.replayed import ReplayedJobs  # noqa: PLC0415 - few runs learn

    jobs = ReplayedJobs(setup, learning, folder)
    closing.callback(jobs.close)
    driver = make_driver(replace(setup, find_models=jobs.find))
    learner = learner_of(driver)
    assert learner is not None  # noqa: S101 - the run learns
    learner.jobs = jobs
    return driver


def run_backtest(
    config: BacktestConfig,
    folder: Path | None = None,
    *,
    screens: Sequence[ScreenFactory] = (),
    watch: Watch | None = None,
    clock: Clock = time.perf_counter,
    prepared: Prepared | None = None,
    agent: Agent | None = None,
    stands_in: bool = False,
) -> BacktestRun:
    """Replay history through the loop.

    Args:
        folder: Where to write the run, new or empty; None keeps it in memory.
        screens: Taps that see the latest state and may skip.
        watch: Called with every step after it was recorded (a progress bar).
        clock: Seconds, for the timings only.
        prepared: From `prepare`, if the caller has done that.
        agent: An agent object in place of the configured specification.
        stands_in: As in `engine.app.wiring.Setup`: for the bars of a live session.

    Raises:
        GrandModelError: For everything that the user can fix.
    """
    if prepared is None:
        prepared = prepare(config, Quarantine(folder and folder / "quarantine.jsonl", config.replay.strict))
    benchmark = BenchmarkPrices(prepared)
    hashing, timings = _Hashing(prepared.paths), Timings()
    stream = timed(prepared.source.blocks(config.block), timings, clock)
    first = next(stream, None)
    if first is None or not len(first):
        raise _no_bars(prepared)
    if prepared.indicators:
        refuse_taken(config.indicators, first)
    with ExitStack() as closing:
        taps = _wire(prepared, folder, int(first.ts_event[0]), agent, closing, stands_in=stands_in)
        warn_of_obstacles(config, prepared.instruments, first, taps.driver.agent)
        taps.in_the_way = limits_in_the_way(config, prepared.instruments, first)
        blocks: Iterator[BarBlock] = itertools.chain([first], stream)
        if (screens or watch is not None) and isinstance(taps.driver.agent, Strategy):
            blocks = _cut(blocks, clock)

        def record(step: StepBlock) -> None:
            taps.record(step)
            benchmark.watch(step.bars)
            if watch is not None:
                watch(step)

        run_coroutine(
            run_loop(
                paced(blocks, parse_speed(config.speed)),
                taps.driver,
                record,
                timings=timings,
                screens=tuple(screen(prepared) for screen in screens),
                clock=clock,
            )
        )
        before, series = clock(), benchmark.series()
        capital, since = config.initial_capital, int(first.ts_event[0])
        taps.recorder.close(None if series is None else lambda times: capital * series.growth(times, since))
        timings.recording += clock() - before
        return _finish(prepared, folder, taps, timings, hashing.result(), benchmark)


def _finish(
    prepared: Prepared,
    folder: Path | None,
    taps: _Taps,
    timings: Timings,
    data: list[dict[str, Any]],
    benchmark: BenchmarkPrices,
) -> BacktestRun:
    """Metrics and manifest of a loop that has ended."""
    quarantine = prepared.quarantine
    taps.driver.follow()
    log.info("end", bars=timings.bars, blocks=timings.blocks, quarantined=quarantine.total, gaps=quarantine.gaps)
    if taps.driver.agent.unready_because:
        raise DataError(
            "the data are too short for this agent: it never decided",
            found=taps.driver.agent.unready_because,
            hint="give it more bars, from further back",
        )
    if quarantine.total > max(timings.bars, getattr(prepared.source, "ticks", 0)):
        raise DataError(
            "more rows were quarantined than used",
            where=", ".join(map(str, prepared.paths)),
            found=quarantine.explain(),
            hint="sort or repair the bars; `grandmodel data validate FILE` checks a file",
        )
    metrics = compute_metrics(
        taps.recorder.tallies,
        taps.trades.stats,
        prepared.config.statistics,
        always_open=never_closes(prepared.instruments.values()),
        benchmark=benchmark.series(),
    )
    manifest = build_manifest(
        prepared.config,
        prepared.instruments,
        data,
        agent=prepared.config.agent,
        seed=prepared.config.seed,
        timeframe_ns=prepared.timeframe_ns,
        labels=prepared.labels,
        labels_reason=prepared.labels_reason,
        labels_by_file=prepared.labels_by_file,
        assumptions=list(prepared.assumptions),
        synthetic=list(prepared.synthetic),
        warnings=[*prepared.warnings, *benchmark.warnings()],
        rows=timings.bars,
        quarantined=dict(quarantine.counts),
        gaps=quarantine.gaps,
        models=taps.models_at_start,
        code=code_entries(prepared.config, taps.driver.agent),
        benchmark=data_entries([benchmark.path])[0] if benchmark.path else None,
        decisions=taps.decisions,
        activations=[one._asdict() for one in taps.driver.activations],
        ledger_sha256=taps.driver.ledger_sha256,
        **indicator_entries(prepared.indicators),
        **limits_entry(taps.in_the_way),
        **challengers_entries(taps.driver),
        **learning_entries(taps.driver),
    )
    if folder is not None:
        write_json(folder / "metrics.json", metrics)
        if taps.drift is not None:
            write_json(folder / DRIFT, taps.drift.tree())
        write_json(folder / "manifest.json", manifest)
    return BacktestRun(folder, manifest, metrics, taps.recorder, timings, quarantine.total, dict(quarantine.counts))


def _no_bars(prepared: Prepared) -> DataError:
    bad = prepared.quarantine.total
    return DataError(
        "no bars to trade on",
        where=", ".join(map(str, prepared.paths)),
        found=f"{bad} rows, all quarantined" if bad else "no rows in the chosen range",
        hint="`grandmodel data validate FILE` lists what is wrong; check --start and --end",
    )


def _cut(blocks: Iterator[BarBlock], clock: Clock) -> Iterator[BarBlock]:
    """The same rows in blocks that take about LOOK_S each, as far as they were long enough."""
    rows = FEWEST_ROWS
    for block in blocks:
        start = 0
        while start < len(block):
            began = clock()
            yield block.slice(start, min(start + rows, len(block)))
            start += rows
            # what follows shows how long the rows took: the next block is asked for when they are done
            took = clock() - began
            rows = max(FEWEST_ROWS, rows // 2) if took > 2 * LOOK_S else rows * 2 if took < LOOK_S / 2 else rows
