"""The benchmark of training end to end: both sides see the same, time is where it is said to be, aims are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.training import __main__ as training
from benchmarks.training import end_to_end as training_end_to_end
from benchmarks.training.end_to_end import PEER, PRODUCTS, EndToEndResults
from benchmarks.training.environment import build_market, set_up
from benchmarks.training.sb3 import DECISIONS, EPISODE, DecisionEnv, Ours, environments, products
from benchmarks.training.timing import Sections
from benchmarks.training.whole import Whole, training_setup
from training.environment.market import Market
from training.experience import stand_ins


@pytest.fixture(scope="module")
def market() -> Market:
    return build_market(set_up(12_000, 1))[0]


def test_a_step_of_the_peers_environment_lasts_from_decision_to_decision(market: Market) -> None:
    decisions, bars = DecisionEnv(market, 1), environments(market, 1)
    observation, _ = decisions.reset()
    bars.reset([0], decisions.env.rows.copy(), [EPISODE])
    actions, over, total, steps = stand_ins(1), False, 0.0, 0
    while not over:
        assert bars.due[0, 0]
        np.testing.assert_array_equal(observation, bars.strategic[0])
        actions.strategic[0] = steps % 3
        observation, reward, terminated, truncated, _ = decisions.step(steps % 3)
        # one bar at a time instead
        bars.step(actions)
        while not (bars.due[0, 0] or bars.truncated[0] or bars.terminated[0]):
            bars.step(actions)
        assert reward == bars.rewards[0, 0]
        over, total, steps = terminated or truncated, total + abs(reward), steps + 1
    assert bars.truncated[0] or bars.terminated[0]
    assert total > 0.0
    assert steps > 30


def test_ours_learns_from_as_many_decisions_as_the_peer(market: Market) -> None:
    ours = Ours(market, 1)
    decided = 0
    act = ours.learner.act

    def counted(observations: Any) -> Any:
        nonlocal decided
        decided += len(observations)
        return act(observations)

    ours.learner.act = counted  # type: ignore[method-assign, assignment] # to count
    ours.train(2)
    assert ours.learner.updates == 2
    assert 2 * DECISIONS <= decided <= 2 * DECISIONS + 8
    sections = ours.watched(compiled=False)
    ours.train(1)
    assert set(sections.seconds) == {"environment", "acting", "batches", "forward", "backward", "optimizer", "clipping"}
    assert sections.calls["optimizer"] == sections.calls["forward"] == 40


def test_products_have_the_shapes_of_the_networks() -> None:
    products(1)()


def test_sections_are_timed_without_what_they_call() -> None:
    now = [0.0]

    class Program:
        def outer(self) -> None:
            now[0] += 1.0
            self.inner()
            for _ in self.values():
                now[0] += 10.0
            now[0] += 2.0

        def inner(self) -> None:
            now[0] += 4.0

        def values(self) -> Any:
            for _ in range(2):
                now[0] += 0.5
                yield 0

    program, sections = Program(), Sections(lambda: now[0])
    sections.watch(program, "outer", name="outer")
    sections.watch(program, "inner", name="inner")
    sections.watch_generator(program, "values", "values")
    program.outer()
    assert sections.seconds == {"inner": 4.0, "values": 1.0, "outer": 23.0}
    assert sections.shares(40.0) == pytest.approx({"inner": 10.0, "values": 2.5, "outer": 57.5, "other": 30.0})


def test_a_training_runs_for_some_episodes_at_a_time(tmp_path: Path) -> None:
    whole = Whole(training_setup(1, scenarios=4, episode_length=120), tmp_path)
    bars, seconds = whole.run(4)
    assert bars >= 4 * 119
    assert seconds > 0.0
    sections = whole.watched()
    assert whole.run(4)[0] >= 4 * 119
    assert {"environment", "acting", "transitions", "PPO learning"} <= set(sections.seconds)


def test_ratios_compare_rounds_of_the_same_turn_and_missed_aims_are_named() -> None:
    seconds = {"ours, eager": [1.0, 3.0, 1.0], PEER: [2.0, 6.0, 2.0], PRODUCTS: [0.5, 1.5, 0.5]}
    results = EndToEndResults(seconds=seconds, rollouts=1)
    assert results.rows()[0] == ("ours, eager", "256", "40", "2.00", "50 %")
    assert results.missed() == [f"ours, eager: 2.00 times {PEER}, aim 3"]
    results.seconds[PEER] = [3.1, 9.3, 3.1]
    assert not results.missed()


def test_it_prints_and_writes_what_it_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_end_to_end, "ROLLOUTS", 1)
    monkeypatch.setattr(training_end_to_end, "BARS", 12_000)
    monkeypatch.setattr(
        training_end_to_end, "training_setup", lambda seed: training_setup(seed, scenarios=4, episode_length=120)
    )
    written = tmp_path / "out.json"
    given = ["--end-to-end", "--rounds", "1", "--no-peers", "--markdown", "--json", str(written)]
    assert training.main(given) == 0
    printed = capsys.readouterr().out
    assert "| ours, eager |" in printed
    assert "Whole training, eager:" in printed
    found = json.loads(written.read_text())
    assert found["absent"] == {PEER: "left out"}
    assert sum(found["sections"]["eager"].values()) == pytest.approx(100.0)
    assert sum(found["whole_sections"]["eager"].values()) == pytest.approx(100.0)


def test_stable_baselines_trains_in_the_same_environments(market: Market) -> None:
    pytest.importorskip("stable_baselines3")
    from benchmarks.training.sb3 import peer

    train = peer(market, 1)
    assert train is not None
    model: Any = train(2)
    assert model.num_timesteps == 2 * DECISIONS
    assert model._n_updates == 20
