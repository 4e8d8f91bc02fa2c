"""Episodes against a loop that takes one bar at a time and keeps everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.ensemble.config import EnsembleConfig
from agents.models.loading import load_ensemble
from agents.models.store import UNTRAINED
from agents.spec import TACTICAL_AGENT
from engine.base.errors import UsageError
from engine.types.instruments import Fees, Instrument
from portfolio.config import Execution, Limits, PortfolioConfig, Slippage
from portfolio.trades import TradeBook
from tests.bars import random_bars
from training.environment.market import Market
from training.environment.rewards import TERMS, Rewards
from training.environment.vector import Actions, VectorEnv
from training.evaluation.baselines import reward_terms, run_baseline
from training.evaluation.episodes import run_episodes
from training.evaluation.evaluation import evaluate
from training.evaluation.policies import LearnedPolicy, Policy, ServedPolicy, without
from training.evaluation.starts import evaluation_starts

LENGTH = 240
INSTRUMENT = Instrument(name="X", tick_size=0.01, size_step=0.01, min_size=0.01, multiplier=100.0, fees=Fees(rate=1e-4))
PORTFOLIO = PortfolioConfig(execution=Execution(slippage=Slippage(ticks=1)))
ENSEMBLE = EnsembleConfig()


class Reacting:
    """Decides something different for every observation, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {"strategic": 0, "tactical": 0, "risk": 0}

    def strategic(self, observations: Any) -> Any:
        self.asked["strategic"] += len(observations)
        return (np.abs(observations[:, -1].sum(axis=1)) * 997).astype(np.int64) % 3

    def tactical(self, observations: Any) -> Any:
        self.asked["tactical"] += len(observations)
        share = np.abs(np.sin(observations[:, -1, :3].astype(np.float64) * 5000.0))
        return (
            np.array(TACTICAL_AGENT.low) + share * (np.array(TACTICAL_AGENT.high) - np.array(TACTICAL_AGENT.low))
        ).astype(np.float32)

    def risk(self, observations: Any) -> Any:
        self.asked["risk"] += len(observations)
        return 4 - (np.abs(observations.astype(np.float64).sum(axis=1)) * 991).astype(np.int64) % 5


@pytest.fixture(scope="module")
def market() -> Market:
    blocks = [("a", random_bars(4600, 1, volatility=4e-4)), ("b", random_bars(3700, 2, volatility=4e-4))]
    return Market.build(INSTRUMENT, blocks)


@pytest.fixture(scope="module")
def starts(market: Market) -> Any:
    return np.concatenate([market.starts((0, 4600), LENGTH)[:5], market.starts((4600, 8300), LENGTH)[:4]])


def slowly(market: Market, portfolio: PortfolioConfig, policy: Policy, start: Any) -> dict[str, Any]:
    """One episode in one environment, bar by bar."""
    env = VectorEnv(market, portfolio, Rewards(), ENSEMBLE, 1, record_fills=True)
    env.reset(0, int(start), LENGTH)
    equity, held, fees = [float(env.equity[0, 0])], [], [0.0]
    rewards, taken = np.zeros((3, len(TERMS))), {"strategic": [], "tactical": [], "risk": []}
    while not (env.terminated[0] or env.truncated[0]):
        due = env.due[0].copy()
        actions = Actions(policy.strategic(env.strategic), policy.tactical(env.tactical), policy.risk(env.risk))
        for agent, (name, action) in enumerate(zip(taken, actions, strict=True)):
            if due[agent]:
                taken[name].append(action[0])
        before = env.terms[0].copy()
        before[due] = 0.0
        env.step(actions)
        rewards += env.terms[0] - before
        equity.append(float(env.accounts["equity"][0]))
        fees.append(float(env.accounts["fees"][0]))
        held.append(float(env.positions["quantity"][0]))
    return {
        "equity": np.array(equity),
        "fees": np.array(fees),
        "held": np.array(held),
        "terms": rewards,
        "taken": taken,
        "fills": env.fills(0),
    }


def test_against_one_environment_bar_by_bar(market: Market, starts: Any) -> None:
    results = run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, Reacting(), starts, LENGTH, envs=4)
    assert [one.start for one in results] == starts.tolist()
    assert sum(one.trades for one in results) > 20
    for one in (results[0], results[4], results[8]):
        seen = slowly(market, PORTFOLIO, Reacting(), one.start)
        curve = seen["equity"]
        assert one.bars == LENGTH == len(curve) - 1
        assert one.total_return == pytest.approx(curve[-1] / curve[0] - 1)
        assert one.exposure == pytest.approx((seen["held"] != 0).mean())
        assert one.fees == pytest.approx(seen["fees"][-1] / curve[0])
        assert one.max_drawdown == pytest.approx((curve / np.maximum.accumulate(curve) - 1).min())
        returns = np.diff(curve) / curve[:-1]
        yearly = np.sqrt(market.bars_per_year)
        assert one.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * yearly)
        assert one.volatility == pytest.approx(returns.std(ddof=1) * yearly)
        np.testing.assert_allclose([one.terms[name] for name in TERMS], seen["terms"].T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one.agent_rewards, seen["terms"].sum(axis=1), atol=1e-9)
        assert one.reward == pytest.approx(one.agent_rewards[0])
        book = TradeBook([100.0])
        profits = book.update(seen["fills"])["profit"]
        assert one.trades == len(profits)
        assert one.wins == (profits > 0).sum()
        assert one.gross_loss == pytest.approx(profits[profits < 0].sum())
        assert one.actions is not None
        assert one.actions.strategic == tuple(np.bincount(seen["taken"]["strategic"], minlength=3))
        assert one.actions.risk == tuple(np.bincount(seen["taken"]["risk"], minlength=5))
        tactics = np.array(seen["taken"]["tactical"], np.float64)
        np.testing.assert_allclose(one.actions.tactical_mean, tactics.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(one.actions.tactical_deviation, tactics.std(axis=0), rtol=1e-6)
        for k in range(3):
            counts, _ = np.histogram(tactics[:, k], bins=20, range=(TACTICAL_AGENT.low[k], TACTICAL_AGENT.high[k]))
            assert one.actions.tactical[k] == tuple(counts)


def test_how_many_run_side_by_side_changes_nothing(market: Market, starts: Any) -> None:
    policy = ServedPolicy(load_ensemble(UNTRAINED))
    alone = run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, policy, starts, LENGTH, envs=1)
    for envs in (4, 16):
        assert run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, policy, starts, LENGTH, envs=envs) == alone
    backwards = run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, policy, starts[::-1], LENGTH, envs=4)
    assert backwards[::-1] == alone


def test_only_agents_that_are_due_are_asked(market: Market, starts: Any) -> None:
    policy = Reacting()
    results = run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, policy, starts[:5], LENGTH, envs=2)
    used = [one.actions for one in results if one.actions is not None]
    assert policy.asked["strategic"] == sum(sum(one.strategic) for one in used) == 5 * LENGTH // 30
    assert policy.asked["tactical"] == sum(sum(one.tactical[0]) for one in used) == 5 * LENGTH // 5
    assert policy.asked["risk"] == sum(sum(one.risk) for one in used) == 5 * LENGTH // 5


def test_reward_formulas_against_the_environments(market: Market, starts: Any) -> None:
    for start in starts[:3]:
        seen = slowly(market, PORTFOLIO, Reacting(), start)
        rewards = Rewards()
        np.testing.assert_allclose(
            reward_terms(seen["equity"], seen["fees"], rewards), seen["terms"][2], rtol=1e-9, atol=1e-9
        )


def test_buying_and_holding_by_hand(market: Market, starts: Any) -> None:
    portfolio = PortfolioConfig()
    start = int(starts[1])
    (one,) = run_baseline("buy_and_hold", market, portfolio, Rewards(), [start], LENGTH)
    bars = market.bars
    entry = float(bars.open[start + 1, 0])
    fee = entry * 100.0 * 1e-4
    profit = (float(bars.close[start + LENGTH, 0]) - entry) * 100.0 - fee
    assert one.total_return == pytest.approx(profit / 100_000.0)
    assert one.fees == pytest.approx(fee / 100_000.0)
    assert (one.trades, one.exposure, one.bars, one.halted) == (0, 1.0, LENGTH, None)
    (flat,) = run_baseline("flat", market, portfolio, Rewards(), [start], LENGTH)
    assert (flat.total_return, flat.reward, flat.exposure, flat.sharpe) == (0.0, 0.0, 0.0, None)


def test_holding_is_what_an_ensemble_that_never_sells_does(market: Market, starts: Any) -> None:
    class Long:
        def strategic(self, observations: Any) -> Any:
            return np.full(len(observations), 2)

        def tactical(self, observations: Any) -> Any:
            return np.tile(np.array([1.0, 0.05, 1.0], np.float32), (len(observations), 1))

        def risk(self, observations: Any) -> Any:
            return np.full(len(observations), 4)

    ours = run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, Long(), starts[:3], LENGTH)
    held = run_baseline("buy_and_hold", market, PORTFOLIO, Rewards(), starts[:3], LENGTH)
    for one, other in zip(ours, held, strict=True):
        assert one.total_return == pytest.approx(other.total_return)
        assert one.reward == pytest.approx(other.reward)
        assert one.terms == {name: pytest.approx(values) for name, values in other.terms.items()}


def test_a_hard_limit_ends_an_episode_and_the_baselines_too(market: Market, starts: Any) -> None:
    strict = PORTFOLIO.model_copy(update={"limits": Limits(max_drawdown=0.0001)})
    results = run_episodes(market, strict, Rewards(), ENSEMBLE, Reacting(), starts[:4], LENGTH)
    assert any(one.halted == "max_drawdown" and one.bars < LENGTH for one in results)
    held = run_baseline("buy_and_hold", market, strict, Rewards(), starts[:4], LENGTH)
    halted = [one for one in held if one.halted]
    assert halted
    for one in halted:
        assert one.halted == "max_drawdown"
        assert one.bars < LENGTH
        assert one.max_drawdown <= -0.0001


def test_neutral_stand_ins(market: Market, starts: Any) -> None:
    found = evaluate(market, PORTFOLIO, Rewards(), ENSEMBLE, Reacting(), starts[:6], LENGTH)
    assert set(found.replaced) == {"strategic", "tactical", "risk"}
    assert all(one.reward == 0.0 and one.trades == 0 for one in found.replaced["strategic"])
    for one in found.replaced["risk"]:
        assert one.actions is not None
        assert sum(one.actions.risk[:4]) == 0
    tactical = found.replaced["tactical"][0].actions
    assert tactical is not None
    np.testing.assert_allclose(tactical.tactical_mean, (1.0, 0.05, 1.0), rtol=1e-6)
    np.testing.assert_allclose(tactical.tactical_deviation, 0.0, atol=1e-7)
    tree = found.tree()
    assert tree["contributions"]["strategic"]["mean"] == tree["summary"]["performance"]["mean_reward"]
    assert tree["baselines"]["flat"]["performance"]["total_return"]["value"] == 0.0
    own = tree["summary"]["performance"]["total_return"]
    assert tree["comparisons"]["flat"]["total_return"] == own
    assert len(tree["per_episode"]["total_return.buy_and_hold"]) == 6


def test_learners_are_asked_without_exploration() -> None:
    class Learner:
        def __init__(self, answer: Any) -> None:
            self.answer, self.given = answer, {}

        def act(self, observations: Any, *args: Any, **options: Any) -> Any:
            self.given = {"args": args, **options}
            return self.answer

        def greedy(self, observations: Any) -> Any:
            self.given = {"greedy": True}
            return self.answer

    class Acted:
        actions = np.array([2, 0])

    ppo, sac, dqn = Learner(Acted()), Learner(np.full((2, 3), 9.0, np.float32)), Learner(np.array([1, 4]))
    policy = LearnedPolicy(ppo, sac, dqn)
    assert policy.strategic(np.zeros((2, 48, 13), np.float32)).tolist() == [2, 0]
    np.testing.assert_allclose(policy.tactical(np.zeros((2, 60, 7), np.float32)), [TACTICAL_AGENT.high] * 2)
    assert policy.risk(np.zeros((2, 10), np.float32)).tolist() == [1, 4]
    assert ppo.given["explore"] is False
    assert sac.given["explore"] is False
    assert dqn.given == {"greedy": True}


def test_mistakes_are_named(market: Market) -> None:
    with pytest.raises(UsageError, match="at least one episode"):
        run_episodes(market, PORTFOLIO, Rewards(), ENSEMBLE, Reacting(), [], LENGTH)
    with pytest.raises(UsageError, match="no seat"):
        without(Reacting(), "tactician")
    with pytest.raises(UsageError, match="no risk network"):
        ServedPolicy(replace(load_ensemble(UNTRAINED), risk=None))
    with pytest.raises(UsageError, match="no episode fits"):
        evaluation_starts(market, [(0, 3000)], 5000, 10)


def test_starts_overlap_by_half_where_there_are_enough(market: Market) -> None:
    few = evaluation_starts(market, [(0, 4600)], LENGTH, 4)
    half = market.starts((0, 4600), LENGTH)
    assert len(few) == 4
    assert set(few) <= set(half)
    assert (few[0], few[-1]) == (half[0], half[-1])
    drawn = [evaluation_starts(market, [(0, 4600)], LENGTH, 4, seed).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == sorted(set(drawn[0]))


def test_starts_lie_closer_where_there_are_too_few(market: Market) -> None:
    many = evaluation_starts(market, [(0, 4600)], LENGTH, 10_000)
    assert len(market.starts((0, 4600), LENGTH)) < len(many) < 10_000
    assert many.tolist() == market.decision_rows(0, 4600 - LENGTH).tolist()
    env = VectorEnv(market, PORTFOLIO, Rewards(), ENSEMBLE, len(many))
    env.reset(np.arange(len(many)), many, np.full(len(many), LENGTH))  # every one of them fits its source
    assert (many + LENGTH < 4600).all()
