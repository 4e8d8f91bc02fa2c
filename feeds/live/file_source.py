"""A file of bars as a live feed: rows arrive one by one at a chosen speed, or in blocks as fast as they are taken."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

from engine.base.errors import DataError
from engine.types.blocks import BarBlock
from engine.types.contracts import BarSource
from feeds.live.reconnecting import TICK_S
from feeds.live.source import Delivery, read_count
from feeds.pacing import paced, parse_speed
from feeds.quarantine import Quarantine

PARTITION = "replay"
_ALL = frozenset({PARTITION})


class FileSource:
    """Rows of a file, which are closed already and need no merging.

    Args:
        bars: The file, opened for reading as a backtest opens it.
        timeframe_ns: Length of its bars, nanoseconds.
        speed: `max`, `realtime` or a factor, see `feeds.pacing.parse_speed`.
        rows: Most rows of a delivery at `max`; at any other speed each comes alone.
        quarantine: Where rows go that cannot be used.
        synthetic: Names of the files whose bars are made up.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If the speed cannot be read.
    """

    def __init__(
        self,
        bars: BarSource,
        timeframe_ns: int,
        name: str,
        speed: str = "max",
        rows: int = 1024,
        *,
        quarantine: Quarantine | None = None,
        synthetic: tuple[str, ...] = (),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeframe_ns, self.quarantine = timeframe_ns, quarantine
        self._bars, self._synthetic = bars, synthetic
        self._name = name
        self._speed = parse_speed(speed)
        self._rows = rows
        self._sleep = sleep
        self._now = now
        self._ended = False
        self._closed = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._bars.symbols

    @property
    def status(self) -> str:
        """A few words for screens."""
        if self._ended:
            return f"{self._name} has ended"
        return f"replaying {self._name}" + ("" if math.isinf(self._speed) else f" at {self._speed:g}x")

    @property
    def connected(self) -> bool:
        """Whether more will come."""
        return not self._ended

    def take_notices(self) -> list[str]:
        """A file loses nothing."""
        return []

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver rows behind the position, to the end of the file; see `LiveSource`.

        Raises:
            DataError: If the file is damaged, or holds fewer rows than were delivered of it before.
        """
        start = read_count(positions, PARTITION)
        stream = paced(self._after(start), self._speed, sleep=self._sleep, now=self._now)
        coming: asyncio.Future[BarBlock] | None = None
        try:
            while not self._closed:
                coming = coming or asyncio.ensure_future(anext(stream))
                if not (await asyncio.wait({coming}, timeout=TICK_S))[0]:
                    yield Delivery(partitions=_ALL)
                    continue
                try:
                    block = coming.result()
                except StopAsyncIteration:
                    self._ended = True
                    yield Delivery(partitions=_ALL, ended=True)
                    return
                coming = None
                behind = {PARTITION: str(block.seq + len(block))}
                yield Delivery(rows=block, positions=behind, partitions=_ALL, synthetic=self._synthetic)
        finally:
            if coming is not None and not coming.done():
                # it may wait long for the time of the next row
                coming.cancel()
                await asyncio.wait({coming})

    async def settle(self, delivery: Delivery) -> None:
        """A file waits for no acknowledgement."""

    async def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def _after(self, start: int) -> Iterator[BarBlock]:
        """Blocks from row number `start` on."""
        seen = 0
        for block in self._bars.blocks(self._rows):
            seen = block.seq + len(block)
            if seen > start:
                yield block.slice(max(start - block.seq, 0), len(block))
        if seen < start:
            raise DataError(
                "the file is not the one that was replayed before",
                where=self._name,
                expected=f"at least {start:,} rows",
                found=f"{seen:,}",
                hint="restore the file, or start a new session in another folder",
            )
