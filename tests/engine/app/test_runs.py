import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.app.runs import find_runs, matching, ordered, resolved
from engine.base.errors import UsageError


def put(folder: Path, agent: str, hour: int, **metrics: float | None) -> None:
    folder.mkdir(parents=True)
    manifest = {"kind": "backtest", "agent": agent, "symbols": ["ES"], "ledger_sha256": "ab", "config": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "metrics.json").write_text(json.dumps({"total_return": 0.1, "start": "2024-01-01", **metrics}))
    moment = datetime(2024, 1, 1, hour, tzinfo=UTC).timestamp()
    os.utime(folder / "manifest.json", (moment, moment))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "a", "flat", 3, sharpe=None)
    put(tmp_path / "b", "sma_cross:fast=5,slow=9", 1, sharpe=1.5, max_drawdown=-0.2)
    put(tmp_path / "old" / "c", "sma_cross:fast=2,slow=9", 2, sharpe=-0.5, max_drawdown=-0.05)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    (tmp_path / "unfinished").mkdir()
    return tmp_path


def names(runs: object) -> list[str]:
    return [run.folder.name for run in runs]  # type: ignore[attr-defined]


def test_the_latest_first_and_what_is_no_run_passed_over(folder: Path) -> None:
    assert names(find_runs(folder)) == ["a", "c", "b"]


def test_filters_and_sorting(folder: Path) -> None:
    runs = find_runs(folder)
    assert names(matching(runs, ["sma_cross"])) == ["c", "b"]
    assert names(matching(runs, ["sharpe>0"])) == ["b"]
    assert names(matching(runs, ["drawdown>-10%", "kind=backtest"])) == ["c"]
    assert names(ordered(runs, "sharpe")) == ["b", "c", "a"]
    assert names(ordered(runs, "agent")) == ["a", "c", "b"]
    assert names(ordered(runs, None)) == ["a", "c", "b"]
    for wrong in (lambda: matching(runs, ["sharp>1"]), lambda: ordered(runs, "sharp")):
        with pytest.raises(UsageError) as raised:
            wrong()
        assert raised.value.hint == "did you mean sharpe?"
    with pytest.raises(UsageError, match="cannot read a filter"):
        matching(runs, ["sharpe>high"])
    with pytest.raises(UsageError, match="no such folder"):
        find_runs(folder / "nowhere")


def test_latest_names_the_run_that_ended_last(folder: Path, tmp_path: Path) -> None:
    assert resolved(folder / "latest") == folder / "a"
    assert resolved(folder / "old" / "latest") == folder / "old" / "c"
    assert resolved(folder / "b") == folder / "b"
    tree = {"selection": {"winner": None}, "variants": [], "symbols": []}
    (folder / "search").mkdir()
    (folder / "search" / "comparison.json").write_text(json.dumps(tree))
    assert resolved(folder / "latest") == folder / "a"
    with pytest.raises(UsageError, match="no run has ended here"):
        resolved(folder / "unfinished" / "latest")
    assert resolved(folder / "nowhere" / "latest") == folder / "nowhere" / "latest"
    put(folder / "latest", "flat", 0)
    assert resolved(folder / "latest") == folder / "latest"
