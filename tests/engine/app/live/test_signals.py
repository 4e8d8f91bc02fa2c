"""SIGTERM and Ctrl-C: the first ends a session as it should, the second at once, and nothing is lost by either."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from engine.app.live.control import ControlServer, ask
from tests.brokers import KafkaHelper, kafka, unique
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import QUICK, ROOT, RUN, Child, printed, refused, rows_of, status_of
from tests.waiting import LIMIT_S, until

__all__ = ["kafka"]  # a fixture
TRADES = ("--symbols", "X", "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")
ROWS = 400


@pytest.mark.slow
def test_signals_end_it_and_it_goes_on_afterwards(kafka: KafkaHelper, tmp_path: Path) -> None:
    short = case(live_bars(ROWS))
    topic = asyncio.run(kafka.topic(name=unique("signals")))
    words = ("--feed", f"kafka://{kafka.servers}/{topic}", *TRADES, "--max-bars", str(ROWS))
    at = 0
    for number, through in ((signal.SIGTERM, 150), (signal.SIGINT, 250)):
        asyncio.run(kafka.send(topic, short.payloads[at:through]))
        at = through
        with Child(tmp_path, *words) as child:
            child.until_rows(through - 1)
            child.send(number)
            code, said, complained = child.end()
        assert code == 0, complained
        result = json.loads(said)
        assert result["ended"] == f"stopped by {number.name}"
        assert through - 1 <= result["bars"] == rows_of(tmp_path) <= through
        assert result["ledger_sha256"] == printed("journal", "verify", str(tmp_path))["ledger_sha256"]
    asyncio.run(kafka.send(topic, short.payloads[at:-1]))
    with Child(tmp_path, *words) as child:
        child.until_rows(at + 1)
        # two of one kind would be one where both are waiting; which of the two is heard first is open
        child.send(signal.SIGINT)
        child.send(signal.SIGTERM)
        code, said, complained = child.end()
    assert code in {128 + signal.SIGINT, 128 + signal.SIGTERM}, complained
    assert said == ""
    asyncio.run(kafka.send(topic, short.payloads[-1:]))
    with Child(tmp_path, *words) as child:
        again = child.result()
    assert (again["resumed"], again["bars"], again["ledger_sha256"]) == (True, ROWS, short.expected)
    assert printed("journal", "replay", str(tmp_path))["ledger_sha256"] == short.expected


def test_a_session_that_waits_for_its_broker_heeds_a_signal(tmp_path: Path) -> None:
    with Child(tmp_path, "--feed", "kafka://127.0.0.1:1/bars", *TRADES) as child:
        child.until((tmp_path / "control.sock").exists)
        child.send(signal.SIGTERM)
        result = child.result()
    assert (result["ended"], result["bars"], result["ledger_sha256"]) == ("stopped by SIGTERM", 0, None)
    assert "no bar" in refused("journal", "export", str(tmp_path), "--out", str(tmp_path / "out"))


def test_whoever_sees_the_control_socket_can_send_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = []

    async def enter(server: ControlServer) -> ControlServer:
        handlers.extend(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT))
        return await entering(server)

    entering = ControlServer.__aenter__
    monkeypatch.setattr(ControlServer, "__aenter__", enter)
    case(live_bars(5)).run(tmp_path / "run")
    assert len(handlers) == 2
    assert not {signal.SIG_DFL, signal.default_int_handler}.intersection(handlers)


def test_a_session_whose_log_nobody_reads_obeys_and_ends(tmp_path: Path) -> None:
    """The pipe is full before it starts, so that its first line would block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    command = [*RUN, "paper", "--out", str(tmp_path / "run"), "--json", *QUICK, "--feed", "stdin", *TRADES, "-vv"]
    try:
        session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writing, cwd=ROOT)
        assert session.stdin is not None
        for _ in range(600):
            session.stdin.write(b"junk\n")
        session.stdin.flush()
        until(lambda: status_of(tmp_path / "run").get("dead_letters", {}).get("malformed") == 600)
        assert ask(tmp_path / "run", "halt")["done"] == "halted"
        session.send_signal(signal.SIGTERM)
        said, _ = session.communicate(timeout=LIMIT_S)
    finally:
        os.close(reading)
        os.close(writing)
    assert session.returncode == 1  # most messages were refused
    assert json.loads(said)["ended"] == "stopped by SIGTERM"


def test_clients_that_ask_without_end_do_not_keep_a_session_from_ending(tmp_path: Path) -> None:
    """A command that arrives in the moment in which its connection is cut must not save the connection."""
    session = subprocess.Popen(
        [*RUN, "paper", "--out", str(tmp_path / "run"), "--json", *QUICK, "--feed", "stdin", *TRADES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    until(lambda: status_of(tmp_path / "run"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(20)]
        for client in clients:
            client.connect(str(tmp_path / "run" / "control.sock"))
        asking = threading.Event()

        def ask_without_end() -> None:
            while not asking.is_set():
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.send(b'{"command": "status"}\n', socket.MSG_DONTWAIT)
                        client.recv(65_536, socket.MSG_DONTWAIT)

        thread = threading.Thread(target=ask_without_end)
        thread.start()
        session.send_signal(signal.SIGTERM)
        try:
            said, complained = session.communicate(timeout=20)  # a connection that was saved stays for 30 seconds
        finally:
            asking.set()
            thread.join()
            session.kill()
    assert (session.returncode, complained) == (0, b"")
    assert json.loads(said)["ended"] == "stopped by SIGTERM"
