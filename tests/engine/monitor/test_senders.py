"""Alerts over real HTTP: what arrives, what counts as a failure, and that no failure tells a secret."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import traceback
from pathlib import Path

import pytest
import structlog

from engine.base.errors import UsageError
from engine.base.secrets import SecretRef
from engine.monitor.alerts import Alert, SendFailed, TelegramConfig, WebhookConfig
from engine.monitor.dispatch import Outbox, Throttle
from engine.monitor.senders import HttpSender, telegram_sender, webhook_sender
from tests.engine.monitor.receiver import Receiver
from tests.waiting import patience

ALERT = Alert(1_700_000_000_000_000_000, "critical", "halted", "limit tripped: daily loss")
SECRET = "s3cret-path"


def _webhook(url: str, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 60.0) -> HttpSender:
    monkeypatch.setenv("HOOK", url)
    return webhook_sender(WebhookConfig(url=SecretRef("env:HOOK"), timeout_s=timeout_s))


async def test_a_webhook_gets_the_alert_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        await _webhook(f"{receiver.url}/{SECRET}?a=1", monkeypatch).send(ALERT)
    body = {
        "source": "grandmodel",
        "severity": "critical",
        "kind": "halted",
        "text": "limit tripped: daily loss",
        "time": "2023-11-14T22:13:20+00:00",
    }
    assert receiver.requests == [("POST", f"/{SECRET}?a=1", body)]


async def test_telegram_gets_a_message_to_the_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("123:AB-c_d\n")
    monkeypatch.setenv("CHAT", "-100123")
    with Receiver() as receiver:
        token = SecretRef(f"file:{tmp_path / 'token'}")
        for chat in (SecretRef("env:CHAT"), 77, "@desk"):
            await telegram_sender(TelegramConfig(token=token, chat_id=chat, api=receiver.url)).send(ALERT)
    assert {path for _, path, _ in receiver.requests} == {"/bot123:AB-c_d/sendMessage"}
    assert [body["chat_id"] for _, _, body in receiver.requests] == ["-100123", 77, "@desk"]
    text = "CRITICAL halted 2023-11-14T22:13:20+00:00\nlimit tripped: daily loss"
    assert {body["text"] for _, _, body in receiver.requests} == {text}


async def test_a_text_that_telegram_would_refuse_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "1:a")
    with Receiver() as receiver:
        sender = telegram_sender(TelegramConfig(token=SecretRef("env:TOKEN"), chat_id=1, api=receiver.url))
        await sender.send(Alert(0, "info", "long", "\N{CHART WITH UPWARDS TREND}" * 5000))
    text = receiver.requests[0][2]["text"]
    assert 1000 < len(text.encode("utf-16-le")) // 2 <= 4096


@pytest.mark.parametrize(
    ("code", "again", "what"),
    [
        (500, True, "500 Internal Server Error"),
        (429, True, "429 Too Many Requests"),
        (404, False, "404 Not Found"),
        (799, True, "799"),
        (0, True, "the connection was lost"),
        (-2, True, "the answer was not HTTP"),
    ],
)
async def test_failures_are_told_without_the_secret(
    code: int, again: bool, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver((code,) * 5) as receiver:
        failed = await _failure(f"{receiver.url}/{SECRET}", monkeypatch)
    assert len(receiver.requests) == (5 if again else 2)
    assert failed.again is again
    assert what in str(failed)


async def _failure(url: str, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 60.0) -> SendFailed:
    """What sending to the URL fails with, seen to hold nothing of it: neither it, its causes, nor a log line."""
    sender = _webhook(url, monkeypatch, timeout_s)
    with pytest.raises(SendFailed) as failed:
        await sender.send(ALERT)
    outbox = Outbox(sender, "info", Throttle(0), sleep=_no_sleep)
    outbox.put(ALERT)
    outbox.finish()
    with structlog.testing.capture_logs() as logs:
        await outbox.run()
    assert outbox.lost == len(logs) == 1
    shown = "".join(traceback.format_exception(failed.value)) + repr(sender) + repr(logs)
    for part in (SECRET, url, str(url.split("/")[2])):
        assert part not in shown
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    return failed.value


async def _no_sleep(_: float) -> None:
    pass


async def test_a_host_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        url = f"{receiver.url}/{SECRET}"
    failed = await _failure(url, monkeypatch)
    assert "the connection was refused" in str(failed)
    assert failed.again


async def test_a_host_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver((-1,) * 5) as receiver:
        async with patience():  # the host holds every attempt for as long as it is there
            failed = await _failure(f"{receiver.url}/{SECRET}", monkeypatch, timeout_s=0.2)
    assert "no answer in time" in str(failed)
    assert failed.again


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as elsewhere, Receiver((code, code), location=f"{elsewhere.url}/stolen") as receiver:
        failed = await _failure(f"{receiver.url}/{SECRET}", monkeypatch)
    assert str(code) in str(failed)
    assert not failed.again
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "url", ["ftp://h/s3cret", "s3cret", "https:///s3cret", "http://u:s3cret@h/", "https://h/s3 cret"]
)
def test_what_is_no_address_is_refused_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        _webhook(url, monkeypatch)
    assert "env:HOOK" in str(refused.value)
    assert "s3" not in str(refused.value)


def test_what_is_no_token_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret/../x")
    with pytest.raises(UsageError) as refused:
        telegram_sender(TelegramConfig(token=SecretRef("env:TOKEN"), chat_id=1))
    assert "s3cret" not in str(refused.value)


async def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Receiver(tls=context) as receiver:
        failed = await _failure(f"{receiver.url}/{SECRET}", monkeypatch)
        assert "the certificate could not be verified" in str(failed)
        assert not failed.again
        assert receiver.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await _webhook(f"{receiver.url}/{SECRET}", monkeypatch).send(ALERT)
    assert len(receiver.requests) == 1
