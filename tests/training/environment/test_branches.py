"""What alternatives are worth, against episodes that were really played with them."""

from typing import Any

import numpy as np
import pytest

from agents.spec import AGENT_NAMES
from tests.training.environment.playing import make_env, market, random_actions
from training.environment.branches import Branches
from training.environment.vector import Actions, VectorEnv

ENVS, LENGTH, GAMMA = 3, 300, 0.9
CLOCK = ("strategic",)
TACTICS = np.array([[1.0, 0.05, 2.0], [0.2, 0.002, 0.5], [1.0, 0.01, 1.0]], np.float32)
ALTERNATIVES: dict[str, Any] = {"strategic": np.arange(3), "tactical": TACTICS, "risk": np.arange(5)}


def begun(envs: int = ENVS) -> VectorEnv:
    env = make_env(market("ES", missing=0.02), envs)
    starts = env.market.starts((0, len(env.market)), LENGTH)
    env.reset(np.arange(envs), starts[np.arange(envs) % ENVS], np.full(envs, LENGTH))
    return env


def script(seed: int) -> list[Actions]:
    generator = np.random.default_rng(seed)
    return [random_actions(generator, ENVS) for _ in range(LENGTH // 30 + 2)]


def branches_of(env: VectorEnv, agent: str) -> Branches:
    tried = ALTERNATIVES[agent]
    shape = ((len(tried), *tried.shape[1:]), tried.dtype)
    return Branches(lambda envs: make_env(env.market, envs), ENVS, agent, ((), np.int64), shape, GAMMA)


def worths_by_branching(agent: str, seed: int, *, saved_at: int | None = None) -> dict[tuple[int, int], Any]:
    """Values of every decision by environment and step, as they come out of the branches."""
    env, tried = begun(), ALTERNATIVES[agent]
    branches, found = branches_of(env, agent), {}
    for k, actions in enumerate(script(seed)):
        due = np.flatnonzero(env.due[:, 0])
        if not len(due):
            break
        closed = branches.close(due, ended=False)
        found |= {
            (int(key) % 100, int(key) // 100): value for key, value in zip(closed.keys, closed.values, strict=True)
        }
        branches.open(env, due, due + 100 * k, np.stack([tried] * len(due)))
        if k == saved_at:
            state = branches.snapshot()
            branches = branches_of(env, agent)
            branches.restore(state)
        env.advance(actions, CLOCK)
        branches.advance(actions)
    return found


@pytest.mark.parametrize("agent", AGENT_NAMES)
def test_worths_are_the_rewards_of_episodes_played_with_the_alternative(agent: str) -> None:
    found = worths_by_branching(agent, 4)
    played = script(4)
    assert len(found) >= ENVS * 6
    for k in (0, 1, 5):
        for at, alternative in enumerate(ALTERNATIVES[agent]):
            env = begun()
            for actions in played[:k]:
                env.advance(actions, CLOCK)
            changed = Actions(*(part.copy() for part in played[k]))
            getattr(changed, agent)[:] = alternative
            env.advance(changed, CLOCK)
            first = env.rewards[:, 0].copy()
            env.advance(played[k + 1], CLOCK)
            for e in range(ENVS):
                assert found[e, k][at] == first[e] + GAMMA * env.rewards[e, 0]


def test_branches_leave_the_episodes_alone() -> None:
    env, alone = begun(), begun()
    branches = branches_of(env, "strategic")
    for actions in script(5)[:6]:
        due = np.flatnonzero(env.due[:, 0])
        branches.close(due, ended=False)
        branches.open(env, due, due, np.stack([np.arange(3)] * len(due)))
        env.advance(actions, CLOCK)
        alone.advance(actions, CLOCK)
        branches.advance(actions)
        assert env.accounts.tobytes() == alone.accounts.tobytes()
        assert env.terms.tobytes() == alone.terms.tobytes()


@pytest.mark.parametrize("at", [0, 3])
def test_restored_branches_come_to_the_same_worths(at: int) -> None:
    whole, parted = worths_by_branching("risk", 6), worths_by_branching("risk", 6, saved_at=at)
    assert whole.keys() == parted.keys()
    assert all((whole[key] == parted[key]).all() for key in whole)
