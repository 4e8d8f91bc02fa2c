"""What an operator is told who gives a session folder other settings, or an address that cannot be read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from engine.app.journal.verifying import audit
from engine.app.live.open_or_resume import stored_config
from engine.base.errors import UsageError
from engine.journal.files import FILE
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.cli.children import called
from tests.engine.journal.steps import make_old


def test_other_symbols_are_named_before_all_that_follows_from_them(tmp_path: Path) -> None:
    short = case(live_bars(5))
    short.traded(tmp_path)
    other = Case(live_bars(5, ("Y",)), short.settings, [])
    with pytest.raises(UsageError) as caught:
        other.run(tmp_path)
    assert caught.value.found == "symbols: ['X'] there, ['Y'] here"


def test_an_address_that_cannot_be_read_is_told_in_its_own_words(tmp_path: Path) -> None:
    code, said, complained = called("paper", "--feed", "kafka://127.0.0.1", "--out", str(tmp_path / "live"), "--json")
    assert (code, json.loads(said)["error"]["what"]) == (2, "the address lacks its topic")
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


def test_a_session_of_an_earlier_version_goes_on_without_its_retired_keys(tmp_path: Path) -> None:
    short = case(live_bars(30))
    short.run(tmp_path, end={"bars": 10})
    make_old(tmp_path)
    db = sqlite3.connect(tmp_path / FILE)
    session = json.loads(db.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0])
    session["config"]["feed"]["max_jump_days"] = 30.0
    db.execute("UPDATE meta SET value = ? WHERE key = 'session'", (json.dumps(session),))
    db.commit()
    db.close()
    assert audit(tmp_path).next_row == 10
    assert "max_jump_days" not in stored_config(tmp_path)["feed"]
    assert short.traded(tmp_path) == short.expected
    assert audit(tmp_path).ledger_sha256 == short.expected
