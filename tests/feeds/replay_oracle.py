"""A plain-Python reading of CSV bars, one row at a time: what the replay must agree with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

MINUTE = 60_000_000_000
Bar = tuple[int, str, float, float, float, float, float]


@dataclass
class Expected:
    bars: list[Bar] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


def stamp(text: str) -> int | None:
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp()) * 1_000_000_000


def number(text: str) -> float | None:
    text = text.strip()
    if text in {"", "nan"}:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def fault(values: list[float | None]) -> str | None:
    if any(value is None for value in values):
        return "unreadable number"
    open_, high, low, close, volume = (float(value) for value in values if value is not None)
    prices = (open_, high, low, close)
    if not all(math.isfinite(price) for price in prices):
        return "price missing or not finite"
    if min(prices) <= 0:
        return "price not positive"
    if high < low:
        return "high below low"
    if not low <= open_ <= high:
        return "open outside high and low"
    if not low <= close <= high:
        return "close outside high and low"
    if volume < 0:
        return "negative volume"
    return "volume not finite" if math.isinf(volume) else None


def read(lines: list[str], shift: int, symbols: bool = False, together: bool = True) -> Expected:
    """Read the lines below the header: time, [symbol,] open, high, low, close, volume."""
    out = Expected()
    last: dict[str, int] = {}
    latest: int | None = None
    for line, text in enumerate(lines, start=2):
        if not text.strip():
            continue
        cells = text.split(",")
        if len(cells) != 6 + symbols:
            out.bad.append((line, "wrong number of fields"))
            continue
        when = stamp(cells[0])
        symbol = cells[1] if symbols else ""
        values = [number(cell) for cell in cells[1 + symbols :]]
        reason = "unreadable time" if when is None else "missing symbol" if symbols and not symbol else fault(values)
        if reason is None and when is not None:
            before = last.get(symbol)
            if together and latest is not None and when < latest:
                reason = "time goes back"
            elif before is not None and when <= before:
                reason = "duplicate time" if when == before else "time goes back"
        if reason is not None or when is None:
            out.bad.append((line, str(reason)))
            continue
        last[symbol] = when
        latest = when if latest is None else max(latest, when)
        numbers = [value for value in values if value is not None]
        out.bars.append((when + shift, symbol, *numbers))  # type: ignore[arg-type]  # five of them
    return out


def aggregate(bars: list[Bar], length: int) -> list[tuple[int, float, float, float, float, float]]:
    """Larger bars of one symbol on a market that never closes; a bar closing at t belongs to (t - length, t]."""
    buckets: dict[int, list[Bar]] = {}
    for bar in bars:
        buckets.setdefault(-(-bar[0] // length) * length, []).append(bar)
    out = []
    for end, members in sorted(buckets.items()):
        volume = math.nan
        for known in (bar[6] for bar in members if not math.isnan(bar[6])):
            volume = known if math.isnan(volume) else volume + known
        high, low = max(bar[3] for bar in members), min(bar[4] for bar in members)
        out.append((end, members[0][2], high, low, members[-1][5], volume))
    return out
