"""`grandmodel ctl` and `grandmodel reset-halt` to a session that runs, has ended, or never was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.brokers import KafkaHelper, kafka, unique
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import Child, called, printed, refused, rows_of
from tests.waiting import until

__all__ = ["kafka"]  # a fixture
HOLDS = ("--symbols", "X", "--agent", "buy_and_hold")


def ctl(folder: Path, command: str) -> dict[str, object]:
    return printed("ctl", str(folder), command)


@pytest.mark.slow
def test_an_operators_orders_over_restarts(kafka: KafkaHelper, tmp_path: Path) -> None:
    """Paused, resumed, flattened, halted; still halted after a restart; reset while it runs, and while it does not."""
    short = case(live_bars(100))
    topic = asyncio.run(kafka.topic(name=unique("orders")))
    words = ("--feed", f"kafka://{kafka.servers}/{topic}", *HOLDS)
    sent = 0

    def send(child: Child, rows: int) -> None:
        """More rows; all but the last of them close at once, and that one as nothing more comes."""
        nonlocal sent
        asyncio.run(kafka.send(topic, short.payloads[sent : sent + rows]))
        sent += rows
        child.until_rows(sent)

    def position() -> object:
        return ctl(tmp_path, "status")["positions"]

    with Child(tmp_path, *words) as child:
        child.until_connected()
        send(child, 10)
        status = ctl(tmp_path, "status")
        assert str(status["pid"]) in called("ctl", str(tmp_path), "status")[1].splitlines()[0]
        assert (status["state"], status["rows"], status["positions"]) == ("trading", 10, {"X": 1.0})
        assert ctl(tmp_path, "pause") == {"done": "paused", "state": "paused", "row": 10}
        send(child, 10)
        assert position() == {"X": 1.0}
        assert ctl(tmp_path, "flatten") == {"done": "flattened", "state": "paused", "row": 20}
        send(child, 10)
        assert position() == {}
        assert ctl(tmp_path, "resume") == {"done": "resumed", "state": "trading", "row": 30}
        send(child, 10)
        assert position() == {"X": 1.0}
        assert "refused the command: there is no halt" in refused("reset-halt", str(tmp_path), "--json")
        said = called("ctl", str(tmp_path), "halt")[1]
        assert "halted" in said and "40" in said
        send(child, 10)
        assert position() == {}
        assert "a session is running in this folder" in refused("paper", "--out", str(tmp_path), *words)
        lines = dict(line.split(maxsplit=1) for line in called("ctl", str(tmp_path), "status")[1].splitlines())
        assert lines["ledger"] == ctl(tmp_path, "status")["ledger_sha256"]
        assert ctl(tmp_path, "stop")["done"] == "stops after the current transaction"
        assert child.result()["ended"] == "stopped by ctl"
    with Child(tmp_path, *words) as child:
        child.until_connected()
        send(child, 10)
        assert (ctl(tmp_path, "status")["state"], position()) == ("halted", {})
        assert printed("reset-halt", str(tmp_path)) == {"done": "reset", "state": "trading", "row": 60}
        send(child, 10)
        assert position() == {"X": 1.0}
        ctl(tmp_path, "halt")
        complained = refused("reset-halt", str(tmp_path))
        assert complained.startswith(
            "error: the session refused the command: the halt cannot be reset before the book is empty\n"
        )
        assert all(line.startswith("  ") for line in complained.splitlines()[1:])
        send(child, 10)
        ctl(tmp_path, "stop")
        child.result()
    assert printed("reset-halt", str(tmp_path)) == {"done": "reset", "state": "stopped", "row": 80}
    assert "there is no halt to reset" in refused("reset-halt", str(tmp_path))
    with Child(tmp_path, *words, "--max-bars", "90") as child:
        child.until_connected()
        asyncio.run(kafka.send(topic, short.payloads[80:90]))
        result = child.result()
    assert printed("journal", "replay", str(tmp_path))["ledger_sha256"] == result["ledger_sha256"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    kinds = [(one["seq"], one["kind"], one["by"]) for one in manifest["operations"]]
    assert kinds == [
        (10, "pause", "ctl"),
        (20, "flatten", "ctl"),
        (30, "resume", "ctl"),
        (40, "halt", "ctl"),
        (60, "reset_halt", "reset-halt"),
        (70, "halt", "ctl"),
        (80, "reset_halt", "reset-halt"),
    ]
    assert "an operator gave commands" in refused("verify", str(tmp_path))


def test_standby_waits_for_a_start(kafka: KafkaHelper, tmp_path: Path) -> None:
    short = case(live_bars(20))
    topic = asyncio.run(kafka.topic(name=unique("standby")))
    with Child(tmp_path, "--feed", f"kafka://{kafka.servers}/{topic}", *HOLDS, "--standby") as child:
        child.until_connected()
        asyncio.run(kafka.send(topic, short.payloads[:10]))
        child.until_rows(10)
        assert (ctl(tmp_path, "status")["state"], ctl(tmp_path, "status")["fills"]) == ("paused", 0)
        assert ctl(tmp_path, "start")["state"] == "trading"
        asyncio.run(kafka.send(topic, short.payloads[10:]))
        until(lambda: rows_of(tmp_path) == 20)
        assert ctl(tmp_path, "status")["fills"] == 1
        ctl(tmp_path, "stop")
        assert child.result()["fills"] == 1


def test_mistakes_end_in_a_message(tmp_path: Path) -> None:
    case(live_bars(5)).traded(tmp_path / "ended")
    ended = str(tmp_path / "ended")
    assert "no session is running" in refused("ctl", ended, "status", "--json")
    assert "grandmodel paper --out" in refused("ctl", ended, "stop")
    assert "check the folder's name" in refused("ctl", str(tmp_path / "none"), "status")
    assert "did you mean pause?" in refused("ctl", ended, "pauze")
    assert "holds no live session" in refused("reset-halt", str(tmp_path / "none"))
    assert "there is no halt to reset" in refused("reset-halt", ended)


def test_one_name_may_follow_promote_and_none_other_commands(tmp_path: Path) -> None:
    assert refused("ctl", str(tmp_path), "promote", "flat", "other").startswith(
        "error: promote takes one name at most\n"
    )
    assert refused("ctl", str(tmp_path), "rollback", "flat").startswith(
        "error: rollback takes no name or other argument\n"
    )
    assert "no session is running" in refused("ctl", str(tmp_path), "promote", "flat")
