"""MQTT: what is not settled is delivered again, over deaths of the session and restarts of the broker."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.brokers import PASSWORDS, Mosquitto, need_mosquitto
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import Child, called, csv_files, dying, printed, rows_of, status_of

TRADES = ("--symbols", "X", "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002")


@pytest.fixture
def broker(tmp_path: Path) -> Mosquitto:
    need_mosquitto()
    (tmp_path / "broker").mkdir()
    return Mosquitto(tmp_path / "broker")


@pytest.mark.slow
def test_killed_between_receipt_commit_and_settlement(broker: Mosquitto, tmp_path: Path) -> None:
    """A message that was committed and not settled comes again and changes nothing; one not committed is not lost."""
    short, folder = case(live_bars(200)), tmp_path / "session"
    files = csv_files(short.bars, tmp_path)
    with broker:
        feed = f"mqtt://{broker.server}/bars"
        words = ("--feed", feed, *TRADES, "--max-bars", "200", "--set", "feed.block=1")
        # a slow machine takes several messages in one delivery, so neither may count on one commit for each bar
        before_commit = dying("engine.journal.journal", "Journal", "commit", 10)
        before_settlement = dying("feeds.live.mqtt.source", "MqttSource", "settle", 1)
        with Child(folder, *words, program=before_commit) as child:
            child.until_connected()
            paced = ("--speed", "3000")  # fifty bars a second
            assert printed("publish", *files, "--labels", "close", "--feed", feed, *paced)["unconfirmed"] == 0
            assert child.end()[0] == -signal.SIGKILL
        committed = rows_of(folder)
        assert 0 < committed < 200
        with Child(folder, *words, program=before_settlement) as child:
            assert child.end()[0] == -signal.SIGKILL
        assert committed < rows_of(folder) <= 200
        with Child(folder, *words) as child:
            result = child.result()
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, 200)
    # what comes again after it was committed is known by its time
    assert set(result["dead_letters"]) <= {"duplicate", "late"}
    assert printed("journal", "replay", str(folder))["ledger_sha256"] == short.expected


@pytest.mark.slow
def test_a_broker_that_is_restarted_with_what_it_kept(broker: Mosquitto, tmp_path: Path) -> None:
    short, folder = case(live_bars(200)), tmp_path / "session"
    files = csv_files(short.bars, tmp_path)
    with broker:
        feed = f"mqtt://{broker.server}/bars"
        words = ("--feed", feed, *TRADES, "--max-bars", "200")
        with Child(folder, *words) as child:
            child.until_connected()
            assert printed("publish", *files, "--labels", "close", "--feed", feed, "--limit", "80")["unconfirmed"] == 0
            child.until_rows(79)
            broker.stop()
            child.until(lambda: status_of(folder).get("connected") is False)
            broker.start()
            child.until_connected()
            child.send(signal.SIGTERM)
            child.result()
        # nobody listens: the broker keeps what comes, also over a restart of its own
        assert (
            printed("publish", *files, "--labels", "close", "--feed", feed, "--start", "2024-01-01T01:20:30")[
                "unconfirmed"
            ]
            == 0
        )
        broker.stop()
        broker.start()
        with Child(folder, *words) as child:
            result = child.result()
    assert (result["ledger_sha256"], result["bars"]) == (short.expected, 200)
    # what was settled too late for the broker to hear of it comes again
    assert set(result["dead_letters"]) <= {"duplicate", "late"}


@pytest.mark.slow
def test_a_broker_that_forgot_the_session_is_told_and_stops_a_strict_one(tmp_path: Path) -> None:
    """It keeps nothing over its own end, and the bars meanwhile are lost: the operator must know which."""
    need_mosquitto()
    short, folder = case(live_bars(200)), tmp_path / "session"
    files = csv_files(short.bars, tmp_path)
    with Mosquitto(tmp_path, ["allow_anonymous true", "persistence false"]) as broker:
        feed = f"mqtt://{broker.server}/bars"
        sending = ("publish", *files, "--labels", "close", "--feed", feed)
        words = ("--feed", feed, *TRADES)
        with Child(folder, *words, "--max-bars", "80") as child:
            child.until_connected()
            assert printed(*sending, "--limit", "80")["unconfirmed"] == 0
            child.result()
        assert printed(*sending, "--start", "2024-01-01T01:20:30", "--limit", "40")["unconfirmed"] == 0
        broker.kill()
        broker.start()
        with Child(folder, *words, "--strict") as child:
            code, _, complained = child.end()
        assert code == 2
        assert "messages of the feed are lost" in complained
        assert "the broker has forgotten this session" in complained
        with Child(folder, *words) as child:
            child.until_connected()
            assert printed(*sending, "--start", "2024-01-01T02:00:30")["unconfirmed"] == 0
            child.until_rows(160)
            child.send(signal.SIGTERM)
            code, said, complained = child.end()
    assert code == 0
    assert json.loads(said)["bars"] == 160
    assert "the broker has forgotten this session" in complained


@pytest.mark.slow
def test_two_folders_read_the_same_topic_each_for_itself(broker: Mosquitto, tmp_path: Path) -> None:
    short = case(live_bars(100))
    files = csv_files(short.bars, tmp_path)
    folders = [tmp_path / "one", tmp_path / "two"]
    with broker:
        feed = f"mqtt://{broker.server}/bars"
        words = ("--feed", feed, *TRADES, "--max-bars", "100")
        with Child(folders[0], *words) as one, Child(folders[1], *words) as two:
            one.until_connected()
            two.until_connected()
            assert printed("publish", *files, "--labels", "close", "--feed", feed)["unconfirmed"] == 0
            results = [one.result(), two.result()]
    assert [(result["ledger_sha256"], result["bars"]) for result in results] == [(short.expected, 100)] * 2


@pytest.mark.slow
def test_a_password_is_nowhere_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_mosquitto()
    if PASSWORDS is None:
        pytest.skip("mosquitto_passwd is needed")
    secret = "wiped-glass-4411"
    (tmp_path / "broker").mkdir()
    passwords = tmp_path / "broker" / "passwords"
    subprocess.run([PASSWORDS, "-b", "-c", str(passwords), "me", secret], check=True, capture_output=True)
    short, folder, out = case(live_bars(40)), tmp_path / "session", tmp_path / "exported"
    files = csv_files(short.bars, tmp_path)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    monkeypatch.setenv("BROKER_PASSWORD", secret)
    with Mosquitto(tmp_path / "broker", lines) as broker:
        feed = f"mqtt://{broker.server}/bars?username=me&password=env:BROKER_PASSWORD"
        words = ("--feed", feed, *TRADES, "--set", f"heartbeat_file={tmp_path / 'alive'}", "-vv")
        with Child(folder, *words) as child:
            child.until_connected()
            published = called("publish", *files, "--labels", "close", "--feed", feed)
            child.until_rows(40)
            status = called("ctl", str(folder), "status", "--json")
            broker.stop()
            child.until(lambda: not printed("ctl", str(folder), "status")["connected"])
            printed("ctl", str(folder), "stop")
            code, said, complained = child.end()
    assert (code, published[0], status[0]) == (0, 0, 0), complained
    exported = called("journal", "export", str(folder), "--out", str(out))
    assert exported[0] == 0
    spoken = "".join(map(str, (*published, *status, said, complained, *exported)))
    written = [path for place in (folder, out) for path in place.rglob("*") if path.is_file()]
    assert {"journal.sqlite", "manifest.json", "report.html"} <= {path.name for path in written}
    assert secret not in spoken
    assert not [path for path in (*written, tmp_path / "alive") if secret.encode() in path.read_bytes()]
