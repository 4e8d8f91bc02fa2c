"""The driver: blocks in order, split at cuts, weights asked for exactly at the declared rows, state saved anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.rules import SmaCross
from engine.base.errors import DataError, UsageError
from engine.base.state import encode
from engine.loop.cuts import Cuts
from engine.loop.driver import STATES, Account, Driver
from engine.loop.weights import Activation
from engine.types.blocks import reblock
from engine.types.calendar import DAY_NS, Sessions
from engine.types.instruments import Instrument
from engine.types.records import Operation
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars

BARS = random_bars(300)
FIRST_NS = int(BARS.ts_event[0])
ENDS = np.arange(1, 30, dtype=np.int64) * DAY_NS


class Asked:
    """Weights that only note when they were asked for; an odd call reports another version."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def at_cut(self, seq: int) -> Activation | None:
        self.rows.append(seq)
        return Activation(seq, "next", "0" * 64) if len(self.rows) % 2 else None


def make(every: int | None = None, asked: Asked | None = None) -> Driver:
    agent, instrument = SmaCross(2, 5), Instrument(name="X")

    def open_account(first_ns: int) -> Account:
        assert first_ns == FIRST_NS
        agent.bind(["X"], [instrument])
        return Account(Simulator(PortfolioConfig(), [instrument], ENDS), Sessions(ENDS - DAY_NS, ENDS), Cuts(every))

    return Driver(agent, open_account, asked)


@pytest.mark.parametrize("sizes", [[1], [7, 50, 3], [1000]])
def test_cuts_fall_at_the_declared_rows_and_change_nothing(sizes: list[int]) -> None:
    hashes = set()
    for every in (32, None):
        asked = Asked()
        driver = make(every, asked)
        for part in reblock([BARS], sizes):
            list(driver.process(part))
        hashes.add(driver.ledger_sha256)
        assert asked.rows == (list(range(32, 300, 32)) if every else [])
        assert [one.seq for one in driver.activations] == asked.rows[::2]
        assert driver.next_seq == 300
    assert len(hashes) == 1


def test_a_missing_block_is_noticed() -> None:
    driver = make()
    list(driver.process(BARS.slice(0, 10)))
    with pytest.raises(DataError, match="row 10"):
        list(driver.process(BARS.slice(20, 30)))


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 299), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_a_driver_saved_anywhere_goes_on_to_the_same_ledger(cut: int, sizes: list[int]) -> None:
    straight, first = make(), make()
    list(straight.process(BARS))
    for part in reblock([BARS.slice(0, cut)], sizes):
        list(first.process(part))
    states = first.snapshot()
    assert states is not None
    assert set(states) == set(STATES)
    second = make()
    second.restore(states, FIRST_NS, cut)
    assert encode(second.snapshot()) == encode(states)
    assert second.last_ns == first.last_ns
    list(second.process(BARS.slice(cut, 300)))
    assert second.ledger_sha256 == straight.ledger_sha256


def test_commands_before_the_first_bar_are_carried_out_with_it() -> None:
    driver = make()
    with pytest.raises(UsageError, match="not halted"):
        driver.operate(Operation.RESET_HALT)
    driver.operate(Operation.PAUSE)
    assert driver.flags == (True, 0)
    assert (driver.begun, driver.last_ns) == (False, 0)
    fills = sum(len(step.fills) for step in driver.process(BARS))
    assert (driver.flags, fills) == ((True, 0), 0)


def test_there_is_no_account_before_the_first_bar() -> None:
    with pytest.raises(UsageError, match="no bar"):
        make().snapshot()
