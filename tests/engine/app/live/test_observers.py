"""Metrics, health, heartbeat and alerts of a session, as what watches it from outside sees them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.app.live.observers import _DeadLetters, _Gaps
from engine.journal.entries import Gap
from engine.types.dead_letter import DeadLetter
from feeds.live.broker import free_port
from tests.bars import MINUTE
from tests.brokers import HOST, KafkaHelper, need_tansu, tansu
from tests.engine.app.live.sessions import START, case, live_bars
from tests.engine.cli.children import ROOT, RUN, Child, printed
from tests.waiting import LIMIT_S, until

TOPIC = "bars"


class Hook(BaseHTTPRequestHandler):
    """Takes alerts."""

    told: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address for alerts, and those that came."""
    told: list[dict[str, Any]] = []
    with HTTPServer((HOST, 0), type("Told", (Hook,), {"told": told})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/s3cret-hook", told
        finally:
            server.shutdown()
            thread.join()


def fetched(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{page}", timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def fill(kafka: KafkaHelper, payloads: list[bytes]) -> None:
    await kafka.topic(name=TOPIC)
    await kafka.send(TOPIC, payloads)


@pytest.mark.slow
def test_what_watches_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows the broker away and back; the webhook, whose address is a secret, hears what matters."""
    need_tansu()
    short, port, folder, alive = case(live_bars(120)), free_port(), tmp_path / "session", tmp_path / "alive"
    sent = [*short.payloads[:50], b"broken", *short.payloads[60:]]
    with tansu() as broker, webhook() as (address, told):
        monkeypatch.setenv("HOOK", address)
        kafka = KafkaHelper(broker.address)
        asyncio.run(fill(kafka, sent))
        wanted = {
            "metrics.enabled": "true",
            "metrics.port": port,
            "heartbeat_file": alive,
            "alerts.webhook.url": "env:HOOK",
            "alerts.webhook.least": "info",
            "alerts.every_s": 0,
            "limits.max_drawdown": 1e-6,
        }
        settings = [word for key, value in wanted.items() for word in ("--set", f"{key}={value}")]
        words = ("--feed", f"kafka://{broker.address}/{TOPIC}", "--symbols", "X", "--agent", "buy_and_hold", *settings)
        with Child(folder, *words) as child:
            child.until_rows(110)
            child.until(lambda: "grandmodel_rows_total 110.0" in fetched(port, "/metrics")[1].splitlines())
            child.until(lambda: fetched(port, "/readyz")[0] == 200)
            child.until(alive.exists)
            beat = alive.stat().st_mtime_ns
            child.until(lambda: alive.stat().st_mtime_ns > beat)
            broker.stop()
            child.until(lambda: fetched(port, "/readyz")[0] == 503)
            assert fetched(port, "/healthz")[0] == 200
            broker.start()
            asyncio.run(fill(kafka, sent))
            child.until(lambda: fetched(port, "/readyz")[0] == 200)
            until(lambda: {"session_started", "gap", "dead_letters", "halted"} <= {one["kind"] for one in told})
            status = printed("ctl", str(folder), "status")
            assert (status["halted"], status["positions"]) == ("max_drawdown", {})
            printed("ctl", str(folder), "stop")
            code, said, complained = child.end()
    assert code == 0, complained
    assert "session_stopped" in {one["kind"] for one in told}
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not [body for body in (*written, said.encode(), complained.encode()) if b"s3cret-hook" in body]


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ([1], "1 bar of X is missing between 2024-01-01T00:01:00 and 2024-01-01T00:03:00 UTC"),
        ([2], "2 bars of X are missing between 2024-01-01T00:01:00 and 2024-01-01T00:04:00 UTC"),
        ([1, 1], "2024-01-01T00:03:00 UTC, and 1 more in 1 later gap"),
        ([1, 1, 5], "2024-01-01T00:03:00 UTC, and 6 more in 2 later gaps"),
    ],
)
def test_gaps_in_words(missing: list[int], text: str) -> None:
    gaps = [Gap(1, "X", START, START + (count + 1) * MINUTE, count) for count in missing]
    waiting = _Gaps()
    waiting.add(gaps[:1])
    if gaps[1:]:
        waiting.add(gaps[1:])
    assert (waiting.take() or "").endswith(text)
    assert waiting.take() is None


def test_refusals_in_words() -> None:
    waiting = _DeadLetters()
    waiting.add([DeadLetter("p", 7, "late", "a", "b", b"", count=3), DeadLetter("p", 8, "overflow", "c", "d", b"")])
    waiting.add([DeadLetter("q", -1, "late", "e", "f", b"", count=1000)])
    assert waiting.take() == "messages refused: 1,003 late, 1 overflow; first at p, offset 7: expected a, found b"
    assert waiting.take() is None


def test_a_flood_of_refusals_is_a_few_warnings_that_count_them_all(tmp_path: Path) -> None:
    words = ("--feed", "stdin", "--symbols", "X", "--agent", "flat", "--out", str(tmp_path / "run"), "--json")
    command = [*RUN, "paper", *words, "--no-report"]
    ended = subprocess.run(command, input=b"{}\n" * 50_000, capture_output=True, cwd=ROOT, check=False)
    texts = [json.loads(line) for line in ended.stderr.decode().splitlines() if line.startswith("{")]
    warned = [one["event"] for one in texts if one.get("kind") == "dead_letters"]
    assert len(warned) == 2  # the first at once, the others at the end, before a minute has passed
    counts = [int(one.split("messages refused: ")[1].split()[0].replace(",", "")) for one in warned]
    assert sum(counts) == 50_000
