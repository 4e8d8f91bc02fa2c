"""Why an element of a live message may be refused, and the rules that a bar, a trade or a quote keeps by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf, isfinite
from typing import Final

from engine.types.dead_letter import MOST_PAYLOAD, DeadLetter
from feeds.live.source import Record
from feeds.ticks.sides import READABLE_SIDE, SIDES

REASONS: Final = {
    "malformed": "The message, or an element of it, is not what the schema describes.",
    "too_large": "The message is larger than 1 MiB, or its compressed batch unpacks to more than 8 MiB or not at all.",
    "overflow": "Messages of MQTT with QoS 0 arrived faster than they could be taken; one dead letter counts them.",
    "unsupported_version": "The element has a schema version that this program does not know.",
    "unknown_schema": "The schema registry has no schema of the message's number, or one that cannot be used.",
    "unknown_type": "The element is neither a bar nor a trade nor a quote.",
    "missing_field": "A field that this type of element needs is absent or null.",
    "bad_time": "The time is neither an epoch in s, ms, us or ns nor ISO 8601 text, or is out of range.",
    "bad_price": "A price is not a number, not finite or not positive.",
    "bad_range": "Prices contradict each other: high below low, open or close outside them, bid above ask.",
    "bad_volume": "A volume or size is not a number, negative (a bar's -1 excepted: unknown) or not finite.",
    "unknown_symbol": "The symbol is not one of this session's.",
    "off_grid": "The close time of a bar is not a multiple of the timeframe.",
    "ahead_of_time": "The time is ahead of the clock, or jumps ahead and is not confirmed by later messages.",
    "late": "The row that the element belongs to is already closed.",
    "duplicate": "The same bar or trade arrived before.",
    "conflicting_duplicate": "A different bar of the same symbol and time arrived before; the first one is kept.",
    "mixed_kinds": "Bars, trades and quotes of a symbol were mixed within one bar; the first kind is kept.",
}

# 1973 to 2261: the same digits mean one moment in one unit only (the rule by which files are read, too)
EPOCH_FLOOR_S: Final = 100_000_000
EPOCH_CEILING_S: Final = 9_214_000_000
_UNITS_NS = (1, 1_000, 1_000_000, 1_000_000_000)
_NS_FLOOR = EPOCH_FLOOR_S * 1_000_000_000
_NS_CEILING = EPOCH_CEILING_S * 1_000_000_000
_READABLE = "an epoch in s, ms, us or ns as a whole number, or text such as 2024-01-31T23:59:00Z"
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]{1,9}))?)?"
    r" ?(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(Exception):  # noqa: N818 - reads as the outcome it is
    """One element cannot be used. Never leaves this package: it becomes a dead letter.

    Args:
        reason: A key of REASONS.
        expected: What would have been right.
        found: What was there instead.
    """

    def __init__(self, reason: str, expected: str, found: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected
        self.found = found

    def dead_letter(self, record: Record, payload: bytes) -> DeadLetter:
        """The dead letter of an element of a record.

        Args:
            payload: The element, or the message if it holds but one.
        """
        return DeadLetter(
            record.partition, record.offset, self.reason, self.expected, self.found, payload[:MOST_PAYLOAD]
        )


def shown(value: object) -> str:
    """A value of a message in a few words, however long or deep it is."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:60]!r}..."
    if isinstance(value, bool | float) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() < 200 else "a number of very many digits"
    return f"a value of type {type(value).__name__}"


def clock_text(time_ns: int) -> str:
    """Nanoseconds UTC as people read them."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + " UTC" if rest else f"{text} UTC"


def read_time(stamp: int | str) -> int:
    """Read a time into nanoseconds UTC.

    Args:
        stamp: An epoch in ns, us, ms or s, told apart by its magnitude; or ISO 8601 text, UTC where it has no offset.

    Raises:
        Refused: bad_time.
    """
    if isinstance(stamp, str):
        return _read_text(stamp)
    for unit in _UNITS_NS:
        if _NS_FLOOR <= stamp * unit <= _NS_CEILING:
            return stamp * unit
    raise Refused("bad_time", f"{_READABLE}, of the years 1973 to 2261", shown(stamp))


@lru_cache(maxsize=1024)  # bars of one time come together; text that cannot be read is not kept
def _read_text(text: str) -> int:
    match = _ISO.fullmatch(text)
    if match is None:
        raise Refused("bad_time", _READABLE, shown(text))
    day, clock, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{(offset or 'Z').upper()}")
    except ValueError as error:
        raise Refused("bad_time", _READABLE, f"{shown(text)}: {error}") from error
    since = moment - _EPOCH
    time_ns = (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
    if abs(time_ns) > _NS_CEILING:
        raise Refused("bad_time", f"{_READABLE}, of the years 1678 to 2261", shown(text))
    return time_ns


def check_bar(open_: float, high: float, low: float, close: float, volume: float) -> None:
    """Check a bar by itself; a volume of NaN is one that is not known.

    Raises:
        Refused: bad_price, bad_range or bad_volume.
    """
    # written so that NaN fails every price rule, and passes as a volume that is not known
    fits = 0.0 < low <= open_ <= high < inf and low <= close <= high
    if fits and not (volume < 0.0 or volume == inf):
        return
    check_prices(open=open_, high=high, low=low, close=close)
    if high < low:
        raise Refused("bad_range", f"a high of at least the low {low}", f"high {high}")
    for name, price in (("open", open_), ("close", close)):
        if not low <= price <= high:
            raise Refused("bad_range", f"{name} between low {low} and high {high}", f"{name} {price}")
    raise Refused("bad_volume", "a volume of 0 or more, or none", f"volume {volume}")


def check_trade(price: float, size: float) -> None:
    """Check a trade by itself.

    Raises:
        Refused: bad_price or bad_volume.
    """
    check_prices(price=price)
    if not 0.0 <= size < inf:
        raise Refused("bad_volume", "a size of 0 or more", f"size {size}")


def read_side(given: object) -> int:
    """Who took in a trade: 1 the buyer, -1 the seller, 0 where it does not say.

    Raises:
        Refused: malformed.
    """
    if given is None or given == "":
        return 0
    if isinstance(given, str) and given.casefold() in SIDES:
        return SIDES[given.casefold()]
    if isinstance(given, int) and not isinstance(given, bool) and -1 <= given <= 1:
        return given
    raise Refused("malformed", f"a side: {READABLE_SIDE}", shown(given))


def check_quote(bid: float, ask: float) -> None:
    """Check a quote by itself.

    Raises:
        Refused: bad_price or bad_range.
    """
    check_prices(bid=bid, ask=ask)
    if bid > ask:
        raise Refused("bad_range", f"an ask of at least the bid {bid}", f"ask {ask}")


def check_prices(**prices: float) -> None:
    """Check that prices are finite and above 0.

    Raises:
        Refused: bad_price.
    """
    for name, price in prices.items():
        if not isfinite(price):
            raise Refused("bad_price", f"a finite {name}", f"{name} {price}")
        if price <= 0:
            raise Refused("bad_price", "prices above 0", f"{name} {price}")
