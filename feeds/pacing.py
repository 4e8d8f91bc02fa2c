"""Replay at a chosen speed: as fast as possible, as it happened, or a multiple of that."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock

MAX = math.inf
REALTIME = 1.0
_FACTOR = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*x?", flags=re.IGNORECASE)


def parse_speed(text: str) -> float:
    """Read a replay speed.

    Args:
        text: `max`, `realtime` or a factor such as `60` or `60x` (one minute of market time a second).

    Returns:
        Seconds of market time per second: infinity for `max`, 1 for `realtime`.

    Raises:
        UsageError: If it is none of these or not positive.
    """
    word = text.strip().lower()
    if word in {"max", "realtime"}:
        return MAX if word == "max" else REALTIME
    match = _FACTOR.fullmatch(word)
    factor = float(match[1]) if match else math.nan
    if not (0 < factor < math.inf):
        raise UsageError(
            "cannot read the replay speed",
            expected="max, realtime or a positive factor such as 60 or 60x",
            found=repr(text),
        )
    return factor


async def paced(
    blocks: Iterable[BarBlock],
    speed: float,
    *,
    longest_wait: float = math.inf,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    now: Callable[[], float] = time.monotonic,
) -> AsyncIterator[BarBlock]:
    """Yield bars when they are due.

    At `max` blocks pass as they are, with a pause of zero before each so that other tasks run. Otherwise each
    row comes alone, as a live feed would send it: the first at once, a later one when the time since the
    first bar, divided by the speed, has gone by. A late consumer gets what is due at once, without drift.

    Args:
        blocks: Consecutive blocks of one stream.
        speed: Seconds of market time per second; infinity does not wait.
        longest_wait: Seconds after which a closed market is skipped (a week-end at `realtime` is two days).
        now: A clock in seconds that never runs backwards.
    """
    if math.isinf(speed):
        for block in blocks:
            await sleep(0)
            yield block
        return
    due = now()
    last_ts: int | None = None
    for block in blocks:
        for row in range(len(block)):
            ts = int(block.ts_event[row])
            wait = 0.0 if last_ts is None else (ts - last_ts) / (speed * 1e9)
            due += min(wait, longest_wait)
            last_ts = ts
            await sleep(max(0.0, due - now()))
            yield block.slice(row, row + 1)
