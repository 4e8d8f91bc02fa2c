"""What feeds the broker of a soak, as a process that can be killed: `python -m benchmarks.live.upstream LOG ...`.

Writes the messages of a log into an empty topic, those that are due at once and the others as they come due. It ends at
the first error: nothing that a broker did not take may be left behind, or messages would be out of order.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from feeds.live.address import parse_address
from feeds.live.kafka.client import client_settings, ensure_topic

AT_ONCE = 2000


async def feed(log: list[bytes], feed_address: str, start: int, began: float, seconds: float) -> None:
    """Write until everything is written, then wait to be killed.

    Args:
        log: All messages of the soak.
        feed_address: Where to.
        start: Number of the first one to write.
        began: When the soak began, on the system's monotonic clock.
        seconds: After which the last message is due.
    """
    address = parse_address(feed_address, publishing=True)
    settings = client_settings(address)
    await ensure_topic(settings, address.topic, 1)
    producer = AIOKafkaProducer(**settings, acks="all", linger_ms=5)
    await producer.start()
    at = start
    while True:
        due = min(len(log), int((time.monotonic() - began) / seconds * len(log)), at + AT_ONCE)
        if at < due:
            sending = [await producer.send(address.topic, value, partition=0) for value in log[at:due]]
            await asyncio.wait_for(asyncio.gather(*sending), 10)
            at = due
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(
        feed(
            Path(sys.argv[1]).read_bytes().splitlines(),
            sys.argv[2],
            start=int(sys.argv[3]),
            began=float(sys.argv[4]),
            seconds=float(sys.argv[5]),
        )
    )
