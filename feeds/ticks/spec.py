"""What bars to make of ticks: `time:1min`, `tick:500`, `volume:1000`, `value:1e6`, `imbalance:tick:500`, `renko:10`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, cast

from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.types.timeframe import MINUTE_NS, format_timeframe, parse_timeframe

Kind = Literal["time", "tick", "volume", "value", "imbalance", "renko"]
Measure = Literal["tick", "volume", "value"]
Boundary = Literal["ends", "begins"]
Prices = Literal["auto", "trades", "quotes"]

KINDS: Final[tuple[Kind, ...]] = ("time", "tick", "volume", "value", "imbalance", "renko")
MEASURES: Final[tuple[Measure, ...]] = ("tick", "volume", "value")
EXAMPLES: Final = "time:1min, tick:500, volume:1000, value:1e6, imbalance:tick:500 or renko:10"
_SAME: Final = {"dollar": "value", "ticks": "tick", "trades": "tick"}
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "time": ("boundary", "of"),
    "imbalance": ("floor", "cap", "warm_up", "span", "of"),
}
_BOUND: Final = 4  # how far, by default, an imbalance bar may be from the expected length, as a factor
_MOST: Final = 2**53


@dataclass(frozen=True, slots=True)
class BarSpec:
    """One kind of bars.

    Attributes:
        kind: What closes a bar.
        size: Ticks, volume or value in a bar, or the height of a Renko brick; of imbalance bars, the number of ticks
            first expected in one. 0 for time bars.
        timeframe_ns: Length of a time bar, nanoseconds; 0 for others.
        boundary: Of time bars, whether a tick at exactly the boundary belongs to the bar that ends or begins there.
        prices: What bars are made of: trades, the mid prices of quotes, or whichever the file holds.
        measure: What imbalance is counted in.
        floor, cap: Fewest and most ticks of an imbalance bar.
        warm_up: Ticks of a symbol before its imbalance closes bars; until then a bar closes after `size` ticks.
        span: Bars over which the length of imbalance bars is averaged, with exponential weights.
    """

    kind: Kind
    size: float = 0.0
    timeframe_ns: int = 0
    boundary: Boundary = "ends"
    prices: Prices = "auto"
    measure: Measure = "tick"
    floor: int = 1
    cap: int = _MOST
    warm_up: int = 0
    span: int = 20

    @property
    def regular(self) -> bool:
        """Whether bars have a fixed length."""
        return self.kind == "time"

    @property
    def needs_sizes(self) -> bool:
        """Whether it cannot be made without the sizes of trades."""
        return self.kind in {"volume", "value"} or (self.kind == "imbalance" and self.measure != "tick")

    @property
    def described(self) -> str:
        """What a bar is, for messages."""
        if self.kind == "time":
            where = f"a tick at the boundary belongs to the one that {self.boundary} there"
            return f"{format_timeframe(self.timeframe_ns)} bars ({where})"
        if self.kind == "imbalance":
            return f"{self.measure} imbalance bars of {self.floor:,} to {self.cap:,} ticks"
        if self.kind == "renko":
            return f"Renko bars of {self.size:g}"
        return f"{self.kind} bars of {self.size:,.12g}"


ONE_MINUTE: Final = BarSpec("time", timeframe_ns=MINUTE_NS)


def parse_bars(text: str) -> BarSpec:
    """Read a specification: `KIND:SIZE[,key=value,...]`.

    Args:
        text: One of EXAMPLES. Time bars take `boundary=ends|begins`; imbalance bars `floor`, `cap`, `warm_up` (ticks)
            and `span` (bars); all take `of=trades|quotes`.

    Raises:
        UsageError: If it is none.
    """
    head, *options = [part.strip() for part in text.split(",")]
    kind, _, size = head.partition(":")
    kind = _SAME.get(kind.strip().casefold(), kind.strip().casefold())
    if kind not in KINDS:
        raise UsageError(
            "cannot read the kind of bars", expected=EXAMPLES, found=repr(text), hint=did_you_mean(kind, list(KINDS))
        )
    known: Kind = kind
    found = _options(text, known, options)
    prices = cast("Prices", _choice(text, "of", found.pop("of", "auto"), ("auto", "trades", "quotes")))
    if known == "time":
        boundary = cast("Boundary", _choice(text, "boundary", found.get("boundary", "ends"), ("ends", "begins")))
        return BarSpec(known, timeframe_ns=parse_timeframe(size or "?"), boundary=boundary, prices=prices)
    if known == "imbalance":
        return _imbalance(text, size, found, prices)
    spec = BarSpec(known, _number(text, size), prices=prices)
    return BarSpec(known, float(_whole(text, "tick", size)), prices=prices) if known == "tick" else _fitting(text, spec)


def _imbalance(text: str, size: str, options: Mapping[str, str], prices: Prices) -> BarSpec:
    first, separator, second = size.partition(":")
    measure = _SAME.get(first.strip(), first.strip()) if separator else "tick"
    if measure not in MEASURES:
        raise _unreadable(text, "imbalance:tick:500, imbalance:volume:500 or imbalance:value:500")
    expected = _whole(text, "imbalance", second if separator else first)
    numbers = {name: _whole(text, name, value) for name, value in options.items()}
    spec = BarSpec(
        "imbalance",
        float(expected),
        prices=prices,
        measure=measure,
        floor=numbers.get("floor", max(1, expected // _BOUND)),
        cap=numbers.get("cap", expected * _BOUND),
        warm_up=numbers.get("warm_up", expected),
        span=numbers.get("span", 20),
    )
    if not spec.floor <= expected <= spec.cap:
        raise _unreadable(text, f"floor <= {expected} (the ticks first expected) <= cap")
    return _fitting(text, spec)


def _fitting(text: str, spec: BarSpec) -> BarSpec:
    if spec.needs_sizes and spec.prices == "quotes":
        raise _unreadable(text, "bars that need no sizes, such as tick:500: quotes have none")
    return spec


def _options(text: str, kind: Kind, options: list[str]) -> dict[str, str]:
    known = _OPTIONS.get(kind, ("of",))
    found: dict[str, str] = {}
    for option in options:
        name, separator, value = (part.strip() for part in option.partition("="))
        if not separator or name not in known or name in found:
            raise _unreadable(text, f"key=value with one of {', '.join(known)} after {kind}:SIZE, each once")
        found[name] = value
    return found


def _choice(text: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise _unreadable(text, f"{name}={' or '.join(choices)}")
    return value


def _number(text: str, size: str) -> float:
    try:
        number = float(size.replace("_", ""))
    except ValueError:
        number = 0.0
    if not (isfinite(number) and number > 0.0):
        raise _unreadable(text, f"a number above 0: {EXAMPLES}")
    return number


def _whole(text: str, name: str, size: str) -> int:
    number = _number(text, size)
    if number != int(number) or number > _MOST:
        raise _unreadable(text, f"a whole number as the {name}")
    return int(number)


def _unreadable(text: str, expected: str) -> UsageError:
    return UsageError("cannot read the kind of bars", expected=expected, found=repr(text))
