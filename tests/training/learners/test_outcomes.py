"""Decisions whose every action's worth is known: what an update sees of the fresh and of the earlier ones."""

import numpy as np

from training.learners.outcomes import OutcomeBatch, Outcomes
from training.learners.replay.buffer import ReferenceStore

ACTIONS = 3


def outcomes(capacity: int = 100, seed: int = 0) -> Outcomes:
    """The observation of key k is [k]."""
    return Outcomes(
        ReferenceStore(lambda keys: keys[:, None].astype(np.float32)), ACTIONS, capacity=capacity, seed=seed
    )


def add(to: Outcomes, first: int, count: int) -> None:
    """Decisions of consecutive keys; what they were worth tells the key."""
    keys = np.arange(first, first + count)
    to.add(keys, keys[:, None] + np.array([0.0, 0.25, 0.5]))


def keys_of(batch: OutcomeBatch) -> list[int]:
    keys = batch.observation[:, 0].astype(int).tolist()
    # worths stay with their decisions
    np.testing.assert_array_equal(batch.values, np.array(keys)[:, None] + np.array([0.0, 0.25, 0.5]))
    return keys


def test_fresh_decisions_are_seen_once_unless_they_are_replayed() -> None:
    found = outcomes()
    add(found, 0, 4)
    assert keys_of(found.take()) == [0, 1, 2, 3]
    add(found, 4, 2)
    assert len(found) == 2
    assert keys_of(found.take()) == [4, 5]
    assert len(found) == 0


def test_earlier_decisions_come_beside_the_fresh_ones_without_repetition() -> None:
    found = outcomes()
    add(found, 0, 50)
    assert keys_of(found.take(4)) == list(range(50))  # there is nothing earlier yet
    add(found, 50, 5)
    keys = keys_of(found.take(4))
    assert keys[:5] == [50, 51, 52, 53, 54]
    assert len(keys) == 25 and len(set(keys)) == 25 and max(keys[5:]) < 50


def test_the_oldest_make_way() -> None:
    found = outcomes(capacity=10)
    for first in range(0, 40, 8):
        add(found, first, 8)
        keys = keys_of(found.take(8))
        assert all(key >= first - 10 for key in keys)


def test_forgotten_decisions_do_not_come_back() -> None:
    found = outcomes()
    add(found, 0, 8)
    found.take()
    add(found, 8, 8)
    found.forget()
    add(found, 16, 2)
    assert keys_of(found.take(4)) == [16, 17]


def test_a_restored_memory_goes_on_the_same() -> None:
    found, other = outcomes(seed=3), outcomes(seed=4)
    add(found, 0, 20)
    found.take(2)
    add(found, 20, 3)
    other.restore(found.snapshot())
    for memory in (found, other):
        add(memory, 23, 3)
    assert keys_of(found.take(2)) == keys_of(other.take(2))
