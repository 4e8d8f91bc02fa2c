"""What a person is told who gives a session folder other settings, or an address that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UsageError
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.cli.children import called


def test_other_symbols_are_named_before_all_that_follows_from_them(tmp_path: Path) -> None:
    short = case(live_bars(5))
    short.traded(tmp_path)
    other = Case(live_bars(5, ("Y",)), short.settings, [])
    with pytest.raises(UsageError) as caught:
        other.run(tmp_path)
    assert caught.value.found == "symbols: ['X'] there, ['Y'] here"


def test_an_address_that_cannot_be_read_is_told_in_its_own_words(tmp_path: Path) -> None:
    code, said, complained = called("paper", "--feed", "kafka://127.0.0.1", "--out", str(tmp_path / "live"), "--json")
    assert (code, said) == (2, "")
    lines = [line.strip() for line in complained.splitlines()]
    assert lines[:2] == ["error: the address lacks its topic", "expected: kafka://127.0.0.1:9092/TOPIC"]
    assert not (tmp_path / "live").exists()


def test_a_session_that_does_not_run_is_started_by_a_command_that_is_named(tmp_path: Path) -> None:
    case(live_bars(5)).traded(tmp_path)
    assert f"`grandmodel paper --out {tmp_path}`" in called("ctl", str(tmp_path), "status")[2]


def test_a_first_attempt_to_which_nothing_came_binds_nobody(tmp_path: Path) -> None:
    bars = live_bars(30)
    case(bars).run(tmp_path, payloads=[])
    other = case(bars, agent="buy_and_hold")
    assert other.traded(tmp_path) == other.expected
    with pytest.raises(UsageError, match="other settings"):
        case(bars).run(tmp_path)
