"""The replay buffer against plain lists, and its sum tree against cumulative sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from engine.base.errors import DataError, UsageError
from engine.base.state import State, decode, encode
from training.learners.replay.buffer import (
    ArrayStore,
    ObservationStore,
    Prioritized,
    ReferenceStore,
    Replay,
    ReplayBatch,
)
from training.learners.replay.priorities import LEAST, Priorities

SHAPE = (3,)
TABLE = np.random.default_rng(5).standard_normal((500, 4, 2), dtype=np.float32)


def through_files(state: State) -> State:
    """A state after a round trip through its bytes."""
    result: State = decode(encode(state))
    return result


def numbered(first: int, count: int) -> tuple[NDArray[Any], ...]:
    """Transitions that say in every element which one they are."""
    number = np.arange(first, first + count)
    observation = np.repeat(number[:, None], SHAPE[0], axis=1).astype(np.float32)
    return observation, number % 5, number * 0.5, observation + 1, number % 3 == 0


def buffer(capacity: int = 64, prioritized: Prioritized | None = None, seed: int = 1) -> Replay:
    return Replay(capacity, ArrayStore(SHAPE), (), np.int64, seed=seed, prioritized=prioritized)


def same(one: ReplayBatch, other: ReplayBatch) -> bool:
    return all(np.array_equal(mine, its) and mine.dtype == its.dtype for mine, its in zip(one, other, strict=True))


@given(st.integers(1, 9), st.lists(st.integers(0, 20), max_size=8), st.booleans())
def test_the_ring_holds_the_last_transitions(capacity: int, counts: list[int], prioritized: bool) -> None:
    replay, total = buffer(capacity, Prioritized() if prioritized else None), 0
    for count in counts:
        replay.add(*numbered(total, count))
        total += count
    kept = set(range(total)[-capacity:])
    assert len(replay) == len(kept)
    if not kept:
        return
    batch = replay.sample(200)
    number = batch.observation[:, 0].astype(int)
    assert set(number.tolist()) <= kept
    observation, action, reward, following, terminated = numbered(0, total)
    for found, expected in zip(batch, (observation, action, reward, following, terminated), strict=False):
        np.testing.assert_array_equal(found, expected[number])
    # the next transition falls on the oldest place
    assert set(replay.snapshot()["observation"][:, 0].astype(int).tolist()) == kept
    np.testing.assert_array_equal(number % capacity, batch.index)


def test_types_of_a_batch() -> None:
    replay = Replay(10, ArrayStore((2, 2), np.uint8), (3,), np.float32, seed=0)
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    replay.add(pixels, np.ones((2, 3)), np.ones(2), pixels, np.zeros(2))
    batch = replay.sample(4)
    assert [values.dtype for values in batch] == [np.float32] * 6 + [np.int64]
    assert [values.shape for values in batch] == [(4, 2, 2), (4, 3), (4,), (4, 2, 2), (4,), (4,), (4,)]
    assert batch.weight.tolist() == [1.0] * 4


def test_a_uniform_sample_is_uniform() -> None:
    replay = buffer(50)
    replay.add(*numbered(0, 40))
    counts = np.bincount(np.concatenate([replay.sample(100).index for _ in range(200)]), minlength=50)
    assert not counts[40:].any()
    assert stats.chisquare(counts[:40]).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_prioritized_sample_follows_the_priorities(alpha: float) -> None:
    replay = buffer(50, Prioritized(alpha))
    replay.add(*numbered(0, 40))
    errors = np.random.default_rng(0).normal(size=40)
    replay.update_priorities(np.arange(40), errors)
    # one draw at a time, since stratified draws of one sample are not independent
    counts = np.bincount([int(replay.sample(1).index[0]) for _ in range(20_000)], minlength=50)
    wanted = np.abs(errors) ** alpha + LEAST
    assert not counts[40:].any()
    assert stats.chisquare(counts[:40], wanted / wanted.sum() * counts.sum()).pvalue > 1e-3


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any),
    st.integers(1, 64),
    st.integers(0, 2**32 - 1),
)
def test_draws_are_those_of_the_cumulative_sum(values: list[int], count: int, seed: int) -> None:
    priorities = Priorities(len(values), 1.0)
    # whole numbers, so that every order of summing is exact; LEAST would spoil that
    priorities.restore({"values": np.array(values, dtype=float), "top": 1.0}, len(values))
    draws = np.random.default_rng(seed).random(count)
    points = (np.arange(count) + draws) * (sum(values) / count)
    index, weight = priorities.sample(draws, len(values), 0.5)
    np.testing.assert_array_equal(index, np.searchsorted(np.cumsum(values), points, side="right"))
    chance = np.array(values)[index] / sum(values)
    expected = (len(values) * chance) ** -0.5
    np.testing.assert_allclose(weight, expected / expected.max(), rtol=1e-6)


def test_a_point_at_the_very_end_finds_the_last_priority() -> None:
    priorities = Priorities(6, 1.0)
    priorities.restore({"values": np.array([0.0, 0.1, 0.2, 0.3, 0.0, 0.0]), "top": 1.0}, 6)
    index, _ = priorities.sample(np.full(7, 1.0), 6, 1.0)
    assert index[-1] == 3
    assert set(index.tolist()) <= {1, 2, 3}


@given(st.integers(1, 33), st.lists(st.lists(st.tuples(st.integers(0, 32), st.floats(0, 1e6))), max_size=6))
def test_sums_are_exact_after_any_updates(capacity: int, updates: list[list[tuple[int, float]]]) -> None:
    priorities, leaves = Priorities(capacity, 0.6), np.zeros(capacity)
    for pairs in updates:
        index = np.array([place % capacity for place, _ in pairs], dtype=np.int64)
        errors = np.array([error for _, error in pairs], dtype=float)
        assert priorities.update(index, errors)
        for place, error in zip(index, errors, strict=True):
            leaves[place] = error**0.6 + LEAST
    np.testing.assert_allclose(priorities.values(capacity), leaves, rtol=1e-14)
    tree = priorities._tree
    inner = np.arange(1, len(tree) // 2)
    np.testing.assert_array_equal(tree[inner], tree[2 * inner] + tree[2 * inner + 1])
    np.testing.assert_allclose(priorities.total, np.cumsum(leaves)[-1], rtol=1e-12)


def test_importance_weights_undo_the_sampling() -> None:
    replay = buffer(30, Prioritized(1.0))
    replay.add(*numbered(0, 30))
    errors = np.random.default_rng(3).uniform(0.1, 2.0, 30)
    replay.update_priorities(np.arange(30), errors)
    batch = replay.sample(16, beta=0.4)
    chance = (errors + LEAST) / (errors + LEAST).sum()
    weight = (30 * chance[batch.index]) ** -0.4
    np.testing.assert_allclose(batch.weight, weight / weight.max(), rtol=1e-6)
    assert batch.weight.max() == 1.0
    assert replay.sample(16, beta=0.0).weight.tolist() == [1.0] * 16


def test_new_transitions_get_the_largest_priority_so_far() -> None:
    replay = buffer(8, Prioritized(1.0))
    replay.add(*numbered(0, 4))
    priorities = replay.priorities
    assert priorities is not None
    assert priorities.values(5).tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
    replay.update_priorities(np.array([1, 2, 1]), np.array([3.0, -7.0, 0.0]))
    np.testing.assert_allclose(priorities.values(4), [1.0, LEAST, 7.0 + LEAST, 1.0])
    replay.update_priorities(np.array([2]), np.array([0.5]))
    replay.add(*numbered(4, 5))
    np.testing.assert_allclose(priorities.values(8)[[0, 4, 7]], 7.0 + LEAST)


def test_an_error_that_is_not_finite_changes_nothing() -> None:
    replay = buffer(8, Prioritized())
    replay.add(*numbered(0, 4))
    priorities = replay.priorities
    assert priorities is not None
    before = priorities._tree.copy()
    for wrong in (np.nan, np.inf):
        with pytest.raises(UsageError, match="finite"):
            replay.update_priorities(np.array([0, 1]), np.array([2.0, wrong]))
    np.testing.assert_array_equal(priorities._tree, before)


@pytest.mark.parametrize("prioritized", [None, Prioritized()])
def test_references_read_what_arrays_keep(prioritized: Prioritized | None) -> None:
    stores: tuple[ObservationStore, ObservationStore] = ArrayStore((4, 2)), ReferenceStore(lambda rows: TABLE[rows])
    kept, referred = (Replay(40, store, (), np.int64, seed=3, prioritized=prioritized) for store in stores)
    rows = np.arange(100)
    for replay, keys in ((kept, TABLE), (referred, np.arange(500))):
        replay.add(keys[rows], rows % 5, rows, keys[rows + 7], rows % 2)
    for _ in range(5):
        assert same(kept.sample(16), referred.sample(16))
    assert referred.snapshot()["observation"].nbytes == 40 * 8


@pytest.mark.parametrize("prioritized", [None, Prioritized(0.7)])
@pytest.mark.parametrize("rows", [0, 20, 64, 150])
def test_resumes_bit_for_bit(prioritized: Prioritized | None, rows: int) -> None:
    replay, other = buffer(64, prioritized, seed=1), buffer(64, prioritized, seed=2)
    generator = np.random.default_rng(0)

    def live(one: Replay, generator: np.random.Generator) -> list[ReplayBatch]:
        batches = []
        for step in range(30):
            one.add(*numbered(1000 + step, 3))
            batches.append(one.sample(8, 0.5))
            one.update_priorities(batches[-1].index, generator.normal(size=8))
        return batches

    replay.add(*numbered(0, rows))
    if rows:
        live(replay, generator)
    # what stood there before must not shine through
    other.add(*numbered(7, 50))
    other.restore(through_files(replay.snapshot()))
    first, second = (live(one, np.random.default_rng(9)) for one in (replay, other))
    assert all(same(one, its) for one, its in zip(first, second, strict=True))
    if replay.priorities and other.priorities:
        np.testing.assert_array_equal(replay.priorities._tree, other.priorities._tree)


def test_a_state_does_not_change_with_the_buffer() -> None:
    replay = buffer(8, Prioritized())
    replay.add(*numbered(0, 8))
    state = replay.snapshot()
    before = through_files(state)
    replay.add(*numbered(8, 8))
    replay.update_priorities(np.arange(8), np.full(8, 5.0))
    for name in ("observation", "reward", "next_observation"):
        np.testing.assert_array_equal(state[name], before[name])
    np.testing.assert_array_equal(state["priorities"]["values"], before["priorities"]["values"])


def test_refuses_the_state_of_another_buffer() -> None:
    replay = buffer(8, Prioritized())
    replay.add(*numbered(0, 8))
    state = replay.snapshot()
    for other in (buffer(9, Prioritized()), buffer(8, None)):
        with pytest.raises(DataError, match="another"):
            other.restore(state)
    wider = Replay(8, ArrayStore((4,)), (), np.int64, seed=1, prioritized=Prioritized())
    with pytest.raises(DataError, match="observation") as caught:
        wider.restore(state)
    assert "(8, 4)" in str(caught.value)
    assert "(8, 3)" in str(caught.value)
    for damage in ({"reward": state["reward"][:5]}, {"priorities": {"values": np.ones(3), "top": 1.0}}):
        untouched = buffer(8, Prioritized())
        with pytest.raises(DataError):
            untouched.restore({**state, **damage})
        assert len(untouched) == 0


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="at least one"):
        buffer(0)
    with pytest.raises(UsageError, match="empty"):
        buffer().sample(4)
    observation, action, reward, following, terminated = numbered(0, 4)
    with pytest.raises(UsageError, match="action of transitions"):
        buffer().add(observation, action[:, None], reward, following, terminated)
    replay = buffer()
    with pytest.raises(UsageError, match="next_observation of transitions"):
        replay.add(observation, action, reward, following[:3], terminated)
    assert len(replay) == 0
