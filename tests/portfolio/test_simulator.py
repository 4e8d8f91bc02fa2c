"""The simulator's shell: snapshots continue bit for bit, wrong commands and currencies are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import ConfigError, UsageError
from engine.base.state import decode
from engine.types.blocks import BAR_COLUMNS, BarBlock
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from engine.types.records import COMMAND, CommandKind, OrderEventKind, OrderType, Reason
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars
from tests.trees import saved

ENDS = np.arange(1, 30, dtype=np.int64) * DAY_NS
INSTRUMENT = Instrument(name="X", tick_size=0.01, size_step=0.1)


def bracket(rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg] # records have no static type
    command = np.zeros(1, COMMAND)
    command["kind"], command["type"] = CommandKind.ORDER, OrderType.MARKET
    command["quantity"] = rng.normal()
    command["stop_distance"], command["target_distance"] = 0.002, 0.003
    return command


@given(cut=st.integers(1, 199), seed=st.integers(0, 20))
@settings(max_examples=25)
def test_a_restored_snapshot_continues_bit_for_bit(cut: int, seed: int) -> None:
    block = random_bars(200, seed=seed)
    whole = Simulator(PortfolioConfig(), [INSTRUMENT], ENDS)
    rng, states = np.random.default_rng(seed), []
    commands = [bracket(rng) if rng.random() < 0.2 else np.zeros(0, COMMAND) for _ in range(200)]
    for row in range(200):
        whole.advance(block, row)
        whole.submit(commands[row].copy())
        states.append(saved(whole))
    again = Simulator(PortfolioConfig(), [INSTRUMENT], ENDS)
    again.restore(decode(states[cut - 1]))
    for row in range(cut, 200):
        again.advance(block, row)
        again.submit(commands[row].copy())
        assert saved(again) == states[row]
    assert len(whole.take().fills) > 5


@pytest.mark.parametrize(("symbol", "kind"), [(1, CommandKind.ORDER), (-1, CommandKind.TARGET), (0, 9)])
def test_a_command_that_cannot_be_obeyed_is_an_error(symbol: int, kind: int) -> None:
    simulator, block = Simulator(PortfolioConfig(), [INSTRUMENT], ENDS), random_bars(3)
    simulator.advance(block, 0)
    command = np.zeros(1, COMMAND)
    command["symbol"], command["kind"] = symbol, kind
    simulator.submit(command)
    with pytest.raises(UsageError, match="cannot be obeyed"):
        simulator.take()


def test_another_currency_needs_a_rate() -> None:
    euro = Instrument(name="BUND", currency="EUR")
    with pytest.raises(ConfigError, match="EUR"):
        Simulator(PortfolioConfig(), [euro], ENDS)
    Simulator(PortfolioConfig(), [euro.model_copy(update={"fx_rate": 1.1})], ENDS)


def test_what_was_handed_out_never_changes() -> None:
    simulator, agent_targets = Simulator(PortfolioConfig(), [INSTRUMENT], ENDS), np.ones((50, 1))
    block, kept = random_bars(400), []
    for start in range(0, 400, 50):
        targets = agent_targets * (1 if (start // 50) % 2 else -1)
        step = simulator.run_targets(block.slice(start, start + 50), targets)
        kept.append((step, step.ledger.tobytes(), step.fills.tobytes(), step.events.tobytes(), step.account.tobytes()))
    for step, *before in kept:
        assert [a.tobytes() for a in (step.ledger, step.fills, step.events, step.account)] == before


def crowd(symbols: tuple[str, ...]) -> BarBlock:
    return random_bars(6, seed=5, symbols=symbols, absent=0.1)


@pytest.mark.parametrize("count", [2, 200])
def test_every_symbol_may_trade_in_one_row_whatever_the_order_of_columns(count: int) -> None:
    symbols = tuple(f"S{number:03d}" for number in range(count))
    block, config = crowd(symbols), PortfolioConfig(initial_capital=1e9)
    turned = BarBlock.from_columns(
        symbols[::-1],
        block.ts_event,
        {name: getattr(block, name)[:, ::-1] for name in BAR_COLUMNS},
        block.present[:, ::-1],
    )
    fills = []
    for bars in (block, turned):
        simulator = Simulator(config, [INSTRUMENT] * count, ENDS)
        targets = np.resize([[1.0], [-1.0]], (6, 1)) * np.ones(count)
        step = simulator.run_targets(bars, targets)
        assert not (step.events["kind"] == OrderEventKind.REJECTED).any()
        names = [bars.symbols[symbol] for symbol in step.fills["symbol"]]
        fills.append(sorted(zip(step.fills["ts_event"].tolist(), names, step.fills["quantity"].tolist(), strict=True)))
    assert fills[0] == fills[1] and len(fills[0]) > 3 * count


def test_the_table_of_orders_grows_and_is_restored() -> None:
    """As many orders of each symbol as the rules allow, of 40 symbols: more than the table holds at first."""
    count, most = 40, 64
    block, config = random_bars(3, symbols=tuple(f"S{number}" for number in range(count))), PortfolioConfig()
    simulator = Simulator(config, [INSTRUMENT] * count, ENDS)
    places = len(simulator._book.orders)
    simulator.advance(block, 0)
    commands = np.zeros(count * (most + 1), COMMAND)
    commands["kind"], commands["type"], commands["quantity"] = CommandKind.ORDER, OrderType.LIMIT, 1.0
    commands["limit"], commands["symbol"] = 1.0, np.arange(len(commands)) % count
    simulator.submit(commands)
    assert np.count_nonzero(simulator.orders["state"]) == count * most > places
    again = Simulator(config, [INSTRUMENT] * count, ENDS)
    again.restore(decode(saved(simulator)))
    for one in (simulator, again):
        one.advance(block, 1)
    assert saved(again) == saved(simulator)
    rejected = simulator.take().events
    assert rejected["reason"][rejected["kind"] == OrderEventKind.REJECTED].tolist() == [Reason.TOO_MANY_ORDERS] * count
