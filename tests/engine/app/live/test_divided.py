"""One topic divided over sessions by symbols: each trades its own, and what the others trade is no mistake."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from engine.journal.reading import JournalReader
from feeds.live.messages import encode_bars
from tests.brokers import ApacheHelper, KafkaHelper, apache, kafka
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import QUICK, Child, called, printed, refused

__all__ = ["apache", "kafka"]  # fixtures
GROUPS = (("A", "C"), ("B",))
TRADES = ("--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")
ROWS = 200


@pytest.fixture(params=["kafka", "apache"])
def helper(request: pytest.FixtureRequest) -> KafkaHelper | ApacheHelper:
    found: KafkaHelper | ApacheHelper = request.getfixturevalue(request.param)
    return found


@pytest.mark.slow
def test_two_sessions_of_one_topic_trade_as_two_backtests_and_are_added_up(helper: KafkaHelper, tmp_path: Path) -> None:
    parts = [case(live_bars(ROWS, symbols, absent=0.2, seed=at)) for at, symbols in enumerate(GROUPS)]
    messages = [one for part in parts for one in encode_bars(part.bars, format="json", per_message=1)]
    messages.sort(key=lambda one: json.loads(one[1])["timestamp"])  # whosever they are
    topic = asyncio.run(helper.topic(partitions=2))
    # a partition of two groups, and one of a single group
    for partition, keys in enumerate(("AB", "C")):
        asyncio.run(helper.send(topic, [payload for key, payload in messages if key in keys], partition))
    words = ("--feed", f"kafka://{helper.servers}/{topic}", *TRADES, "--other-symbols", "leave_out")
    folders = [tmp_path / "first", tmp_path / "second"]
    bars = [int(part.bars.present.sum()) for part in parts]
    options = [("--symbols", ",".join(part.bars.symbols), "--max-bars", str(bars[at])) for at, part in enumerate(parts)]
    with Child(folders[0], *words, *options[0]) as one, Child(folders[1], *words, *options[1]) as two:
        two.until_rows(20)
        two.send(signal.SIGKILL)
        results = [one.result()]
    with Child(folders[1], *words, *options[1]) as two:
        results.append(two.result())
    assert [result["ledger_sha256"] for result in results] == [part.expected for part in parts]
    assert [result["dead_letters"] for result in results] == [{}, {}]
    summed = printed("journal", "sum", *map(str, folders))
    assert summed["equity"] == results[0]["final_equity"] + results[1]["final_equity"]
    assert summed["fills"] == results[0]["fills"] + results[1]["fills"] > 0
    # what was left out of the one is what the other traded, as far as it was read when it ended
    assert 0 < skipped(folders[0]) <= bars[1]


def skipped(folder: Path) -> int:
    with JournalReader(folder) as reader:
        return reader.counters()["skipped"]


def test_bars_that_others_trade_are_part_of_what_was_announced(tmp_path: Path) -> None:
    own, others = case(live_bars(30)), case(live_bars(30, ("Y",)))
    begin = b'{"v": 1, "type": "begin", "id": 7, "bars": 60}'
    payloads = [begin, *(one for pair in zip(own.payloads, others.payloads, strict=True) for one in pair)]
    run = own.run(tmp_path / "own", (3,), payloads=payloads, feed={"other_symbols": "leave_out"})
    assert (run.ended.short, run.ended.refused, run.counters["skipped"], run.ended.bars) == (None, None, 30, 30)
    short = own.run(tmp_path / "short", (3,), payloads=payloads[:-2], feed={"other_symbols": "leave_out"})
    assert "58 of the 60 bars" in (short.ended.short or "")
    mistaken = own.run(tmp_path / "refused", (3,), payloads=payloads)
    assert "--other-symbols leave_out" in (mistaken.ended.refused or "")
    words = ("paper", "--out", str(tmp_path / "file"), *QUICK, "--other-symbols")
    assert "leave_out" in refused(*words, "some", "--feed", "stdin")
    assert called(*words, "leave_out", "--feed", "replay:bars.csv")[0] == 2


def test_a_symbol_that_never_comes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = case(live_bars(1500), feed={"symbols": ["NONE"], "other_symbols": "leave_out"})
    run = wrong.run(tmp_path / "wrong", [100])
    assert (run.ended.bars, run.counters["skipped"]) == (0, 1500)
    assert capsys.readouterr().err.count("feed.other_symbols left out all of the first 1,000 elements") == 1
