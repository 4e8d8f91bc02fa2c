"""Paper trading on Kafka when things go wrong on the way: the ledger is that of the bars all the same."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from feeds.live.broker import EmbeddedBroker
from tests.brokers import KafkaHelper, Proxy, kafka, kafka_behind_proxy, need_tansu, tansu, unique
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.cli.children import QUICK, Child, printed, status_of
from tests.waiting import patience

__all__ = ["kafka", "kafka_behind_proxy"]  # fixtures
TRADES = ("--symbols", "X", "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")
ROWS = 300


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 120])
def test_a_broker_that_came_back_empty_and_was_filled_again(tmp_path: Path, start: int) -> None:
    """The log may begin with a later message than before: every offset is another then."""
    need_tansu()
    short = case(live_bars(ROWS))
    broker = tansu()
    with broker:
        helper = KafkaHelper(broker.address)
        feed = f"kafka://{broker.address}/bars"
        asyncio.run(helper.topic(name="bars"))
        asyncio.run(helper.send("bars", short.payloads[:200]))
        with Child(tmp_path, "--feed", feed, *TRADES, "--max-bars", str(ROWS)) as child:
            child.until_rows(199)
            broker.stop()
            child.until(lambda: status_of(tmp_path).get("connected") is False)
            broker.start()
            asyncio.run(helper.topic(name="bars"))
            asyncio.run(helper.send("bars", short.payloads[start:]))
            result = child.result()
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, ROWS)
    # what was traded already may come again, is known again, and is told
    assert result["quarantined"] <= 200 - start
    assert start == 0 or result["quarantined"] >= 200 - start - 1
    assert result["dead_letters"].keys() <= {"duplicate", "late"}
    assert printed("journal", "replay", str(tmp_path))["ledger_sha256"] == short.expected


@pytest.mark.slow
async def test_a_connection_that_is_cut_again_and_again(
    kafka_behind_proxy: tuple[EmbeddedBroker, Proxy, KafkaHelper], tmp_path: Path
) -> None:
    _, proxy, helper = kafka_behind_proxy
    short = case(live_bars(ROWS))
    topic = await helper.topic()
    words = ("--feed", f"kafka://{helper.servers}/{topic}", *TRADES, "--max-bars", str(ROWS))
    with Child(tmp_path, *words) as child:
        for at in range(0, 240, 60):
            await helper.send(topic, short.payloads[at : at + 60])
            await asyncio.to_thread(child.until_rows, at + 20)
            await proxy.refuse()
            await asyncio.to_thread(child.until, lambda: status_of(tmp_path).get("connected") is False)
            await proxy.start()
        await helper.send(topic, short.payloads[240:])
        result = await asyncio.to_thread(child.result)
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, ROWS)
    assert result["dead_letters"] == {}


def _disordered(payloads: list[bytes], window: int, dice: random.Random) -> list[bytes]:
    """Messages up to `window` places late, some twice."""
    twice = [one for one in enumerate(payloads) for _ in range(1 + (dice.random() < 0.2))]
    return [payload for _, payload in sorted(twice, key=lambda one: one[0] + dice.uniform(0, window))]


@pytest.mark.slow
def test_late_and_double_messages_within_the_lateness(kafka: KafkaHelper, tmp_path: Path) -> None:
    longer = case(live_bars(ROWS + 10))  # the last ones only show that nothing of the others comes any more
    expected = Case(longer.bars.slice(0, ROWS), longer.settings, []).expected
    payloads = _disordered(longer.payloads, 3, random.Random(3))
    topic, dead = asyncio.run(kafka.topic(name=unique("late"))), unique("dead")
    asyncio.run(kafka.send(topic, [*payloads[:50], b"broken", *payloads[50:]]))
    words = ("--feed", f"kafka://{kafka.servers}/{topic}", *TRADES, "--max-bars", str(ROWS))
    patient = ("--lateness", "300", "--set", f"feed.dead_letter_topic={dead}")
    result = printed("paper", "--out", str(tmp_path), *QUICK, *words, *patient)
    assert (result["ledger_sha256"], result["bars"]) == (expected, ROWS)
    assert result["dead_letters"].keys() == {"duplicate", "malformed"}
    letters = asyncio.run(_letters(kafka, dead, result["quarantined"]))
    assert sorted(payload for _, reason, payload in letters if reason == "malformed") == [b"broken"]
    assert [number for number, _, _ in letters] == list(range(1, len(letters) + 1))


async def _letters(kafka: KafkaHelper, topic: str, wanted: int) -> list[tuple[int, str, bytes]]:
    consumer = AIOKafkaConsumer(topic, **kafka.settings, auto_offset_reset="earliest")
    await consumer.start()
    async with patience():
        found = [await consumer.getone() for _ in range(wanted)]
    await consumer.stop()
    return [(int(one.key), dict(one.headers)["reason"].decode(), one.value) for one in found]


def test_messages_out_of_order_without_lateness_become_dead_letters(kafka: KafkaHelper, tmp_path: Path) -> None:
    short = case(live_bars(60))
    swapped = [*short.payloads[:20], *short.payloads[21:23], short.payloads[20], *short.payloads[23:]]
    topic = asyncio.run(kafka.topic())
    asyncio.run(kafka.send(topic, swapped))
    words = ("--feed", f"kafka://{kafka.servers}/{topic}", *TRADES, "--max-bars", "59")
    result = printed("paper", "--out", str(tmp_path), *QUICK, *words)
    assert result["dead_letters"] == {"late": 1}
    [letter] = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert (letter["partition"], letter["offset"]) == (f"{topic}/0", 22)
    assert letter["payload"] == short.payloads[20].decode()
