"""The driver of the learner benchmarks: what it prints, what counts as missed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from benchmarks.learners import __main__ as learners
from benchmarks.learners import ways
from benchmarks.learners.timing import Reference, Speed, take_turns


@pytest.fixture
def part(monkeypatch):
    """A learner whose results are known."""

    def reference(seed: int) -> Reference:
        return Reference(task="Task-v1", steps=1000, score=480.0 + 10 * seed, wanted=490.0, seconds=1.0)

    def speed(compiled: bool) -> Speed:
        return Speed(work="shapes", ours=300.0 if compiled else 90.0, sb3=100.0)

    part = SimpleNamespace(reference=reference, speed=speed)
    monkeypatch.setattr(learners, "import_module", lambda name: part)


def test_references_and_speeds_are_printed_and_written(part, tmp_path, capsys):
    file = tmp_path / "found.json"
    given = ["--learner", "dqn", "--references", "--seeds", "3", "--speed", "--compiled", "--json", str(file)]
    assert learners.main(given) == 0
    shown = capsys.readouterr()
    assert "490.0" in shown.out
    assert "2 of 3" in shown.out
    assert "3.00" in shown.out
    assert "dqn eager is slower" in shown.err
    found = json.loads(file.read_text())
    assert [seed["score"] for seed in found["references"]["dqn"]] == [480.0, 490.0, 500.0]
    assert found["speeds"]["dqn"]["compiled"]["ours"] == 300.0


def test_check_ends_with_1_where_something_is_missed(part, capsys):
    assert learners.main(["--learner", "ppo", "--references", "--seeds", "1", "--check"]) == 1
    assert "ppo reached 480.0 on Task-v1, wanted 490.0" in capsys.readouterr().err
    assert learners.main(["--learner", "ppo", "--references", "--seeds", "3", "--check"]) == 0
    assert learners.main(["--learner", "ppo", "--compiled", "--check"]) == 0


def test_seeds_start_at_1(capsys):
    with pytest.raises(SystemExit):
        learners.main(["--seeds", "0"])
    assert "from 1 up" in capsys.readouterr().err


def test_every_learner_has_a_part_that_the_driver_finds():
    for learner in learners.LEARNERS:
        part = learners.import_module(f"benchmarks.learners.{learner}")
        assert callable(part.reference)
        assert callable(part.speed)


@pytest.mark.parametrize("learner", learners.LEARNERS)
def test_all_ways_to_make_an_update_move_the_weights_alike(learner, monkeypatch, capsys):
    """The benchmark raises an error if one does not."""
    monkeypatch.setattr(ways, "ROUNDS", 1)
    monkeypatch.setattr(ways, "CALLS", 1)
    monkeypatch.setattr(ways, "BATCHES", {learner: (16,)})
    assert learners.main(["--learner", learner, "--ways"]) == 0
    shown = capsys.readouterr().out
    assert f"{learner} 16" in shown
    assert "functional_call, Adam(fused)" in shown


def test_systems_take_turns():
    calls = []
    rates = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, calls=3)
    assert "".join(calls[-12:]) == "aaabbbaaabbb"
    assert set(rates) == {"a", "b"}
