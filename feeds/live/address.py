"""Addresses of live feeds: `kafka://host:9092/topic`, `mqtt://host/topic/#`, `replay:FILE?speed=60`, `stdin`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, ValidationError, model_validator

from engine.base.config import Config
from engine.base.errors import UsageError
from engine.base.nearest import nearest
from engine.base.secrets import SecretRef, Unshown
from feeds.pacing import parse_speed

Kind = Literal["kafka", "mqtt", "replay", "stdin", "stdout"]
Isolation = Literal["read_committed", "read_uncommitted"]

_SCHEMES: dict[str, tuple[Kind, bool, int]] = {  # kind, TLS, default port
    "kafka": ("kafka", False, 9092),
    "kafkas": ("kafka", True, 9092),
    "mqtt": ("mqtt", False, 1883),
    "mqtts": ("mqtt", True, 8883),
}
_PLAIN = ("replay", "stdin", "stdout")
_LOGIN = ("username", "password", "tls", "ca_file", "cert_file", "key_file", "verify")
_KEYS: dict[Kind, tuple[str, ...]] = {
    "kafka": ("from", "isolation", *_LOGIN, "sasl_mechanism"),
    "mqtt": ("client_id", *_LOGIN),
    "replay": ("speed",),
    "stdin": (),
    "stdout": (),
}
_FIELD = "fields."
_MAPPED = ("kafka", "mqtt", "stdin")
"""Kinds whose messages may be of another shape than ours."""
_FORMS = "kafka://host:9092/topic, mqtt://host:1883/topic, replay:FILE or stdin"
_PUBLISH_FORMS = "kafka://host:9092/topic, mqtt://host:1883/topic or stdout"
_KAFKA_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
# what MQTT can carry of a topic, an id or a name, in bytes of UTF-8; no broker of Kafka's takes more
MOST_TEXT: Final = 65_535
_SHOWN: Final = 100
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")


def _readable(given: Unshown) -> str:
    if not isinstance(given.value, str):
        raise ValueError(f"expected {_FORMS}")
    if given.value:
        try:
            parse_address(given.value)
        except UsageError as error:
            raise ValueError(
                " ".join(f"{label}: {text}" if label else text for label, text in error.parts())
            ) from error
    return given.value


AddressText = Annotated[str, BeforeValidator(_readable), BeforeValidator(Unshown)]
"""An address in a configuration, or nothing yet; an error never shows it, for a login may stand in it by mistake."""


class FeedSecurity(Config):
    """How a feed knows us, and how we know it.

    Attributes:
        username: Name to log in with.
        password: Where its password is kept, `env:NAME` or `file:PATH`.
        tls: Whether the connection is encrypted; `kafkas://` and `mqtts://` say so too.
        ca_file: Certificates to trust in place of the system's.
        cert_file: Our own certificate, with its key unless `key_file` holds that.
        key_file: Key of our own certificate.
        verify: Whether the other side's certificate must be good; false is for trials only.
        sasl_mechanism: How Kafka takes the password; PLAIN by default.
    """

    username: str | None = None
    password: SecretRef | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.sasl_mechanism is not None and (self.username is None or self.password is None):
            raise ValueError("sasl_mechanism needs a username and a password")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        return self


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where bars come from, or go to.

    Attributes:
        hosts: Names and ports; empty where there is no connection.
        topic: Topic of Kafka, topic or filter of MQTT; the file, as given, of a replay.
        begin: Where the first start begins in Kafka: `earliest`, `latest`, or a time in nanoseconds UTC.
        isolation: Whether messages of a transaction in Kafka are read once it is committed, or at once.
        speed: How fast a file is replayed, see `feeds.pacing.parse_speed`.
        client_id: Name of the persistent session with an MQTT broker, if it is given.
        fields: How messages are read, by key of `feeds.live.fields.FieldsConfig`.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    topic: str = ""
    begin: Literal["earliest", "latest"] | int = "earliest"
    isolation: Isolation = "read_committed"
    speed: str = "max"
    client_id: str | None = None
    security: FeedSecurity = field(default_factory=FeedSecurity)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The address for people and logs, without anything of the login."""
        if self.kind == "replay":
            return f"replay:{self.topic}" + ("" if self.speed == "max" else f"?speed={self.speed}")
        if not self.hosts:
            return self.kind
        return f"{self.kind}{'s' if self.security.tls else ''}://{self.servers}/{self.topic}"

    @property
    def identity(self) -> str:
        """What positions are kept under; brokers may move to other hosts and ports without losing them."""
        return f"{self.kind}:{self.topic}" if self.topic else self.kind

    @property
    def servers(self) -> str:
        """The hosts as clients take them, `host:port,host:port`."""
        return _joined(self.hosts)


def parse_address(text: str, security: FeedSecurity | None = None, *, publishing: bool = False) -> FeedAddress:
    """Read the address of a feed.

    Args:
        text: `kafka[s]://host[:port][,host[:port]]/topic[?from=earliest|latest|TIME&isolation=LEVEL]`,
            `mqtt[s]://host[:port]/topic[?client_id=NAME]`, `replay:FILE[?speed=60]`, `stdin` or `-`; to publish also
            `stdout`. How messages are read may follow as `fields.NAME=PATH` (`feeds.live.fields`), and keys of
            `FeedSecurity`; there, `%3F` and the like are unquoted.
        security: Login and encryption from elsewhere; the query decides where it says something too.
        publishing: Whether bars go to the address instead of coming from it.

    Raises:
        UsageError: Naming what is wrong; nothing that could be a password is repeated.
    """
    text = text.strip()
    plain, _, _ = text.partition("?")
    if plain in {"-", *_PLAIN} and plain != "replay":
        kind: Kind = "stdout" if plain == "stdout" or (plain == "-" and publishing) else "stdin"
        _check_direction(kind, publishing)
        return FeedAddress(kind, fields=_fields_of(_split_query(text, kind)[1]))
    scheme, colon, rest = text.partition(":")
    if not colon or (scheme not in _SCHEMES and scheme != "replay"):
        raise _unknown_scheme(scheme if colon else text, publishing)
    if scheme == "replay":
        _check_direction("replay", publishing)
        path, query = _split_query(rest, "replay")
        if not path:
            raise UsageError("a replay needs a file", expected="replay:FILE", found="replay:")
        speed = query.get("speed", "max")
        parse_speed(speed)
        return FeedAddress("replay", topic=path, speed=speed)
    if not rest.startswith("//"):
        raise UsageError("the address lacks its host", expected=f"{scheme}://host/topic", found=f"only {scheme}:")
    return _broker(scheme, rest[2:], text, security or FeedSecurity(), publishing)


def _broker(scheme: str, rest: str, text: str, security: FeedSecurity, publishing: bool) -> FeedAddress:
    kind, tls, port = _SCHEMES[scheme]
    servers, slash, path = rest.partition("/")
    hosts = _hosts(servers.partition("?")[0], port, scheme, text)
    if "?" in servers or not slash:
        raise _no_topic(scheme, hosts)
    topic, query = _split_query(path, kind)
    topic = unquote(topic)
    where = f"{scheme}://{_joined(hosts)}/{topic if len(topic) <= _SHOWN else topic[:_SHOWN] + '...'}"
    if not topic:
        raise _no_topic(scheme, hosts)
    _check_text("topic", topic, where)
    _check_topic(kind, topic, where, publishing)
    if "client_id" in query:
        _check_text("client_id", query["client_id"], where)
    if kind == "mqtt" and len(hosts) > 1:
        raise UsageError("an MQTT address names one broker", where=where, expected="one host")
    given = {key: value for key, value in query.items() if key in FeedSecurity.model_fields}
    secured = _secured(security, {**given, "tls": "true"} if tls else given, kind, where)
    if secured.username is not None:
        _check_text("username", secured.username, where)
    return FeedAddress(
        kind,
        hosts,
        topic,
        _begin(query["from"]) if "from" in query else "earliest",
        isolation=_isolation(query.get("isolation", "read_committed"), where),
        client_id=query.get("client_id"),
        fields=_fields_of(query),
        security=secured,
    )


def _hosts(servers: str, default: int, scheme: str, text: str) -> tuple[tuple[str, int], ...]:
    if "@" in servers:
        raise _login_in_address(scheme)
    if not servers:
        raise UsageError("the address lacks its host", expected=f"{scheme}://host/topic")
    hosts = []
    for server in servers.split(","):
        match = _HOST.fullmatch(server)
        if match is None or not 0 < int(match[2] or default) < 65536:
            if "@" in text:  # a password may hold a slash, so this may be a piece of it
                raise _login_in_address(scheme)
            raise UsageError(
                "cannot read a host of the address",
                expected=f"host or host:port with a port from 1 to 65535, for example localhost:{default}",
                found=repr(server),
            )
        hosts.append((match[1].strip("[]"), int(match[2] or default)))
    return tuple(hosts)


def _joined(hosts: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)


def _login_in_address(scheme: str) -> UsageError:
    return UsageError(
        "a login must not be part of the address",
        expected=f"{scheme}://host/topic?username=NAME&password=env:VARIABLE",
        found="user:password@host, which is not shown here",
        hint="addresses end up in logs and shell histories: use a reference to the password (env:NAME or file:PATH)",
    )


def _no_topic(scheme: str, hosts: tuple[tuple[str, int], ...]) -> UsageError:
    return UsageError("the address lacks its topic", expected=f"{scheme}://{_joined(hosts)}/TOPIC", found="no topic")


def _split_query(text: str, kind: Kind) -> tuple[str, dict[str, str]]:
    """Path as it stands and query unquoted; keys are checked, values are not."""
    path, _, query = text.partition("?")
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if key not in _KEYS[kind] and not (kind in _MAPPED and key.startswith(_FIELD)):
            near = nearest(key, _KEYS[kind])
            raise UsageError(
                f"the address of a {kind} feed has no key {key!r}" if equals else "cannot read the address's query",
                expected=_keys_of(kind),
                hint=f"did you mean {near!r}?" if near else "in a shell, put the address in quotes",
            )
        if key in values:
            raise UsageError(f"the address gives {key!r} twice", expected="each key once")
        values[key] = unquote(value)
    return path, values


def _keys_of(kind: Kind) -> str:
    mapped = f"{_FIELD}NAME=PATH, as in ?{_FIELD}close=c"
    if not _KEYS[kind]:
        return mapped if kind in _MAPPED else "no keys"
    keys = f"one of {', '.join(_KEYS[kind])}, as in ?{_KEYS[kind][0]}=..."
    return f"{keys}; or {mapped}" if kind in _MAPPED else keys


def _fields_of(query: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(_FIELD): value for key, value in query.items() if key.startswith(_FIELD)}


def _check_text(name: str, text: str, where: str) -> None:
    """See that a broker can be told a text."""
    size = len(text.encode(errors="replace"))
    if "\0" in text or not 0 < size <= MOST_TEXT:
        raise UsageError(
            f"the {name} of the feed cannot be sent to a broker",
            where=where.replace("\0", "%00"),
            expected=f"1 to {MOST_TEXT:,} bytes of UTF-8, without a zero byte",
            found="a zero byte" if "\0" in text else f"{size:,} bytes",
        )


def _check_topic(kind: Kind, topic: str, where: str, publishing: bool) -> None:
    if kind == "kafka":
        if not _KAFKA_TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise UsageError(
                "this is not a valid Kafka topic name",
                where=where,
                expected="letters, digits, dots, dashes, underscores",
            )
        return
    levels = topic.split("/")
    if publishing and ("#" in topic or "+" in topic):
        raise UsageError("bars are published to one topic", where=where, expected="a topic without # and +")
    for place, level in enumerate(levels):
        if (len(level) > 1 and ("#" in level or "+" in level)) or (level == "#" and place < len(levels) - 1):
            raise UsageError(
                "the filter of topics is malformed",
                where=where,
                expected="+ for one whole level, # for all that follow and only at the end: bars/+/1min, bars/#",
            )


def _check_direction(kind: Kind, publishing: bool) -> None:
    if publishing != (kind == "stdout"):
        raise UsageError(
            f"{kind} cannot be published to" if publishing else f"{kind} gives no bars",
            expected=_PUBLISH_FORMS if publishing else _FORMS,
        )


def _unknown_scheme(scheme: str, publishing: bool) -> UsageError:
    near = nearest(scheme, (*_SCHEMES, *_PLAIN))
    # what resembles no scheme may be a password in the wrong place
    shown = repr(scheme) if near and re.fullmatch(r"[A-Za-z0-9+.-]{1,20}", scheme) else None
    return UsageError(
        "this is not the address of a feed",
        expected=_PUBLISH_FORMS if publishing else _FORMS,
        found=shown,
        hint=f"did you mean {near!r}?" if near else None,
    )


def _begin(text: str) -> Literal["earliest", "latest"] | int:
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            "cannot read where to begin",
            where="from=",
            expected="earliest, latest or a time such as 2024-06-03T13:30:00Z",
            found=repr(text),
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # through microseconds: a float of seconds holds no nanoseconds
    return round(moment.timestamp() * 1_000_000) * 1000


def _isolation(text: str, where: str) -> Isolation:
    if text == "read_committed":
        return "read_committed"
    if text == "read_uncommitted":
        return "read_uncommitted"
    raise UsageError(
        "cannot read which messages of transactions are wanted",
        where=where,
        expected="isolation=read_committed or isolation=read_uncommitted",
        found=repr(text),
    )


def _secured(base: FeedSecurity, query: Mapping[str, str], kind: Kind, where: str) -> FeedSecurity:
    given = base.model_dump(exclude_unset=True) | dict(query)
    try:
        security = FeedSecurity.model_validate(given)
    except ValidationError as error:
        lines = (
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, "))))
            for problem in error.errors(include_input=False, include_url=False)
        )
        found = "; ".join(lines)
        # without the cause: its text shows what was given
        raise UsageError("the login or encryption of the feed is wrong", where=where, found=found) from None
    if kind == "kafka" and security.username is not None and security.password is None:
        raise UsageError("Kafka requires a password with a username", where=where, expected="password=env:NAME")
    if not security.tls and (security.ca_file or security.cert_file or not security.verify):
        raise UsageError(
            "ca_file, cert_file and verify apply to encrypted connections only, and this one is not",
            where=where,
            expected=f"{kind}s://, or tls=true",
        )
    return security
