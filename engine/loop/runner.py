"""The one event loop: a feed publishes bars, the driver answers with steps, taps read them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.loop.bus import Bus, Subscription
from engine.loop.driver import Driver
from engine.types.blocks import BarBlock
from engine.types.step import StepBlock

Clock = Callable[[], float]
Screen = Callable[[AsyncIterator[StepBlock]], Awaitable[None]]
Recorder = Callable[[StepBlock], None]


@dataclass
class Timings:
    """Seconds spent in each part of a run, and the bars that went through.

    Attributes:
        loop: From the first block published to the last ledger row, without reading and recording.
        reading: In the feed, producing blocks.
        recording: In the recorder and the hash.
    """

    loop: float = 0.0
    reading: float = 0.0
    recording: float = 0.0
    bars: int = 0
    blocks: int = 0
    started: float | None = field(default=None, repr=False)


def timed(blocks: Iterator[BarBlock], timings: Timings, clock: Clock) -> Iterator[BarBlock]:
    """Pass blocks on, adding the time their production takes to `timings.reading`."""
    while True:
        before = clock()
        block = next(blocks, None)
        timings.reading += clock() - before
        if block is None:
            return
        yield block


async def run_together(parts: Iterable[Coroutine[Any, Any, None]], screens: Iterable[Screen], bus: Bus) -> None:
    """Run the parts of a loop, and the screens that watch it, until all have ended.

    Args:
        parts: What must succeed.
        screens: Latest-only taps of the bus's steps; they may skip, and one that ends early changes nothing.
        bus: Where the steps are published.

    Raises:
        BaseException: What a part raised; in a group only if several did.
    """
    views = [screen(bus.latest(StepBlock)) for screen in screens]
    raised: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
            for view in views:
                group.create_task(_shown(view))
    except BaseExceptionGroup as several:
        raised = _single(several)
    if raised is not None:
        try:
            raise raised  # here, so that its traceback does not show the group, and keeps what caused it
        finally:
            raised = None  # or the error, its traceback and this frame would hold each other


def _single(error: BaseException) -> BaseException:
    """What a group of one holds, however deep; otherwise the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def run_loop(
    bars: AsyncIterator[BarBlock],
    driver: Driver,
    record: Recorder,
    *,
    timings: Timings,
    screens: tuple[Screen, ...] = (),
    clock: Clock = time.perf_counter,
) -> None:
    """Run feed, driver and taps until the bars end.

    Args:
        bars: The feed.
        driver: Agent and simulator.
        record: Lossless tap; holds the loop back.
        timings: Filled in.
        screens: Latest-only taps.
        clock: Seconds, monotonic.
    """
    bus = Bus()
    incoming, steps = bus.subscribe(BarBlock, capacity=2), bus.subscribe(StepBlock, capacity=4)
    parts = (
        _feed(bars, bus, timings, clock),
        _trade(incoming, driver, bus, timings, clock),
        _record(steps, record, timings, clock),
    )
    await run_together(parts, screens, bus)


async def _feed(bars: AsyncIterator[BarBlock], bus: Bus, timings: Timings, clock: Clock) -> None:
    async for block in bars:
        if timings.started is None:
            timings.started = clock()
            timings.loop = timings.reading + timings.recording
        timings.bars += int(block.present.sum()) if block.present.shape[1] > 1 else len(block)
        timings.blocks += 1
        await bus.publish(block)
    bus.close(BarBlock)


async def _trade(incoming: Subscription[BarBlock], driver: Driver, bus: Bus, timings: Timings, clock: Clock) -> None:
    async for block in incoming:
        for step in driver.process(block):
            await bus.publish(step)
    if timings.started is not None:
        timings.loop += clock() - timings.started - timings.reading - timings.recording
    bus.close(StepBlock)


async def _record(steps: Subscription[StepBlock], record: Recorder, timings: Timings, clock: Clock) -> None:
    async for step in steps:
        before = clock()
        record(step)
        timings.recording += clock() - before


async def _shown(view: Awaitable[None]) -> None:
    await view
