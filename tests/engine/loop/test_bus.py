"""The bus: lossless subscriptions hold the publisher back, latest-only ones skip, closing loses nothing queued."""

from __future__ import annotations

import asyncio

import pytest

from engine.loop.bus import Bus
from tests.waiting import patience


async def test_lossless_reader_gets_everything_in_order_and_holds_the_publisher() -> None:
    bus = Bus()
    subscription = bus.subscribe(int, capacity=3)
    published: list[int] = []

    async def publish() -> None:
        for i in range(50):
            await bus.publish(i)
            published.append(i)
        bus.close()

    task = asyncio.create_task(publish())
    for _ in range(20):
        await asyncio.sleep(0)
    assert published == [0, 1, 2]  # the queue is full, the fourth waits
    assert [event async for event in subscription] == list(range(50))
    await task


async def test_latest_reader_never_blocks_and_sees_the_newest() -> None:
    bus = Bus()
    screen = bus.latest(int)
    for i in range(1000):
        await bus.publish(i)
    bus.close()
    assert [event async for event in screen] == [999]
    assert screen.skipped == 999


async def test_only_the_exact_type_is_delivered() -> None:
    bus = Bus()
    numbers, texts = bus.subscribe(int), bus.subscribe(str)
    await bus.publish(1)
    await bus.publish("one")
    bus.close()
    assert [e async for e in numbers] == [1]
    assert [e async for e in texts] == ["one"]


async def test_closing_releases_a_waiting_publisher() -> None:
    bus = Bus()
    subscription = bus.subscribe(int, capacity=1)
    await bus.publish(1)
    blocked = asyncio.create_task(bus.publish(2))
    await asyncio.sleep(0)
    bus.close(int)
    async with patience():
        await blocked
    assert [e async for e in subscription] == [1]


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Bus().subscribe(int, capacity=0)
