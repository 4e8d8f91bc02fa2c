"""Dead letters whose destination is away: a limited number waits, and what is given up is counted and reported."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.app.live.dead_letters import FileSink, Relay
from engine.journal.entries import Entry
from engine.journal.journal import Journal
from engine.monitor.alerts import Severity
from engine.types.dead_letter import DeadLetter
from tests.waiting import eventually

LETTER = DeadLetter("p", 0, "late", "", "", b"x" * 100)


async def test_a_destination_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.GIVEN_UP_AT_ONCE", 100)
    monkeypatch.setattr("engine.app.live.dead_letters.RETRY_S", 0.01)
    said: list[tuple[Severity, str, str]] = []
    blocked = tmp_path / "dead_letters.jsonl"
    blocked.mkdir()  # a folder where the file should be
    with Journal(tmp_path) as journal:
        relay = Relay(journal, FileSink(tmp_path), lambda *words: said.append(words), most=1000)
        running = asyncio.create_task(relay.run())
        for _ in range(100):
            journal.commit(Entry(dead_letters=[LETTER] * 50))
            relay.wake()
            assert len(journal.unsent(most=10_000)) < 1000 + 100 + 250
            await asyncio.sleep(0)
        blocked.rmdir()
        await eventually(lambda: not journal.unsent())
        running.cancel()
        given_up = journal._counters["letters_given_up"]
        assert relay.given_up == given_up > 0
    assert {words[:2] for words in said} == {("warning", "dead_letters_given_up")}
    assert sum(int(words[2].split()[0].replace(",", "")) for words in said) == given_up
    assert len(blocked.read_text().splitlines()) == 5000 - given_up
