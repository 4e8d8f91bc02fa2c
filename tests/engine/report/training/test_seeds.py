from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from engine.report.training.seeds import markdown, outcome_line, remarks, render_seeds, sentences, table
from tests.engine.report.training.samples import figure


def run(seed: int, reward: float, **changes: Any) -> dict[str, Any]:
    """A finished run, made up."""
    return {
        "seed": seed,
        "folder": f"seed-{seed}",
        "status": "finished",
        "error": None,
        "episodes": 1200,
        "seconds": 61.2,
        "reward": figure(reward, 0.5),
        "total_return": figure(reward / 100, 0.005),
        "over": {"buy_and_hold": figure(0.01, 0.02)},
        "seats": ["strategic", "risk"],
        **changes,
    }


def tree(*runs: dict[str, Any], kind: str = "historical") -> dict[str, Any]:
    done = [one for one in runs if one["status"] == "finished"]
    total = {
        "seeds": len(done),
        "trials": len(runs),
        "part": "validation",
        "reward": figure(1.5, 0.25),
        "total_return": figure(0.015, 0.0025),
        "over": {"buy_and_hold": figure(0.01, 0.005)},
        "above": {"flat": {"seeds": 4, "beyond_chance": 3}, "buy_and_hold": {"seeds": 2, "beyond_chance": 0}},
        "best": {"seed": 7, "folder": "seed-7", "reward": figure(2.0, 0.5)},
    }
    return {"runs": list(runs), "summary": total if done else None, "config": {"data": {"sources": [{"type": kind}]}}}


FIVE = tuple(run(seed, 1.0 + seed / 10) for seed in range(3, 8))


def test_a_row_for_each_seed_and_one_for_all() -> None:
    found = table(tree(*FIVE))
    assert [row[0] for row in found.rows] == ["3", "4", "5", "6", "7", "interquartile mean"]
    assert found.rows[0][1:] == (
        "1.30 (0.80 to 1.80)",
        "1.30 % (0.80 to 1.80)",
        "1.00 % (-1.00 to 3.00)",
        "strategic, risk",
    )
    assert found.rows[-1][1:] == ("1.50 (1.25 to 1.75)", "1.50 % (1.25 to 1.75)", "1.00 % (0.50 to 1.50)", "")
    assert "validation part" in found.note
    assert all(len(row) == len(found.head) for row in found.rows)


def test_the_best_seed_is_one_trial_of_all() -> None:
    above, best = sentences(tree(*FIVE, run(8, 0.0, status="failed")))
    assert "flat: 4 of 5 seeds (3 beyond chance)" in above
    assert "buy and hold: 2 of 5 seeds (0 beyond chance)" in above
    assert "Seed 7" in best and "one trial of 6" in best
    assert len(sentences(tree(FIVE[0]))) == 1  # nothing was picked


def test_what_limits_the_figures_is_said() -> None:
    assert [line[:10] for line in remarks(tree(*FIVE))] == ["seeds shar"]
    said = " ".join(remarks(tree(*FIVE[:3], run(9, 0.0, status="interrupted"), kind="synthetic")))
    assert "not finished: seeds 9" in said
    assert "3 seeds are few" in said
    assert "own synthetic scenarios" in said


def test_without_a_finished_seed_there_is_a_table_still() -> None:
    failed = run(1, 0.0, status="failed", error="the disk is full\nhint: free some")
    nothing = tree(failed, run(2, 0.0, status="waiting"))
    assert [row[1] for row in table(nothing).rows] == ["failed", "waiting"]
    assert sentences(nothing) == []
    assert outcome_line(failed) == "seed 1 failed: the disk is full"


def test_a_line_for_a_seed_that_has_ended() -> None:
    line = "seed 3 finished: reward 1.30 (0.80 to 1.80), return 1.30 % (0.80 to 1.80); 1,200 episodes, 61 s"
    assert outcome_line(FIVE[0]) == line


def test_terminal_and_file_say_the_same() -> None:
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(render_seeds(tree(*FIVE)))
    shown, written = console.export_text(), markdown(tree(*FIVE)).replace("\\", "")
    assert written.count("\n| ") == 8
    for words in (
        [cell for row in table(tree(*FIVE)).rows for cell in row] + sentences(tree(*FIVE)) + remarks(tree(*FIVE))
    ):
        assert words in shown and words in written
