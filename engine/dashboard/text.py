"""How numbers, times and names are written on the screen."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

from engine.base.quoting import printable

NONE = "-"
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def clean(text: str) -> str:
    """A name as it can stand on a screen: what a terminal would obey is escaped."""
    return printable(text, kept="")


def money(value: float, *, sign: bool = False) -> str:
    """An amount with two decimals and thousands separators; "-" if it is not a number."""
    return _number(value, 2, sign)


def money_within(value: float, width: int, *, sign: bool = False) -> str:
    """An amount in at most `width` cells: shortened by rounding and never by cutting digits off."""
    candidates = [money(value, sign=sign), _number(value, 0, sign)]
    for power, unit in ((3, "k"), (6, "M"), (9, "B"), (12, "T")):
        scaled = _number(value / 10**power, 2, sign)
        if abs(value) < 10 ** (power + 3):
            candidates.append(scaled + unit)
    candidates.append(f"{value:+.1e}" if sign else f"{value:.1e}")
    return next((text for text in candidates if len(text) <= width), "#" * width)


def percent(fraction: float, *, sign: bool = False, decimals: int = 2) -> str:
    """A fraction as per cent: 0.0123 is "1.23 %"."""
    text = _number(fraction * 100, decimals, sign)
    return text if text == NONE else f"{text} %"


def times(value: float, *, sign: bool = False) -> str:
    """A multiple of equity: "2.35x"."""
    text = _number(value, 2, sign)
    return text if text == NONE else f"{text}x"


def price(value: float, tick: float) -> str:
    """A price with the decimals of its tick (0: those that its size calls for); "-" for none."""
    return NONE if value == 0 else _number(value, _decimals(value, tick), False)


def quantity(value: float, *, sign: bool = False) -> str:
    """Contracts with up to eight decimals, without trailing zeros."""
    text = _number(value, 8, sign)
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float) -> str:
    """A whole number with thousands separators."""
    return _number(value, 0, False)


def rate(per_second: float | None) -> str:
    """Rows a second, or a minute or hour where that is slower than one."""
    if per_second is None or not math.isfinite(per_second):
        return f"{NONE} rows/s"
    for factor, unit in ((1, "s"), (60, "min")):
        if per_second * factor >= 0.995:
            value = per_second * factor
            return f"{_number(value, 0 if value >= 99.5 else 1, False)} rows/{unit}"
    return f"{_number(per_second * 3600, 1, False)} rows/h"


def duration(seconds: float) -> str:
    """A stretch of time in its two largest units, below a minute in seconds."""
    if not math.isfinite(seconds):
        return NONE
    if abs(seconds) < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if abs(whole) < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{count(days)} d {hours:02d} h"


def clock(ts_event: int) -> str:
    """A time of the data in full, UTC; "-" for none (0)."""
    return _time(ts_event, "%Y-%m-%d %H:%M:%S" if ts_event % MINUTE_NS else "%Y-%m-%d %H:%M")


def stamp(ts_event: int) -> str:
    """A time of the data without its year, UTC."""
    return _time(ts_event, "%m-%d %H:%M:%S" if ts_event % MINUTE_NS else "%m-%d %H:%M")


def _time(ts_event: int, form: str) -> str:
    try:
        moment = datetime.fromtimestamp(ts_event // SECOND_NS, UTC)
    except (ValueError, OverflowError, OSError):
        return NONE
    return moment.strftime(form) if ts_event else NONE


def _number(value: float, decimals: int, sign: bool) -> str:
    if not math.isfinite(value):
        return NONE
    text = f"{value:,.{decimals}f}"
    if not any(char in "123456789" for char in text):
        return text.lstrip("-")  # neither a negative nor a positive zero says anything
    return f"+{text}" if sign and value > 0 else text


def _decimals(value: float, tick: float) -> int:
    if tick > 0:
        exponent = Decimal(repr(tick)).normalize().as_tuple().exponent
        return min(8, max(0, -int(exponent)))
    if not math.isfinite(value):
        return 0
    return next((places for limit, places in ((1000, 2), (10, 4), (0.1, 5)) if abs(value) >= limit), 8)
