"""Optima on generated paths, the filter, and the leak of the future."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from agents.ensemble.config import EnsembleConfig
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from feeds.generators import find_generator, generate_with_truth
from portfolio.config import PortfolioConfig
from tests.training.data.configs import small, synthetic
from training.config import RewardShaping
from training.data.sources import load_market
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv
from training.suite.leak import leak
from training.suite.markets import Proof, best_policy, load_proof, optimal_profit
from training.suite.spells import Spells

LENGTH = 3000


@pytest.fixture(scope="module")
def regimes() -> Proof:
    source = synthetic("regime_drift", 24, length=12_100)
    return load_proof(small([source], training_params={"episode_length": LENGTH}), 5)


@pytest.fixture(scope="module")
def reversion() -> Proof:
    source = synthetic("mean_reversion", 12, length=12_100)
    return load_proof(small([source], training_params={"episode_length": LENGTH}), 5)


def realised(proof: Proof, **how: object) -> tuple[float, float, float]:
    """Expected profit a bar, mean of those on all paths (in fractions of the price), and its standard error."""
    found = []
    for segment in proof.market.segments:
        for start in proof.market.starts((segment.start, segment.stop), LENGTH)[::4].tolist():
            best = optimal_profit(proof, start, LENGTH, **how)  # type: ignore[arg-type]
            found.append(best.earned.profit / proof.market.bars.close[start, 0] / LENGTH)
    return best.expected, float(np.mean(found)), float(np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize(
    "how", [{}, {"information": "belief"}, {"information": "belief", "observe": 30}, {"cost": 0.0}, {"cost": 4e-3}]
)
def test_paths_earn_what_the_regimes_promise(regimes: Proof, how: dict[str, object]) -> None:
    expected, mean, error = realised(regimes, **how)
    assert expected > 0.7e-4
    # prices move by some percent within an episode, and the first position is paid for
    assert mean == pytest.approx(expected, abs=4 * error + 0.03e-4)


@pytest.mark.parametrize("cost", [0.0, 1e-3])
def test_paths_earn_what_reversion_promises(reversion: Proof, cost: float) -> None:
    expected, mean, error = realised(reversion, cost=cost)
    assert mean == pytest.approx(expected, abs=4 * error + 0.02e-4)


def test_no_simple_rule_beats_the_optimum_for_beliefs(regimes: Proof) -> None:
    """Following the last 30, 120 or 360 minutes earns something, and less than the best of what prices tell."""
    best = best_policy(regimes.scenarios[0].law, 1e-3, information="belief").gain
    earned = {span: momentum(regimes, span, 1e-3) for span in (1, 4, 12)}
    assert 0.3 * best < max(earned.values()) < best


def momentum(proof: Proof, spans: int, cost: float) -> float:
    """Profit a bar of holding 2 units in the direction of so many half hours, in fractions of the price."""
    total, bars = 0.0, 0
    for segment in proof.market.segments:
        closes = np.log(proof.market.bars.close[segment.start : segment.stop : 30, 0])
        held = 2.0 * np.sign(closes[spans:] - closes[:-spans])
        total += float((held[:-1] * np.diff(closes[spans:])).sum() - cost * np.abs(np.diff(held)).sum())
        bars += 30 * (len(held) - 1)
    return total / bars


def test_the_filter_is_bayes_rule() -> None:
    """Oracle: every path of signs, its probability, and the density of the returns given it."""
    law = Spells.regimes(drift=1e-4, deviation=2e-4, mean_bars=5.0)
    rng = np.random.default_rng(3)
    returns = rng.normal(0.0, 2e-4, 8)
    closes = 100.0 * np.exp(np.cumsum(np.concatenate([[0.0], returns])))
    for observe in (1, 2, 4):
        seen = np.diff(np.log(closes[::observe]))
        weight = {-1: 0.0, 1: 0.0}
        for signs in itertools.product((-1, 1), repeat=9):
            likely = 0.5
            for before, after in itertools.pairwise(signs):
                likely *= 0.8 if before == after else 0.2
            sums = np.array(signs[1:]).reshape(-1, observe).sum(axis=1) * 1e-4
            likely *= math.exp(-0.5 * float((((seen - sums) / (2e-4 * math.sqrt(observe))) ** 2).sum()))
            weight[signs[-1]] += likely
        odds = law.filtered(closes[::observe], observe)
        assert len(odds) == 8 // observe + 1
        assert odds[-1] == pytest.approx(math.log(weight[1] / weight[-1]), rel=1e-9)


def test_beliefs_are_calibrated() -> None:
    generator = find_generator("regime_drift")
    block, sign = generate_with_truth(generator, load_instrument("GENERIC"), 60_000, 2)
    odds = Spells.of(generator).filtered(block.close[:, 0])  # type: ignore[arg-type]
    up = 1 / (1 + np.exp(-odds))
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.0)):
        inside = (up >= low) & (up < high)
        assert inside.sum() > 300
        assert (sign[inside] > 0).mean() == pytest.approx(up[inside].mean(), abs=0.12)


def test_far_returns_do_not_break_the_filter() -> None:
    odds = Spells.regimes(1e-4, 2e-4, 100.0).filtered(np.array([100.0, 200.0, 50.0, 50.0]))
    assert bool(np.isfinite(odds).all())


def test_decisions_are_those_of_the_strategic_agent(regimes: Proof) -> None:
    start = int(regimes.market.starts((0, 12_100), LENGTH)[0])
    best = optimal_profit(regimes, start, LENGTH)
    assert best.rows[0] == start
    assert set(np.diff(best.rows).tolist()) == {30}
    assert len(best.rows) == LENGTH // 30
    twice = optimal_profit(regimes, start, LENGTH, size=2.0)
    assert twice.earned.profit == pytest.approx(2 * best.earned.profit)


def test_an_ensemble_that_follows_the_optimum_earns_it(regimes: Proof) -> None:
    """The three seats, told to do what the best policy does, in the environment that trains them."""
    market, size = regimes.market, 10.0
    starts = [int(market.starts(one, LENGTH)[0]) for one in regimes.parts.training[:4]]
    best = [optimal_profit(regimes, start, LENGTH, size=size) for start in starts]
    portfolio = PortfolioConfig.model_validate({"sizing": {"mode": "fixed", "value": size}})
    vector = VectorEnv(market, portfolio, Rewards.of(RewardShaping()), EnsembleConfig(), len(starts))
    vector.reset(range(len(starts)), starts, [LENGTH] * len(starts))
    plans = [dict(zip(one.rows.tolist(), one.units.tolist(), strict=True)) for one in best]
    sides, full = np.ones(len(starts), np.int64), np.full(len(starts), 4)
    tactics = np.tile(np.array([1.0, 0.05, 2.0], np.float32), (len(starts), 1))
    while not bool(vector.truncated.all()):
        for env, plan in enumerate(plans):
            sides[env] = 1 + int(np.sign(plan.get(int(vector.rows[env]), 2.0 * (sides[env] - 1))))
        vector.step(Actions(sides, tactics, full))
    earned = vector.equity[:, LENGTH] - vector.equity[:, 0]
    assert not bool(vector.terminated.any())
    assert earned == pytest.approx([one.earned.profit for one in best], rel=1e-6)
    assert vector.fees == pytest.approx([one.earned.fees for one in best], rel=1e-6)


def test_what_has_no_known_optimum_is_refused(regimes: Proof) -> None:
    with pytest.raises(UsageError, match="not known"):
        load_proof(small([synthetic("regime_drift"), synthetic("volatile")]), 1)
    with pytest.raises(UsageError, match="no such row"):
        regimes.segment(len(regimes.market))
    with pytest.raises(UsageError, match="leaves its source"):
        optimal_profit(regimes, 10_000, LENGTH)


@pytest.fixture(scope="module")
def walk() -> Market:
    return load_market(small([synthetic(scenarios=4)]), 2)[0]


def test_the_leak_shows_the_return_to_come(walk: Market) -> None:
    leaked = leak(walk)
    names = ("strategic", 30, 7), ("tactical", 5, 0)
    for segment in walk.segments:
        for seat, minutes, column in names:
            ends = getattr(leaked, f"{seat}_end")
            fresh = segment.start + 1 + np.flatnonzero(np.diff(ends[segment.start : segment.stop]) > 0)
            rows = fresh[fresh + minutes < segment.stop][:-1]
            shown = getattr(leaked, f"{seat}_rows")[ends[rows] - 1, column]
            close = walk.bars.close[:, 0]
            assert len(rows) > 5
            assert np.allclose(shown, np.log(close[rows + minutes] / close[rows]), atol=1e-7)
            assert getattr(leaked, f"{seat}_rows")[ends[segment.stop - 1] - 1, column] == 0.0


def test_nothing_else_leaks(walk: Market) -> None:
    leaked = leak(walk, strategic="macd", seats=("strategic",))
    same = np.arange(13) != 1
    assert np.array_equal(leaked.strategic_rows[:, same], walk.strategic_rows[:, same])
    assert not np.array_equal(leaked.strategic_rows[:, 1], walk.strategic_rows[:, 1])
    assert leaked.tactical_rows is walk.tactical_rows
    assert leaked.bars is walk.bars
    assert leaked.digest != walk.digest
    with pytest.raises(UsageError, match="no feature 'foresight'"):
        leak(walk, strategic="foresight")


def test_the_leak_of_a_market_without_windows_is_empty() -> None:
    instrument = load_instrument("GENERIC")
    block: BarBlock = generate_with_truth(find_generator("random_walk"), instrument, 100, 1).bars
    assert len(leak(Market.build(instrument, [("short", block)])).strategic_rows) == 0
