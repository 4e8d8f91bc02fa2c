"""Killed (SIGKILL) before every SQL statement of the journal, a session started again gives the undisturbed ledger."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.app.journal.verifying import audit, replay_whole
from feeds.live.messages import encode_element
from tests.engine.app.live.sessions import START, Case, case, live_bars
from tests.engine.app.live.test_session import RULE_SEATS
from tests.feeds.live.merging.test_lanes import bar


def _statements(case: Case, folder: Path, cuts: tuple[int, ...], **more: Any) -> int:
    seen: list[str] = []
    case.run(folder, cuts, seen.append, **more)
    return len(seen)


def _whole(case: Case, folder: Path, cuts: tuple[int, ...], rows: int, expected: str) -> None:
    assert case.traded(folder, cuts) == expected
    assert audit(folder)[:2] == (0, rows)


def test_killed_at_every_statement(tmp_path: Path) -> None:
    # late, double and broken messages and wrong times are part of what has to be the same after a crash
    short = case(live_bars(14))
    messages = short.payloads
    stray = encode_element(bar("X", START + 1380 * 60 * 10**9))
    bad = [stray, *messages[6:8], messages[2], b"broken"]
    short = Case(short.bars, short.settings, [*messages[:6], *bad, *messages[8:], messages[13]])
    cuts = (1, 2, 4)
    count = _statements(short, tmp_path / "undisturbed", cuts)
    letters = (tmp_path / "undisturbed" / "dead_letters.jsonl").read_text()
    assert letters.count("\n") == 4
    assert count > 60
    expected = short.expected
    for at in range(count):
        folder = tmp_path / str(at)
        assert short.killed(folder, at, cuts)
        _whole(short, folder, cuts, 14, expected)
        # a letter may be told twice, with the same number, and never not at all
        told = (folder / "dead_letters.jsonl").read_text().splitlines()
        assert list(dict.fromkeys(told)) == letters.splitlines(), at


def test_killed_again_and_again(tmp_path: Path) -> None:
    short = case(live_bars(40, ("A", "B"), absent=0.2), per_message=3, **RULE_SEATS)
    count = _statements(short, tmp_path / "undisturbed", (2,))
    kills = [short.killed(tmp_path / "run", count // 10 + turn % 7, (2,)) for turn in range(12)]
    assert sum(kills) >= 8
    _whole(short, tmp_path / "run", (2,), 40, short.expected)
    assert replay_whole(tmp_path / "run")[1] == short.expected


def test_killed_with_a_strategy_that_looks_back(tmp_path: Path) -> None:
    file = Path(__file__).parents[3] / "agents" / "strategies" / "looking.py"
    short = case(live_bars(60), agent=f"{file}:Looking")
    count = _statements(short, tmp_path / "undisturbed", (1,))
    kills = [short.killed(tmp_path / "run", count // 8 + turn % 5) for turn in range(10)]
    assert sum(kills) >= 6
    _whole(short, tmp_path / "run", (1,), 60, short.expected)


@pytest.mark.slow
def test_killed_with_networks_that_decide(tmp_path: Path) -> None:
    """Windows, features, networks and prioritised state are all behind a row; killed where 5 and 30 minutes end."""
    ready = 2_879  # the strategic agent decides first one row later
    short = case(live_bars(ready + 61), agent="ensemble", sizing={"value": 100.0}, ensemble={"risk_cadence": "bar"})
    Case(short.bars, short.settings, short.payloads[:ready]).traded(tmp_path / "ready", (500,))
    shutil.copytree(tmp_path / "ready", tmp_path / "undisturbed")
    count = _statements(short, tmp_path / "undisturbed", (1,))
    assert count > 400
    expected = short.expected
    for at in range(0, count, 31):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "ready", folder)
        assert short.killed(folder, at, (1,))
        _whole(short, folder, (1,), ready + 61, expected)
