from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.app.seeds.records import FILE, SeedRun, finished_run, read_runs, summary, tree_of_runs, write_runs
from engine.base.errors import DataError
from tests.engine.report.training.samples import evaluation, figure
from tests.training.trainer.small import small_config

ANSWER = {"stopped": "finished", "episodes": 12, "seconds": 3.5, "weights_sha256": "0" * 64}


def run_folder(folder: Path, *verdicts: tuple[str, bool]) -> Path:
    """What a training leaves of which its record is made."""
    place = folder / "seed-4"
    (place / "evaluation").mkdir(parents=True)
    (place / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation()))
    records: list[dict[str, Any]] = [{"kind": "episode", "episode": 1}]
    records += [{"kind": "verdict", "agent": agent, "network": network} for agent, network in verdicts]
    (place / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return place


def test_a_record_holds_the_figures_of_the_evaluation(tmp_path: Path) -> None:
    found, tree = finished_run(4, run_folder(tmp_path), ANSWER), evaluation()
    assert found.reward == tree["summary"]["performance"]["mean_reward"]
    assert found.total_return == tree["summary"]["performance"]["total_return"]
    assert found.over["buy_and_hold"] == tree["comparisons"]["buy_and_hold"]["total_return"]
    assert (found.folder, found.status, found.episodes) == ("seed-4", "finished", 12)


@pytest.mark.parametrize(
    ("verdicts", "seats"),
    [
        ([], ["strategic", "tactical", "risk"]),  # all agents learned together
        ([("strategic", True), ("tactical", False), ("risk", True)], ["strategic", "risk"]),
        ([("strategic", False), ("tactical", False), ("risk", False)], []),
    ],
)
def test_seats_are_those_that_networks_took(tmp_path: Path, verdicts: list[tuple[str, bool]], seats: list[str]) -> None:
    assert finished_run(4, run_folder(tmp_path, *verdicts), ANSWER).seats == seats


def made(seed: int, reward: float, over: float, **changes: Any) -> SeedRun:
    figures = {"reward": figure(reward, 0.5), "total_return": figure(reward, 0.5), "over": {"flat": figure(over, 0.5)}}
    return SeedRun(seed, f"seed-{seed}", **{"status": "finished", "part": "test", **figures, **changes})


def test_the_summary_counts_what_is_above_and_what_was_tried() -> None:
    runs = [made(1, 1.0, 0.2), made(2, 5.0, 0.8), made(3, 2.0, -0.1), made(4, 9.0, 9.0, status="failed")]
    found = summary(runs)
    assert found is not None
    assert (found["seeds"], found["trials"], found["best"]["seed"]) == (3, 4, 2)
    assert found["above"] == {"flat": {"seeds": 2, "beyond_chance": 1}}
    assert found["reward"]["value"] == pytest.approx(8 / 3)  # nothing is left out of three
    assert summary([SeedRun(1, "seed-1")]) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_runs(tmp_path) == ({}, {})
    runs = [made(1, 1.0, 0.2, seats=["risk"]), SeedRun(2, "seed-2", "failed", "why")]
    write_runs(tmp_path, tree_of_runs(small_config(), runs))
    config, found = read_runs(tmp_path)
    assert list(found.values()) == runs
    assert config == small_config().model_dump(mode="json", exclude={"seed"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {}, "runs": [{"sed": 1}]}', '{"config": {}, "runs": 3}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError) as caught:
        read_runs(tmp_path)
    assert str(tmp_path / FILE) in str(caught.value)


def test_an_evaluation_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"evaluation\.json"):
        finished_run(4, tmp_path, ANSWER)
