"""`grandmodel publish` and `grandmodel paper` with real brokers: the ledger is the backtest's, however bars come."""

from __future__ import annotations

import json
import random
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.journal.reading import JournalReader
from tests.brokers import KafkaHelper, kafka, mqtt, unique
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import QUICK, ROOT, RUN, Child, called, csv_files, printed, refused, rows_of
from tests.real import EURO_FX, needs_real_data

__all__ = ["kafka", "mqtt"]  # fixtures
TRADES = ("--agent", "sma_cross:fast=3,slow=9", "--fee", "0.0002")


def backtested(folder: Path, *words: str) -> str:
    return str(printed("backtest", *words, "--out", str(folder), "--no-report")["ledger_sha256"])


@needs_real_data
@pytest.mark.slow
def test_a_month_through_kafka_is_the_backtest_of_the_file(kafka: KafkaHelper, tmp_path: Path) -> None:
    feed = f"kafka://{kafka.servers}/{unique('euro')}"
    month = ("--data", str(EURO_FX), "--instrument", "6E")
    published = printed("publish", *month, "--feed", feed)
    words = ("--feed", feed, "--instrument", "6E", "--agent", "sma_cross", "--max-bars", str(published["bars"]))
    with Child(tmp_path / "live", *words) as child:
        result = child.result()
    expected = backtested(tmp_path / "backtest", *month, "--agent", "sma_cross")
    assert (result["ledger_sha256"], result["bars"]) == (expected, published["bars"])
    assert result["gaps"] > 0 and result["dead_letters"] == {}
    assert printed("journal", "verify", str(tmp_path / "live"))["ledger_sha256"] == expected
    assert printed("journal", "replay", str(tmp_path / "live"))["ledger_sha256"] == expected
    exported = printed("journal", "export", str(tmp_path / "live"), "--out", str(tmp_path / "exported"))
    assert exported["ledger_sha256"] == expected
    assert called("verify", str(tmp_path / "live"))[0] == 0


@pytest.mark.slow
def test_three_symbols_in_three_partitions_some_of_them_absent(kafka: KafkaHelper, tmp_path: Path) -> None:
    bars = live_bars(3000, ("A", "B", "C"), absent=0.3)
    files = csv_files(bars, tmp_path)
    feed = f"kafka://{kafka.servers}/{unique('three')}"
    published = printed("publish", *files, "--feed", feed, "--partitions", "3", "--format", "msgpack")
    assert published["bars"] == int(bars.present.sum())
    words = ("--feed", feed, "--symbols", "A,B,C", *TRADES, "--max-bars", str(published["bars"]))
    with Child(tmp_path / "live", *words) as child:
        result = child.result()
    assert result["dead_letters"] == {}
    assert result["ledger_sha256"] == backtested(tmp_path / "backtest", *files, *TRADES)


@pytest.mark.slow
def test_through_mqtt(mqtt: str, tmp_path: Path) -> None:
    bars = live_bars(200, ("A", "B"), absent=0.2)
    files, topic = csv_files(bars, tmp_path), unique("bars")
    total = int(bars.present.sum())
    words = ("--feed", f"mqtt://{mqtt}/{topic}/#", "--symbols", "A,B", *TRADES, "--max-bars", str(total))
    with Child(tmp_path / "live", *words, "--set", f"feed.session={topic}") as child:
        child.until_connected()
        assert printed("publish", *files, "--feed", f"mqtt://{mqtt}/{topic}")["unconfirmed"] == 0
        result = child.result()
    assert result["dead_letters"] == {}
    assert result["ledger_sha256"] == backtested(tmp_path / "backtest", *files, *TRADES)


def test_through_a_pipe(tmp_path: Path) -> None:
    files = csv_files(live_bars(1500), tmp_path)
    with subprocess.Popen(
        [*RUN, "publish", *files, "--feed", "stdout"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    ) as publisher:
        words = ["paper", "--feed", "stdin", "--symbols", "X", *TRADES, "--out", str(tmp_path / "live"), *QUICK]
        done = subprocess.run(
            [*RUN, *words, "--json"], stdin=publisher.stdout, capture_output=True, text=True, cwd=ROOT, check=False
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["bars"], result["ended"]) == (1500, "the feed ended")
    assert result["ledger_sha256"] == backtested(tmp_path / "backtest", *files, *TRADES)


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost_or_doubled(kafka: KafkaHelper, tmp_path: Path) -> None:
    bars = live_bars(2000, ("A", "B"), absent=0.1)
    files = csv_files(bars, tmp_path)
    feed = f"kafka://{kafka.servers}/{unique('killed')}"
    total = printed("publish", *files, "--feed", feed, "--partitions", "2")["bars"]
    words = ("--feed", feed, "--symbols", "A,B", *TRADES, "--max-bars", str(total), "--set", "feed.block=4")
    dice, folder, kills = random.Random(5), tmp_path / "live", 0
    while kills < 3:
        before = rows_of(folder)
        with Child(folder, *words) as child:
            child.until_rows(before + dice.randrange(1, 500))
            child.send(signal.SIGKILL)
            assert child.end()[0] == -signal.SIGKILL, "it ended before it was killed"
        kills += 1
    with Child(folder, *words) as child:
        result = child.result()
    expected = backtested(tmp_path / "backtest", *files, *TRADES)
    assert (result["ledger_sha256"], result["bars"], result["resumed"]) == (expected, total, True)
    assert 0 < result["bars_this_run"] < total
    assert printed("journal", "verify", str(folder))["ledger_sha256"] == expected
    assert printed("journal", "replay", str(folder))["ledger_sha256"] == expected
    with JournalReader(folder) as reader:
        orders = [int(fill["order_id"]) for step in reader.steps() for fill in step.fills]
    assert len(orders) == len(set(orders)) == result["fills"]


def test_mistakes_end_in_a_message(kafka: KafkaHelper, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        return refused("paper", "--out", str(tmp_path / "live"), "--json", *words)

    here, soon = f"kafka://{kafka.servers}", ("--symbols", "X", "--set", "feed.connect_timeout_s=1")
    assert "no session to resume" in (text := said("--symbols", "X")) and "--feed starts" in text
    assert "did you mean 'kafka'" in said("--feed", "kafak://h/t", "--symbols", "X")
    complained = said("--feed", "kafka://me:hunter2@127.0.0.1/bars", "--symbols", "X")
    assert "login" in complained and "hunter2" not in complained
    assert "leave one of them out" in said("--demo", "--feed", f"{here}/any")
    assert not (tmp_path / "live").exists()
    assert "the symbols to trade are missing" in said("--feed", f"{here}/any")
    assert "cannot connect to Kafka" in said("--feed", "kafka://127.0.0.1:1/bars", *soon)
    assert "there is no topic nowhere" in said("--feed", f"{here}/nowhere", *soon)
    assert rows_of(tmp_path / "live") == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert "holds other files" in refused("paper", "--out", str(tmp_path / "other"), "--feed", f"{here}/any", *soon)


def test_strictness_and_other_settings(tmp_path: Path) -> None:
    short, folder = case(live_bars(30)), str(tmp_path / "live")
    words = ("paper", "--out", folder, "--symbols", "X", "--feed", "stdin", *TRADES, "--no-report")
    (tmp_path / "lines").write_bytes(b"\n".join([*short.payloads[:20], b"broken", *short.payloads[20:]]))
    with pytest.MonkeyPatch.context() as patch, (tmp_path / "lines").open() as lines:
        patch.setattr(sys, "stdin", lines)
        complained = refused(*words, "--strict", "--json")
        assert "malformed" in complained and "broken" in complained and "without strict mode" in complained
        lines.seek(0)
        assert printed(*words)["dead_letters"] == {"malformed": 1}
        lines.seek(0)
        assert "fee: 0.0002 there, 0.5 here" in refused(*words, "--fee", "0.5", "--json")
        assert "agent: sma_cross:fast=3,slow=9 there, flat here" in refused(*words, "--agent", "flat", "--json")


def test_a_feed_of_other_symbols_is_told(tmp_path: Path) -> None:
    """The commonest first mistake: every message is refused, and the summary has to say so."""
    (tmp_path / "lines").write_bytes(b"\n".join(case(live_bars(30)).payloads))
    with pytest.MonkeyPatch.context() as patch, (tmp_path / "lines").open() as lines:
        patch.setattr(sys, "stdin", lines)
        code, _, complained = called("paper", "--out", str(tmp_path / "live"), "--symbols", "Y", "--feed", "stdin")
    assert code == 1
    assert "nothing was traded: the feed ended" in complained
    assert "messages refused: 30 unknown_symbol; `grandmodel journal dead-letters" in complained


def test_a_feed_that_ends_before_any_message_is_no_success(tmp_path: Path) -> None:
    words = ("paper", "--out", str(tmp_path / "live"), "--symbols", "X", "--feed", "stdin")
    with pytest.MonkeyPatch.context() as patch, Path("/dev/null").open() as nothing:
        patch.setattr(sys, "stdin", nothing)
        code, _, complained = called(*words)
    assert code == 1
    assert "no message arrived" in complained


def test_a_replayed_file_says_what_was_assumed_of_it(tmp_path: Path) -> None:
    rows = [f"2024-01-02 10:{minute:02}:00,1,2,1,2,5" for minute in range(20)]
    (tmp_path / "X.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    words = ("paper", "--feed", f"replay:{tmp_path / 'X.csv'}", "--agent", "flat", "--out", str(tmp_path / "live"))
    done = subprocess.run([*RUN, *words, "--no-report"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "labels open" in done.stderr and "assumed" in done.stderr
    assert "GENERIC" in done.stderr


def test_symbols_that_a_file_does_not_hold_are_refused(tmp_path: Path) -> None:
    words = ("paper", "--feed", "replay:es-synthetic", "--instrument", "ES", "--agent", "flat", "--no-report")
    end = ("--max-bars", "5", "--out", str(tmp_path / "live"))
    complained = refused(*words, *end, "--symbols", "A,B")
    assert "expected: --symbols ES" in complained and "found: --symbols A,B" in complained
    assert called(*words, *end, "--symbols", "ES")[0] == 0


def test_an_account_that_can_trade_nothing_is_warned_of(tmp_path: Path) -> None:
    words = ("--feed", "replay:es-synthetic", "--instrument", "ES", "--agent", "buy_and_hold", "--max-bars", "20")
    for capital, warned in (("100", True), ("100000", False)):
        out = ("--initial-capital", capital, "--out", str(tmp_path / capital), "--no-report")
        done = subprocess.run([*RUN, "paper", *words, *out], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if "nothing can be traded" in line]
        assert len(said) == warned
        if warned:
            assert "more than the capital" in said[0] and "initial_capital" in said[0]


@pytest.mark.parametrize("words", [("--lateness", "-1"), ("--idle-timeout", "-1"), ("--max-bars", "0"), ("--fee", "7")])
def test_a_wrong_value_is_blamed_on_its_option(tmp_path: Path, words: tuple[str, str]) -> None:
    complained = refused("paper", "--feed", "stdin", "--symbols", "X", "--out", str(tmp_path / "live"), *words)
    assert f"  {words[0]}: " in complained


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed_are_no_traceback(tmp_path: Path, closed: str) -> None:
    words = ("paper", "--feed", "stdin", "--symbols", "X", "--agent", "flat", "--out", str(tmp_path / "run"))
    found = subprocess.run(
        f"{shlex.join([*RUN, *words])} {closed}", shell=True, cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert ("standard input is closed" in found.stderr) == (closed == "<&-")
    assert not (tmp_path / "run").exists()
