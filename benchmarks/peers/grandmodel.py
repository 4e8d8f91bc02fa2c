"""GrandModel: the whole event loop over bars in memory, with its ledger, fills, orders and decisions kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from agents.rules import SmaCross
from agents.strategy import Context, Strategy
from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve
from engine.app.config import DEFAULT_BLOCK, BacktestConfig
from engine.app.warmup import warm_up
from engine.loop.driver import Account, Driver
from engine.loop.runner import Timings, run_loop
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.contracts import Agent
from engine.types.step import StepBlock
from feeds.memory import MemorySource
from feeds.pacing import paced
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

BLOCK_VARIABLE = "GRANDMODEL_BENCHMARK_BLOCK"


class PythonCross(Strategy):
    """The strategy as a user writes it in plain Python, called row by row; backtesting.py's peer is the same class."""

    def on_start(self, context: Context) -> None:
        """Two moving averages."""
        self.fast, self.slow, self.side = context.indicator("sma", FAST), context.indicator("sma", SLOW), 0

    def on_bar(self, context: Context) -> None:
        """Turn where they cross; both are NaN, and compare as false, until there are enough bars."""
        fast, slow = self.fast.value, self.slow.value
        if fast > slow and self.side <= 0:
            context.target(1)
            self.side = 1
        elif fast < slow and self.side >= 0:
            context.target(-1)
            self.side = -1


def prepare(bars: Bars, make: Callable[[], Agent]) -> Callable[[], Run]:
    """Bars as one block in memory."""
    config = BacktestConfig(initial_capital=CAPITAL, fee=FEE)
    rows = int(os.environ.get(BLOCK_VARIABLE, DEFAULT_BLOCK))
    instrument = config.instrument_for()
    source = MemorySource(BarBlock.from_columns(("X",), bars.ts_event, dict(bars.columns)))
    sessions = sessions_for([instrument], int(bars.ts_event[0]))

    def run() -> Callable[[], PeerOutcome]:
        agent = make()
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
    systems = {
        "grandmodel": System(partial(prepare, make=lambda: SmaCross(FAST, SLOW)), "its own rule"),
        "grandmodel-python": System(partial(prepare, make=PythonCross), "a class in plain Python, called bar by bar"),
    }
    return Peer(versions, systems)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    serve(connect)
