"""`grandmodel journal`: whole journals are proven, damaged ones end in a message, whatever is damaged."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from engine.journal.files import FILE
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.cli.children import called, printed, refused

DAMAGED = {1, 2}


@pytest.fixture(scope="module")
def short() -> Case:
    return case(live_bars(60, ("A", "B"), absent=0.2), journal={"durability": "process", "snapshot_every": 5})


@pytest.fixture(scope="module")
def session(short: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of some transactions, one message among its bars that is none."""
    folder = tmp_path_factory.mktemp("session")
    short.run(folder, (3,), payloads=[*short.payloads[:10], b"broken", *short.payloads[10:]])
    return folder


def test_a_whole_journal_is_verified_replayed_exported_and_read(session: Path, short: Case, tmp_path: Path) -> None:
    verified = printed("journal", "verify", str(session))
    assert (verified["first_row"], verified["next_row"], verified["operations"]) == (0, 60, 0)
    assert (verified["dead_letters"], verified["ledger_sha256"]) == (1, short.expected)
    assert printed("journal", "replay", str(session))["ledger_sha256"] == short.expected
    assert printed("journal", "export", str(session), "--out", str(tmp_path / "out"))["ledger_sha256"] == short.expected
    assert (tmp_path / "out" / "bars.parquet").is_file()
    said = called("journal", "dead-letters", str(session))[1]
    assert json.loads(said)["payload"] == "broken"
    assert f"ledger {short.expected}" in called("journal", "verify", str(session))[1]
    assert "60 rows" in called("journal", "replay", str(session))[1]
    assert "other files" in refused("journal", "export", str(session), "--out", str(session))


@pytest.mark.parametrize("command", [["verify"], ["replay"], ["dead-letters"], ["export", "--out", "OUT"]])
def test_a_folder_without_a_session(command: list[str], tmp_path: Path) -> None:
    words = [str(tmp_path / "out") if word == "OUT" else word for word in command]
    assert "holds no live session" in refused("journal", words[0], str(tmp_path), *words[1:])
    (tmp_path / FILE).write_bytes(b"")
    assert "never started" in refused("journal", words[0], str(tmp_path), *words[1:])
    (tmp_path / FILE).write_bytes(b"this is no database " * 500)
    code, _, complained = called("journal", words[0], str(tmp_path), *words[1:])
    assert "cannot read the journal" in complained
    assert code == (1 if command == ["verify"] else 2)  # the check found what it looks for; the others cannot go on


def test_a_damaged_journal_is_a_message_and_never_another_ledger(session: Path, short: Case, tmp_path: Path) -> None:
    """Cut off anywhere, or with any bit turned: what is not noticed has not mattered."""
    whole, dice = (session / FILE).read_bytes(), random.Random(11)
    told = [at for at, byte in enumerate(whole) if byte]
    noticed = 0
    for turn in range(45):
        damaged = bytearray(whole)
        if turn % 3:
            damaged[dice.choice(told)] ^= 1 << dice.randrange(8)
        else:
            del damaged[dice.randrange(len(damaged)) :]
        (tmp_path / FILE).write_bytes(damaged)
        codes = set()
        for command in ("verify", "replay"):
            code, said, complained = called("journal", command, str(tmp_path), "--json")
            assert code in {0, *DAMAGED}, (turn, complained)
            assert code == 0 or ("error" in json.loads(said) and complained.startswith("error: ")), (turn, complained)
            codes.add(code)
            assert command != "verify" or code in {0, 1}, (turn, complained)
            if code == 0:
                assert json.loads(said)["ledger_sha256"] == short.expected
        noticed += codes != {0}
    assert noticed > 20


def test_a_session_does_not_go_on_from_a_damaged_journal(session: Path, tmp_path: Path) -> None:
    shutil.copytree(session, tmp_path / "session")
    whole = (session / FILE).read_bytes()
    (tmp_path / "session" / FILE).write_bytes(whole[: len(whole) // 2])
    said = refused("paper", "--out", str(tmp_path / "session"), "--feed", "stdin", "--json")
    assert "cannot read the journal" in said and "from a copy" in said
