"""`grandmodel feed inspect` on real brokers: what a feed sends, how it is understood, and trading what it showed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from engine.types.blocks import BarBlock
from tests.brokers import KafkaHelper, Mosquitto, kafka, need_mosquitto, unique
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import Child, called, printed

__all__ = ["kafka"]  # a fixture
TRADES = ("--symbols", "X", "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")
MINUTE_MS = 60_000
FIELDS = {
    "symbol": "s",
    "timestamp": "k.t",
    "unit": "ms",
    "open": "k.o",
    "high": "k.h",
    "low": "k.l",
    "close": "k.c",
    "volume": "k.v",
    "only": {"k.x": True},
}


def klines(bars: BarBlock) -> list[bytes]:
    """Each bar as an exchange sends it: twice while it is open, numbers as text, times of the open."""
    found = []
    for row, close_ns in enumerate(bars.ts_event.tolist()):
        numbers = {name[0]: repr(float(getattr(bars, name)[row, 0])) for name in ("open", "high", "low", "close")}
        numbers["v"] = repr(float(bars.volume[row, 0]))
        opened = close_ns // 1_000_000 - MINUTE_MS
        bar = {"t": opened, "T": opened + MINUTE_MS - 1, "s": "X", "i": "1m", **numbers}
        found += [json.dumps({"e": "kline", "s": "X", "k": {**bar, "x": closed}}).encode() for closed in (False, True)]
    return found


def settings(folder: Path, **feed: Any) -> str:
    path = folder / "session.yaml"
    path.write_text(yaml.safe_dump({"feed": {"labels": "open", "fields": FIELDS, **feed}}))
    return str(path)


def inspected(monkeypatch: pytest.MonkeyPatch, lines: list[bytes], *words: str) -> tuple[int, str, str]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.writelines(line + b"\n" for line in lines)
    with os.fdopen(reading) as given:
        monkeypatch.setattr(sys, "stdin", given)
        return called("feed", "inspect", *words)


@pytest.mark.slow
def test_klines_over_kafka_are_shown_and_traded_as_the_bars_that_they_are(kafka: KafkaHelper, tmp_path: Path) -> None:
    short, topic = case(live_bars(300)), unique("klines")
    asyncio.run(kafka.topic(name=topic))
    asyncio.run(kafka.send(topic, klines(short.bars)))
    feed = f"kafka://{kafka.servers}/{topic}"
    code, plain, _ = called("feed", "inspect", feed)
    assert code == 1 and "refused   missing_field" in plain
    suggested = yaml.safe_load(plain[plain.index("feed:\n") :])["feed"]["fields"]
    assert suggested["close"] == "k.c" and suggested["only"] == {"k.x": True}
    config = settings(tmp_path)
    code, said, _ = called("feed", "inspect", feed, "-c", config, "--symbols", "X", "--messages", "4")
    assert code == 0
    assert "feed.fields.close is k.c; text that is a number" in said
    assert "milliseconds since 1970, as feed.fields.unit says; times are of the open" in said
    assert said.count("left out by feed.fields.only: 1") == 2 and "not used  e, k.T, k.s, k.i" in said
    with Child(tmp_path / "live", "--feed", feed, "-c", config, *TRADES, "--max-bars", "300") as child:
        result = child.result()
    assert (result["ledger_sha256"], result["dead_letters"]) == (short.expected, {})
    assert printed("journal", "replay", str(tmp_path / "live"))["ledger_sha256"] == short.expected


@pytest.mark.slow
def test_klines_over_mqtt_leave_nothing_behind_at_the_broker(tmp_path: Path) -> None:
    need_mosquitto()
    short, folder = case(live_bars(100)), tmp_path / "broker"
    folder.mkdir()
    query = "&".join(f"fields.{key}={value}" for key, value in FIELDS.items() if key != "only")
    with Mosquitto(folder) as broker:
        feed = f"mqtt://{broker.server}/klines?{query}&fields.only=k.x:true"

        async def send(payloads: list[bytes], retain: bool) -> None:
            host, port = broker.server.split(":")
            async with aiomqtt.Client(host, int(port)) as client:
                for payload in payloads:
                    await client.publish("klines", payload, qos=1, retain=retain)

        async def kept() -> int:
            """Sessions that the broker keeps, of readers that are there or not."""
            host, port = broker.server.split(":")
            async with aiomqtt.Client(host, int(port)) as client:
                await client.subscribe("$SYS/broker/clients/disconnected")
                message = await asyncio.wait_for(anext(aiter(client.messages)), 30)
                return int(message.payload)  # type: ignore[arg-type]

        asyncio.run(send(klines(short.bars)[:2], retain=True))
        code, said, _ = called("feed", "inspect", feed, "--set", "feed.labels=open", "--messages", "1")
        assert code == 0, said
        assert "so the 1min bar closes at" in said
        words = ("--set", "feed.labels=open", *TRADES, "--max-bars", "100")
        with Child(tmp_path / "live", "--feed", feed, *words) as child:
            child.until_connected()
            asyncio.run(send(klines(short.bars), retain=False))
            result = child.result()
        assert (result["ledger_sha256"], result["bars"]) == (short.expected, 100)
        assert asyncio.run(kept()) <= 1  # that of the session


def test_standard_input_with_a_mapping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = klines(live_bars(3))
    code, said, _ = inspected(monkeypatch, lines, "stdin", "-c", settings(tmp_path), "--json", "--symbols", "X")
    found = json.loads(said)
    assert code == 0 and found["usable"]
    first, second = found["messages"][:2]
    assert (first["elements"], first["skipped"]) == ([], 1)
    [readings] = second["elements"]
    assert [one["field"] for one in readings] == ["symbol", "volume", "timestamp", "open", "high", "low", "close"]
    assert {one["path"] for one in readings} == {"s", *(f"k.{name}" for name in "vtohlc")}


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        ({}, ("--symbols", "Y,Z"), "the symbol X is none of this session's (Y, Z)"),
        ({"unit": "s"}, (), "which in ms is"),
        ({"close": "k.z"}, (), "missing_field: expected the close of a bar in `k.z`"),
        ({"only": {"k.x": "yes"}}, (), "nothing of these messages would be traded"),
    ],
)
def test_what_a_session_would_refuse_is_said_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, Any], words: tuple[str, ...], said: str
) -> None:
    config = settings(tmp_path, fields={**FIELDS, **change})
    code, found, _ = inspected(monkeypatch, klines(live_bars(3)), "stdin", "-c", config, *words)
    assert code == 1 and said in found


def test_nothing_that_comes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said, _ = inspected(monkeypatch, [], "stdin", "--wait", "0.2")
    assert code == 1 and "no message came" in said


def test_messages_give_no_orders_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b'\x1b[2J{"open"', json.dumps({"\x1b[2J": "\x1b]0;title\x07", "open": 1}).encode()]
    code, said, _ = inspected(monkeypatch, lines, "stdin")
    assert code == 1 and "\x1b" not in said and "\x07" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stdin?fields.clsoe=c",), "did you mean 'close'"),
        (("stdin?from=earliest",), "fields.close"),
        (("replay:bars.csv",), "grandmodel data inspect"),
        (("kafka://127.0.0.1:1/bars", "--set", "feed.connect_timeout_s=1"), "127.0.0.1:1"),
        (("stdout",), "gives no bars"),
        ((), "no feed was given"),
    ],
)
def test_mistakes_end_with_2(words: tuple[str, ...], said: str) -> None:
    code, _, complained = called("feed", "inspect", *words)
    assert code == 2 and said in complained and "Traceback" not in complained
