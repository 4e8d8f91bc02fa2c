"""What travels over Kafka, MQTT and standard input: version 1 of the schema, read and written.

A message is one element, a list of elements or `{"v": 1, "items": [...]}`, as JSON or MessagePack; the first byte
tells the two apart. `type` says what an element is:

    bar    symbol, timestamp (of its close), open, high, low, close, volume (absent or null: not known); the default
    trade  symbol, timestamp, price, size, id (optional, whole, ascending within a symbol), side (optional: who took,
           buy or sell, or 1 or -1)
    quote  symbol, timestamp, bid, ask

`ts_event` may stand for `timestamp`. A time is an epoch in s, ms, us or ns, told apart by its magnitude, or ISO 8601
text, UTC where it has no offset. `symbol` may be absent where a session has but one. Further fields are ignored.
Every element is judged by itself: a bad one costs only itself. A message of more than MOST_MESSAGE bytes is refused
unread, and what follows the first MOST_REFUSED bad elements of a message is refused with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from math import isnan, nan
from typing import Annotated, Any, Final, Literal

import msgspec

from engine.types.blocks import BAR_COLUMNS, UNKNOWN_VOLUME, BarBlock
from engine.types.dead_letter import DeadLetter, bounded
from feeds.live.checks import Refused, check_bar, check_quote, check_trade, read_side, read_time, shown
from feeds.live.source import MOST_MESSAGE, Record

VERSION: Final = 1

MOST_REFUSED: Final = 256
# how messages that are written with a schema registry begin: this, and the number of the schema
_REGISTRY_MAGIC: Final = b"\x00"
_REGISTRY_BYTES: Final = 5

_TIME = {"ts_event": "timestamp"}


class BarMessage(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="bar", rename=_TIME):
    """A bar as it was sent.

    Attributes:
        symbol: Its name; None if the message has none.
        ts_event: The time that labels it, nanoseconds UTC.
        open, high, low, close: Prices in quote currency.
        volume: Traded size; NaN if not known.
    """

    symbol: str | None
    ts_event: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class TradeMessage(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="trade", rename=_TIME):
    """A trade.

    Attributes:
        symbol: Its name; None if the message has none.
        ts_event: When it happened, nanoseconds UTC.
        price: In quote currency.
        size: In contracts.
        id: Ascending within the symbol, a 64-bit number; None if trades are not numbered.
        side: Who took: 1 the buyer, -1 the seller, 0 not known.
    """

    symbol: str | None
    ts_event: int
    price: float
    size: float
    id: int | None
    side: int = 0


class QuoteMessage(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="quote", rename=_TIME):
    """The best prices at a moment.

    Attributes:
        symbol: Its name; None if the message has none.
        ts_event: Since when they hold, nanoseconds UTC.
        bid, ask: In quote currency.
    """

    symbol: str | None
    ts_event: int
    bid: float
    ask: float


Element = BarMessage | TradeMessage | QuoteMessage


_LOOSE = {"v": VERSION, "type": "bar"}


class _Wire(msgspec.Struct, gc=False):
    """An element whose fields have the right types; one struct for all three, since a list may mix them."""

    v: int = VERSION
    type: str = "bar"
    symbol: str | None = None
    timestamp: int | str | None = None
    ts_event: int | str | None = None
    open: float = nan
    high: float = nan
    low: float = nan
    close: float = nan
    volume: float | None = None
    price: float = nan
    size: float = nan
    id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    side: Any = None
    bid: float = nan
    ask: float = nan


class _WireMessage(_Wire, gc=False):
    items: list[_Wire] | None = None


# the same fields of whatever type, to say what is wrong with them; None is absent
_Loose = msgspec.defstruct("_Loose", [(name, Any, _LOOSE.get(name)) for name in _Wire.__struct_fields__])


class _Envelope(msgspec.Struct):
    v: Any = VERSION
    items: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _OutgoingBar(msgspec.Struct, gc=False):
    v: int
    type: str
    symbol: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None


class _Decoders:
    """How to read one of the two formats."""

    def __init__(self, module: Any) -> None:
        self.message = module.Decoder(_WireMessage)
        self.many = module.Decoder(list[_Wire])
        self.raw_many = module.Decoder(list[msgspec.Raw])
        self.envelope = module.Decoder(_Envelope)
        self.loose = module.Decoder(_Loose)


_JSON = _Decoders(msgspec.json)
_MSGPACK = _Decoders(msgspec.msgpack)
_ENCODE = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}
# msgspec's own errors and those of text that is not UTF-8 are ValueErrors
_UNREADABLE = (ValueError, RecursionError)
_NUMBERS = {"bar": ("open", "high", "low", "close"), "trade": ("price", "size"), "quote": ("bid", "ask")}
_OPTIONAL = {"bar": ("volume",), "trade": ("id", "side"), "quote": ()}
_NUMBER_REASONS = {"volume": "bad_volume", "size": "bad_volume"}


def decode(record: Record) -> tuple[list[Element], list[DeadLetter]]:
    """Read a message; whatever its bytes are, nothing is raised.

    Returns:
        Its good elements in their order, and dead letters for the other ones: one for each of the first, then one
        that counts the rest (`engine.types.dead_letter.bounded`). A dead letter holds the element as it stands in the
        message, or the whole message where that cannot be taken apart.
    """
    payload = record.payload
    if record.oversize or len(payload) > MOST_MESSAGE:
        found = record.oversize or f"{len(payload):,} bytes"
        return [], [Refused("too_large", f"at most {MOST_MESSAGE:,} bytes", found).dead_letter(record, payload)]
    decoders, is_list = _format(payload)
    try:
        if is_list:
            wires = decoders.many.decode(payload)
        else:
            message = decoders.message.decode(payload)
            if message.items is None:
                return [_element(message)], []
            wires = message.items if message.v == VERSION else []
        if wires:
            return [_element(wire) for wire in wires], []
    except (Refused, *_UNREADABLE):
        pass  # reported below, element by element
    return _one_by_one(record, decoders, is_list)


def encode_element(element: Element) -> bytes:
    """One element as a JSON message that `decode` reads."""
    return msgspec.json.encode(element)


def encode_bars(
    block: BarBlock,
    *,
    format: Literal["json", "msgpack"],  # noqa: A002 - what it is called everywhere else
    per_message: int,
) -> Iterator[tuple[str, bytes]]:
    """Write bars as messages; `decode` gives back the same bits.

    Args:
        block: Bars; they are written row by row, and within a row in the order of symbols.
        per_message: Bars a message, 1 or more: one is sent as it is, more as lists of up to so many.

    Yields:
        The key (the symbol, of a list that of its first bar) and the payload.
    """
    encode = _ENCODE[format]
    bars = _published(block)
    while batch := list(islice(bars, per_message)):
        yield batch[0].symbol, encode(batch[0] if per_message == 1 else batch)


def _published(block: BarBlock) -> Iterator[_OutgoingBar]:
    rows, columns = block.present.nonzero()
    symbols = (block.symbols[column] for column in columns.tolist())
    numbers = (getattr(block, name)[rows, columns].tolist() for name in BAR_COLUMNS)
    for symbol, time, open_, high, low, close, volume in zip(
        symbols, block.ts_event[rows].tolist(), *numbers, strict=True
    ):
        known = None if isnan(volume) else volume
        yield _OutgoingBar(VERSION, "bar", symbol, time, open_, high, low, close, known)


def is_msgpack(payload: bytes) -> bool:
    """Whether a message is MessagePack, whose maps and arrays begin so; JSON begins with ASCII."""
    return payload[:1] >= b"\x80"


def _format(payload: bytes) -> tuple[_Decoders, bool]:
    """The format, and whether the message is a list."""
    first = payload[:1]
    if is_msgpack(payload):
        return _MSGPACK, b"\x90" <= first <= b"\x9f" or first in {b"\xdc", b"\xdd"}
    return _JSON, first != b"{" and payload.lstrip()[:1] == b"["


def _element(wire: _Wire) -> Element:
    if wire.v != VERSION:
        raise Refused("unsupported_version", f"v {VERSION}", f"v {shown(wire.v)}")
    stamp = wire.timestamp if wire.timestamp is not None else wire.ts_event
    if stamp is None:
        raise Refused("missing_field", "a timestamp (or ts_event)", "none")
    ts_event = read_time(stamp)
    if wire.type == "bar":
        volume = nan if wire.volume is None or wire.volume == UNKNOWN_VOLUME else wire.volume
        check_bar(wire.open, wire.high, wire.low, wire.close, volume)
        return BarMessage(wire.symbol, ts_event, wire.open, wire.high, wire.low, wire.close, volume)
    if wire.type == "trade":
        check_trade(wire.price, wire.size)
        return TradeMessage(wire.symbol, ts_event, wire.price, wire.size, wire.id, read_side(wire.side))
    if wire.type == "quote":
        check_quote(wire.bid, wire.ask)
        return QuoteMessage(wire.symbol, ts_event, wire.bid, wire.ask)
    raise Refused("unknown_type", ", ".join(_NUMBERS), shown(wire.type))


def _one_by_one(record: Record, decoders: _Decoders, is_list: bool) -> tuple[list[Element], list[DeadLetter]]:
    good: list[Element] = []
    dead_letters: list[DeadLetter] = []
    try:
        raws = _take_apart(record.payload, decoders, is_list)
    except Refused as refused:
        return good, [refused.dead_letter(record, record.payload)]
    for number, raw in enumerate(raws):
        if len(dead_letters) == MOST_REFUSED and (rest := len(raws) - number) > 1:
            found = f"{rest:,} more elements, not read after {MOST_REFUSED} refused ones"
            unread = Refused("malformed", "a message that is mostly usable", found).dead_letter(record, bytes(raw))
            return good, [*bounded(dead_letters), replace(unread, count=rest)]
        try:
            good.append(_judge(raw, decoders))
        except Refused as refused:
            dead_letters.append(refused.dead_letter(record, bytes(raw)))
    return good, bounded(dead_letters)


def _take_apart(payload: bytes, decoders: _Decoders, is_list: bool) -> list[bytes | msgspec.Raw]:
    raws: list[bytes | msgspec.Raw]
    if payload[:1] == _REGISTRY_MAGIC and len(payload) > _REGISTRY_BYTES:
        schema = int.from_bytes(payload[1:_REGISTRY_BYTES], "big")
        found = f"a message of a schema registry (its first bytes name schema {schema}: Avro, Protobuf or JSON Schema)"
        raise Refused("malformed", "plain JSON or MessagePack (feed.schemas reads the others)", found)
    try:
        if is_list:
            raws = decoders.raw_many.decode(payload)
        else:
            envelope = decoders.envelope.decode(payload)
            if envelope.items is msgspec.UNSET:
                return [payload]
            if envelope.v != VERSION:
                raise Refused("unsupported_version", f"v {VERSION}", f"v {shown(envelope.v)}")
            raws = list(envelope.items)
    except _UNREADABLE as error:
        raise Refused("malformed", "JSON or MessagePack: an element, a list of them or items", str(error)) from error
    if not raws:
        raise Refused("malformed", "at least one element", "an empty list")
    return raws


def _judge(raw: bytes | msgspec.Raw, decoders: _Decoders) -> Element:
    """Read one element, and say of the first thing that is wrong with it what it is."""
    try:
        loose = decoders.loose.decode(raw)
    except _UNREADABLE as error:
        raise Refused("malformed", "an object of named fields", str(error)) from error
    if loose.v != VERSION:
        raise Refused("unsupported_version", f"v {VERSION}", f"v {shown(loose.v)}")
    kind = loose.type
    if not isinstance(kind, str) or kind not in _NUMBERS:
        raise Refused("unknown_type", ", ".join(_NUMBERS), shown(kind))
    fields = {name: getattr(loose, name) for name in (*_NUMBERS[kind], "symbol", "timestamp", "ts_event")}
    _check_fields(kind, fields)
    fields |= {name: getattr(loose, name) for name in _OPTIONAL[kind]}
    if kind == "bar" and fields["volume"] is not None:
        fields["volume"] = _number("volume", fields["volume"])
    try:
        wire = msgspec.convert({"type": kind, **fields}, _Wire)
    except msgspec.ValidationError as error:
        raise Refused("malformed", f"the fields of a {kind}", str(error)) from error
    return _element(wire)


def _check_fields(kind: str, fields: dict[str, Any]) -> None:
    if fields["timestamp"] is None and fields["ts_event"] is None:
        raise Refused("missing_field", "a timestamp (or ts_event)", "none")
    for name in ("timestamp", "ts_event"):
        stamp = fields[name]
        if stamp is not None and (isinstance(stamp, bool) or not isinstance(stamp, int | str)):
            raise Refused("bad_time", f"{name}: a whole number or text", shown(stamp))
    for name in _NUMBERS[kind]:
        if fields[name] is None:
            raise Refused("missing_field", f"the {name} of a {kind}", "none")
        fields[name] = _number(name, fields[name])


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass  # beyond all floats
    raise Refused(_NUMBER_REASONS.get(name, "bad_price"), f"{name}: a number", shown(value))
