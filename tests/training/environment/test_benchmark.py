"""The benchmark of the environments measures what it says, and names what it misses."""

from typing import Any

import pytest

from benchmarks.training import __main__ as training
from benchmarks.training import environment as training_environment
from benchmarks.training.environment import AIM, EnvironmentResults, RandomRollout, build_market, set_up


def test_bars_are_counted_over_episodes_and_resets() -> None:
    market, _ = build_market(set_up(10_000, 1))
    for method in ("step", "advance"):
        rollout = RandomRollout(market, 3, 1)
        begun: list[int] = []
        reset = rollout._env.reset

        def counted(which: Any, starts: Any, lengths: Any, begun: list[int] = begun, reset: Any = reset) -> None:
            begun.extend(which.tolist())
            reset(which, starts, lengths)

        rollout._env.reset = counted  # type: ignore[method-assign] # to see the episodes that begin
        assert rollout.run(method, 15_000) > 0
        assert 3 <= len(begun) <= 9


def test_it_prints_what_it_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_environment, "BARS_A_RUN", 2000)
    assert training.main(["--bars", "10000", "--envs", "1,2", "--rounds", "1", "--no-peers", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| VectorEnv.step | 1 |" in printed and "| VectorEnv.advance | 2 |" in printed


def test_a_missed_aim_is_named() -> None:
    results = EnvironmentResults(rates={("step", 256): [AIM / 2, AIM / 2]}, build=[0.5], rows=100_000)
    assert len(results.missed()) == 2
    assert not EnvironmentResults(rates={("step", 256): [AIM]}, build=[0.5], rows=1_000_000).missed()
