"""Alerts over HTTP: webhooks and Telegram.

The address of either is a secret. It appears in no log and no error: errors are described in our words,
never in those of the library, which may quote it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from engine.base.background import in_thread
from engine.base.errors import UsageError
from engine.base.secrets import SecretRef
from engine.monitor.alerts import Alert, SendFailed, TelegramConfig, WebhookConfig

# Telegram takes 4096 UTF-16 units; a character may need two
MOST_TELEGRAM_TEXT = 2000
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_URL = re.compile(r"https?://[!-~]+")
_TOKEN = re.compile(r"[A-Za-z0-9:_-]+")

Body = Mapping[str, Any]


class HttpSender:
    """Posts alerts as JSON to one address; certificates are verified and redirects are not followed.

    Args:
        name: What the channel is called in logs.
        url: Where to post; kept to itself.
        body: What is posted for an alert.
        timeout_s: Seconds that one attempt may take.
    """

    def __init__(self, name: str, url: str, body: Callable[[Alert], Body], timeout_s: float) -> None:
        self.name = name
        self._url = url
        self._body = body
        self._timeout_s = timeout_s
        self._opener = _opener()

    async def send(self, alert: Alert) -> None:
        """Deliver one alert.

        Raises:
            SendFailed: If there was no answer in time, or another answer than success.
        """
        data = json.dumps(self._body(alert)).encode()
        try:
            # the library's timeout is for each read, and finding the host has none
            async with asyncio.timeout(self._timeout_s):
                failure = await in_thread(lambda: self._post(data), "alert")
        except TimeoutError:
            failure = ("there was no answer in time", True)
        # raised here, where no error that quotes the address is its context
        if failure:
            what, again = failure
            raise SendFailed(f"an alert was not delivered: {what}", where=self.name, again=again)

    def _post(self, data: bytes) -> tuple[str, bool] | None:
        """Post once; what went wrong and whether trying again may help, None if nothing did."""
        headers = {"Content-Type": "application/json", "User-Agent": "grandmodel"}
        try:
            request = urllib.request.Request(self._url, data, headers, method="POST")  # noqa: S310 - checked before
            with self._opener.open(request, timeout=self._timeout_s):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return f"the answer was {_status(error.code)}", error.code >= 500 or error.code in _BUSY
        except Exception as error:  # whatever the library raises is put into our words
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            return _phrase(cause), not isinstance(cause, ssl.SSLCertVerificationError)


def webhook_sender(config: WebhookConfig) -> HttpSender:
    """A sender to a webhook.

    Raises:
        UsageError: If its address cannot be read or is none.
    """
    return HttpSender("webhook", _revealed_url(config.url), _webhook_body, config.timeout_s)


def telegram_sender(config: TelegramConfig) -> HttpSender:
    """A sender to a Telegram chat.

    Raises:
        UsageError: If the token or the chat cannot be read or the token is none.
    """
    token = config.token.reveal()
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            "this is not the token of a Telegram bot",
            where=str(config.token),
            expected="the token from BotFather: digits, a colon, letters and digits",
            found="something else, which is not shown here",
        )
    chat = config.chat_id.reveal() if isinstance(config.chat_id, SecretRef) else config.chat_id

    def body(alert: Alert) -> Body:
        text = f"{alert.severity.upper()} {alert.kind} {alert.time}\n{alert.text}"
        return {"chat_id": chat, "text": text[:MOST_TELEGRAM_TEXT]}

    return HttpSender("telegram", f"{config.api}/bot{token}/sendMessage", body, config.timeout_s)


def _webhook_body(alert: Alert) -> Body:
    return {
        "source": "grandmodel",
        "severity": alert.severity,
        "kind": alert.kind,
        "text": alert.text,
        "time": alert.time,
    }


def _revealed_url(reference: SecretRef) -> str:
    url = reference.reveal()
    if not _URL.fullmatch(url) or not _has_host(url):
        raise UsageError(
            "this is not the address of a webhook",
            where=str(reference),
            expected="https://HOST/... or http://HOST/..., without a user name",
            found="something else, which is not shown here",
        )
    return url


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def _opener() -> urllib.request.OpenerDirector:
    """What opens addresses: http and https, by the proxy that the environment names; no redirects, no other scheme."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _phrase(error: object) -> str:
    """What an error means, without a word of its text."""
    known: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLCertVerificationError, "the certificate could not be verified"),
        (ssl.SSLError, "TLS failed"),
        (TimeoutError, "there was no answer in time"),
        (socket.gaierror, "the host could not be found"),
        (ConnectionRefusedError, "the connection was refused"),
        (ConnectionError, "the connection was lost"),
        (HTTPException, "the answer was not HTTP"),
        (OSError, "the host could not be reached"),
    )
    return next((words for kind, words in known if isinstance(error, kind)), type(error).__name__)
