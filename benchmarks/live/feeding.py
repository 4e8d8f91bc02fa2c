"""What the sessions of the live benchmark are fed: bars, and sources in memory that deliver them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice

import numpy as np

from benchmarks.replay.bars import walk
from engine.types.blocks import BAR_COLUMNS, BarBlock
from feeds.live.address import parse_address
from feeds.live.messages import encode_bars
from feeds.live.publishing import Plan, Published, open_outlet, publish
from feeds.live.source import Delivery, Record
from feeds.memory import MemorySource

PARTITION = "memory"
TOPIC = "bars"
ENCODED_ROWS = 1024
_ALL = frozenset({PARTITION})


def live_bars(rows: int, symbols: int, seed: int) -> BarBlock:
    """One-minute bars around the clock, a random walk for each symbol, no bar missing.

    Args:
        rows: How many minutes.
        symbols: How many symbols.
        seed: Of the first symbol; the others follow.
    """
    walks = [walk(rows, seed + number) for number in range(symbols)]
    columns = {name: np.stack([one.columns[name] for one in walks], axis=1) for name in BAR_COLUMNS}
    return BarBlock.from_columns([f"S{number:03}" for number in range(symbols)], walks[0].ts_event, columns)


class MemoryFeed:
    """What all sources in memory have in common: always connected, nothing to say, nothing to settle."""

    status, connected = "in memory", True

    def take_notices(self) -> list[str]:
        """Nothing is ever lost."""
        return []

    async def settle(self, delivery: Delivery) -> None:
        """Nobody waits for an acknowledgement."""

    async def close(self) -> None:
        """There is no connection."""


class RowsFeed(MemoryFeed):
    """Rows that are closed already, as a recording delivers them, to give agents their history fast.

    Args:
        bars: All of them.
        rows: Of a delivery.
    """

    def __init__(self, bars: BarBlock, rows: int = ENCODED_ROWS) -> None:
        self._source, self._rows = MemorySource(bars), rows

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver all, without a position, so that another feed may follow."""
        for block in self._source.blocks(self._rows):
            yield Delivery(rows=block, partitions=_ALL)
        yield Delivery(partitions=_ALL, ended=True)


class MessagesFeed(MemoryFeed):
    """Messages as a broker delivers them, encoded a part at a time so that a million of them need no memory.

    Args:
        bars: All of them; a row is one message.
        each: Messages of a delivery.
        pace: Deliveries a second; 0 does not wait.
    """

    def __init__(self, bars: BarBlock, each: int = 1, pace: float = 0.0) -> None:
        self._bars, self._each, self._pace = bars, each, pace

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver all, at an even pace."""
        records = self._records()
        began, turn, sent = time.perf_counter(), 0, 0
        while part := list(islice(records, self._each)):
            if self._pace:
                await asyncio.sleep(max(0.0, began + turn / self._pace - time.perf_counter()))
            turn, sent = turn + 1, sent + len(part)
            yield Delivery(part, positions={PARTITION: str(sent)}, partitions=_ALL, ended=sent == len(self._bars))

    def _records(self) -> Iterator[Record]:
        offset = 0
        for block in MemorySource(self._bars).blocks(ENCODED_ROWS):
            for _, payload in encode_bars(block, format="json", per_message=len(self._bars.symbols)):
                yield Record(PARTITION, offset, payload)
                offset += 1


def publish_bars(bars: BarBlock, address: str, per_message: int) -> None:
    """Send bars to a broker, as `grandmodel publish` does, until it has confirmed all of them."""

    async def send() -> None:
        outlet = open_outlet(parse_address(address, publishing=True), "json", 1, 10.0)
        await outlet.open()
        try:
            await publish(MemorySource(bars), outlet, Plan(per_message=per_message), Published())
        finally:
            await outlet.close()

    asyncio.run(send())
