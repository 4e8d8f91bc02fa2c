"""What consumers and producers of Kafka share: settings from an address, quiet logs, topics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    for_code,
)

from engine.base.errors import GrandModelError, UsageError
from engine.base.log import logger
from feeds.live.address import FeedAddress
from feeds.live.kafka.topics import TopicMissingError, look_up, never_create
from feeds.live.tls import ssl_context

log = logger("kafka")
REQUEST_TIMEOUT_MS: Final = 10_000
STOP_S: Final = 3.0
MOST_COPIES: Final = 3
_TOPIC_EXISTS: Final = 36
_LOGIN_ERRORS = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


class _Quiet(logging.Handler):
    """Takes the client library's own log: nothing of it goes to a terminal, its last cause is kept for messages."""

    def __init__(self) -> None:
        super().__init__()
        self.cause: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an error that was logged instead of raised."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, BaseException):
                self.cause = argument
        log.debug("client", said=record.getMessage())


_quiet = _Quiet()


def quiet_logs() -> None:
    """Route the log of aiokafka, which prints tracebacks of what it survives."""
    library = logging.getLogger("aiokafka")
    if _quiet not in library.handlers:
        library.addHandler(_quiet)
    library.propagate = False


def forget_cause() -> None:
    """Before an attempt, so that `cause_of` speaks of this one."""
    _quiet.cause = None


def cause_of(error: BaseException) -> BaseException:
    """What lies behind an error that says only that no server could be reached."""
    return _quiet.cause or error


def is_login_error(error: BaseException) -> bool:
    """Whether the server knows us and refuses, so that trying again is of no use."""
    return isinstance(error, _LOGIN_ERRORS)


def client_settings(address: FeedAddress) -> dict[str, Any]:
    """Arguments of aiokafka's clients; reads the password and the certificates.

    Raises:
        UsageError: If one of them cannot be read.
    """
    quiet_logs()
    never_create()
    security = address.security
    settings: dict[str, Any] = {
        "bootstrap_servers": address.servers.split(","),
        "client_id": "grandmodel",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "security_protocol": "SSL" if security.tls else "PLAINTEXT",
        "ssl_context": ssl_context(security),
    }
    if security.username is not None and security.password is not None:
        settings |= {
            "security_protocol": "SASL_SSL" if security.tls else "SASL_PLAINTEXT",
            "sasl_mechanism": security.sasl_mechanism or "PLAIN",
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.reveal(),
        }
    return settings


async def ensure_topic(settings: dict[str, Any], topic: str, partitions: int) -> bool:
    """Create a topic if it is missing, with a copy on each of up to three servers; one that is there needs no right to.

    Returns:
        Whether it was created.

    Raises:
        KafkaError: If the servers cannot be reached.
        GrandModelError: If they refuse.
    """
    admin = AIOKafkaAdminClient(**settings)
    try:
        await started(admin)
        try:
            await look_up(admin._client, topic)  # noqa: SLF001 - the public call may create it
        except TopicAuthorizationFailedError:
            pass  # it may be missing: that is not told to everybody
        except TopicMissingError:
            pass
        else:
            return False
        copies = min(len((await admin.describe_cluster())["brokers"]), MOST_COPIES)
        response = await admin.create_topics([NewTopic(topic, partitions, copies)])
    finally:
        await admin.close()
    _, code, *said = response.topic_errors[0]
    if code not in {0, _TOPIC_EXISTS}:
        raise GrandModelError(
            f"the topic {topic} cannot be created",
            where=", ".join(settings["bootstrap_servers"]),
            found=str((said and said[0]) or for_code(code).__name__),
            hint="let somebody who may create topics do so, or ask for the right to write to this one",
        )
    return bool(code == 0)


async def started(client: Any) -> None:
    """Start a consumer, producer or administrator.

    Raises:
        KafkaError: If the servers cannot be reached or refuse the login.
    """
    try:
        await client.start()
    except KeyError as error:  # SCRAM ends with a proof or with an error, and the library looks for the proof only
        raise AuthenticationFailedError("the password is wrong") from error


async def let_go(user: Any, client: Any) -> None:
    """Stop a consumer or producer and the client inside, whatever state they are in."""
    # stopping fails with a cancellation of its own when it meets a retry, and leaves its connections open then
    stopping = asyncio.ensure_future(user.stop())
    await asyncio.wait({stopping}, timeout=STOP_S)
    if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
        stopping.cancel()
        with contextlib.suppress(KafkaError, OSError):
            async with asyncio.timeout(STOP_S):
                await client.close()


def unreachable(address: FeedAddress, seconds: float, found: str) -> UsageError:
    """The error when no server answered in time."""
    return UsageError(
        "cannot connect to Kafka",
        where=address.shown,
        expected=f"an answer within {seconds:g} seconds",
        found=found,
        hint="see that the broker runs, and that the address it advertises can be reached from here; one that closes "
        "the connection at once may want a login or TLS (kafkas://)",
    )


def refused_login(address: FeedAddress, error: BaseException) -> UsageError:
    """The error when a server answered, and does not let us in."""
    return UsageError(
        "Kafka refuses the login",
        where=address.shown,
        found=described(error),
        hint="check username, the password's reference and sasl_mechanism",
    )


def not_allowed(topic: str) -> UsageError:
    """The error when a server lets us in, and not read."""
    return UsageError(
        f"this user may not read the topic {topic}",
        expected="the rights Describe and Read for it",
        hint="ask the administrator of the servers for them, or log in as another user (username, password)",
    )


def too_large(where: str, size: int) -> GrandModelError:
    """The error when a topic takes no message of this size."""
    return GrandModelError(
        "a message is larger than the topic takes",
        where=where,
        expected="at most the topic's max.message.bytes (by default the servers' message.max.bytes)",
        found=f"{size:,} bytes",
        hint="raise max.message.bytes of the topic, or send fewer bars in a message (--per-message)",
    )


def described(error: BaseException) -> str:
    """An error of the client in a few words, for a status line."""
    text = str(error).strip() or type(error).__name__
    return text.removeprefix(f"{type(error).__name__}: ") if isinstance(error, KafkaError) else text
