from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import UsageError
from tests.training.evaluation.episodes import histogram, result, use
from training.evaluation.evaluation import Evaluation
from training.evaluation.results import EpisodeResult
from training.evaluation.summary import compare, contribution, pooled_actions, summarise


def several(count: int = 12, seed: int = 0) -> list[EpisodeResult]:
    rng = np.random.default_rng(seed)
    return [result(float(rng.normal(1.0, 2.0)), start=1000 * k, trades=k, wins=k // 2) for k in range(count)]


def test_figures_of_the_reward() -> None:
    results = several()
    rewards = np.array([one.reward for one in results])
    summary = summarise(results)
    assert summary.performance["mean_reward"].value == pytest.approx(rewards.mean())
    assert summary.performance["deviation"].value == pytest.approx(rewards.std(ddof=1))
    assert summary.performance["median"].value == pytest.approx(np.median(rewards))
    assert summary.performance["minimum"].value == rewards.min()
    assert summary.performance["maximum"].value == rewards.max()
    assert summary.episodes == summary.effective_episodes == 12
    assert summary.bars == 1200


def test_trades_of_all_episodes_count_alike() -> None:
    results = several()
    trading = summarise(results).trading
    assert trading["win_rate"].value == pytest.approx(sum(k // 2 for k in range(12)) / sum(range(12)))
    assert trading["profit_factor"].value == pytest.approx(3.0)
    assert trading["average_win"].value == pytest.approx(12 * 300 / sum(k // 2 for k in range(12)))
    assert trading["average_loss"].value == pytest.approx(-100.0)
    assert trading["largest_win"].value == 200.0


def test_what_is_not_defined_is_none_and_json_takes_it() -> None:
    idle = result(0.0, trades=0, wins=0, losses=0, gross_profit=0.0, gross_loss=0.0, largest_win=None)
    idle = replace(idle, largest_loss=None, sharpe=None, volatility=None, exposure=0.0)
    tree = Evaluation([idle, replace(idle, start=500)]).tree()
    text = json.dumps(tree, allow_nan=False)
    assert "NaN" not in text
    for name in ("win_rate", "profit_factor", "average_win", "average_loss", "largest_win", "largest_loss"):
        assert tree["summary"]["trading"][name]["value"] is None
    assert tree["summary"]["risk"]["sharpe"]["value"] is None
    assert tree["summary"]["performance"]["skewness"]["value"] is None
    assert tree["contributions"] == tree["baselines"] == {}
    assert idle.win_rate is idle.profit_factor is idle.average_win is idle.average_loss is None


def test_one_episode_has_figures_without_intervals() -> None:
    summary = summarise([result(2.0)])
    assert summary.performance["mean_reward"].value == 2.0
    assert summary.performance["mean_reward"].low is None
    assert summary.performance["deviation"].value is None


def test_no_episode_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="at least one"):
        summarise([])


def test_a_contribution_compares_the_same_episodes() -> None:
    results = several()
    worse = [replace(one, reward=one.reward - 1.0, total_return=one.total_return - 0.01) for one in results]
    found = contribution(results, worse)
    assert found.mean.value == pytest.approx(1.0)
    assert found.mean.low == pytest.approx(1.0)
    assert found.deviation == pytest.approx(0.0, abs=1e-12)
    assert found.correlation.value is None
    assert found.total_return.value == pytest.approx(0.01)
    nothing = [replace(one, reward=0.0) for one in results]
    assert contribution(results, nothing).correlation.value == pytest.approx(1.0)
    assert compare(results, worse)["total_return"].value == pytest.approx(0.01)
    with pytest.raises(UsageError, match="same episodes"):
        contribution(results, worse[::-1])


def test_actions_of_all_episodes_together() -> None:
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(count, 3)) for count in (4, 9, 1)]
    uses = [
        use(
            strategic=(k, 0, 1),
            tactical=(histogram((2, len(part))),) * 3,
            tactical_mean=tuple(part.mean(axis=0)),
            tactical_deviation=tuple(part.std(axis=0)),
        )
        for k, part in enumerate(parts)
    ]
    pooled = pooled_actions([result(actions=one) for one in uses] + [result(actions=None)])
    assert pooled is not None
    together = np.concatenate(parts)
    np.testing.assert_allclose(pooled.tactical_mean, together.mean(axis=0))
    np.testing.assert_allclose(pooled.tactical_deviation, together.std(axis=0))
    assert pooled.strategic == (3, 0, 3)
    assert pooled.tactical[1] == histogram((2, 14))
    assert pooled_actions([result(actions=None)]) is None
