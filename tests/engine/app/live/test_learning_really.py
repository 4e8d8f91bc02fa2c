"""A session and a backtest that learn with real training jobs, from an easy market, and the jobs computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.api.calls import backtest
from engine.app.journal.verifying import replay_whole
from engine.cli.journal import app
from engine.journal.reading import JournalReader
from feeds.memory import MemorySource
from tests.engine.app.live.feeding import payloads_of
from tests.engine.app.live.sessions import Case
from tests.engine.app.live.test_learning import traded
from tests.training.online.parents import REWARDS, easy_bars, write_parent

ROWS, JOB, LAG = 9_400, 9_000, 300


def settings(parent: Path) -> dict[str, Any]:
    learning = {
        "every_bars": 4500,
        "min_bars": 5000,
        "window_bars": JOB,
        "lag_bars": LAG,
        "episodes": 96,
        "max_kl": 5.0,
        "training": {"reward_shaping": REWARDS},
        "takes_over": "gate",
    }
    return {
        "agent": f"ensemble:{parent}",
        "fee": 1e-5,
        "sizing": {"mode": "equity_fraction", "value": 0.5},
        "cuts": {"every_bars": LAG},
        "learning": learning,
    }


@pytest.mark.slow
def test_it_learns_an_easy_market_live_as_in_the_backtest(tmp_path: Path) -> None:
    parent = write_parent(tmp_path / "parent")
    bars = easy_bars(ROWS)
    told = backtest(MemorySource(bars), **settings(parent)).manifest
    (job,) = told["learning"]
    assert (job["job"], job["status"], job["row"]) == (JOB, "admitted", JOB + LAG), job
    assert [one["seq"] for one in told["activations"]] == [JOB + LAG]
    folder = tmp_path / "run"
    long = Case(bars, settings(parent) | {"journal": {"durability": "process"}}, payloads_of(bars, 1))
    Case(bars, long.settings, long.payloads[:8_500]).traded(folder, (500,))
    traded(long, folder, ROWS)
    with JournalReader(folder) as reader:
        (queued, admitted) = reader.learning_events()
    assert (queued.job, admitted.sha256, admitted.seq) == (JOB, job["sha256"], JOB + LAG)
    assert replay_whole(folder) == (ROWS, told["ledger_sha256"])
    result = CliRunner().invoke(app, ["replay", str(folder), "--retrain", "--json"])
    again = json.loads(result.stdout)
    assert (again["ledger_sha256"], again["jobs"], again["jobs_passed_over"]) == (told["ledger_sha256"], 1, [])
