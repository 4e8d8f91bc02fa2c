"""An operator's orders in cases worked out by hand, put to the oracle and to the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base import MarketAgent
from agents.rules import BuyAndHold, SmaCross
from engine.base.errors import UsageError
from engine.base.state import decode
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from engine.types.records import CommandKind, Operation, OrderEventKind, Reason, Role
from engine.types.step import StepBlock
from portfolio.config import Execution, Limits, PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars
from tests.portfolio import test_rules_by_hand as by_hand
from tests.portfolio.driving import block_of, commands_of, kernel_of, operated, run_kernel, run_oracle
from tests.portfolio.oracle_records import Command
from tests.portfolio.strategies_bars import MINUTE, START, Flavour, Scenario
from tests.portfolio.strategies_bars import scenario as random_scenario
from tests.portfolio.test_rules_by_hand import (
    CANCELLED,
    FLAT,
    FREE,
    REJECTED,
    Row,
    Run,
    ends,
    fills,
    limit,
    market,
    stop,
    target,
)
from tests.trees import saved

PAUSE, RESUME, FLATTEN, HALT, RESET_HALT, *_ = Operation
ENDS = np.arange(1, 30, dtype=np.int64) * DAY_NS
WIDE = (100.0, 120.0, 80.0, 100.0, 1000.0)
X = Instrument(name="X", tick_size=0.01, size_step=0.1)
CLOSE = Command(kind=CommandKind.CLOSE)


@pytest.fixture(params=[run_oracle, run_kernel], ids=["oracle", "kernel"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def scenario(
    bars: Sequence[Row],
    commands: Mapping[int, list[Command]],
    operations: Mapping[int, list[Operation]],
    config: PortfolioConfig | None = None,
    **more: Any,
) -> Scenario:
    drawn = by_hand.scenario(bars, dict(commands), config, **more)
    drawn.operations = dict(operations)
    return drawn


# PAUSE


def test_a_pause_cancels_what_could_open_and_keeps_the_bracket(run: Run) -> None:
    orders = {
        0: [market(2, stop_loss=95.0, take_profit=150.0)],  # legs 2 and 3
        1: [limit(1, 90.0), stop(3, 115.0), limit(-9, 130.0, reduce_only=1)],
    }
    outcome = run(scenario([FLAT, FLAT, WIDE], orders, {1: [PAUSE]}))
    assert fills(outcome) == [(1, 2, 100.0), (2, -2, 95.0)]
    paused = [(4, CANCELLED, Reason.PAUSED), (5, CANCELLED, Reason.PAUSED)]
    assert ends(outcome) == [*paused, (3, CANCELLED, Reason.OCO)]
    assert [event["ts_event"] for event in outcome.events if event["reason"] == Reason.PAUSED] == [START + MINUTE] * 2


def test_an_exit_under_way_works_on_but_opens_nothing_once_the_stop_was_first(run: Run) -> None:
    orders = {0: [market(2, stop_loss=95.0)], 1: [limit(-2, 110.0)]}
    by_exit = run(scenario([FLAT, FLAT, (100.0, 112.0, 99.0, 100.0, 0.0)], orders, {1: [PAUSE]}))
    assert fills(by_exit)[1:] == [(2, -2, 110.0)]
    by_stop = run(scenario([FLAT, FLAT, WIDE], orders, {1: [PAUSE]}))
    assert fills(by_stop)[1:] == [(2, -2, 95.0)]  # without the pause the limit would sell 2 more at 110
    assert ends(by_stop)[-1] == (3, CANCELLED, Reason.REDUCE_ONLY)


def test_a_flip_under_way_ends_flat(run: Run) -> None:
    orders = {0: [market(5)], 1: [Command(kind=CommandKind.CANCEL_ALL), target(-3.0)]}
    outcome = run(scenario([FLAT] * 4, orders, {1: [PAUSE]}))
    assert fills(outcome) == [(1, 5, 100.0), (2, -5, 100.0)]
    assert ends(outcome) == [(2, CANCELLED, Reason.REDUCE_ONLY)]


def test_while_paused_a_position_may_shrink_and_nothing_else(run: Run) -> None:
    obeyed = [market(-1), target(2.0), market(-1, reduce_only=1)]
    refused = [market(1), market(-5), target(5.0), target(-1.0), limit(1, 90.0), market(float("nan"))]
    outcome = run(scenario([FLAT] * 4, {0: [market(4)], 1: [*refused, *obeyed]}, {1: [PAUSE], 0: [PAUSE, RESUME]}))
    assert fills(outcome) == []  # the entry itself was cancelled by the pause
    outcome = run(scenario([FLAT] * 4, {0: [market(4)], 2: [*refused, *obeyed]}, {1: [PAUSE]}))
    assert ends(outcome)[:6] == [(0, REJECTED, Reason.PAUSED)] * 6
    assert ends(outcome)[6:] == [(2, CANCELLED, Reason.REPLACED)]  # by the target, which asks for 2 fewer
    assert fills(outcome) == [(1, 4, 100.0), (3, -2, 100.0), (3, -1, 100.0)]
    assert [decision["order_id"] for decision in outcome.decisions] == [1, 0, 0, 0, 0, 0, 0, 2, 3, 4]


def test_reductions_that_are_each_obeyed_do_not_open_together(run: Run) -> None:
    outcome = run(scenario([FLAT] * 4, {0: [market(4)], 2: [market(-4), market(-3)]}, {1: [PAUSE]}))
    assert fills(outcome) == [(1, 4, 100.0), (3, -4, 100.0)]
    assert ends(outcome) == [(3, CANCELLED, Reason.REDUCE_ONLY)]


def test_a_target_that_is_refused_cancels_nothing(run: Run) -> None:
    orders = {0: [market(4)], 2: [limit(-4, 110.0), target(-1.0)]}
    outcome = run(scenario([FLAT, FLAT, FLAT, WIDE], orders, {1: [PAUSE]}))
    assert ends(outcome) == [(0, REJECTED, Reason.PAUSED)]
    assert fills(outcome)[1:] == [(3, -4, 110.0)]


def test_cancels_and_closes_are_obeyed_while_paused(run: Run) -> None:
    cancel = Command(kind=CommandKind.CANCEL, order_id=2)
    orders = {0: [market(4)], 2: [limit(-4, 110.0), cancel, CLOSE]}
    outcome = run(scenario([FLAT] * 4, orders, {1: [PAUSE]}))
    assert ends(outcome) == [(2, CANCELLED, Reason.BY_AGENT)]
    assert fills(outcome)[1:] == [(3, -4, 100.0)]


def test_a_small_reduction_is_not_below_the_minimum_while_paused(run: Run) -> None:
    coarse = FREE.model_copy(update={"min_size": 3.0})
    outcome = run(scenario([FLAT] * 4, {0: [market(4)], 2: [market(-1)]}, {1: [PAUSE]}, instruments=[coarse]))
    assert fills(outcome)[1:] == [(3, -1, 100.0)]


def test_a_resumed_account_obeys_again(run: Run) -> None:
    orders = {0: [market(1)], 1: [market(1)]}
    assert fills(run(scenario([FLAT] * 3, orders, {-1: [PAUSE], 0: [RESUME]}))) == [(2, 1, 100.0)]


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_position_opens_grows_or_crosses_while_paused(rng: Random) -> None:
    drawn = random_scenario(rng, Flavour(rows=25, symbols=2, busy=0.9, operated=0.3, capital=(65536.0,)))
    simulator, block = kernel_of(drawn), block_of(drawn)
    for row, commands in enumerate(drawn.commands):
        held, paused = simulator.positions["quantity"].copy(), simulator.account["paused"][0]
        simulator.advance(block, row)
        after = simulator.positions["quantity"]
        assert not paused or ((held * after >= 0).all() and (abs(after) <= abs(held)).all())
        simulator.submit(commands_of(commands))
        for operation in drawn.operations.get(row, []):
            operated(simulator, operation, drawn.ts[row])


# FLATTEN


def test_flatten_fills_at_the_next_open_whatever_the_volume_and_stays_flat(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    dry = (103.0, 104.0, 102.0, 103.0, 0.0)
    orders = {0: [market(4, stop_loss=95.0)], 1: [limit(1, 90.0)], 2: [market(1), target(3.0)]}
    outcome = run(scenario([FLAT, FLAT, dry, WIDE], orders, {1: [FLATTEN]}, config))
    assert fills(outcome) == [(1, 4, 100.0), (2, -4, 103.0)]
    assert outcome.fills[-1]["role"] == Role.FLATTEN
    by_person = [(2, CANCELLED, Reason.BY_OPERATOR), (3, CANCELLED, Reason.BY_OPERATOR)]
    assert ends(outcome) == [*by_person, (0, REJECTED, Reason.PAUSED), (0, REJECTED, Reason.PAUSED)]
    assert outcome.positions[-1] == [0]


def test_no_command_of_an_agent_ends_what_a_person_ordered(run: Run) -> None:
    cancels = [Command(kind=CommandKind.CANCEL, order_id=2), Command(kind=CommandKind.CANCEL_ALL)]
    two: list[Row] = [[FLAT, FLAT], [FLAT, FLAT], [None, FLAT], [FLAT, FLAT]]
    other = FREE.model_copy(update={"name": "T"})
    orders = {0: [market(4)], 2: cancels}
    outcome = run(scenario(two, orders, {1: [FLATTEN]}, instruments=[FREE, other]))
    assert ends(outcome) == [(2, REJECTED, Reason.NO_SUCH_ORDER)]
    assert fills(outcome)[1:] == [(3, -4, 100.0)]


# HALT and RESET_HALT


def test_a_halt_by_a_person_is_that_of_the_kill_switch(run: Run) -> None:
    orders = {0: [market(4)], 1: [limit(1, 90.0)], 2: [market(1)]}
    outcome = run(scenario([FLAT] * 4, orders, {1: [HALT, HALT]}))
    assert fills(outcome)[1:] == [(2, -4, 100.0)]
    assert outcome.fills[-1]["role"] == Role.KILL_SWITCH
    assert ends(outcome) == [(2, CANCELLED, Reason.BY_OPERATOR), (0, REJECTED, Reason.HALTED)]


def test_after_a_reset_the_drawdown_counts_from_there(run: Run) -> None:
    # 10 contracts, m = 2: equity 1000, then 800 at 90, which is the limit; sold at 90.
    prices = (100.0, 100.0, 90.0, 90.0, 90.0, 90.0, 84.0, 81.0, 81.0)
    bars: list[Row] = [(price, price, price, price, 0.0) for price in prices]
    config = PortfolioConfig(initial_capital=1000.0, limits=Limits(max_drawdown=0.2, max_daily_loss=0.2))
    orders = {0: [market(10)], 4: [market(10)]}
    kept = run(scenario(bars, orders, {}, config))
    assert fills(kept) == [(1, 10, 100.0), (3, -10, 90.0)]
    assert ends(kept) == [(0, REJECTED, Reason.HALTED)]
    outcome = run(scenario(bars, orders, {2: [RESET_HALT], 3: [RESET_HALT, RESET_HALT]}, config))
    assert outcome.refused == [0, 2]  # before the book was empty, and without a halt
    # bought again at 90: 680 at 84 is above 640 = 0.8 * 800, 620 at 81 is not.
    assert fills(outcome)[2:] == [(5, 10, 90.0), (8, -10, 81.0)]
    assert [row["equity"] for row in outcome.ledger][5:] == [800, 680, 620, 620]


def test_a_reset_leaves_the_pause(run: Run) -> None:
    orders = {1: [market(1)], 2: [market(1)]}
    outcome = run(scenario([FLAT] * 4, orders, {0: [PAUSE, HALT], 1: [RESET_HALT], 2: [RESUME]}))
    assert ends(outcome) == [(0, REJECTED, Reason.HALTED), (0, REJECTED, Reason.PAUSED)]


def test_halt_and_reset_before_the_first_row(run: Run) -> None:
    outcome = run(scenario([FLAT] * 2, {0: [market(1)]}, {-1: [HALT, FLATTEN, RESET_HALT, RESUME]}))
    assert outcome.refused == []
    assert fills(outcome) == [(1, 1, 100.0)]


def test_a_reset_that_is_refused_says_why() -> None:
    simulator = Simulator(PortfolioConfig(initial_capital=1000.0), [FREE], np.empty(0, np.int64))
    with pytest.raises(UsageError, match="no halt to reset"):
        simulator.operate(RESET_HALT, 0)
    drawn = scenario([FLAT, FLAT, (40.0, 40.0, 40.0, 40.0, 0.0), None, FLAT], {}, {})
    block = block_of(drawn)
    simulator.advance(block, 0)
    simulator.submit(commands_of([market(10), limit(1, 90.0)]))
    simulator.advance(block, 1)
    simulator.operate(HALT, START + MINUTE)
    with pytest.raises(UsageError, match=r"positions: 10 S; working orders: 1"):
        simulator.operate(RESET_HALT, START + MINUTE)
    simulator.advance(block, 2)
    with pytest.raises(UsageError, match=r"bankrupt[^$]*above 0[^$]*-200"):
        simulator.operate(RESET_HALT, START + 2 * MINUTE)
    assert simulator.account["halted"][0] == Reason.BY_OPERATOR


# What agents make of it


def told(agent: MarketAgent, cuts: Sequence[int], operations: Mapping[int, list[Operation]]) -> tuple[Any, ...]:
    """Steps and last state of 120 rows in blocks; `operations` come after so many rows, which must be a cut."""
    simulator, block = Simulator(PortfolioConfig(), [X], ENDS), random_bars(120)
    agent.bind(["X"], [X])
    steps: list[StepBlock] = []
    for start, end in zip([0, *cuts], [*cuts, 120], strict=True):
        for operation in operations.get(start, []):
            simulator.operate(operation, int(block.ts_event[start - 1]) if start else 0)
        steps.append(agent.step(simulator, block.slice(start, end)))
    return steps, simulator


def events(steps: Sequence[StepBlock], kind: OrderEventKind) -> list[tuple[int, Reason]]:
    """Row and reason."""
    found = np.concatenate([step.events for step in steps])
    found = found[found["kind"] == kind]
    rows = (found["ts_event"] // MINUTE - 1).tolist()
    return list(zip(rows, map(Reason, found["reason"].tolist()), strict=True))


@pytest.mark.parametrize("ordered", [[FLATTEN], [FLATTEN, HALT]])
def test_buy_and_hold_buys_again_after_the_resume(ordered: list[Operation]) -> None:
    calm = [RESET_HALT, RESUME] if HALT in ordered else [RESUME]
    steps, simulator = told(BuyAndHold(), [40, 80], {40: ordered, 80: calm})
    positions = np.concatenate([step.positions[:, 0] for step in steps])
    assert (positions[1:40] == 1).all() and (positions[40:81] == 0).all() and (positions[82:] == 1).all()
    assert events(steps, REJECTED) == []  # it wants what it wanted before: nothing to say while paused
    assert simulator.positions["target"].tolist() == [1.0]


def test_a_pause_brings_one_rejection_for_each_new_wish_and_the_last_is_commanded_at_the_resume() -> None:
    agent = SmaCross(fast=3, slow=8)
    free, _ = told(agent, [50, 90], {})
    steps, _ = told(agent, [50, 90], {50: [FLATTEN], 90: [RESUME]})
    wishes = (free[1].decisions["ts_event"] // MINUTE - 1).tolist()
    assert len(wishes) > 2
    assert events(steps, REJECTED) == [(row, Reason.PAUSED) for row in wishes]
    assert steps[2].decisions["ts_event"][0] == steps[2].bars.ts_event[0]
    assert np.array_equal(steps[2].positions[1:], free[2].positions[1:])


def test_targets_unknown_after_a_resume_reach_only_the_next_comparison() -> None:
    simulator, block = Simulator(PortfolioConfig(), [X], ENDS), random_bars(20)
    simulator.run_targets(block.slice(0, 10), np.ones((10, 1)))
    simulator.operate(RESUME, int(block.ts_event[9]))
    assert simulator.positions["target"].tolist() == [1.0]  # it was not paused
    simulator.operate(PAUSE, int(block.ts_event[9]))
    simulator.operate(RESUME, int(block.ts_event[9]))
    step = simulator.run_targets(block.slice(10, 15), np.full((5, 1), np.nan))
    assert len(step.decisions) == 0 and np.isfinite(step.ledger).all()
    step = simulator.run_targets(block.slice(15, 20), np.ones((5, 1)))
    assert step.decisions["quantity"].tolist() == [1.0] and step.decisions["order_id"].tolist() == [0]
    assert len(step.fills) == 0  # the position is there already


# The shell


def test_blocks_mean_nothing_beside_an_operators_orders() -> None:
    operations = {0: [PAUSE, RESUME], 30: [PAUSE], 60: [RESUME, HALT], 90: [RESET_HALT]}
    few, one = told(SmaCross(3, 8), [30, 60, 90], operations), told(SmaCross(3, 8), range(1, 120), operations)
    for name in ("fills", "events", "decisions", "ledger", "positions"):
        joined = [np.concatenate([getattr(step, name) for step in steps]).tobytes() for steps, _ in (few, one)]
        assert joined[0] == joined[1], name
    assert saved(few[1]) == saved(one[1])
    assert len(events(few[0], CANCELLED)) + len(events(few[0], REJECTED)) > 1


def test_what_comes_of_an_order_is_part_of_the_next_take_with_the_time_of_the_row_before() -> None:
    drawn = scenario([FLAT] * 3, {}, {})
    simulator, block = kernel_of(drawn), block_of(drawn)
    simulator.advance(block, 0)
    simulator.submit(commands_of([market(1)]))
    assert len(simulator.take().events) == 1
    simulator.operate(PAUSE, drawn.ts[0])
    simulator.advance(block.slice(1, 3), 0)
    cancelled = simulator.take().events
    assert cancelled["reason"].tolist() == [Reason.PAUSED] and cancelled["ts_event"].tolist() == [drawn.ts[0]]
    assert len(simulator.orders) == 0


@given(rng=st.randoms(use_true_random=False), operation=st.sampled_from(Operation))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_snapshot_and_the_same_order_give_the_same_state(rng: Random, operation: Operation) -> None:
    drawn = random_scenario(rng, Flavour(rows=12, symbols=2, busy=0.9, operated=0.2))
    whole, again, block = kernel_of(drawn), kernel_of(drawn), block_of(drawn)
    for row, commands in enumerate(drawn.commands):
        whole.advance(block, row)
        whole.submit(commands_of(commands))
        for earlier in drawn.operations.get(row, []):
            operated(whole, earlier, drawn.ts[row])
    before = saved(whole)
    again.restore(decode(before))
    assert saved(again) == before
    assert operated(whole, operation, drawn.ts[-1]) == operated(again, operation, drawn.ts[-1])
    assert saved(whole) == saved(again)
    more = random_bars(3, symbols=block.symbols, first_ns=drawn.ts[-1] + MINUTE)
    for row in range(3):
        whole.advance(more, row)
        again.advance(more, row)
        assert saved(whole) == saved(again)


def test_handing_over_cancels_what_an_agent_ordered_and_forgets_what_it_wanted() -> None:
    drawn = scenario([FLAT] * 4, {}, {})
    simulator, block = kernel_of(drawn), block_of(drawn)
    simulator.advance(block, 0)
    simulator.submit(commands_of([market(2, stop_loss=50.0)]))
    simulator.advance(block, 1)
    simulator.submit(commands_of([limit(1, 60.0)]))
    simulator.take()
    assert len(simulator.orders) == 2
    simulator.operate(Operation.HAND_OVER, drawn.ts[1])
    simulator.advance(block.slice(2, 4), 0)
    events = simulator.take().events
    assert events["kind"].tolist() == [CANCELLED] and events["reason"].tolist() == [Reason.REPLACED]
    assert simulator.orders["role"].tolist() == [Role.STOP_LOSS]
    assert simulator.positions["quantity"][0] == 2.0 and np.isnan(simulator.positions["target"][0])
