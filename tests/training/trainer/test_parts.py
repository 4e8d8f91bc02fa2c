"""The small parts of the trainer: episode order, reward scale, patience."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from training.config import EarlyStopping
from training.trainer.memory import RewardScale
from training.trainer.schedule import EpisodeSampler, Patience


@given(st.integers(1, 20), st.integers(0, 2**31), st.lists(st.integers(1, 7), max_size=12))
def test_every_start_comes_once_before_any_comes_again(count: int, seed: int, deals: list[int]) -> None:
    starts = np.arange(count) * 1000
    sampler = EpisodeSampler(starts, seed)
    dealt = np.concatenate([sampler.deal(k) for k in deals]) if deals else np.empty(0, np.int64)
    for begin in range(0, len(dealt) - count + 1, count):
        assert sorted(dealt[begin : begin + count]) == starts.tolist()


def test_a_sampler_goes_on_where_its_state_was_taken() -> None:
    sampler = EpisodeSampler(np.arange(7), 3)
    sampler.deal(5)
    state = sampler.snapshot()
    expected = sampler.deal(20)
    other = EpisodeSampler(np.arange(7), 99)
    other.restore(state)
    assert other.deal(20).tolist() == expected.tolist()


def test_no_start_is_said() -> None:
    with pytest.raises(UsageError, match="no episode fits"):
        EpisodeSampler(np.empty(0, np.int64), 0)


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=9), max_size=9))
def test_the_scale_is_the_deviation_of_all_rewards(parts: list[list[float]]) -> None:
    scale = RewardScale()
    for part in parts:
        scale.see(np.array(part))
    seen = np.array([value for part in parts for value in part])
    deviation = seen.std() if len(seen) > 1 else 0.0
    expected = deviation if deviation > 1e-8 else 1.0
    assert scale.deviation == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert np.sign(scale(np.array([-2.0, 0.0, 3.0]))).tolist() == [-1, 0, 1]
    assert np.abs(scale(np.array([1e9, -1e9]))).tolist() == [10, 10]


def test_patience_counts_episodes_since_the_best_evaluation() -> None:
    patience = Patience(EarlyStopping(patience=100, min_improvement=0.5))
    assert patience.see(10, 1.0)
    assert not patience.see(60, 1.4)  # better, but not by enough
    assert not patience.exhausted(109)
    assert patience.exhausted(110)
    assert patience.see(111, 1.5)
    assert not patience.exhausted(111)
    other = Patience(EarlyStopping(patience=100, min_improvement=0.5))
    other.restore(patience.snapshot())
    assert not other.exhausted(210)
    assert other.exhausted(211)


def test_without_early_stopping_patience_never_ends() -> None:
    patience = Patience(None)
    patience.see(1, 1.0)
    assert not patience.exhausted(10**9)
    assert patience.see(2, 1.0001)
