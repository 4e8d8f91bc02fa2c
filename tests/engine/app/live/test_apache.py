"""Paper trading on Apache Kafka while its topics change: every bar is traded, or said to be lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from engine.types.blocks import BarBlock
from feeds.live.broker import HOST, free_port
from feeds.live.messages import encode_bars
from tests.brokers import ApacheHelper, ApacheKafka, KafkaHelper, apache, need_apache
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import QUICK, Child, called, printed, refused, status_of

__all__ = ["apache"]  # fixture
SYMBOLS = ("A", "B", "C", "D")
TRADES = ("--symbols", ",".join(SYMBOLS), "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")


async def spread(helper: ApacheHelper, topic: str, block: BarBlock, partitions: int) -> None:
    """Send each symbol to a partition of its own, as far as there are enough."""
    messages = list(encode_bars(block, format="json", per_message=1))
    for partition in range(partitions):
        mine = [payload for key, payload in messages if SYMBOLS.index(key) % partitions == partition]
        await helper.send(topic, mine, partition)


def test_a_topic_made_again_with_fewer_partitions(apache: ApacheHelper, tmp_path: Path) -> None:
    short = case(live_bars(120, SYMBOLS, absent=0.2))
    topic = asyncio.run(apache.topic(partitions=4))
    asyncio.run(spread(apache, topic, short.bars.slice(0, 60), 4))
    feed = ("--feed", f"kafka://{apache.servers}/{topic}")
    first = int(short.bars.present[:60].sum())
    with Child(tmp_path, *feed, *TRADES, "--idle-timeout", "1") as child:
        assert child.result()["bars"] == first
    asyncio.run(apache.again(topic, 2))
    asyncio.run(spread(apache, topic, short.bars.slice(60, 120), 2))
    words = ("paper", "--out", str(tmp_path), *QUICK)
    code, _, said = called(*words, "--strict", "--idle-timeout", "1")
    assert code == 2 and "error: messages of the feed are lost, or may be" in said and "made again" in said
    result = printed(*words, "--idle-timeout", "1")
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, int(short.bars.present.sum()))
    assert result["dead_letters"] == {}


def test_partitions_added_while_a_session_runs(apache: ApacheHelper, tmp_path: Path) -> None:
    short = case(live_bars(120, SYMBOLS, absent=0.2))
    topic = asyncio.run(apache.topic())
    asyncio.run(spread(apache, topic, short.bars.slice(0, 60), 1))
    words = ("--feed", f"kafka://{apache.servers}/{topic}", *TRADES, "--set", "feed.quiet_after_s=2")
    with Child(tmp_path, *words, "--max-bars", str(int(short.bars.present.sum())), "--idle-timeout", "10") as child:
        child.until_rows(58)
        asyncio.run(apache.grow(topic, 2))
        # the new partition first: what comes to the old one later would close the rows without it
        messages = list(encode_bars(short.bars.slice(60, 120), format="json", per_message=1))
        for partition, keys in ((1, "BD"), (0, "AC")):
            asyncio.run(apache.send(topic, [payload for key, payload in messages if key in keys], partition))
        result = child.result()
    assert (result["ledger_sha256"], result["dead_letters"]) == (short.expected, {})


def test_silence_counts_from_the_first_connection(tmp_path: Path) -> None:
    feed = ("--feed", f"kafka://{HOST}:{free_port()}/bars", *TRADES)
    patience = ("--idle-timeout", "0.2", "--set", "feed.connect_timeout_s=1.5")
    assert "cannot connect to Kafka" in refused("paper", "--out", str(tmp_path), *QUICK, *feed, *patience)


@pytest.mark.slow
def test_kills_of_the_broker_and_of_the_session(tmp_path: Path) -> None:
    """A broker that is killed keeps what it confirmed: the ledger is that of a run that nobody disturbed."""
    need_apache()
    short = case(live_bars(300))
    (tmp_path / "kafka").mkdir()
    broker, folder = ApacheKafka(tmp_path / "kafka"), tmp_path / "session"
    broker.start()
    try:
        helper = KafkaHelper(broker.servers)
        words = ("--feed", f"kafka://{broker.servers}/bars", *TRADES[2:], "--symbols", "X", "--max-bars", "300")
        asyncio.run(helper.topic(name="bars"))
        for at in (0, 100, 200):
            asyncio.run(helper.send("bars", short.payloads[at : at + 100]))
            with Child(folder, *words) as child:
                child.until_rows(at + 50)
                if at == 100:
                    child.send(signal.SIGKILL)  # the broker lives, the session does not
                    continue
                if at == 0:
                    child.until_rows(99)
                    broker.kill()
                    child.until(lambda: status_of(folder).get("connected") is False)
                    broker.start()
                    child.until(lambda: status_of(folder).get("connected") is True)
                    child.send(signal.SIGTERM)
                result = child.result()
    finally:
        broker.kill()
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, 300)
    assert result["dead_letters"] == {}
