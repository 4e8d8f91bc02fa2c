"""Alerts of an unattended session, and the channels that send them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import Field, StrictInt, field_validator

from engine.base.config import Config
from engine.base.errors import GrandModelError
from engine.base.secrets import SecretRef
from engine.monitor.loopback import is_loopback

Severity = Literal["info", "warning", "critical"]
RANKS: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to know.

    Attributes:
        at_ns: When it was, nanoseconds UTC: of the data, or on the wall where no data is concerned.
        severity: How much it matters.
        kind: What it is about, one of few snake-case words: alerts of a kind are repeats of each other.
        text: What happened, in words.
    """

    at_ns: int
    severity: Severity
    kind: str
    text: str

    @property
    def time(self) -> str:
        """The time as ISO 8601 shows it."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.at_ns // 1000)).isoformat()


class SendFailed(GrandModelError):  # noqa: N818 - reads as the outcome it is
    """An alert was not delivered. It names the channel, never its address.

    Attributes:
        again: Whether trying again may help.
    """

    def __init__(self, what: str, *, where: str, again: bool) -> None:
        super().__init__(what, where=where)
        self.again = again


class Sender(Protocol):
    """Sends alerts."""

    name: str

    async def send(self, alert: Alert) -> None:
        """Deliver one alert.

        Raises:
            SendFailed: If it may not have arrived; nothing else.
        """


class ChannelConfig(Config):
    """What all channels have.

    Attributes:
        least: Alerts that matter less are not sent here.
        timeout_s: Seconds that one attempt may take.
    """

    least: Severity = "warning"
    timeout_s: float = Field(default=10.0, gt=0, le=60)


class WebhookConfig(ChannelConfig):
    """An address that takes alerts as JSON by POST.

    Attributes:
        url: Where the address is kept; who knows it may write there, so it is a secret.
    """

    url: SecretRef


class TelegramConfig(ChannelConfig):
    """A Telegram bot.

    Attributes:
        token: Where the bot's token is kept.
        chat_id: The chat's number, the channel's @name, or where either is kept.
        api: The Bot API's base address; https, since the token is part of each request.
    """

    token: SecretRef
    chat_id: Annotated[
        SecretRef | StrictInt | Annotated[str, Field(pattern=r"^(-?\d+|@\w+)$")], Field(union_mode="left_to_right")
    ]
    api: str = "https://api.telegram.org"

    @field_validator("api")
    @classmethod
    def _keeps_the_token(cls, api: str) -> str:
        parts = urlsplit(api)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
        ):
            raise ValueError("the Bot API's base address is https://HOST, or http:// on this machine only")
        if parts.username is not None or parts.query or parts.fragment or ":" in parts.path:
            raise ValueError("the Bot API's base address is shown and stored, so it must not contain the token")
        return api.rstrip("/")


class AlertsConfig(Config):
    """Where alerts are sent. Every alert is logged in any case.

    Attributes:
        webhook: A webhook to send to.
        telegram: A Telegram chat to send to.
        every_s: Seconds between two alerts of one kind on a channel; those in between are counted and reported with
            the next. One that matters more than the last does not wait.
        leave_out: Kinds that are only logged.
    """

    webhook: WebhookConfig | None = None
    telegram: TelegramConfig | None = None
    every_s: float = Field(default=60.0, ge=0)
    leave_out: tuple[str, ...] = ()
