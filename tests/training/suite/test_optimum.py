"""The solver: closed forms, brute force on tiny chains, and what positions earn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.calendar import sessions_between
from engine.types.instruments import load_instrument
from engine.types.records import Bars
from engine.types.timeframe import DAY_NS
from feeds.generators import generate
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars
from training.suite import chains
from training.suite.optimum import Chain, earn, levels, solve
from training.suite.reversion import Reversion
from training.suite.spells import Spells

REGIMES = Spells.regimes(drift=0.5e-4, deviation=2e-4, mean_bars=1440.0)


def best_by_enumeration(chain: Chain, positions: np.ndarray, cost: float) -> float:
    """Oracle: the average profit of every stationary policy from every beginning, and the largest of all."""
    states, held = len(chain.states), len(positions)
    best = -math.inf
    for choice in itertools.product(range(held), repeat=states * held):
        policy = np.array(choice).reshape(states, held)
        moves, earned = np.zeros((states * held, states * held)), np.zeros(states * held)
        for s, k in itertools.product(range(states), range(held)):
            to = policy[s, k]
            earned[s * held + k] = chain.reward[s] * positions[to] - cost * abs(positions[to] - positions[k])
            for after in range(states):
                moves[s * held + k, after * held + to] += chain.transition[s, after]
        # halving the chance to move keeps every average and removes cycles; squaring goes far ahead
        far = np.linalg.matrix_power(0.5 * (np.eye(len(moves)) + moves), 2**12)
        best = max(best, float((far @ earned).max()))
    return best / chain.period


@given(
    stay=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=2),
    reward=st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=2),
    cost=st.floats(0.0, 1.5),
)
@settings(max_examples=8)
def test_the_solver_finds_the_best_of_all_policies(stay: list[float], reward: list[float], cost: float) -> None:
    transition = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    chain = Chain(np.array([0.0, 1.0]), transition, np.array(reward), period=1)
    positions = np.array([-1.0, 0.5, 1.0])
    assert solve(chain, positions, cost).gain == pytest.approx(best_by_enumeration(chain, positions, cost), abs=1e-6)


def test_known_regimes_without_cost_earn_the_drift() -> None:
    chain = REGIMES.known(30)
    memory = 1 - 2 / 1440
    expected = 2.0 * 0.5e-4 * sum(memory**bar for bar in range(1, 31)) / 30
    found = solve(chain, levels(2.0), 0.0)
    assert found.gain == pytest.approx(expected, rel=1e-9)
    assert found.policy.tolist() == [[0, 0, 0], [2, 2, 2]]


@pytest.mark.parametrize("cost", [0.0, 1e-4, 1e-3, 5e-3, 0.02, 0.1])
def test_known_regimes_with_cost_follow_flip_or_stay_away(cost: float) -> None:
    """In a symmetric chain of two states nothing but following each switch or doing nothing can be best."""
    memory, period = 1 - 2 / 1440, 30
    ahead = 0.5e-4 * sum(memory**bar for bar in range(1, period + 1))
    switches = (1 - memory**period) / 2
    follow = (2.0 * ahead - cost * 4.0 * switches) / period
    assert solve(REGIMES.known(period), levels(2.0), cost).gain == pytest.approx(max(follow, 0.0), abs=1e-12)


def test_steps_between_nothing_and_all_bring_nothing() -> None:
    coarse, fine = (solve(REGIMES.believed(30), levels(2.0, steps), 1e-3).gain for steps in (1, 4))
    assert fine == pytest.approx(coarse, rel=1e-6)


def test_profit_is_proportional_to_the_largest_position() -> None:
    one, two = (solve(REGIMES.known(30), levels(most), 1e-3).gain for most in (1.0, 2.0))
    assert two == pytest.approx(2 * one, rel=1e-9)


def test_beliefs_earn_less_than_knowledge_and_costs_only_take() -> None:
    costs = [0.0, 5e-4, 1e-3, 2e-3]
    full, fine, coarse = (
        [solve(chain, levels(2.0), cost).gain for cost in costs]
        for chain in (REGIMES.known(30), REGIMES.believed(30, 1), REGIMES.believed(30, 30))
    )
    for gains in (full, fine, coarse):
        assert all(later < earlier for earlier, later in itertools.pairwise(gains))
        assert gains[-1] > 0
    assert all(a > b > c for a, b, c in zip(full, fine, coarse, strict=True))
    assert 0.85 * full[2] < coarse[2] < full[2]


def test_a_finer_grid_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [solve(REGIMES.believed(30, observe), levels(2.0), 1e-3).gain for observe in (1, 30)]
    monkeypatch.setattr(chains, "GRID", 1201)
    fine = [solve(REGIMES.believed(30, observe), levels(2.0), 1e-3).gain for observe in (1, 30)]
    assert usual == pytest.approx(fine, rel=1e-3)


def test_weak_drift_leaves_little_to_believe() -> None:
    weak = Spells.regimes(drift=0.02e-4, deviation=5e-4, mean_bars=1440.0)
    believed, known = solve(weak.believed(30), levels(2.0), 0.0).gain, solve(weak.known(30), levels(2.0), 0.0).gain
    assert believed < 0.2 * known


def test_reversion_without_cost_earns_its_closed_form() -> None:
    law = Reversion(memory=0.5 ** (1 / 120), deviation=50e-4)
    expected = 2.0 * (1 - 0.5 ** (30 / 120)) * 50e-4 * math.sqrt(2 / math.pi) / 30
    assert solve(law.known(30), levels(2.0), 0.0).gain == pytest.approx(expected, rel=2e-4)


def test_reversion_with_cost_has_a_band_in_which_it_holds() -> None:
    law = Reversion(memory=0.5 ** (1 / 120), deviation=50e-4)
    gains = [solve(law.known(30), levels(2.0), cost).gain for cost in (0.0, 1e-4, 1e-3, 3e-3, 0.1)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] == pytest.approx(0.0, abs=1e-7)
    policy = solve(law.known(30), levels(2.0), 1e-3).policy
    assert policy[0].tolist() == [2, 2, 2]
    assert policy[-1].tolist() == [0, 0, 0]
    middle = len(policy) // 2
    assert policy[middle].tolist() == [0, 1, 2]
    assert np.array_equal(policy, 2 - policy[::-1, ::-1])


def test_nothing_to_earn_holds_still() -> None:
    flat = solve(Spells.regimes(0.0, 1e-4, 100.0).known(30), levels(2.0), 0.0)
    assert flat.gain == 0.0
    assert flat.follow(np.array([1.0, -1.0])).tolist() == [0.0, 0.0]


def test_a_chain_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        solve(Chain(np.array([0.0]), np.array([[0.5]]), np.zeros(1), 1), levels(1.0), 0.0)
    with pytest.raises(UsageError, match="negative"):
        solve(REGIMES.known(30), levels(1.0), -1.0)


def test_following_takes_the_nearest_state_and_the_position_held() -> None:
    solution = solve(REGIMES.known(30), levels(2.0), 1e-3)
    assert solution.follow(np.array([1.0, 0.9, -0.2, -1.0, 3.0])).tolist() == [2.0, 2.0, -2.0, -2.0, 2.0]


def test_positions_earn_what_the_simulator_says() -> None:
    bars = random_bars(200, seed=4, symbols=("GENERIC",), tick=0.0)
    instrument = load_instrument("GENERIC").model_copy(update={"size_step": 1e-3, "multiplier": 2.0})
    rows, units = np.array([10, 40, 70, 130]), np.array([2.0, -2.0, 0.0, 2.0])
    portfolio = PortfolioConfig.model_validate({"initial_capital": 1e6, "sizing": {"mode": "fixed", "value": 3.0}})
    simulator = Simulator(portfolio, [instrument], sessions_between(instrument, 1, DAY_NS).closes)
    targets = np.full((200, 1), np.nan)
    targets[rows, 0] = units
    step = simulator.run_targets(bars, targets)
    found = earn(bars.kernel_view(), rows, units, 199, size=3.0, fee=instrument.fees.rate, multiplier=2.0)
    assert len(step.fills) >= 4
    assert found.profit == pytest.approx(float(step.account["equity"][0]) - 1e6, abs=1e-8)
    assert found.fees == pytest.approx(float(step.account["fees"][0]), abs=1e-9)
    assert found.contracts == 3.0 * (2 + 4 + 2 + 2)


def test_a_decision_needs_a_bar_to_fill_in() -> None:
    view: Bars = generate("random_walk", load_instrument("GENERIC"), 10, 1).kernel_view()
    assert earn(view, np.empty(0, np.int64), np.empty(0), 9).profit == 0.0
    with pytest.raises(UsageError, match="no bar to fill in"):
        earn(view, np.array([9]), np.array([1.0]), 9)
