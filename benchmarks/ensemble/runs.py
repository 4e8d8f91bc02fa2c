"""What the ensemble benchmark measures: the whole loop, only the networks, and one live row after the other."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass

import numpy as np

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.store import UNTRAINED
from agents.serving.onnx_model import OnnxModel
from benchmarks.replay.bars import START_NS
from engine.app.config import BacktestConfig
from engine.base.errors import CheckFailed
from engine.loop.driver import Account, Driver
from engine.loop.runner import Timings, run_loop
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock, Bools, Ints, concat
from engine.types.calendar import Sessions, sessions_for
from engine.types.instruments import Instrument
from engine.types.records import SeatName
from engine.types.step import StepBlock
from feeds.memory import MemorySource
from feeds.pacing import paced
from feeds.synthetic import SyntheticBars
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

CADENCES = ("tactical", "bar")
CAPITAL = 1e9  # enough that no limit, margin call or loss ever stops the trading
CONTRACTS = 4.0
BATCH = 256
POOL = 4
GENERATED = 4096
WARM_ROWS = 4096  # the strategic agent decides for the first time after 2,880 minutes
SINGLE_WARM_ROWS = 1000


@dataclass(frozen=True)
class EnsembleSetup:
    """What every measurement starts from; nothing of it is timed.

    Attributes:
        bars: One-minute bars of one symbol, in memory.
        instrument: What they are bars of.
        sessions: Of its calendar.
        config: Of the account.
        models: The ensemble that ships.
    """

    bars: BarBlock
    instrument: Instrument
    sessions: Sessions
    config: BacktestConfig
    models: LoadedEnsemble

    def driver(self, cadence: str) -> Driver:
        """A new ensemble and a new account."""
        agent = Ensemble(self.models, EnsembleConfig.model_validate({"risk_cadence": cadence}))
        agent.bind(self.bars.symbols, [self.instrument])
        account = Account(Simulator(self.config, [self.instrument], self.sessions.closes), self.sessions)
        return Driver(agent, lambda _: account)


def set_up(rows: int, seed: int) -> EnsembleSetup:
    """Seeded synthetic bars of the E-mini S&P 500 future, and the ensemble that ships."""
    config = BacktestConfig.model_validate(
        {"instrument": "ES", "initial_capital": CAPITAL, "sizing": {"value": CONTRACTS}}
    )
    instrument = config.instrument_for()
    bars = concat(list(SyntheticBars(instrument, rows, START_NS, seed).blocks(GENERATED)))
    sessions = sessions_for([instrument], int(bars.ts_event[0]))
    return EnsembleSetup(bars, instrument, sessions, config, load_ensemble(UNTRAINED))


@dataclass(frozen=True)
class Whole:
    """One run of the whole loop.

    Attributes:
        seconds: CPU seconds of this process, from the first block to the last recorded step.
        acted: How often each network answered, by the name of its seat.
        fills: Of all orders.
    """

    seconds: float
    acted: dict[str, int]
    fills: int


def run_whole(setup: EnsembleSetup, cadence: str, block: int) -> Whole:
    """Bus, driver and recorder over bars in memory; everything they hand out is kept.

    Raises:
        CheckFailed: If trading stopped, so that the rest of the run would not count.
    """
    driver = setup.driver(cadence)
    trades = TradeBook([setup.instrument.multiplier])
    recorder = RunRecorder(None, setup.bars.symbols, CAPITAL, trades, setup.sessions)
    steps: list[StepBlock] = []

    def record(step: StepBlock) -> None:
        recorder.write(step)
        steps.append(step)

    feed = paced(MemorySource(setup.bars).blocks(block), float("inf"))
    gc.collect()
    gc.freeze()  # collections leave the libraries and the bars alone
    before = time.process_time()
    asyncio.run(run_loop(feed, driver, record, timings=Timings()))
    seconds = time.process_time() - before
    gc.unfreeze()
    _check_trading(steps[-1])
    seats = np.concatenate([step.outputs["seat"] for step in steps])
    acted = {seat.name.lower(): int(np.count_nonzero(seats == seat)) for seat in SeatName}
    return Whole(seconds, acted, sum(len(step.fills) for step in steps))


def _check_trading(last: StepBlock) -> None:
    account = last.account[0]
    if account["halted"] or account["bankrupt"]:
        raise CheckFailed("trading stopped during the benchmark", expected="an account that trades to the end")


def run_networks(setup: EnsembleSetup, acted: dict[str, int]) -> dict[str, float]:
    """CPU seconds of each network by itself for as many observations, from ready arrays, by the name of its seat."""
    models, generator = setup.models, np.random.Generator(np.random.PCG64(0))
    if models.strategic is None or models.tactical is None or models.risk is None:
        raise CheckFailed("the ensemble that ships lacks a network")
    seconds = {model.name: _onnx_seconds(model, acted[model.name], generator) for model in _networks(setup)}
    metrics = generator.standard_normal((BATCH, models.risk.inputs)).astype(np.float32)
    gc.collect()
    before = time.process_time()
    for start in range(0, acted["risk"], BATCH):
        models.risk.run(metrics[: acted["risk"] - start])
    return {**seconds, "risk": time.process_time() - before}


def _networks(setup: EnsembleSetup) -> list[OnnxModel]:
    return [model for model in (setup.models.strategic, setup.models.tactical) if model is not None]


def _onnx_seconds(model: OnnxModel, count: int, generator: np.random.Generator) -> float:
    # few enough batches to stay in the cache, as windows that were just gathered are
    shape = (POOL, BATCH, *model.seat.observation)
    pool = generator.standard_normal(shape).astype(np.float32)
    gc.collect()
    before = time.process_time()
    for number, start in enumerate(range(0, count, BATCH)):
        model.run(pool[number % POOL, : count - start])
    return time.process_time() - before


@dataclass(frozen=True)
class Live:
    """Latencies of rows that came one by one.

    Attributes:
        nanoseconds: Wall time from the bar to the orders, shape (rows,).
        tactical: Whether the tactical network answered, shape (rows,).
        strategic: Whether the strategic network answered, shape (rows,).
    """

    nanoseconds: Ints
    tactical: Bools
    strategic: Bools


def run_live(setup: EnsembleSetup, rows: int, cadence: str) -> Live:
    """`Driver.process` of blocks of one row, after the agents have enough history to decide."""
    driver = setup.driver(cadence)
    list(driver.process(setup.bars.slice(0, WARM_ROWS)))
    first = WARM_ROWS + SINGLE_WARM_ROWS
    for row in range(WARM_ROWS, first):
        list(driver.process(setup.bars.slice(row, row + 1)))
    blocks = [setup.bars.slice(row, row + 1) for row in range(first, first + rows)]
    took = np.empty(rows, np.int64)
    steps: list[StepBlock] = []
    gc.collect()
    gc.freeze()  # as a session does that is done loading
    for i, block in enumerate(blocks):
        before = time.perf_counter_ns()
        steps += driver.process(block)
        took[i] = time.perf_counter_ns() - before
    gc.unfreeze()
    tactical = np.array([bool((step.outputs["seat"] == SeatName.TACTICAL).any()) for step in steps])
    strategic = np.array([bool((step.outputs["seat"] == SeatName.STRATEGIC).any()) for step in steps])
    return Live(took, tactical, strategic)
