"""When jobs begin, what they learn from, and what does not fit a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.config import parse
from engine.base.errors import ConfigError, DataError
from engine.learning.config import LearningConfig
from engine.learning.job import Job, Learned, job_seed
from engine.learning.schedule import is_due, job_at, next_due, usable_from

CONFIGS = st.builds(
    lambda every, lag, window, least: LearningConfig(
        every_bars=every * 10, lag_bars=min(lag, every) * 10, window_bars=window, min_bars=least
    ),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 500),
    st.integers(1, 500),
)


@given(CONFIGS, st.integers(0, 2000))
def test_the_next_job_is_the_first_row_that_is_due(config: LearningConfig, seq: int) -> None:
    after = next_due(config, seq)
    assert is_due(config, after)
    assert not any(is_due(config, row) for row in range(seq, after))


@given(CONFIGS, st.integers(0, 2000))
def test_a_job_learns_from_the_rows_before_it_and_ends_before_the_next(config: LearningConfig, seq: int) -> None:
    job = job_at(config, next_due(config, seq), "parent", 7)
    assert 0 <= job.first <= job.last == job.number - 1
    assert job.last - job.first < config.window_bars
    assert job.number < usable_from(config, job) <= next_due(config, job.number + 1)
    assert usable_from(config, job) % 10 == 0  # the cuts of these runs


def test_seeds_depend_on_the_run_and_the_row() -> None:
    seeds = {job_seed(seed, number) for seed in range(20) for number in range(0, 1000, 10)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_cuts_must_fall_where_jobs_begin_and_candidates_are_used() -> None:
    config = LearningConfig(every_bars=1440, lag_bars=60)
    assert config.misfit(60) is None
    assert config.misfit(20) is None
    assert "cuts.every_bars" in str(config.misfit(None))
    assert "learning.lag_bars is 60" in str(config.misfit(120))
    assert "learning.every_bars is 1440" in str(config.misfit(7))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"lag_bars": 2000}, "lag_bars is above every_bars"),
        ({"agents": []}, "agents"),
        ({"agents": ["strategic_agent", "strategic_agent"]}, "twice"),
        ({"agents": ["strategic"]}, "strategic_agent"),
        ({"evry_bars": 10}, "every_bars"),
        ({"max_kl": 0}, "max_kl"),
    ],
)
def test_what_cannot_be_meant_is_named(keys: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse(LearningConfig, keys, where="learning.yaml")


def test_jobs_and_results_are_written_and_read() -> None:
    job = Job(1440, 0, 1439, "ab", 3)
    assert Job.from_tree(job.tree()) == job
    found = Learned("candidate", "better by 3.1 standard errors", None, "cd", "v1", {"kl": 0.01})
    assert Learned.from_tree(found.tree()) == found
    refused = Learned("refused", "row 17 has no finite price", "data")
    assert Learned.from_tree(refused.tree()) == refused
    for wrong in ({}, {"status": "candidate", "because": "x"}, {"status": "late", "because": "x"}):
        with pytest.raises(DataError):
            Learned.from_tree(wrong)
    with pytest.raises(DataError, match="no training job"):
        Job.from_tree({"number": 3})
