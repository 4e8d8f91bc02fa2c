from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api.calls import backtest
from engine.app.journal.verifying import audit, export_whole, replay_whole
from engine.app.verify import verify
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.journal.files import FILE
from engine.journal.reading import JournalReader
from feeds.memory import MemorySource
from tests.engine.app.live.sessions import Case, case, live_bars

SYMBOLS = ("A", "B", "C")
RULE_SEATS: dict[str, Any] = {
    "agent": "ensemble",
    "ensemble": {
        "seats": {"strategic": "sma_cross:fast=1,slow=2", "tactical": "buy_and_hold", "risk": "level:3"},
        "risk_cadence": "bar",
    },
}


@pytest.mark.parametrize("agent", ["sma_cross:fast=2,slow=5", "random:seed=3,hold=4", "buy_and_hold"])
def test_a_session_gives_the_ledger_of_the_backtest(tmp_path: Path, agent: str) -> None:
    short = case(live_bars(60), agent=agent)
    run = short.run(tmp_path / "run", cuts=(1, 3, 7))
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected
    assert run.ended.because == "the feed ended"
    assert run.counters["bars"] == 60


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 25), min_size=1, max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_neither_deliveries_nor_messages_nor_blocks_show(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], symbols: int, per_message: int
) -> None:
    bars = live_bars(50, symbols=SYMBOLS[:symbols], absent=0.2 if symbols > 1 else 0.0)
    short = case(bars, per_message)
    run = short.run(tmp_path_factory.mktemp("run"), cuts=cuts, feed={"block": 7})
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected


def test_a_session_goes_on_where_it_was(tmp_path: Path) -> None:
    short = case(live_bars(60), **RULE_SEATS)
    for bars in (1, 2, 17, 18, 44):
        run = short.run(tmp_path, end={"bars": bars})
        assert run.ended.because == f"{bars} bars were traded"
        assert run.resumed is (bars > 1)
    run = short.run(tmp_path, end={"bars": None})
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected
    assert replay_whole(tmp_path) == (60, short.expected)
    assert audit(tmp_path).ledger_sha256 == short.expected


def test_snapshots_may_be_rare(tmp_path: Path) -> None:
    short = case(live_bars(60), journal={"snapshot_every": 7})
    for bars in (5, 11, 33):
        short.run(tmp_path, end={"bars": bars})
    run = short.run(tmp_path)
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected


def test_a_strategy_whose_state_cannot_be_saved_runs_over_its_bars_again(tmp_path: Path) -> None:
    file = Path(__file__).parents[3] / "agents" / "strategies" / "breakout.py"
    short = case(live_bars(60), agent=f"{file}:Breakout")
    for bars in (20, 40):
        short.run(tmp_path, end={"bars": bars})
    run = short.run(tmp_path)
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected


def test_the_folder_is_that_of_a_backtest(tmp_path: Path) -> None:
    short = case(live_bars(300, symbols=SYMBOLS[:2], absent=0.2))
    run = short.run(tmp_path / "live")
    expected = backtest(MemorySource(short.bars), agent=short.settings["agent"], fee=0.0002, out=tmp_path / "back")
    assert run.exported is not None
    live, back = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("live", "back"))
    assert live == back
    for table in ("ledger", "fills", "orders", "trades", "decisions", "sessions", "chart"):
        there, here = (pl.read_parquet(tmp_path / name / f"{table}.parquet") for name in ("back", "live"))
        assert there.equals(here), table
    assert run.exported.manifest["kind"] == "paper"
    assert verify(str(tmp_path / "live")).passed
    exported = export_whole(tmp_path / "live", tmp_path / "again")
    assert exported.manifest["ledger_sha256"] == expected.ledger_sha256


def test_a_changed_value_in_the_journal_is_found_and_named(tmp_path: Path) -> None:
    import sqlite3

    from engine.journal.blocks import StoredBlock, _checksum

    short = case(live_bars(40))
    short.run(tmp_path)
    db = sqlite3.connect(tmp_path / FILE)
    stored = StoredBlock(*db.execute("SELECT * FROM blocks WHERE seq = 23").fetchone())
    ledger = bytearray(stored.ledger)
    ledger[8] ^= 1  # the last bit of equity
    changed = stored._replace(ledger=bytes(ledger))
    db.execute("UPDATE blocks SET ledger = ? WHERE seq = 23", (bytes(ledger),))
    db.commit()
    with pytest.raises(CheckFailed, match="rows 23 to 23"):
        audit(tmp_path)
    db.execute("UPDATE blocks SET crc = ? WHERE seq = 23", (_checksum(changed[5:]),))
    db.commit()
    with pytest.raises(CheckFailed, match="differ from those that were hashed"):
        audit(tmp_path)
    with pytest.raises(CheckFailed, match=r"ledger\.equity") as caught:
        replay_whole(tmp_path)
    assert "row 23" in str(caught.value.where)


def test_other_settings_are_refused_and_lose_nothing(tmp_path: Path) -> None:
    short = case(live_bars(30))
    short.run(tmp_path, end={"bars": 10})
    with pytest.raises(UsageError, match="other settings") as caught:
        short.run(tmp_path, initial_capital=5_000.0, agent="flat")
    assert "agent: sma_cross:fast=2,slow=5 there, flat here" in str(caught.value.found)
    assert "initial_capital: 100000.0 there, 5000.0 here" in str(caught.value.found)
    run = short.run(tmp_path)
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        case(live_bars(5)).run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_bad_messages_are_kept_with_their_reasons(tmp_path: Path) -> None:
    short = case(live_bars(30))
    twice, late = short.payloads[3], short.payloads[1]
    payloads = [*short.payloads[:5], b"{not json", twice, late, b'{"symbol":"NO","timestamp":1}', *short.payloads[5:]]
    run = short.run(tmp_path, payloads=payloads)
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected
    with JournalReader(tmp_path) as reader:
        letters = [letter for _, letter in reader.dead_letters()]
        assert [letter.offset for letter in letters] == [5, 6, 7, 8]
        assert letters[0].payload == b"{not json"
    lines = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [1, 2, 3, 4]
    assert run.exported.manifest["quarantined"] == {
        letter.reason: 2 if letter.reason == "duplicate" else 1 for letter in letters
    }
    with pytest.raises(DataError, match="a message cannot be used"):
        short.run(tmp_path / "strict", payloads=payloads, feed={"strict": True})


def test_gaps_are_noticed_and_filled_by_nothing(tmp_path: Path) -> None:
    short = case(live_bars(30))
    payloads = [*short.payloads[:10], *short.payloads[13:]]
    run = short.run(tmp_path, payloads=payloads)
    with JournalReader(tmp_path) as reader:
        [gap] = reader.gaps()
        assert (gap.seq, gap.symbol, gap.missing) == (10, "X", 3)
        assert reader.next_seq == 27
    assert run.counters["gaps"] == 1
    assert run.counters["missing"] == 3


def test_a_session_without_a_bar_ends_with_nothing(tmp_path: Path) -> None:
    short = case(live_bars(5))
    run = short.run(tmp_path, payloads=[])
    assert run.exported is None
    run = short.run(tmp_path)
    assert run.exported is not None
    assert run.exported.manifest["ledger_sha256"] == short.expected


def test_a_session_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    before = os.umask(0o022)
    try:
        case(live_bars(20)).run(folder, payloads=[b"{}", *case(live_bars(20)).payloads])
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert {"journal.sqlite", "dead_letters.jsonl", "manifest.json"} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("named", ["feed", "instrument"])
def test_columns_in_any_order_are_verified_in_that_order(tmp_path: Path, named: str) -> None:
    """With money for some of them only, it matters whose order comes first; one symbol has no bar at all."""
    bars = live_bars(80, ("C", "A", "B"), absent=0.2)
    symbols = ["C", "D", "A", "B"]
    short = case(bars, initial_capital=150.0)
    more: dict[str, Any] = {"feed": {"symbols": symbols}}
    if named == "instrument":
        more = {"feed": {"symbols": []}, "instrument": dict.fromkeys(symbols, "GENERIC")}
    run = short.run(tmp_path, **more)
    assert run.exported is not None and run.exported.manifest["symbols"] == symbols
    assert run.exported.metrics["fills"]
    assert verify(str(tmp_path)).passed


def test_a_changed_bar_of_a_row_traded_before_a_restart_is_told_from_the_same_one(tmp_path: Path) -> None:
    short = case(live_bars(60))
    other = short.payloads[20].replace(b'"volume":', b'"volume":1')
    short.run(tmp_path, payloads=short.payloads[:30])
    run = short.run(tmp_path, payloads=[*short.payloads[:30], short.payloads[20], other, *short.payloads[30:]])
    assert run.exported is not None and run.exported.manifest["ledger_sha256"] == short.expected
    assert run.exported.manifest["quarantined"] == {"duplicate": 1, "conflicting_duplicate": 1}


def test_a_session_that_begins_at_a_time_trades_the_bars_from_then_on(tmp_path: Path) -> None:
    """History is published when it is published: what counts is the time of its bars."""
    short = case(live_bars(60))
    begin = {"address": "kafka://localhost/bars?from=2024-01-01T00:31"}
    first = short.run(tmp_path, payloads=short.payloads[:40], feed=begin)
    assert first.counters["bars"] == 10
    run = short.run(tmp_path)  # from another address: where the session began holds
    assert run.exported is not None
    expected = Case(replace(short.bars.slice(30, 60), seq=0), short.settings, []).expected
    assert (run.exported.manifest["ledger_sha256"], run.counters["bars"]) == (expected, 30)
    assert run.exported.manifest["quarantined"] == {} and run.ended.short is None
