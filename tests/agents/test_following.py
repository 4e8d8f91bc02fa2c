"""A strategy that looks at its account now and then sees what it sees when the simulator goes with it row by row."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.strategy import Context, Strategy
from engine.base.state import encode
from engine.loop.driver import Account, Driver
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import Sessions
from engine.types.contracts import Simulator as AnySimulator
from engine.types.instruments import Margin
from engine.types.step import StepBlock
from portfolio.config import Limits, PortfolioConfig
from portfolio.simulator import Simulator
from tests.engine.runs import MINUTE, START, instruments, random_bars

ROWS = 300
ENDS = START + np.arange(0, 60, dtype=np.int64) * 37 * MINUTE


class Whimsical(Strategy):
    """Looks at whatever it likes in some rows, orders whatever it likes in some, and remembers what it saw."""

    history_rows = 40

    def __init__(self, seed: int, looks: float, orders: float) -> None:
        self.random, self.looks, self.orders = Random(seed), looks, orders
        self.seen: list[Any] = []

    def on_start(self, context: Context) -> None:
        self.mean, self.slow = context.indicator("sma", 4), context.indicator("sma", 9)
        self.larger = context.bars("5min")
        self.large = self.larger.indicator("ema", 3)
        context.buy(1)  # before the first row: no row asked for it

    def on_bar(self, context: Context) -> None:
        # drawn in every row, so that what is drawn does not depend on what was seen
        draws = [self.random.random() for _ in range(14)]
        symbol = self.random.choice(context.symbols)
        size, price = self.random.randint(1, 4), self.random.uniform(0.98, 1.02)
        looks: list[Any] = [
            lambda: context.position(symbol),
            lambda: context.equity,
            lambda: context.cash,
            lambda: context.halted,
            lambda: context.orders(symbol),
            lambda: context.bar(symbol),
            lambda: (self.mean.value, self.slow.value, self.large.value),
            lambda: (self.mean.crossed_above(self.slow), self.large.last_two(), self.larger.bar(symbol)),
            lambda: context.history("close", 7, symbol).tolist(),
            lambda: (context.seq, context.ts_event),
        ]
        for draw, look in zip(draws, looks, strict=False):
            if draw < self.looks:
                self.seen.append(look())
        if draws[10] < self.orders:
            bar = context.bar(symbol)
            close = 100.0 if bar is None else bar.close
            asked: list[Any] = [
                lambda: context.target(self.random.choice([-2, -1, 0, 1, 2]), symbol),
                lambda: context.buy(size, symbol, limit=close * price),
                lambda: context.sell(size, symbol, stop=close * price, tif="day"),
                lambda: context.buy(size, symbol, stop_distance=0.01, target_distance=0.005),
                lambda: context.sell(fraction=0.3, symbol=symbol),
                lambda: context.close(symbol),
                lambda: context.cancel_all(symbol),
            ]
            for _ in range(1 + (draws[11] < 0.3)):
                self.random.choice(asked)()
            if draws[12] < self.looks:
                self.seen.append((context.position(symbol), context.orders(), context.equity))

    def steadily(self) -> Strategy:
        """The same strategy, with the simulator at its side in every row."""
        return Steady(self)


class Steady(Strategy):
    """Goes through the rows as the simulator's documentation tells it, looked at or not."""

    history_rows = Whimsical.history_rows

    def __init__(self, inner: Whimsical) -> None:
        self.inner = inner

    def on_start(self, context: Context) -> None:
        self.inner.on_start(context)

    def on_bar(self, context: Context) -> None:
        self.inner.on_bar(context)

    def step(self, simulator: AnySimulator, block: BarBlock) -> StepBlock:
        context = self._context
        context.enter(simulator, block)
        simulator.begin(block)
        for row in range(len(block)):
            simulator.advance(block, row)
            context.cursor.row = row
            self.on_bar(context)
            for command in context.commands:
                simulator.submit(command)
            context.commands.clear()
        return simulator.take()


def outcome(
    agent: Strategy, bars: BarBlock, sizes: list[int], config: PortfolioConfig
) -> tuple[str, bytes, bytes, bytes]:
    traded = [item.model_copy(update={"maintenance_margin": Margin(rate=0.095)}) for item in instruments(2)]
    traded = traded[: len(bars.symbols)]
    agent.bind(bars.symbols, traded)
    simulator = Simulator(config, traded, ENDS)
    driver = Driver(agent, lambda _: Account(simulator, Sessions(ENDS - 37 * MINUTE, ENDS)))
    steps = [step for part in reblock([bars], sizes) for step in driver.process(part)]
    events, ledger = (np.concatenate([getattr(step, name) for step in steps]) for name in ("events", "ledger"))
    return driver.ledger_sha256, ledger.tobytes(), events.tobytes(), encode(simulator.snapshot())


@given(
    seed=st.integers(0, 10_000),
    symbols=st.sampled_from([1, 2]),
    looks=st.sampled_from([0.0, 0.02, 0.3]),
    orders=st.sampled_from([0.02, 0.3]),
    absent=st.sampled_from([0.0, 0.3]),
    capital=st.sampled_from([1_500.0, 100_000.0]),
    limits=st.sampled_from([{}, {"max_drawdown": 0.02}, {"max_daily_loss": 0.005}]),
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_rows_nobody_looks_at_change_nothing(
    seed: int,
    symbols: int,
    looks: float,
    orders: float,
    absent: float,
    capital: float,
    limits: dict[str, float],
    sizes: list[int],
) -> None:
    config = PortfolioConfig(initial_capital=capital, limits=Limits(**limits))
    bars = random_bars(ROWS, symbols, seed, absent=absent)
    quick, slow = Whimsical(seed, looks, orders), Whimsical(seed, looks, orders)
    found = outcome(quick, bars, sizes, config)
    assert found == outcome(slow.steadily(), bars, [1], config)
    assert repr(quick.seen) == repr(slow.seen)  # by their text, since NaN differs from itself
    if looks:
        assert len(quick.seen) > 10
