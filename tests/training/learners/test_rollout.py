"""Decisions that do not come in lockstep, and their advantages against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from training.learners.replay.buffer import ArrayStore, ReferenceStore
from training.learners.rollout import Rollout

NO = np.zeros(1, bool)
YES = np.ones(1, bool)


def one(value: float) -> np.ndarray:
    return np.array([value])


def decide(rollout: Rollout, env: int, key: float, value: float) -> None:
    rollout.add(np.array([env]), np.full((1, 1), key, np.float32), np.array([1]), one(-0.5), one(value))


def by_definition(episodes: list[list[dict]], gamma: float, lam: float) -> dict[float, float]:
    """A_t as the sum of discounted temporal differences up to the end of the episode (or of what is known), by key."""
    found = {}
    for steps in episodes:
        deltas = []
        for number, step in enumerate(steps):
            after = steps[number + 1]["value"] if number + 1 < len(steps) else step["after"]
            deltas.append(step["reward"] + gamma * after - step["value"])
        for number, step in enumerate(steps):
            if step["closed"]:
                rest = deltas[number:] if steps[-1]["closed"] else deltas[number:-1]
                found[step["key"]] = sum((gamma * lam) ** k * delta for k, delta in enumerate(rest))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    st.sampled_from([0.0, 0.9, 1.0]),
)
def test_advantages_are_those_of_the_definition_whatever_the_order(seed, envs, actions, gamma, lam):
    """Environments decide and are rewarded at random times; episodes end, are cut off, or are open at the end."""
    generator = np.random.default_rng(seed)
    rollout = Rollout(envs, ArrayStore((1,)), capacity=2)
    episodes: list[list[dict]] = []
    current: list[list[dict] | None] = [None] * envs
    waiting = [False] * envs
    for key in range(actions):
        env = int(generator.integers(envs))
        if not waiting[env]:
            if current[env] is None:
                current[env] = []
                episodes.append(current[env])
            step = {"key": float(key), "value": generator.normal(), "closed": False, "reward": 0.0, "after": 0.0}
            current[env].append(step)
            decide(rollout, env, key, step["value"])
        else:
            kind = generator.choice(["goes on", "terminated", "truncated"], p=[0.7, 0.15, 0.15])
            step = current[env][-1]
            bootstrap = generator.normal()
            step |= {"closed": True, "reward": generator.normal(), "after": 0.0 if kind == "terminated" else bootstrap}
            rollout.reward(
                np.array([env]),
                one(step["reward"]),
                np.array([kind == "terminated"]),
                np.array([kind == "truncated"]),
                one(bootstrap),
            )
            if kind != "goes on":
                current[env] = None
        waiting[env] = not waiting[env]
    expected = by_definition(episodes, gamma, lam)
    assert len(rollout) == len(expected)
    found = rollout.take(gamma, lam)
    keys = found.observation[:, 0].tolist()
    assert keys == sorted(expected)
    np.testing.assert_allclose(found.advantage, [expected[key] for key in keys], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.returns, found.advantage + found.value, rtol=1e-5, atol=1e-5)
    assert len(rollout) == 0
    assert rollout.open.tolist() == waiting


def test_lambda_1_and_values_of_0_give_discounted_returns():
    rollout = Rollout(1, ArrayStore((1,)))
    for key in range(3):
        decide(rollout, 0, key, 0.0)
        rollout.reward(np.array([0]), one(key + 1.0), np.array([key == 2]), NO)
    np.testing.assert_allclose(rollout.take(0.5, 1.0).advantage, [1 + 1 + 0.75, 2 + 1.5, 3])


def test_a_decision_that_is_open_at_the_update_gives_its_value_and_stays():
    rollout = Rollout(1, ArrayStore((1,)))
    decide(rollout, 0, 7, 1.0)
    rollout.reward(np.array([0]), one(2.0), NO, NO)
    decide(rollout, 0, 8, 10.0)
    first = rollout.take(0.5, 0.9)
    assert first.advantage.tolist() == [2.0 + 0.5 * 10.0 - 1.0]
    rollout.reward(np.array([0]), one(1.0), YES, NO)
    second = rollout.take(0.5, 0.9)
    assert second.observation.tolist() == [[8.0]]
    assert second.advantage.tolist() == [1.0 - 10.0]


def test_an_episode_that_was_cut_off_does_not_see_the_next_one():
    rollout = Rollout(1, ArrayStore((1,)))
    decide(rollout, 0, 0, 1.0)
    rollout.reward(np.array([0]), one(1.0), NO, YES, one(4.0))
    decide(rollout, 0, 1, 100.0)
    rollout.reward(np.array([0]), one(1.0), YES, YES)
    assert rollout.take(0.5, 1.0).advantage.tolist() == [1 + 2 - 1, 1 - 100]


def test_values_that_are_needed_are_asked_for():
    rollout = Rollout(2, ArrayStore((1,)))
    decide(rollout, 1, 0, 1.0)
    with pytest.raises(UsageError, match="cut off"):
        rollout.reward(np.array([1]), one(1.0), NO, YES)
    rollout.reward(np.array([1]), one(1.0), NO, NO)
    with pytest.raises(UsageError, match="environment 1"):
        rollout.take(0.9, 0.9)


def test_rewards_and_decisions_take_turns():
    rollout = Rollout(2, ArrayStore((1,)))
    with pytest.raises(UsageError, match="environment 0 has no decision"):
        rollout.reward(np.array([0]), one(1.0), NO, NO)
    decide(rollout, 0, 0, 1.0)
    with pytest.raises(UsageError, match="environment 0 has not been rewarded"):
        decide(rollout, 0, 1, 1.0)
    for envs in ([2], [-1], [1, 1]):
        with pytest.raises(UsageError, match="numbered"):
            rollout.reward(np.array(envs), one(1.0), NO, NO)
    with pytest.raises(UsageError, match="do not fit"):
        rollout.add(np.array([1]), np.zeros((1, 2), np.float32), np.array([1]), one(0.0), one(0.0))
    with pytest.raises(UsageError, match="at least one"):
        Rollout(0, ArrayStore((1,)))


def test_references_are_looked_up():
    windows = np.arange(20, dtype=np.float32).reshape(10, 2)
    rollout = Rollout(2, ReferenceStore(lambda rows: windows[rows]))
    rollout.add(np.array([1, 0]), np.array([4, 9]), np.array([0, 2]), np.array([-1.0, -2.0]), np.zeros(2))
    rollout.reward(np.array([0, 1]), np.array([1.0, 2.0]), np.ones(2, bool), np.zeros(2, bool))
    found = rollout.take(0.9, 0.9)
    assert found.observation.tolist() == [[8.0, 9.0], [18.0, 19.0]]
    assert found.advantage.tolist() == [2.0, 1.0]
    assert found.action.tolist() == [0, 2]
    assert found.log_probability.tolist() == [-1.0, -2.0]


def test_a_rollout_goes_on_from_its_state():
    def some(rollout: Rollout, start: int, stop: int) -> None:
        generator = np.random.default_rng(start)
        for key in range(start, stop):
            env = key % 3
            if rollout.open[env]:
                rollout.reward(np.array([env]), generator.normal(size=1), NO, np.array([key % 5 == 0]), one(0.3))
            decide(rollout, env, key, float(generator.normal()))

    whole, first, second = (Rollout(3, ArrayStore((1,)), capacity=4) for _ in range(3))
    some(whole, 0, 20)
    some(first, 0, 20)
    second.restore(first.snapshot())
    assert len(second) == len(whole) > 0
    for rollout in (whole, second):
        some(rollout, 20, 40)
    for expected, found in zip(whole.take(0.9, 0.8), second.take(0.9, 0.8), strict=True):
        np.testing.assert_array_equal(expected, found)
    with pytest.raises(DataError, match="another"):
        Rollout(2, ArrayStore((1,))).restore(first.snapshot())
    with pytest.raises(DataError, match="another"):
        Rollout(3, ArrayStore((2,))).restore(first.snapshot())
