"""The collector: who is asked, what becomes of decisions, and that only agents that are due decide anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.ensemble.config import EnsembleConfig
from agents.spec import AGENT_NAMES, AGENTS
from engine.types.instruments import Fees, Instrument
from portfolio.config import Limits, PortfolioConfig
from tests.bars import random_bars
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv
from training.experience import Answer, Collector, Decide, Decision, Transition, moment_of, stand_ins
from training.trainer.setup import random_actions

ENVS, LENGTH = 4, 120
INSTRUMENT = Instrument(name="X", tick_size=0.01, size_step=0.01, min_size=0.01, multiplier=100.0, fees=Fees(rate=1e-4))


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.build(INSTRUMENT, [("a", random_bars(4600, 1, volatility=4e-4))])


def environments(market: Market, **limits: float) -> VectorEnv:
    portfolio = PortfolioConfig(limits=Limits(**limits))
    env = VectorEnv(market, portfolio, Rewards(), EnsembleConfig(), ENVS, record_fills=True)
    env.reset(np.arange(ENVS), market.starts((0, len(market)), LENGTH)[:ENVS], np.full(ENVS, LENGTH))
    return env


def over(env: VectorEnv) -> bool:
    return bool((env.terminated | env.truncated).all())


class Drawing:
    """Agents that draw their actions, and keep what they saw."""

    def __init__(self, seed: int, agents: tuple[str, ...] = AGENT_NAMES) -> None:
        self._generator = np.random.default_rng(seed)
        self.seen: dict[str, list[Any]] = {name: [] for name in agents}

    def deciding(self) -> dict[str, Decide]:
        return {name: lambda seen, name=name: self._draw(name, seen) for name in self.seen}  # type: ignore[misc] # bound now

    def _draw(self, name: str, seen: Any) -> Answer:
        self.seen[name].append(seen.copy())
        drawn = random_actions(self._generator, len(seen))
        return Answer(drawn[AGENT_NAMES.index(name)], {"number": np.full(len(seen), len(self.seen[name]))})


def play(env: VectorEnv, agents: Drawing) -> tuple[Collector, list[Decision | Transition]]:
    """All episodes to their end; everything that was told, in order."""
    collector, told = Collector(ENVS), list[Decision | Transition]()
    while not over(env):
        actions, decisions = collector.ask(moment_of(env), agents.deciding())
        env.advance(actions)
        told += [*decisions, *collector.gather(moment_of(env))]
    return collector, told


def test_what_is_done_for_waiting_agents_does_not_matter(market: Market) -> None:
    usual, other = environments(market), environments(market)
    generator, noise = np.random.default_rng(1), np.random.default_rng(2)
    while not over(usual):
        due, drawn, waiting = usual.due.copy(), random_actions(generator, ENVS), random_actions(noise, ENVS)
        kept, replaced = stand_ins(ENVS), Actions(*(part.copy() for part in waiting))
        for agent in range(3):
            kept[agent][due[:, agent]] = replaced[agent][due[:, agent]] = drawn[agent][due[:, agent]]
        usual.advance(kept)
        other.advance(replaced)
        np.testing.assert_array_equal(usual.due, other.due)
        np.testing.assert_array_equal(usual.terms, other.terms)
        for name in AGENT_NAMES:
            np.testing.assert_array_equal(getattr(usual, name), getattr(other, name))
    assert usual.equity.tobytes() == other.equity.tobytes()
    assert sum(len(usual.fills(env)) for env in range(ENVS)) > ENVS
    for env in range(ENVS):
        assert usual.fills(env).tobytes() == other.fills(env).tobytes()


def test_an_action_of_a_due_agent_does_matter(market: Market) -> None:
    usual, other = environments(market), environments(market)
    for env, direction in ((usual, 2), (other, 0)):
        env.advance(stand_ins(ENVS)._replace(strategic=np.full(ENVS, direction)))
        while not over(env):
            env.advance(stand_ins(ENVS))
    assert usual.equity.tobytes() != other.equity.tobytes()


@pytest.mark.parametrize("limits", [{}, {"max_drawdown": 0.00005}], ids=["whole", "halted"])
def test_every_decision_ends_once_and_its_rewards_are_those_of_the_episode(
    market: Market, limits: dict[str, float]
) -> None:
    env, agents = environments(market, **limits), Drawing(3)
    collector, told = play(env, agents)
    assert bool(env.terminated.any()) == bool(limits)
    rewards = np.zeros((ENVS, 3))
    waiting: dict[tuple[str, int], Any] = {}
    for one in told:
        for at, environment in enumerate(one.environments.tolist()):
            if isinstance(one, Decision):
                assert (one.agent, environment) not in waiting, "the decision before is over"
                waiting[one.agent, environment] = one.actions[at]
            else:
                del waiting[one.agent, environment]
                rewards[environment, AGENT_NAMES.index(one.agent)] += one.rewards[at]
    assert not waiting, "every decision was followed up"
    np.testing.assert_allclose(rewards, collector.terms.sum(axis=2), atol=1e-9)
    # all agents are rewarded for the same bars
    np.testing.assert_allclose(rewards, np.repeat(rewards[:, -1:], 3, axis=1), atol=1e-9)
    assert (rewards != 0).all()
    ended = [one for one in told if isinstance(one, Transition) and (one.terminated | one.truncated).any()]
    assert not any((one.terminated & one.truncated).any() for one in ended)
    assert sum(int(one.terminated.sum()) for one in ended) == 3 * env.terminated.sum()


def test_decisions_and_transitions_say_what_was_seen(market: Market) -> None:
    env, agents = environments(market), Drawing(4)
    _, told = play(env, agents)
    for at, name in enumerate(AGENT_NAMES):
        decisions = [one for one in told if isinstance(one, Decision) and one.agent == name]
        transitions = [one for one in told if isinstance(one, Transition) and one.agent == name]
        read = (market.strategic_windows, market.tactical_windows, lambda keys: keys)[at]
        for number, (decision, seen) in enumerate(zip(decisions, agents.seen[name], strict=True)):
            np.testing.assert_array_equal(read(decision.keys), seen)
            assert decision.extra["number"].tolist() == [number + 1] * len(seen)
            assert decision.actions.shape[1:] == (() if AGENTS[name].choices else (3,))
        for transition in transitions:
            np.testing.assert_array_equal(read(transition.keys), transition.observations)
        # it decides next about what its last decision led to
        np.testing.assert_array_equal(transitions[0].observations, agents.seen[name][1])


def test_stand_ins_decide_for_agents_that_are_missing_and_are_rewarded_too(market: Market) -> None:
    env = environments(market)
    collector = Collector(ENVS)
    actions, decisions = collector.ask(moment_of(env), Drawing(5, ("strategic",)).deciding())
    assert [one.agent for one in decisions] == ["strategic"]
    assert actions.tactical.tolist() == [[1.0, pytest.approx(0.05), 1.0]] * ENVS
    assert actions.risk.tolist() == [4] * ENVS
    _, told = play(env, Drawing(5, ("strategic",)))
    assert {one.agent for one in told if isinstance(one, Decision)} == {"strategic"}
    assert {one.agent for one in told if isinstance(one, Transition)} == set(AGENT_NAMES)


def test_episodes_that_are_over_are_left_out_until_they_are_forgotten(market: Market) -> None:
    env = environments(market)
    collector, _ = play(env, Drawing(6))
    before = collector.terms.copy()
    actions, decisions = collector.ask(moment_of(env), Drawing(7).deciding())
    assert not decisions
    env.advance(actions)
    assert not collector.gather(moment_of(env))
    np.testing.assert_array_equal(collector.terms, before)
    collector.forget(np.array([1]))
    assert (collector.terms[1] == 0).all() and (collector.terms[0] == before[0]).all()
