"""Timeframes as people write them: `1min`, `5m`, `1h`, `1d`."""

from __future__ import annotations

import re

from engine.base.errors import UsageError

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECOND_NS),
    **dict.fromkeys(("m", "min", "minute", "minutes"), MINUTE_NS),
    **dict.fromkeys(("h", "hr", "hour", "hours"), HOUR_NS),
    **dict.fromkeys(("d", "day", "days"), DAY_NS),
}
_SHORT = ((DAY_NS, "d"), (HOUR_NS, "h"), (MINUTE_NS, "min"), (SECOND_NS, "s"))
_PATTERN = re.compile(r"([0-9]+)\s*([A-Za-z]+)")
_EXAMPLES = "a whole number and a unit, for example 30s, 5min, 1h or 1d"


def parse_timeframe(text: str) -> int:
    """Read a timeframe.

    Args:
        text: A whole number and a unit (s, m or min, h, d); case does not matter, except that a single `M`,
            which elsewhere means month, is refused.

    Returns:
        Its length in nanoseconds, at most a day, because no bar spans the end of a session.

    Raises:
        UsageError: If it is no timeframe, is zero or is longer than a day.
    """
    match = _PATTERN.fullmatch(text.strip())
    unit = match[2] if match else ""
    if match is None or unit == "M" or unit.lower() not in _UNITS:
        raise UsageError("cannot read the timeframe", expected=_EXAMPLES, found=repr(text), hint=_hint(text.strip()))
    length = int(match[1]) * _UNITS[unit.lower()]
    if length == 0:
        raise UsageError("a timeframe cannot be zero", expected=_EXAMPLES, found=repr(text))
    if length > DAY_NS:
        raise UsageError(
            "the timeframe is longer than a day",
            expected="at most 1d, because no bar spans the end of a session",
            found=repr(text),
        )
    return length


def format_timeframe(length_ns: int) -> str:
    """Write a length in nanoseconds in its largest whole unit; `parse_timeframe` reads it back."""
    for unit_ns, unit in _SHORT:
        if length_ns >= unit_ns and length_ns % unit_ns == 0:
            return f"{length_ns // unit_ns}{unit}"
    return f"{length_ns}ns"


def _hint(text: str) -> str | None:
    if text.isdecimal():
        return f"add a unit: {text}min?"
    if re.fullmatch(r"[0-9]+M", text):
        return f"M means months elsewhere; for minutes write {text[:-1]}min"
    if metatrader := re.fullmatch(r"([SMHD])([0-9]+)", text, flags=re.IGNORECASE):
        unit = {"s": "s", "m": "min", "h": "h", "d": "d"}[metatrader[1].lower()]
        return f"write the number first: {metatrader[2]}{unit}"
    if re.match(r"[0-9]*\.[0-9]", text):
        return "use a smaller unit instead of a fraction, 90min for 1.5h"
    return None
