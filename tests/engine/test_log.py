"""Logging: silent as a library, JSON lines away from a terminal, nothing on standard output."""

from __future__ import annotations

import json

import pytest
import structlog

from engine.log import configure_logging, logger


@pytest.fixture(autouse=True)
def _as_before() -> object:
    yield
    structlog.reset_defaults()


def test_json_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(1, json_lines=True)
    logger("feeds").info("opened", file="a.csv")
    logger("feeds").debug("not shown")
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert {"part": "feeds", "event": "opened", "file": "a.csv", "level": "info"}.items() <= json.loads(line).items()


def test_a_library_tells_of_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    logger("models").info("quiet")
    logger("models").warning("heard")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "heard" in printed.err
    assert "quiet" not in printed.err


def test_the_environment_decides(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANDMODEL_LOG", "console")
    configure_logging(2)
    logger("bus").debug("event", n=3)
    printed = capsys.readouterr().err
    assert "event" in printed
    assert not printed.startswith("{")
