"""Reading messages of somebody else's shape, as `feed.fields` describes them.

What such a message holds is judged as ours are; numbers may be text, as exchanges send them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from math import nan
from typing import Any, Final

import msgspec

from engine.types.blocks import UNKNOWN_VOLUME
from engine.types.dead_letter import DeadLetter, bounded
from feeds.live.checks import (
    EPOCH_CEILING_S,
    EPOCH_FLOOR_S,
    Refused,
    check_bar,
    check_quote,
    check_trade,
    clock_text,
    read_side,
    read_time,
    shown,
)
from feeds.live.fields import MISSING, NEEDED, FieldsConfig, matches, picker
from feeds.live.messages import (
    MOST_REFUSED,
    BarMessage,
    Element,
    QuoteMessage,
    TradeMessage,
    is_msgpack,
)
from feeds.live.source import MOST_MESSAGE, Record

UNITS_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_FLOOR_NS, _CEILING_NS = EPOCH_FLOOR_S * UNITS_NS["s"], EPOCH_CEILING_S * UNITS_NS["s"]
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST_NUMBER = 64
_REASONS = {"volume": "bad_volume", "size": "bad_volume"}
_ID = range(-(2**63), 2**63)


class MappedDecoder:
    """Reads messages by the paths of a configuration; whatever their bytes are, nothing is raised.

    Args:
        fields: Where the fields are.
        parse: Takes a message apart, by default JSON or MessagePack; raises Refused.

    Attributes:
        skipped: Elements left out by `only` since it was last set to 0.
    """

    def __init__(self, fields: FieldsConfig, parse: Callable[[bytes], Any] | None = None) -> None:
        self.fields, self.skipped = fields, 0
        self.parse = parse or parsed
        self._paths = {name: f"`{path}`" for name, path in fields.paths.items()}
        self._pick = {name: picker(path) for name, path in fields.paths.items()}
        self._needed, self._unit = NEEDED[fields.type], fields.unit
        self._only = [(picker(path), wanted) for path, wanted in fields.only.items()]
        self._items = None if fields.items is None else picker(fields.items)
        make: dict[str, Callable[[str | None, int, Any], Element]]
        make = {"bar": self._bar, "trade": self._trade, "quote": self._quote}
        self._make = make[fields.type]

    def __call__(self, record: Record) -> tuple[list[Element], list[DeadLetter]]:
        """Good elements in their order, and dead letters for the other ones."""
        payload = record.payload
        if record.oversize or len(payload) > MOST_MESSAGE:
            found = record.oversize or f"{len(payload):,} bytes"
            return [], [Refused("too_large", f"at most {MOST_MESSAGE:,} bytes", found).dead_letter(record, payload)]
        try:
            tree = self.parse(payload)
        except Refused as refused:
            return [], [refused.dead_letter(record, payload)]
        return self.read(record, tree)

    def read(self, record: Record, tree: Any) -> tuple[list[Element], list[DeadLetter]]:
        """The same for a message that is taken apart already: dictionaries, lists, numbers and text."""
        good: list[Element] = []
        dead_letters: list[DeadLetter] = []
        try:
            trees = self.elements(tree)
        except Refused as refused:
            return [], [refused.dead_letter(record, record.payload)]
        for number, one in enumerate(trees):
            if len(dead_letters) == MOST_REFUSED:
                found = f"{len(trees) - number:,} more elements, not read after {MOST_REFUSED} refused ones"
                unread = Refused("malformed", "a message that is mostly usable", found)
                letter = unread.dead_letter(record, record.payload)
                return good, [*bounded(dead_letters), replace(letter, count=len(trees) - number)]
            if not self.wanted(one):
                self.skipped += 1
                continue
            try:
                good.append(self.element(one))
            except Refused as refused:
                payload = record.payload if one is tree else _bytes(one, record.payload)
                dead_letters.append(refused.dead_letter(record, payload))
        return good, bounded(dead_letters)

    def elements(self, tree: Any) -> list[Any]:
        """The elements of a message.

        Raises:
            Refused: If there are none where they should be.
        """
        if self._items is not None:
            tree = self._items(tree)
            if not isinstance(tree, list):
                found = "nothing" if tree is MISSING else shown(tree)
                raise Refused("malformed", f"a list of elements in {self.fields.items}", found)
            return tree
        # a list of numbers is one element, whose fields have places instead of names
        return tree if isinstance(tree, list) and tree and isinstance(tree[0], dict | list) else [tree]

    def wanted(self, tree: Any) -> bool:
        """Whether `only` leaves an element in."""
        return all(matches(pick(tree), value) for pick, value in self._only)

    def element(self, tree: Any) -> Element:
        """One element.

        Raises:
            Refused: Naming field and path.
        """
        if not isinstance(tree, dict | list):
            raise Refused("malformed", "an object of named fields", shown(tree))
        values = {name: pick(tree) for name, pick in self._pick.items()}
        for name in self._needed:
            if values[name] is MISSING or values[name] is None:
                raise Refused("missing_field", f"the {name} of a {self.fields.type} in {self._path(name)}", "none")
        symbol = values["symbol"]
        if symbol is MISSING or symbol is None:
            symbol = None
        elif not isinstance(symbol, str):
            raise Refused("malformed", f"a symbol as text in {self._path('symbol')}", shown(symbol))
        return self._make(symbol, self._time(values["timestamp"]), values)

    def _bar(self, symbol: str | None, ts_event: int, values: dict[str, Any]) -> BarMessage:
        open_, high, low, close = (self._number(name, values[name]) for name in ("open", "high", "low", "close"))
        given = values["volume"]
        volume = nan if given is MISSING or given is None else self._number("volume", given)
        volume = nan if volume == UNKNOWN_VOLUME else volume
        check_bar(open_, high, low, close, volume)
        return BarMessage(symbol, ts_event, open_, high, low, close, volume)

    def _trade(self, symbol: str | None, ts_event: int, values: dict[str, Any]) -> TradeMessage:
        price, size = (self._number(name, values[name]) for name in ("price", "size"))
        check_trade(price, size)
        given = values["side"]
        side = 0 if given is MISSING else read_side(given)
        return TradeMessage(symbol, ts_event, price, size, self._id(values["id"]), side)

    def _quote(self, symbol: str | None, ts_event: int, values: dict[str, Any]) -> QuoteMessage:
        bid, ask = (self._number(name, values[name]) for name in ("bid", "ask"))
        check_quote(bid, ask)
        return QuoteMessage(symbol, ts_event, bid, ask)

    def _id(self, given: Any) -> int | None:
        if given is MISSING or given is None:
            return None
        whole = int(given) if isinstance(given, str) and re.fullmatch(r"-?[0-9]{1,19}", given) else given
        if isinstance(whole, bool) or not isinstance(whole, int) or whole not in _ID:
            raise Refused("malformed", f"a whole number of 64 bits in {self._path('id')}", shown(given))
        return whole

    def _number(self, name: str, given: Any) -> float:
        number = number_of(given)
        if number is None:
            raise Refused(_REASONS.get(name, "bad_price"), f"{name}: a number in {self._path(name)}", shown(given))
        return number

    def _time(self, given: Any) -> int:
        return time_of(given, self._unit, self._paths["timestamp"])

    def _path(self, name: str) -> str:
        return self._paths[name]


def parsed(payload: bytes) -> Any:
    """What a JSON or MessagePack message holds.

    Raises:
        Refused: If it is neither.
    """
    try:
        return msgspec.msgpack.decode(payload) if is_msgpack(payload) else msgspec.json.decode(payload)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", "JSON or MessagePack", str(error)) from error


def number_of(given: Any) -> float | None:
    """A number, or text that is one; None for anything else."""
    kind = type(given)  # exact: true is no number, and this is asked of every field
    if kind is str:
        return float(given) if len(given) <= _LONGEST_NUMBER and _NUMBER.fullmatch(given) else None
    if kind is not float and kind is not int and kind is not Decimal:
        return None
    try:
        return float(given)
    except OverflowError:
        return None  # beyond all floats


def time_of(given: Any, unit: str, path: str) -> int:
    """A time in nanoseconds UTC.

    Args:
        given: A number of the unit since 1970, also as text; or ISO 8601 text.
        unit: s, ms, us, ns, or auto: told apart by magnitude.
        path: For messages.

    Raises:
        Refused: bad_time.
    """
    if type(given) is int and unit != "auto":  # as nearly always
        time_ns = given * UNITS_NS[unit]
        if _FLOOR_NS <= time_ns <= _CEILING_NS:
            return time_ns
    text = str(given) if isinstance(given, int | float | Decimal) and not isinstance(given, bool) else given
    if not isinstance(text, str):
        raise Refused("bad_time", f"a number or text in {path}", shown(given))
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        return read_time(text)
    number = Decimal(text)
    if unit == "auto":
        if number != number.to_integral_value():
            raise Refused("bad_time", f"a whole number in {path}, or fields.unit", shown(given))
        return read_time(int(number))
    if not EPOCH_FLOOR_S <= number * UNITS_NS[unit] / 1_000_000_000 <= EPOCH_CEILING_S:
        raise Refused("bad_time", f"a time of the years 1973 to 2261 in {unit} in {path}", _otherwise(given, number))
    return round(number * UNITS_NS[unit])


def _otherwise(given: Any, number: Decimal) -> str:
    for other, unit_ns in UNITS_NS.items():
        if EPOCH_FLOOR_S <= number * unit_ns / 1_000_000_000 <= EPOCH_CEILING_S:
            return f"{shown(given)}, which in {other} is {clock_text(round(number * unit_ns))}"
    return shown(given)


def _bytes(tree: Any, whole: bytes) -> bytes:
    """An element by itself."""
    try:
        return msgspec.json.encode(tree)
    except (TypeError, ValueError, RecursionError):
        return whole


def leaves(tree: Any, above: str = "", depth: int = 4, *, lists: bool = True) -> Iterator[tuple[str, Any]]:
    """Paths and values of an element, as deep as paths are looked for; without lists, those of names alone."""
    if depth and (isinstance(tree, dict) or (lists and isinstance(tree, list))):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{above}.{key}" if above else str(key), depth - 1, lists=lists)
    elif above:
        yield above, tree
