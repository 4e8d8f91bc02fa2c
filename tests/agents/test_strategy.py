"""Strategies in Python and compiled: the same strategy written both ways gives the same ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.registry import make_agent
from agents.strategy import Context, Strategy
from engine.base.errors import UsageError
from engine.loop.driver import Account, Driver
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import DAY_NS, Sessions
from engine.types.instruments import Instrument
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars

FILE = Path(__file__).parent / "strategies" / "breakout.py"
ENDS = np.arange(1, 400, dtype=np.int64) * DAY_NS


def ledger_hash(spec: str, block: BarBlock, sizes: list[int]) -> tuple[str, int]:
    instrument = Instrument(name="X", tick_size=0.01, size_step=1, min_size=1)
    agent = make_agent(spec)
    agent.bind(block.symbols, [instrument] * len(block.symbols))
    simulator = Simulator(PortfolioConfig(), [instrument] * len(block.symbols), ENDS)
    sessions = Sessions(ENDS - DAY_NS, ENDS)
    driver, fills = Driver(agent, lambda _: Account(simulator, sessions)), 0
    for part in reblock([block], sizes):
        for step in driver.process(part):
            fills += len(step.fills)
    return driver.ledger_sha256, fills


def test_python_and_compiled_give_the_same_ledger_for_any_blocking() -> None:
    block = random_bars(4000, seed=5, absent=0.05)
    results = {
        ledger_hash(f"{FILE}:{name}:length=15", block, sizes)
        for name in ("Breakout", "CompiledBreakout")
        for sizes in ([4096], [1], [7, 512, 3])
    }
    assert len(results) == 1
    assert results.pop()[1] > 100


class Recorder(Strategy):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float, float, float, int]] = []

    def on_bar(self, context: Context) -> None:
        bar = context.bar()
        assert bar is not None
        assert context.bar("X") == bar
        if context.seq == 2:
            context.buy(3, limit=bar.close * 2, take_profit=bar.close * 3)
        position = context.position()
        self.seen.append((context.seq, bar.close, position.quantity, context.equity, len(context.orders())))


def test_context_shows_what_the_simulator_holds() -> None:
    block = random_bars(6)
    agent, instrument = Recorder(), Instrument(name="X", size_step=1)
    agent.bind(["X"], [instrument])
    step = agent.step(Simulator(PortfolioConfig(), [instrument], ENDS), block)
    assert [row[0] for row in agent.seen] == [0, 1, 2, 3, 4, 5]
    assert [row[1] for row in agent.seen] == block.close[:, 0].tolist()
    assert [row[2] for row in agent.seen] == [0, 0, 0, 3, 3, 3]  # decided after row 2, filled at the open of row 3
    assert [row[3] for row in agent.seen] == step.column("equity").tolist()
    assert [row[4] for row in agent.seen] == [0, 0, 0, 1, 1, 1]  # the take-profit leg
    assert step.fills["price"].tolist() == [block.open[3, 0]]


class Broken(Strategy):
    def on_bar(self, context: Context) -> None:
        context.buy(1, limt=5.0)


def test_unknown_order_field_is_named() -> None:
    agent, instrument = Broken(), Instrument(name="X")
    agent.bind(["X"], [instrument])
    with pytest.raises(UsageError, match="limt"):
        agent.step(Simulator(PortfolioConfig(), [instrument], ENDS), random_bars(3))


def test_compile_error_is_explained(tmp_path: Path) -> None:
    source = "from agents.base import CompiledStrategy\nclass Bad(CompiledStrategy):\n    @staticmethod\n"
    source += "    def decide(i, bars, signals, account, positions, orders, params, memory, commands):\n"
    source += "        return open('x')\n"
    file = tmp_path / "bad.py"
    file.write_text(source)
    agent = make_agent(f"{file}:Bad")
    with pytest.raises(UsageError, match=r"Bad\.decide does not compile"):
        agent.bind(["X"], [Instrument(name="X")])
