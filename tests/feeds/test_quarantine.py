from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.base.errors import DataError, UsageError
from feeds.quarantine import BadRow, Quarantine, SessionGap


def row(line: int, reason: str = "high below low") -> BadRow:
    return BadRow("X.csv", line, reason, "a high of at least 2", "high 1", f"row {line} — é")


def test_records_are_counted_kept_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bad.jsonl"
    quarantine = Quarantine(path)
    quarantine.admit("X", 10, [])
    assert not path.parent.exists()
    quarantine.admit("X", 20, [row(11), row(12, "negative volume")])
    quarantine.admit("X", 30, [row(21)])
    assert quarantine.counts == {"high below low": 2, "negative volume": 1}
    assert quarantine.total == 3
    assert quarantine.first["high below low"] == row(11)
    kept = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [record["line"] for record in kept] == [11, 12, 21]
    assert set(kept[0]) == {"source", "line", "reason", "expected", "found", "raw"}
    assert kept[0]["raw"] == "row 11 — é"


def test_a_new_quarantine_replaces_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    for line in (2, 3):
        Quarantine(path).admit("X", 9, [row(line)])
    assert [json.loads(text)["line"] for text in path.read_text().splitlines()] == [3]


def test_what_was_seen_is_not_counted_again() -> None:
    quarantine = Quarantine()
    gap = SessionGap("X.csv", 7, "X", 0, 3, 2)
    for _ in range(2):
        quarantine.admit("X", 10, [row(5)], [gap])
        quarantine.admit("X", 20, [row(15)])
    quarantine.admit("another reading", 10, [row(5)])
    assert quarantine.total == 3
    assert (quarantine.gaps, quarantine.missing, quarantine.first_gap) == (1, 2, gap)


def test_strict_stops_at_the_first_and_again() -> None:
    quarantine = Quarantine(strict=True)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            quarantine.admit("X", 10, [row(5), row(6)])
        assert "X.csv, line 5" in str(caught.value)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="cannot write the quarantine file"):
        Quarantine(tmp_path / "taken" / "bad.jsonl").admit("X", 10, [row(5)])
