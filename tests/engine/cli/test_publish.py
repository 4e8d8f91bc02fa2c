"""`grandmodel publish` as a user calls it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from engine.types.instruments import load_instrument
from feeds.live.messages import BarMessage, decode
from feeds.live.source import Record
from feeds.replay import HistoricalReplay
from tests.brokers import KafkaHelper, kafka, need_tansu, tansu, unique
from tests.waiting import LIMIT_S, patience, until

__all__ = ["kafka"]  # a fixture


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "engine.cli.main", "publish", *words]


def grandmodel(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), check=False, capture_output=True, text=True, timeout=LIMIT_S)


def bars_of(lines: list[bytes]) -> list[BarMessage]:
    decoded = [decode(Record("x", 0, line)) for line in lines]
    assert not any(letters for _, letters in decoded)
    return [element for elements, _ in decoded for element in elements if isinstance(element, BarMessage)]


async def messages_of(kafka: KafkaHelper, topic: str, wanted: int) -> list[tuple[bytes, bytes]]:
    consumer = AIOKafkaConsumer(topic, **kafka.settings, auto_offset_reset="earliest")
    await consumer.start()
    async with patience():
        found = [await consumer.getone() for _ in range(wanted)]
    await consumer.stop()
    return [(message.key, message.value) for message in found]


def test_bars_go_to_a_pipe_under_the_name_that_a_backtest_gives_them() -> None:
    done = grandmodel("--data", "es-synthetic", "--instrument", "6E", "--feed", "-", "--limit", "3")
    assert done.returncode == 0, done.stderr
    begin, *lines = done.stdout.encode().splitlines()
    assert json.loads(begin).items() >= {"type": "begin", "bars": 3}.items()
    bars = bars_of(lines)
    replay = HistoricalReplay("replays/es-synthetic/bars.parquet", load_instrument("6E"), symbol="6E")
    block = next(replay.blocks(3))
    assert [(bar.symbol, bar.ts_event, bar.close) for bar in bars] == [
        ("6E", int(block.ts_event[row]), float(block.close[row, 0])) for row in range(3)
    ]
    assert "3 bars in 3 messages" in done.stderr and "symbols 6E" in done.stderr


def test_a_topic_is_filled_and_the_summary_is_one_object(kafka: KafkaHelper) -> None:
    topic = unique("bars")
    options = ["--format", "msgpack", "--per-message", "40", "--limit", "100", "--start", "2024-01-03", "--json"]
    done = grandmodel("--data", "es-synthetic", "--feed", f"kafka://{kafka.servers}/{topic}", *options)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert done.stderr == ""
    assert (summary["bars"], summary["messages"], summary["unconfirmed"]) == (100, 3, 0)
    assert summary["symbols"] == ["ES"] and summary["interrupted"] is False
    _, *messages = asyncio.run(messages_of(kafka, topic, 4))  # the first says what follows
    assert {key for key, _ in messages} == {b"ES"}
    bars = bars_of([payload for _, payload in messages])
    assert len(bars) == 100
    assert bars[0].ts_event >= 1_704_240_000_000_000_000  # 3 January


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_sent_and_it_says_what_is_missing(
    kafka: KafkaHelper, number: signal.Signals
) -> None:
    topic = unique("bars")
    feed = f"kafka://{kafka.servers}/{topic}"
    words = command("--data", "es-synthetic", "--feed", feed, "--speed", "600", "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        asyncio.run(messages_of(kafka, topic, 3))
        child.send_signal(number)
        said, complained = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 1, complained
    summary = json.loads(said)
    assert summary["interrupted"] is True and summary["unconfirmed"] == 0
    assert 2 <= summary["bars"] < summary["expected"]
    assert len(asyncio.run(messages_of(kafka, topic, summary["messages"] + 1))) == summary["messages"] + 1


def test_it_says_that_the_broker_is_away_and_what_was_not_confirmed() -> None:
    need_tansu()
    with tansu() as broker:
        feed = f"kafka://{broker.address}/bars"
        words = command("--data", "es-synthetic", "--feed", feed, "--speed", "600", "--json")
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr is not None
            asyncio.run(messages_of(KafkaHelper(broker.address), "bars", 3))
            broker.stop()
            while "messages wait: waiting for the broker" not in child.stderr.readline():
                assert child.poll() is None
            child.send_signal(signal.SIGTERM)
            said, complained = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 1, complained
    assert json.loads(said)["unconfirmed"] > 0


@contextmanager
def open_pipe(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """The writing end of the pipe that is the standard output of a process."""
    end = os.open(f"/proc/{child.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    try:
        yield end
    finally:
        os.close(end)


def test_a_reader_that_does_not_read_does_not_make_it_deaf() -> None:
    with subprocess.Popen(
        command("--data", "es-synthetic", "--feed", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.readline()
        with open_pipe(child) as pipe:
            until(lambda: not select.select([], [pipe], [], 0)[1])  # no more fits in
        child.send_signal(signal.SIGTERM)
        assert child.wait(LIMIT_S) == 1
        assert b"stopped early" in child.stderr.read()


@pytest.mark.parametrize("stops", [False, True])
def test_a_session_tells_a_publisher_that_stopped_from_a_feed_that_ended(tmp_path: Path, stops: bool) -> None:
    lines = grandmodel("--data", "es-synthetic", "--feed", "-", "--limit", "50").stdout.splitlines(keepends=True)
    session = [sys.executable, "-m", "engine.cli.main", "paper", "--feed", "stdin", "--instrument", "ES", "--json"]
    done = subprocess.run(
        [*session, "--agent", "sma_cross", "--out", str(tmp_path / "run")],
        input="".join(lines[:-10] if stops else lines),
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    result = json.loads(done.stdout)
    assert done.returncode == (1 if stops else 0), done.stderr
    assert ("40 of the 50 bars" in (result["fewer_than_expected"] or "")) == stops
    assert result["dead_letters"] == {} and result["ended"] == "the feed ended"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "es-synthetic", "--feed", "kafak://h/t"], "did you mean 'kafka'"),
        (["--data", "es-synthetic", "--feed", "stdin"], "stdin cannot be published to"),
        (["--data", "es-synthetic", "--feed", "stdout", "--format", "xml"], "json or msgpack"),
        (["--data", "es-synthetic", "--feed", "stdout", "--format", "msgpack"], "lines of text"),
        (["--data", "es-synthetic", "--feed", "stdout", "--json"], "cannot both go"),
        (["--feed", "stdout"], "no data"),
        (["--data", "nothing.csv", "--feed", "stdout"], "nothing.csv"),
    ],
)
def test_mistakes_end_in_a_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.cli.main import main

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr(sys, "argv", ["grandmodel", "publish", *words])
        main()
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_broker_that_does_not_answer() -> None:
    done = grandmodel("--data", "es-synthetic", "--feed", "kafka://127.0.0.1:1/bars", "--connect-timeout", "0.3")
    assert done.returncode == 2 and "cannot connect to Kafka" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
