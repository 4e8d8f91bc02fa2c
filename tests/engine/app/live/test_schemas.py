"""Sessions on messages with registered schemas: the backtest's ledger, also while the registry is away or gone."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("fastavro")

import fastavro

from engine.types.blocks import BarBlock
from tests.brokers import KafkaHelper, kafka, unique
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import Child, called, printed, refused, rows_of, status_of
from tests.feeds.live.schemas.registering import RegistryServer, framed

__all__ = ["kafka"]  # a fixture
TRADES = ("--symbols", "X", "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")
ROWS = 300
PRICES = [{"name": name, "type": "double"} for name in "ohlcv"]
SCHEMA = {
    "type": "record",
    "name": "Candle",
    "fields": [
        {"name": "ticker", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "p", "type": {"type": "record", "name": "P", "fields": PRICES}},
    ],
}
FIELDS = {
    "symbol": "ticker",
    "timestamp": "at",
    **{name: f"p.{name[0]}" for name in ("open", "high", "low", "close", "volume")},
}


def candles(bars: BarBlock, number: int) -> list[bytes]:
    plain = json.loads(json.dumps(SCHEMA).replace(', "logicalType": "timestamp-millis"', ""))
    parsed, found = fastavro.parse_schema(plain), []
    for row, close_ns in enumerate(bars.ts_event.tolist()):
        numbers = {name[0]: float(getattr(bars, name)[row, 0]) for name in ("open", "high", "low", "close", "volume")}
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, {"ticker": "X", "at": close_ns // 1_000_000, "p": numbers})
        found.append(framed(number, stream.getvalue()))
    return found


def settings(folder: Path, registry: str, **fields: Any) -> str:
    path = folder / "session.yaml"
    path.write_text(yaml.safe_dump({"feed": {"schemas": {"registry": registry}, "fields": fields or FIELDS}}))
    return str(path)


@pytest.mark.slow
def test_avro_over_kafka_is_the_backtest_and_a_restart_needs_no_registry(kafka: KafkaHelper, tmp_path: Path) -> None:
    short, topic, live = case(live_bars(ROWS)), unique("avro"), tmp_path / "live"
    payloads = candles(short.bars, 7)
    asyncio.run(kafka.topic(name=topic))
    asyncio.run(kafka.send(topic, payloads[:200]))
    feed = f"kafka://{kafka.servers}/{topic}"
    with RegistryServer() as registry:
        registry.register(7, "AVRO", SCHEMA)
        config = settings(tmp_path, registry.address)
        code, said, _ = called("feed", "inspect", feed, "-c", config, "--symbols", "X")
        assert code == 0, said
        assert "schema 7 (AVRO)" in said and "feed.fields.close is p.c; a number" in said
        words = ("--feed", feed, "-c", config, *TRADES, "--max-bars", str(ROWS))
        registry.away = True
        with Child(live, *words) as child:  # nothing is lost while the registry is away
            child.until(lambda: "schema registry" in str(status_of(live).get("trouble")))
            assert rows_of(live) == 0
            registry.away = False
            child.until_rows(199)
            child.send(signal.SIGKILL)
            child.end()
    assert rows_of(live) >= 199
    asyncio.run(kafka.send(topic, payloads[200:]))
    with Child(live, *words) as child:  # the registry is gone for good
        result = child.result()
    assert (result["ledger_sha256"], result["bars"], result["dead_letters"]) == (short.expected, ROWS, {})
    assert printed("journal", "replay", str(live))["ledger_sha256"] == short.expected
    assert printed("journal", "verify", str(live))["ledger_sha256"] == short.expected


@pytest.mark.slow
def test_a_session_that_waits_for_a_registry_ends_when_it_is_asked_to(kafka: KafkaHelper, tmp_path: Path) -> None:
    short, topic, live = case(live_bars(50)), unique("avro"), tmp_path / "live"
    asyncio.run(kafka.topic(name=topic))
    asyncio.run(kafka.send(topic, candles(short.bars, 7)))
    with RegistryServer() as registry:
        registry.register(7, "AVRO", SCHEMA)
        registry.silent.clear()
        feed = f"kafka://{kafka.servers}/{topic}"
        words = ("--feed", feed, "-c", settings(tmp_path, registry.address), *TRADES, "--max-bars", "50")
        with Child(live, *words) as child:
            child.until(lambda: registry.asked)
            child.send(signal.SIGTERM)
            code, said, _ = child.end()
        assert code == 0 and json.loads(said)["ended"] == "stopped by SIGTERM"
        assert rows_of(live) == 0
        registry.silent.set()
        with Child(live, *words) as child:  # and nothing was lost
            assert child.result()["ledger_sha256"] == short.expected


@pytest.mark.slow
def test_other_messages_among_them_are_dead_letters(kafka: KafkaHelper, tmp_path: Path) -> None:
    short, topic = case(live_bars(50)), unique("avro")
    payloads = candles(short.bars, 7)
    asyncio.run(kafka.topic(name=topic))
    asyncio.run(kafka.send(topic, [*payloads[:20], b"{}", framed(8, b"x"), payloads[20][:-4], *payloads[20:]]))
    feed = f"kafka://{kafka.servers}/{topic}"
    with RegistryServer() as registry:
        registry.register(7, "AVRO", SCHEMA)
        words = ("--feed", feed, "-c", settings(tmp_path, registry.address), *TRADES, "--max-bars", "50")
        with Child(tmp_path / "live", *words) as child:
            result = child.result()
    assert result["ledger_sha256"] == short.expected
    assert result["dead_letters"] == {"malformed": 2, "unknown_schema": 1}


def test_a_registry_that_cannot_be_reached_ends_an_inspection_with_2(kafka: KafkaHelper, tmp_path: Path) -> None:
    topic = unique("avro")
    asyncio.run(kafka.topic(name=topic))
    asyncio.run(kafka.send(topic, candles(live_bars(1), 7)))
    config = settings(tmp_path, "http://127.0.0.1:1")
    feed = f"kafka://{kafka.servers}/{topic}"
    said = refused("feed", "inspect", feed, "-c", config, "--messages", "1", "--set", "feed.connect_timeout_s=3")
    assert "the schema registry gives no answer" in said and "http://127.0.0.1:1" in said
