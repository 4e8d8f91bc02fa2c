"""Laws and their filters: oracles, and profits on generated paths against what the chains promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.types.blocks import Floats
from engine.types.instruments import load_instrument
from feeds.generators import GENERATORS, START_NS, find_generator, generate_with_truth
from training.suite.chains import Law
from training.suite.drifts import Clock, Drifting, Walk
from training.suite.laws import is_known, law_of, truth_of
from training.suite.markets import Information, best_policy
from training.suite.optimum import levels, solve
from training.suite.phases import Phases
from training.suite.reversion import WINDOW, Reversion
from training.suite.spells import Spells

FEE = 1e-4
PERIOD = 30
GENERIC = load_instrument("GENERIC")
MARKETS: dict[str, dict[str, float]] = {
    "regime_drift": {},
    "mean_reversion": {"half_life_minutes": 240.0, "deviation_bps": 80.0},
    "trending": {},
    "volatility_premium": {},
    "time_of_day": {},
    "conditions": {"volatility_min": 0.3, "volatility_max": 0.3, "noise": 0.2},
    "trend_sideways": {"volatility_min": 0.3, "volatility_max": 0.3},
}
EXACT = ("regime_drift", "mean_reversion", "trending", "volatility_premium", "time_of_day")


def law(name: str, parameters: dict[str, float] | None = None) -> Law:
    generator = find_generator(name, MARKETS[name] if parameters is None else parameters)
    found = law_of(generator, GENERIC, (1, START_NS))
    assert found is not None
    return found


def realised(name: str, information: Information, observe: int, paths: int, bars: int = 36_000) -> tuple[float, float]:
    """Profit a bar in log returns of following the policy on generated paths, and its standard error."""
    generator = find_generator(name, MARKETS[name])
    known = law(name)
    solution = best_policy(known, FEE, information=information, observe=observe)
    found = []
    for seed in range(paths):
        made = generate_with_truth(generator, GENERIC, bars + 1, 1000 + seed)
        closes = made.bars.close[:, 0]
        if information == "full" or not known.hides:
            seen = truth_of(generator, known, made.hidden, 1000 + seed)[::PERIOD]
        else:
            seen = known.filtered(closes[::observe], observe)[:: PERIOD // observe]
        # estimates have settled after three days; what is held by then was paid for before
        units, logs = solution.follow(seen)[144:], np.log(closes[::PERIOD])[144:]
        earned = float(units[:-1] @ np.diff(logs)) - FEE * float(np.abs(np.diff(units)).sum())
        found.append(earned / PERIOD / (len(units) - 1))
    return float(np.mean(found)), float(np.std(found) / math.sqrt(paths))


@pytest.mark.parametrize("name", MARKETS)
def test_full_information_earns_what_the_chain_promises(name: str) -> None:
    mean, error = realised(name, "full", PERIOD, paths=16)
    expected = best_policy(law(name), FEE).gain
    assert 4 * error < 0.4 * expected
    assert mean == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    ("name", "observe"),
    [("mean_reversion", 30), ("trending", 30), ("trending", 5), ("volatility_premium", 30), ("volatility_premium", 1)],
)
def test_beliefs_earn_what_the_chain_promises(name: str, observe: int) -> None:
    mean, error = realised(name, "belief", observe, paths=16 if observe > 1 else 8)
    expected = best_policy(law(name), FEE, information="belief", observe=observe).gain
    assert 4 * error < 0.4 * expected
    assert mean == pytest.approx(expected, abs=4 * error + 0.02 * expected)


@pytest.mark.parametrize("name", EXACT)
def test_more_information_and_lower_fees_never_earn_less(name: str) -> None:
    for fee in (0.0, FEE, 5 * FEE):
        full = best_policy(law(name), fee).gain
        fine, coarse = (best_policy(law(name), fee, information="belief", observe=bars).gain for bars in (1, 30))
        assert full * 1.001 >= fine >= coarse * 0.999 >= 0.0
        assert not law(name).hides or coarse < 0.97 * full
    gains = [best_policy(law(name), fee).gain for fee in (0.0, FEE, 2 * FEE)]
    assert gains[0] > gains[1] > gains[2] > 0.0


def test_nothing_is_earned_where_nothing_can_be() -> None:
    assert best_policy(law("random_walk", {}), FEE).gain == 0.0
    weak = law("regime_drift", {"drift_bps": 0.03, "mean_minutes": 60.0})
    kinds: tuple[Information, ...] = ("full", "belief")
    for information in kinds:
        best = best_policy(weak, FEE, information=information)
        assert best.gain == pytest.approx(0.0, abs=1e-12)
        assert not best.follow(best.states).any()
    assert best_policy(weak, 0.1 * FEE).gain > 0.0
    assert Walk().filtered(np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_laws_are_known_of_these_generators_only() -> None:
    known = {name for name, kind in GENERATORS.items() if is_known(kind)}
    assert known == {*EXACT, "conditions", "trend", "trend_sideways", "random_walk"}
    for name, kind in GENERATORS.items():
        assert (law_of(kind(), GENERIC, (1, START_NS)) is not None) == (name in known)


@pytest.mark.parametrize("observe", [1, 30])
def test_what_is_believed_of_phases_can_be_earned_and_is_less_than_the_truth(observe: int) -> None:
    full = best_policy(law("trend_sideways"), FEE).gain
    mean, error = realised("trend_sideways", "belief", observe, paths=6)
    assert 4 * error < 0.4 * full
    assert 0.7 * full < mean < full
    assert best_policy(law("trend_sideways"), FEE, information="belief", observe=observe).gain == full


def test_beliefs_about_phases_are_calibrated() -> None:
    generator, seed = find_generator("conditions", MARKETS["conditions"]), 5
    known = law("conditions")
    made = generate_with_truth(generator, GENERIC, 60_000, seed)
    weights = known.filtered(made.bars.close[:, 0]).reshape(60_000, 4, -1).sum(axis=2)
    kind = truth_of(generator, known, made.hidden, seed).astype(int) // (len(known.known(30).states) // 4)
    assert np.allclose(weights.sum(axis=1), 1.0)
    assert (weights.argmax(axis=1) == kind).mean() > 0.9
    for low, high in ((0.1, 0.4), (0.4, 0.7), (0.7, 1.0)):
        inside = (weights >= low) & (weights < high)
        true = kind[:, None] == np.arange(4)
        assert inside.sum() > 1000
        assert true[inside].mean() == pytest.approx(weights[inside].mean(), abs=0.12)


def test_phases_of_one_kind_are_a_drift_of_hidden_sign() -> None:
    """Half of the new spells go on in the same direction, so that a regime lasts two spells."""
    trends = law("trend", {"volatility_min": 0.3, "volatility_max": 0.3, "mean_minutes": 300.0})
    assert isinstance(trends, Phases)
    regimes = Spells.regimes(trends.drift, 1e-4, 600.0)
    for fee in (0.0, FEE, 1e-3):
        assert best_policy(trends, fee).gain == pytest.approx(best_policy(regimes, fee).gain, rel=1e-6)


def gaussian_estimate(told: Floats, covariance: Floats, returns: Floats) -> tuple[float, float]:
    """Oracle: mean and variance that are told about a number of mean 0 by the returns, newest last."""
    weights = np.linalg.solve(covariance, told)
    return float(weights @ returns), float(weights @ told)


def drift_moments(known: Drifting, bars: int, count: int) -> tuple[Floats, Floats]:
    """Covariances of the last drift with returns of so many bars, and of these returns with each other."""
    n = bars * count
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    minutes = known.drift**2 * known.memory**apart + known.deviation**2 * np.eye(n)
    told = known.drift**2 * known.memory ** np.arange(n)[::-1]
    return told.reshape(count, bars).sum(axis=1), minutes.reshape(count, bars, count, bars).sum(axis=(1, 3))


@pytest.mark.parametrize("observe", [1, 6])
def test_the_filter_of_a_drift_is_gaussian_regression(observe: int) -> None:
    known = Drifting(memory=0.97, drift=1e-4, deviation=2e-4)
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 3e-4, 40)
    found = known.filtered(100.0 * np.exp(np.cumsum(np.concatenate([[0.0], returns]))), observe)
    assert len(found) == 41
    for seen in (1, 2, 7, 40):
        mean, _ = gaussian_estimate(*drift_moments(known, observe, seen), returns[:seen])
        assert found[seen] == pytest.approx(mean, rel=1e-7)
    _, told = gaussian_estimate(*drift_moments(known, observe, 300 // observe), np.zeros(300 // observe))
    states = known.believed(30, observe).states
    assert states[-1] / 6.0 == pytest.approx(math.sqrt(told), rel=1e-5)


def test_a_known_drift_without_fee_earns_its_closed_form() -> None:
    known = Drifting(memory=0.5 ** (1 / 480), drift=0.5e-4, deviation=3e-4)
    ahead = sum(known.memory**bar for bar in range(1, 31))
    expected = 2.0 * 0.5e-4 * math.sqrt(2 / math.pi) * ahead / 30
    assert solve(known.known(30), levels(2.0), 0.0).gain == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("observe", "count"), [(30, 48), (30, 5), (1, 60), (10, 100)])
def test_the_estimated_deviation_is_generalized_least_squares(observe: int, count: int) -> None:
    known = Reversion(memory=0.5 ** (1 / 120), deviation=50e-4)
    left = known.memory**observe
    logs = np.random.default_rng(2).normal(0.0, 50e-4, count + 1).cumsum()
    apart = np.abs(np.subtract.outer(np.arange(count + 1), np.arange(count + 1)))
    solved = np.linalg.solve(left**apart, np.stack([np.ones(count + 1), logs], axis=1))
    mean = float(solved[:, 1].sum() / solved[:, 0].sum())
    assert known.filtered(np.exp(logs), observe)[-1] == pytest.approx(logs[-1] - mean, rel=1e-7)


def test_an_estimate_from_a_window_forgets_what_lies_before() -> None:
    known = Reversion(memory=0.5 ** (1 / 120), deviation=50e-4, noise=1e-4)
    closes = np.exp(np.random.default_rng(2).normal(0.0, 50e-4, 200).cumsum())
    whole = known.filtered(closes, 30)
    assert np.allclose(whole[-50:], [known.filtered(closes[: k + 1][-WINDOW - 1 :], 30)[-1] for k in range(150, 200)])


def test_noise_around_a_mean_makes_it_harder_to_know() -> None:
    gains = [
        best_policy(Reversion(0.5 ** (1 / 120), 50e-4, noise), FEE, information="belief").gain
        for noise in (0.0, 1e-4, 3e-4)
    ]
    assert gains[0] > gains[1] > gains[2] > 0.0


def test_the_filter_of_turbulence_is_bayes_rule() -> None:
    """Oracle: every path of kinds, its probability, and the density of the returns given it."""
    known = Spells(drifts=(-1e-4, 0.5e-4), deviations=(4e-4, 2e-4), lengths=(4.0, 8.0))
    returns = np.random.default_rng(3).normal(0.0, 3e-4, 8)
    closes = 100.0 * np.exp(np.cumsum(np.concatenate([[0.0], returns])))
    for observe in (1, 2, 4):
        seen = np.diff(np.log(closes[::observe]))
        weight = [0.0, 0.0]
        for kinds in itertools.product((0, 1), repeat=9):
            likely = (1 / 3, 2 / 3)[kinds[0]]
            for before, after in itertools.pairwise(kinds):
                leaves = (1 / 4, 1 / 8)[before]
                likely *= 1.0 - leaves if before == after else leaves
            grouped = np.array(kinds[1:]).reshape(-1, observe)
            centre = np.where(grouped, 0.5e-4, -1e-4).sum(axis=1)
            spread = np.sqrt(np.where(grouped, 4e-8, 16e-8).sum(axis=1))
            likely *= float(np.prod(np.exp(-0.5 * ((seen - centre) / spread) ** 2) / spread))
            weight[kinds[-1]] += likely
        odds = known.filtered(closes[::observe], observe)
        assert odds[0] == pytest.approx(math.log(2.0))
        assert odds[-1] == pytest.approx(math.log(weight[1] / weight[0]), rel=1e-9)


def test_volatilities_far_apart_are_told_at_once() -> None:
    known = Spells(drifts=(-1e-4, 0.5e-4), deviations=(20e-4, 1e-4), lengths=(480.0, 960.0))
    with np.errstate(divide="raise", invalid="raise"):
        believed = solve(known.believed(30, 1), levels(2.0), FEE).gain
    assert believed == pytest.approx(solve(known.known(30), levels(2.0), FEE).gain, rel=0.02)


def test_spells_that_last_unequally_return_to_their_shares() -> None:
    known = Spells(drifts=(-1e-4, 0.5e-4), deviations=(4e-4, 2e-4), lengths=(200.0, 400.0))
    chain = known.known(30)
    stationary = np.linalg.matrix_power(chain.transition, 500)[0]
    assert stationary == pytest.approx([1 / 3, 2 / 3])
    assert stationary @ chain.reward == pytest.approx(30 * (-1e-4 / 3 + 1e-4 / 3), abs=1e-12)
    one = np.array([[1 - 1 / 200, 1 / 200], [1 / 400, 1 - 1 / 400]])
    assert np.allclose(chain.transition, np.linalg.matrix_power(one, 30))
    ahead = sum(np.linalg.matrix_power(one, bar) @ np.array([-1e-4, 0.5e-4]) for bar in range(1, 31))
    assert known.ahead(30) == pytest.approx(ahead)


@pytest.mark.parametrize("fee", [0.0, FEE, 10 * FEE])
def test_no_times_of_the_day_are_better_than_those_of_the_optimum(fee: float) -> None:
    """Oracle: long from one half hour to another, short twelve hours later, for every pair of times."""
    known = Clock(drift=0.2e-4, rise=350.0)
    ahead = known.known(PERIOD).reward
    best = 0.0
    for begin, bars in itertools.product(range(48), range(25)):
        held: NDArray[np.float64] = np.zeros(48)
        held[(begin + np.arange(bars)) % 48] += 2.0
        held[(begin + 24 + np.arange(bars)) % 48] -= 2.0
        best = max(best, float(held @ ahead) - fee * float(np.abs(held - np.roll(held, 1)).sum()))
    assert solve(known.known(PERIOD), levels(2.0), fee).gain == pytest.approx(best / 1440.0, rel=1e-6)
    assert best > 0.0
