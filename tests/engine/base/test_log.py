"""Logging: warnings only as a library, plain lines of commands, JSON where asked for, nothing on standard output."""

from __future__ import annotations

import json

import pytest
import structlog

from engine.base.log import configure_logging, logger


@pytest.fixture(autouse=True)
def _as_before() -> object:
    yield
    structlog.reset_defaults()


def test_json_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(1, "json")
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
    assert printed.err == "warning: heard\n"


def test_commands_and_calls_log_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(1)
    logger("code").warning("the file is executed", file="a\x1b.py", recorded=True)
    logger("bus").info("end", bars=3)
    assert capsys.readouterr().err == (
        "warning: the file is executed (file: a\\x1b.py, recorded: True)\ninfo: end (bars: 3)\n"
    )


def test_a_console_line_has_no_escape_codes_away_from_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(0, "console")
    logger("code").warning("heard", n=1)
    printed = capsys.readouterr().err
    assert "heard" in printed and "\x1b" not in printed


def test_the_environment_decides(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANDMODEL_LOG", "console")
    configure_logging(2)
    logger("bus").debug("event", n=3)
    printed = capsys.readouterr().err
    assert "event" in printed
    assert not printed.startswith("{")
