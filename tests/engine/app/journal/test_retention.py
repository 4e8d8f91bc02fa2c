"""Old rows leave the journal, and nothing that an operator asks for changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.app.journal import retention
from engine.app.journal.retention import compacted
from engine.app.journal.verifying import audit, replay_whole
from engine.base.errors import UsageError
from engine.journal.files import ARCHIVE
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader
from tests.engine.app.live.sessions import Case, case, live_bars

ROWS = 1200
KEEP = 400 / 1440  # days: 400 bars of a minute


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK_ROWS", 64)


def _short(archive: bool, **more: Any) -> Case:
    journal = {"durability": "process", "keep_days": KEEP, "archive": archive}
    return case(live_bars(ROWS, ("A", "B"), absent=0.1), per_message=2, journal=journal, **more)


def _held(folder: Path) -> int:
    with JournalReader(folder) as reader:
        held = reader.held(2**62)
        assert held is not None
        return held[1] - held[0]


@pytest.mark.parametrize("archive", [True, False])
def test_the_journal_stays_bounded_and_the_figures_the_same(tmp_path: Path, archive: bool) -> None:
    short = _short(archive)
    whole = case(short.bars, per_message=2).run(tmp_path / "whole", (5,))
    for part in (300, 900):  # restarts between
        Case(short.bars, short.settings, short.payloads[:part]).traded(tmp_path / "run", (5,))
    run = short.run(tmp_path / "run", (5,))
    assert run.exported is not None
    assert whole.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected
    assert run.exported.metrics == whole.exported.metrics
    assert 400 <= _held(tmp_path / "run") < 700
    there, here = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("whole", "run"))
    assert here["rows"] == there["rows"] == len(short.bars)
    assert audit(tmp_path / "run").ledger_sha256 == short.expected
    if archive:
        assert replay_whole(tmp_path / "run") == (len(short.bars), short.expected)
        assert (tmp_path / "run" / "bars.parquet").read_bytes() == (tmp_path / "whole" / "bars.parquet").read_bytes()
    else:
        assert not (tmp_path / "run" / ARCHIVE).exists()
        with pytest.raises(UsageError, match="first rows of this session are gone"):
            replay_whole(tmp_path / "run")


def test_an_interrupted_move_shows_no_row_twice(tmp_path: Path) -> None:
    short = case(live_bars(ROWS, ("A", "B"), absent=0.1), per_message=2)
    short.traded(tmp_path, (5,))
    for through in (300, 300, 431):
        with Journal(tmp_path) as journal, JournalReader(tmp_path) as reader:
            journal.archive(compacted(reader, through))  # and killed before the rows were deleted
        assert replay_whole(tmp_path) == (len(short.bars), short.expected)
    with Journal(tmp_path) as journal:
        journal.forget(431, {})
    assert replay_whole(tmp_path) == (len(short.bars), short.expected)


def test_bars_stay_where_an_agents_state_is_rebuilt_from_them(tmp_path: Path) -> None:
    file = Path(__file__).parents[3] / "agents" / "strategies" / "breakout.py"
    short = _short(archive=False, agent=f"{file}:Breakout")
    short.traded(tmp_path, (5,))
    assert _held(tmp_path) == len(short.bars)
