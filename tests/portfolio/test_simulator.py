"""The simulator's shell: snapshots continue bit for bit, wrong commands and currencies are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import ConfigError, UsageError
from engine.base.state import decode
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from engine.types.records import COMMAND, CommandKind, OrderType
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
