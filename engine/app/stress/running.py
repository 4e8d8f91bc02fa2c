"""One run over bars in memory, and what it came to around a strike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.app.agents import build_agent
from engine.app.config import BacktestConfig
from engine.app.stress.costs import costlier
from engine.app.stress.honoured import NEVER, Stop, broken_limits, stop_of
from engine.app.stress.seen import OnFaultyFeed
from engine.app.wiring import Setup, make_driver
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.instruments import Instrument
from feeds.stress.scenarios import Scenario, Struck


@dataclass(frozen=True)
class Course:
    """What a run came to, row by row.

    Attributes:
        bars: The true bars.
        equity: After each row, shape (rows,).
        positions: Contracts after each row, shape (rows, S).
        fill_rows: Row of each fill.
        stop: When equity reached a hard limit.
        broken: What hard limits did not do.
        ledger_sha256: Hash of the run.
        models: What the agent is made of.
    """

    bars: BarBlock
    equity: Floats
    positions: Floats
    fill_rows: Ints
    stop: Stop
    broken: tuple[str, ...]
    ledger_sha256: str
    models: Mapping[str, object]


@dataclass(frozen=True)
class Outcome:
    """What happened from a strike to the end of the horizon.

    Attributes:
        loss: Largest fall of equity below that before the strike, as a fraction of it; 0 if it never fell.
        drawdown: Largest fall of equity below its peak in these rows, as a fraction of the peak.
        fills: Their number.
        limit: Which hard limit tripped in these rows or before; empty if none.
        flat_rows: Rows from there until the book was flat; None if none tripped, or it never was.
    """

    loss: float
    drawdown: float
    fills: int
    limit: str
    flat_rows: int | None


def run_course(
    config: BacktestConfig,
    instruments: Mapping[str, Instrument],
    timeframe_ns: int,
    struck: Struck,
    scenario: Scenario | None = None,
    block_rows: int | None = None,
) -> Course:
    """Trade bars that are in memory, with the costs of a scenario.

    Args:
        block_rows: Rows of a block; any number gives the same.
    """
    if scenario is not None:
        config, instruments = costlier(config, instruments, scenario.costs)
    agent = build_agent(config)
    shown = agent if struck.seen is struck.truth else OnFaultyFeed(agent, struck.seen)
    driver = make_driver(Setup(config, instruments, timeframe_ns), shown)
    size = block_rows or config.block
    starts = range(0, len(struck.truth), size)
    blocks = (struck.truth.slice(start, min(start + size, len(struck.truth))) for start in starts)
    steps = [step for block in blocks for step in driver.process(block)]
    equity = np.concatenate([step.column("equity") for step in steps])
    positions = np.concatenate([step.positions for step in steps])
    fills = np.concatenate([step.fills["seq"] for step in steps])
    truth = struck.truth
    stop = stop_of(equity, positions, config.initial_capital, config.limits, truth.ts_event, driver.sessions.closes)
    broken = tuple(broken_limits(stop, truth, positions, config.limits))
    made_of = dict(agent.model_provenance)
    return Course(truth, equity, positions, fills, stop, broken, driver.ledger_sha256, made_of)


def outcome(course: Course, row: int, horizon: int, capital: float) -> Outcome:
    """What a run came to in the rows from a strike on.

    Args:
        row: Of the strike.
        horizon: Rows that count.
        capital: Before the first row.
    """
    stop = min(row + horizon, len(course.equity))
    before = float(course.equity[row - 1]) if row else capital
    path = np.concatenate([[before], course.equity[row:stop]])
    peak = np.maximum.accumulate(path)
    scale = before if before > 0.0 else capital
    tripped = course.stop.row != NEVER and course.stop.row < stop
    flat = course.stop.flat_after
    return Outcome(
        loss=(before - float(path.min())) / scale,
        drawdown=float(((peak - path) / np.where(peak > 0.0, peak, 1.0)).max()),
        fills=int(((course.fill_rows >= row) & (course.fill_rows < stop)).sum()),
        limit=course.stop.limit if tripped else "",
        flat_rows=flat if tripped and flat != NEVER else None,
    )
