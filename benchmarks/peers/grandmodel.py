"""GrandModel: the whole event loop over bars in memory, with its ledger, fills, orders and decisions kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from agents.rules import SmaCross
from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve
from engine.app.config import DEFAULT_BLOCK, BacktestConfig
from engine.app.warmup import warm_up
from engine.loop.driver import Account, Driver
from engine.loop.runner import Timings, run_loop
from engine.record.recorder import RunRecorder
from engine.types.calendar import sessions_for
from engine.types.step import StepBlock
from feeds.memory import source_from_arrays
from feeds.pacing import paced
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

BLOCK_VARIABLE = "GRANDMODEL_BENCHMARK_BLOCK"


def prepare(bars: Bars) -> Callable[[], Run]:
    """Bars as one block in memory."""
    config = BacktestConfig(initial_capital=CAPITAL, fee=FEE)
    rows = int(os.environ.get(BLOCK_VARIABLE, DEFAULT_BLOCK))
    instrument = config.instrument_for()
    source = source_from_arrays(bars.ts_event, dict(bars.columns))
    sessions = sessions_for([instrument], int(bars.ts_event[0]))

    def run() -> Callable[[], PeerOutcome]:
        agent = SmaCross(FAST, SLOW)
        agent.bind(source.symbols, [instrument])
        account = Account(Simulator(config, [instrument], sessions.closes), sessions)
        recorder = RunRecorder(None, source.symbols, CAPITAL, TradeBook([instrument.multiplier]), sessions)
        steps: list[StepBlock] = []

        def record(step: StepBlock) -> None:
            recorder.write(step)
            steps.append(step)

        feed = paced(source.blocks(rows), float("inf"))
        asyncio.run(run_loop(feed, Driver(agent, lambda _: account), record, timings=Timings()))

        def finish() -> PeerOutcome:
            fills = sum(len(step.fills) for step in steps)
            return PeerOutcome(fills, float(steps[-1].column("equity")[-1]) - CAPITAL)

        return finish

    return lambda: run


def connect() -> Peer:
    """Compile, or load what was compiled before."""
    warm_up()
    try:
        installed = version("grandmodel")
    except ImportError:  # run from its sources
        installed = "source"
    versions = {"grandmodel": installed, **{name: version(name) for name in ("numba", "numpy")}}
    return Peer(versions, {"grandmodel": System(prepare)})


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    serve(connect)
