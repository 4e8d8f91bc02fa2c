"""What a feed sends, and how each field of it is understood, before anything is traded."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import msgspec

from engine.app.live.config import FeedConfig
from engine.app.live.intake import mapped_decoder
from engine.base.errors import UsageError
from engine.types.dead_letter import DeadLetter
from engine.types.timeframe import format_timeframe
from feeds.live.address import FeedAddress, parse_address
from feeds.live.checks import Refused, clock_text, shown
from feeds.live.connect import connect_source
from feeds.live.fields import MISSING, FieldsConfig, picker
from feeds.live.guessing import guess
from feeds.live.mapped import MappedDecoder, leaves, number_of, parsed
from feeds.live.messages import BarMessage, Element, decode, is_msgpack
from feeds.live.options import SourceOptions
from feeds.live.schemas.known import KnownSchemas, schema_number
from feeds.live.schemas.registry import RegistryAway
from feeds.live.source import Record
from feeds.reading.times.last_instant import whole_close

UNIT_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
MOST_SHOWN = 500


@dataclass(frozen=True)
class Reading:
    """How one field is understood.

    Attributes:
        field: Of ours.
        path: Where it is in the message; empty where it is not.
        given: What stands there.
        read: What it is taken for.
        why: Because of what.
    """

    field: str
    path: str
    given: str
    read: str
    why: str


@dataclass(frozen=True)
class Inspected:
    """One message.

    Attributes:
        place: Its partition and offset.
        size: Bytes.
        format: JSON, MessagePack, or the number of its schema and what that is.
        text: Its beginning.
        elements: How each element that can be used is understood.
        refused: Elements that cannot.
        skipped: How many `fields.only` or `other_symbols` leaves out.
        unused: Paths of the first element that nothing is read from.
        concerns: What a session would refuse though it can be read: an unknown symbol, a time off the grid.
    """

    place: str
    size: int
    format: str
    text: str
    elements: tuple[tuple[Reading, ...], ...]
    refused: tuple[DeadLetter, ...]
    skipped: int
    unused: tuple[str, ...]
    concerns: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        messages: The first ones.
        suggestion: Keys of `feed.fields` by which messages could be read that now cannot.
    """

    messages: tuple[Inspected, ...]
    suggestion: Mapping[str, Any] | None

    @property
    def usable(self) -> bool:
        """Whether something came, and all of it can be used."""
        good = any(message.elements for message in self.messages)
        return good and not any(message.refused or message.concerns for message in self.messages)


def inspect_feed(feed: FeedConfig, symbols: Sequence[str], most: int, wait_s: float) -> Inspection:
    """Look at the first messages of a feed; nothing is kept, committed or acknowledged for a session.

    Args:
        feed: As of a session.
        symbols: Of the session; none if they are not known.
        most: Messages.
        wait_s: Seconds for the first and for each further message.

    Raises:
        UsageError: If the feed cannot be reached, or is a file.
    """
    schemas = None if feed.schemas is None else KnownSchemas(feed.schemas)
    records = asyncio.run(_first(parse_address(feed.address, feed.security), feed, schemas, most, wait_s))
    messages = tuple(explain(record, feed, symbols, schemas) for record in records)
    return Inspection(messages, _suggestion(records, messages, parsed if schemas is None else schemas.parsed))


def explain(record: Record, feed: FeedConfig, symbols: Sequence[str], schemas: KnownSchemas | None = None) -> Inspected:
    """How a session would understand one message.

    Args:
        schemas: Those of the message are fetched.
    """
    mapped = mapped_decoder(feed, schemas)
    mapping = None if mapped is None else mapped.fields
    decoder = mapped or MappedDecoder(FieldsConfig())
    _, refused = decode(record) if mapped is None else decoder(record)
    skipped, decoder.skipped = decoder.skipped, 0
    try:
        trees = [one for one in decoder.elements(_items(decoder.parse(record.payload), mapping)) if decoder.wanted(one)]
    except Refused:
        trees = []
    good = [(tree, element) for tree in trees if (element := _element(tree, mapping, decoder)) is not None]
    if symbols and feed.other_symbols == "leave_out":
        own = [(tree, element) for tree, element in good if element.symbol is None or element.symbol in symbols]
        skipped, good = skipped + len(good) - len(own), own
    readings = tuple(_readings(tree, element, feed) for tree, element in good)
    concerns = [text for _, element in good for text in _concerns(element, feed, symbols)]
    return Inspected(
        f"{record.partition}, offset {record.offset}" if record.offset >= 0 else record.partition,
        len(record.payload),
        _format(record, schemas),
        record.payload[:MOST_SHOWN].decode("utf-8", "backslashreplace"),
        readings,
        tuple(refused),
        skipped,
        _unused(good[0][0], feed, readings[0]) if good else (),
        tuple(dict.fromkeys(concerns)),
    )


def _format(record: Record, schemas: KnownSchemas | None) -> str:
    number = schema_number(record.payload)
    if number is not None:
        kind = None if schemas is None else schemas.kind_of(number)
        return f"schema {number}{'' if kind is None else f' ({kind})'}"
    return "MessagePack" if is_msgpack(record.payload) else "JSON"


def _items(tree: Any, mapping: FieldsConfig | None) -> Any:
    """The elements of a message of our own shape lie in `items` where it has that."""
    return tree["items"] if mapping is None and isinstance(tree, dict) and "items" in tree else tree


def _element(tree: Any, mapping: FieldsConfig | None, decoder: MappedDecoder) -> Element | None:
    """An element as a session reads it; None if it cannot be used."""
    if mapping is None:
        return next(iter(decode(Record("", -1, msgspec.json.encode(tree)))[0]), None)
    try:
        return decoder.element(tree)
    except Refused:
        return None


def _fields_of(tree: Any, mapping: FieldsConfig | None) -> FieldsConfig:
    """The mapping, or for a message of our own shape what its `type` and `ts_event` amount to."""
    if mapping is not None:
        return mapping
    kind = tree.get("type", "bar") if isinstance(tree, dict) else "bar"
    stamp = "ts_event" if isinstance(tree, dict) and tree.get("timestamp") is None else "timestamp"
    return FieldsConfig.model_validate({"type": kind if kind in {"trade", "quote"} else "bar", "timestamp": stamp})


def _readings(tree: Any, element: Element, feed: FeedConfig) -> tuple[Reading, ...]:
    mapping = feed.mapping
    fields = _fields_of(tree, mapping if feed.schemas is None else mapping or FieldsConfig())
    found = []
    for name, path in fields.paths.items():
        given = picker(path)(tree)
        value = getattr(element, "ts_event" if name == "timestamp" else name)
        named = mapping is not None and name in mapping.model_fields_set
        source = f"feed.fields.{name} is {path}" if named else f"called {path}, as in our own messages"
        there = given is not MISSING and given is not None
        read, why = (
            _time(given, value, fields, feed) if name == "timestamp" else _value(name, given if there else None, value)
        )
        found.append(
            Reading(name, path if there else "", shown(given) if there else "absent", read, f"{source}; {why}")
        )
    return tuple(found)


def _value(name: str, given: Any, value: Any) -> tuple[str, str]:
    if name == "symbol":
        return ("the session's own", "no symbol in the message") if value is None else (value, "as it stands")
    if value is None or (isinstance(value, float) and isnan(value)):
        return "not known", "absent or null"
    why = "text that is a number" if isinstance(given, str) and number_of(given) is not None else "a number"
    return f"{value:.12g}" if isinstance(value, float) else str(value), why


def _time(given: Any, time_ns: int, fields: FieldsConfig, feed: FeedConfig) -> tuple[str, str]:
    number = number_of(given)
    if number is None:
        why = "ISO 8601 text"
    elif fields.unit != "auto":
        why = f"{UNIT_WORDS[fields.unit]} since 1970, as feed.fields.unit says"
    else:
        unit = min(UNIT_WORDS, key=lambda unit: abs(number * 10 ** (9 - 3 * list(UNIT_WORDS).index(unit)) - time_ns))
        why = f"{UNIT_WORDS[unit]} since 1970, by its magnitude"
    read = clock_text(time_ns)
    if fields.type == "bar":
        length = format_timeframe(feed.timeframe_ns)
        closes = _close(time_ns, feed)
        read += f", so the {length} bar closes at {clock_text(closes)}"
        why += f"; times are of the {feed.labels}, as feed.labels says"
    return read, why


def _close(time_ns: int, feed: FeedConfig) -> int:
    return time_ns + feed.timeframe_ns if feed.labels == "open" else whole_close(time_ns, feed.timeframe_ns)


def _concerns(element: Element, feed: FeedConfig, symbols: Sequence[str]) -> list[str]:
    found = []
    if symbols and element.symbol is not None and element.symbol not in symbols:
        found.append(f"the symbol {element.symbol} is none of this session's ({', '.join(symbols[:5])})")
    if symbols and element.symbol is None and feed.other_symbols == "leave_out":
        found.append("the message has no symbol, and may be another session's (feed.other_symbols)")
    elif symbols and element.symbol is None and len(symbols) > 1:
        found.append("the message has no symbol, and the session has several")
    if isinstance(element, BarMessage) and _close(element.ts_event, feed) % feed.timeframe_ns:
        length = format_timeframe(feed.timeframe_ns)
        found.append(
            f"{clock_text(element.ts_event)} is no multiple of {length}: give the length of the bars (feed.timeframe), "
            "or read another field as the time"
        )
    ahead, now = feed.ahead_ns, time.time_ns()
    if ahead is not None and element.ts_event > now + ahead + feed.timeframe_ns:
        found.append(f"{clock_text(element.ts_event)} is ahead of this machine's clock (feed.max_ahead_s)")
    return found


def _unused(tree: Any, feed: FeedConfig, readings: Sequence[Reading]) -> tuple[str, ...]:
    mapping = feed.mapping
    used = {one.path for one in readings} | set(() if mapping is None else mapping.only)
    return tuple(path for path, _ in leaves(tree) if path not in used | ({"type", "v"} if mapping is None else set()))


def _suggestion(
    records: Sequence[Record], messages: Sequence[Inspected], parse: Callable[[bytes], Any]
) -> Mapping[str, Any] | None:
    """For the first message of which nothing can be used."""
    for record, message in zip(records, messages, strict=True):
        if message.refused and not message.elements:
            try:
                found = guess(parse(record.payload))
            except Refused:
                continue
            if found is not None:
                return found
    return None


async def _first(
    address: FeedAddress, feed: FeedConfig, schemas: KnownSchemas | None, most: int, wait_s: float
) -> list[Record]:
    if address.kind not in {"kafka", "mqtt", "stdin"}:
        raise UsageError(
            "there are no messages to inspect",
            where=address.shown,
            expected="kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC or stdin",
            hint="`grandmodel data inspect FILE` looks at a file",
        )
    # a client id of its own: that of a session would take over the session's queue; and no share in a group's messages,
    # which nobody else would get then
    alone = replace(address, client_id=None, topic=re.sub(r"^\$share/[^/]+/", "", address.topic))
    options = SourceOptions(connect_timeout_s=feed.connect_timeout_s, quiet_after_s=feed.quiet_after_s)
    source = connect_source(alone, options, f"inspect-{secrets.token_hex(8)}")
    records: list[Record] = []
    heard: float | None = None
    try:
        async with aclosing(source.deliveries({})) as stream:  # type: ignore[type-var]
            async for delivery in stream:
                records += delivery.records[: most - len(records)]
                if delivery.records or (heard is None and source.connected):
                    heard = time.monotonic()
                ended = delivery.ended or len(records) >= most
                if ended or (heard is not None and time.monotonic() - heard >= wait_s):
                    break
    finally:
        await source.close()
        await _forget(address, getattr(source, "client_id", None))
    if schemas is not None:
        try:
            await schemas.prepare(records, feed.connect_timeout_s)
        except RegistryAway as error:
            where = None if feed.schemas is None else feed.schemas.registry
            raise UsageError("the schema registry gives no answer", where=where, found=str(error)) from error
    return records


async def _forget(address: FeedAddress, client_id: str | None) -> None:
    """Leave nothing behind at an MQTT broker, which would keep messages for a reader that never comes back."""
    if address.kind == "mqtt" and client_id is not None:
        from feeds.live.mqtt.connection import forget_session  # noqa: PLC0415 - loads its client

        await forget_session(address, client_id)
