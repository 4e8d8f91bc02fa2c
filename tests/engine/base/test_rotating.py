"""Files that are rotated: whole lines, few files, readable by their owner only."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from engine.base.errors import UsageError
from engine.base.log import configure_logging, logger, most_log_bytes
from engine.base.rotating import MOST_FILE_BYTES, RotatingFile


def test_a_log_is_rotated_between_lines(tmp_path: Path) -> None:
    path = tmp_path / "session.log"
    configure_logging(1, "json", file=RotatingFile(path, 1000))
    try:
        for number in range(200):
            logger("test").warning("counted", number=number)
    finally:
        structlog.reset_defaults()
    files = [path.with_name(f"session.log.{k}") for k in (3, 2, 1)] + [path]
    assert {one.name for one in tmp_path.iterdir()} == {one.name for one in files}
    lines = [line for one in files for line in one.read_text().splitlines()]
    assert [int(line.split('"number": ')[1].split(",")[0]) for line in lines] == list(range(200 - len(lines), 200))
    assert all(1000 <= one.stat().st_size < 1200 for one in files[:3])
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}


def test_a_log_is_continued(tmp_path: Path) -> None:
    for text in ("one\n", "two\n", "three\n"):
        file = RotatingFile(tmp_path / "log", 8)
        file.write(text)
        file.flush()
    assert (tmp_path / "log.1").read_text() == "one\ntwo\n"
    assert (tmp_path / "log").read_text() == "three\n"


def test_the_size_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRANDMODEL_LOG_BYTES", raising=False)
    assert most_log_bytes() == MOST_FILE_BYTES
    monkeypatch.setenv("GRANDMODEL_LOG_BYTES", "5000")
    assert most_log_bytes() == 5000
    for wrong in ("", "0", "-1", "16M"):
        monkeypatch.setenv("GRANDMODEL_LOG_BYTES", wrong)
        with pytest.raises(UsageError, match="rotated"):
            most_log_bytes()
