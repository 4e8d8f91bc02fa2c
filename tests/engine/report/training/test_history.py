from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.report.training.charts import Chart
from engine.report.training.curves import learning_curves
from engine.report.training.history import MOST_POINTS, across, grid, of_kind, points, read_history, smoothed
from tests.engine.report.training.samples import history


def test_reads_what_a_training_wrote(tmp_path: Path) -> None:
    records = history(1)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "history.jsonl").write_text(lines)
    assert read_history(tmp_path) == read_history(tmp_path / "history.jsonl") == records


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"kind": "episode", "episode": 1}\n{"kind": "epi')
    assert read_history(path) == [{"kind": "episode", "episode": 1}]


def test_what_is_no_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_history(tmp_path)
    path = tmp_path / "history.jsonl"
    path.write_text('{"kind": "episode", "episode": 1}\nnonsense\n')
    with pytest.raises(DataError, match="line 2"):
        read_history(path)
    path.write_text("[1]\n")
    with pytest.raises(DataError, match="JSON object"):
        read_history(path)


def test_an_episode_done_again_after_a_resume_counts_once() -> None:
    records = [{"kind": "episode", "episode": n, "epsilon": v} for n, v in ((1, 0.5), (2, 0.4), (2, 0.3), (3, 0.2))]
    x, y = points(of_kind(records, "episode"), lambda record: record["epsilon"])
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [0.5, 0.3, 0.2]


@given(st.lists(st.floats(-1e3, 1e3), max_size=40), st.integers(1, 50))
def test_smoothing_against_a_loop(values: list[float], window: int) -> None:
    expected = [np.mean(values[max(0, k + 1 - window) : k + 1]) for k in range(len(values))]
    np.testing.assert_allclose(smoothed(np.array(values), window), expected, atol=1e-9)


def test_runs_of_different_lengths_make_a_mean_and_a_band() -> None:
    short = (np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    long = (np.array([0.0, 20.0]), np.array([2.0, 42.0]))
    series = across([short, long], np.array([0.0, 5.0, 10.0, 20.0]), "x", 2)
    assert list(series.y) == [1.0, 8.5, 16.0, 42.0]
    assert list(series.low) == [0.0, 5.0, 10.0, 42.0]
    assert list(series.high) == [2.0, 12.0, 22.0, 42.0]
    alone = across([short], np.array([5.0, 11.0]), "x", 2)
    assert list(alone.y) == [5.0, None]
    assert not alone.low


def test_long_curves_are_thinned_with_their_ends() -> None:
    x = np.arange(1.0, 10_001.0)
    at = grid([(x, x)])
    assert len(at) == MOST_POINTS
    assert (at[0], at[-1]) == (1.0, 10_000.0)


def charts(runs: int) -> dict[str, Chart]:
    panels = learning_curves({f"seed {k}": history(k) for k in range(runs)})
    return {chart.name: chart for panel in panels for chart in panel.charts}


def test_learning_curves_of_one_training() -> None:
    found = charts(1)
    assert {"rewards", "terms", "epsilon", "ppo_policy_loss", "sac_alpha"} <= set(found)
    assert "dqn_loss" not in found  # no value is a number
    assert "evaluation_sharpe" not in found
    (line,) = found["evaluation_mean_reward"].series
    assert list(line.y) == [1.0, 2.0, 3.0]
    assert list(line.low) == [0.5, 1.5, 2.5]
    assert [series.name for series in found["rewards"].series] == ["strategic", "tactical", "risk"]


def test_learning_curves_of_several_trainings_have_bands() -> None:
    *each, mean = charts(3)["evaluation_mean_reward"].series
    assert [series.thin for series in each] == [True] * 3
    assert list(mean.y) == [2.0, 3.0, 4.0]
    assert list(mean.low) == [1.0, 2.0, 3.0]
    assert list(mean.high) == [3.0, 4.0, 5.0]


def test_nothing_to_draw() -> None:
    assert learning_curves({}) == learning_curves({"a": []}) == []
    assert learning_curves({"a": [{"kind": "checkpoint", "episode": 1}]}) == []
