"""A feed in memory: messages with offsets, read from the position that was committed, as a broker's partition is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from engine.types.blocks import BarBlock
from feeds.live.messages import encode_bars
from feeds.live.source import Delivery, Record


class ListSource:
    """Delivers payloads in order, so many at once; `cuts` says how many in each delivery, the last one repeated."""

    def __init__(self, payloads: Sequence[bytes], cuts: Sequence[int] = (1,), ends: bool = True) -> None:
        self._payloads, self._cuts, self._ends = payloads, list(cuts), ends
        self.status, self.connected = "connected", True
        self.settled = 0

    def take_notices(self) -> list[str]:
        return []

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        at, turn = int(positions.get("list", "0")), 0
        partitions = frozenset({"list"})
        while at < len(self._payloads):
            count = self._cuts[min(turn, len(self._cuts) - 1)]
            turn += 1
            part = self._payloads[at : at + count]
            records = [Record("list", at + k, payload) for k, payload in enumerate(part)]
            at += len(part)
            last = self._ends and at >= len(self._payloads)
            yield Delivery(records, None, {"list": str(at)}, partitions, frozenset(), last)
        if self._ends:
            yield Delivery(partitions=partitions, ended=True)

    async def settle(self, delivery: Delivery) -> None:
        self.settled += len(delivery.records)

    async def close(self) -> None:
        self.connected = False


def payloads_of(block: BarBlock, per_message: int = 1) -> list[bytes]:
    return [payload for _, payload in encode_bars(block, format="json", per_message=per_message)]
