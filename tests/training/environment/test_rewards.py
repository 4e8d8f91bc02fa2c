"""Reward terms against the formulas, written out bar by bar in plain Python."""

import math

import numpy as np
import pytest

from agents.ensemble.config import EnsembleConfig
from portfolio.config import PortfolioConfig
from tests.training.environment.playing import all_of, make_env, market, random_actions
from training.config import RewardShaping
from training.environment.rewards import TERMS, Rewards
from training.environment.vector import VectorEnv


def by_definition(equity: list[float], fees: list[float], initial: float, rewards: Rewards) -> list[list[float]]:
    """Terms of each bar after the first."""
    mean = square = depth = 0.0
    peak, out = initial, []
    for before, after, paid, total in zip(equity, equity[1:], fees, fees[1:], strict=False):
        x, c = 100 * (after - before) / initial, 100 * (total - paid) / initial
        variance, ratio = square - mean**2, 0.0
        if variance > 1e-12 * square:
            ratio = (square * (x - mean) - 0.5 * mean * (x**2 - square)) / variance**1.5
        mean, square = mean + (x - mean) / 240, square + (x**2 - square) / 240
        peak = max(peak, after)
        fall = 100 * (peak - after) / peak
        out.append(
            [
                rewards.profit_weight * (x + c),
                -rewards.profit_weight * c,
                -rewards.risk_penalty * x**2 / 2,
                rewards.sharpe_bonus * math.sqrt(240) / 240 * max(-10.0, min(10.0, ratio)),
                -rewards.max_drawdown_penalty * (fall - depth),
            ]
        )
        depth = fall
    return out


@pytest.mark.parametrize(
    "rewards",
    [Rewards(), Rewards(0.0, 0.0, 1.0, 0.0), Rewards(2.0, 3.0, 0.0, 0.5)],
    ids=["default", "sharpe", "others"],
)
def test_terms_are_the_formulas_summed_between_decisions(rewards: Rewards) -> None:
    found, length = market("ES", missing=0.02), 700
    config = PortfolioConfig.model_validate({"sizing": {"value": 3}, "execution": {"slippage": {"ticks": 1}}})
    env = VectorEnv(found, config, rewards, EnsembleConfig(), 3)
    env.reset(*all_of(3, int(found.starts((0, len(found)), length)[0]), length))
    generator = np.random.default_rng(5)
    fees = [env.fees.copy()]
    seen = []
    while not env.truncated.all():
        due = env.due.copy()
        env.step(random_actions(generator, 3))
        fees.append(env.fees.copy())
        seen.append((due, env.terms.copy(), env.rewards.copy()))
    for e in range(3):
        paid = [float(row[e]) for row in fees]
        wanted = by_definition(env.equity[e, : length + 1].tolist(), paid, 100_000.0, rewards)
        total = np.zeros((3, len(TERMS)))
        for bar, (due, terms, sums) in zip(wanted, seen, strict=True):
            total[due[e]] = 0.0
            total += bar
            np.testing.assert_allclose(terms[e], total, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(sums[e], terms[e].sum(axis=-1))
        assert paid[-1] > 0


def test_profit_and_cost_add_up_to_what_became_of_the_account() -> None:
    found, length = market("ES"), 600
    env = make_env(found, 2, PortfolioConfig())
    start = int(found.starts((0, len(found)), length)[0])
    env.reset(*all_of(2, start, length))
    generator = np.random.default_rng(1)
    net = np.zeros(2)
    while not env.truncated.all():
        env.advance(random_actions(generator, 2))
        decided = env.due[:, 1] | env.truncated
        net[decided] += env.terms[decided, 1, :2].sum(axis=-1)
    gained = 100 * (env.equity[:, length] / 100_000 - 1)
    np.testing.assert_allclose(net, gained, rtol=1e-9)
    assert (gained != 0).all()


def test_they_come_from_the_configuration() -> None:
    shaping = RewardShaping(profit_weight=2, risk_penalty=3, sharpe_bonus=4, max_drawdown_penalty=5)
    assert Rewards.of(shaping).weights().tolist() == [2, 3, 4, 5]
    assert Rewards.of(RewardShaping()) == Rewards()
