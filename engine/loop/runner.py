"""The one event loop: a feed publishes bars, the pipeline answers with steps, taps read them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from engine.loop.bus import Bus, Subscription
from engine.loop.pipeline import Pipeline
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


async def run_loop(
    bars: AsyncIterator[BarBlock],
    pipeline: Pipeline,
    record: Recorder,
    *,
    timings: Timings,
    screens: tuple[Screen, ...] = (),
    bus: Bus | None = None,
    clock: Clock = time.perf_counter,
) -> None:
    """Run feed, pipeline and taps until the bars end.

    Args:
        bars: The feed.
        pipeline: Agent and simulator.
        record: Lossless tap; holds the loop back.
        timings: Filled in.
        screens: Latest-only taps; may skip, and a screen that ends early changes nothing.
        bus: To publish on, so that a caller can subscribe as well.
        clock: Seconds, monotonic.

    Raises:
        BaseExceptionGroup: Never with a single cause; that one is raised as it is.
    """
    bus = bus or Bus()
    incoming = bus.subscribe(BarBlock, capacity=2)
    steps = bus.subscribe(StepBlock, capacity=4)
    views = [screen(bus.latest(StepBlock)) for screen in screens]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(bars, bus, timings, clock))
            group.create_task(_trade(incoming, pipeline, bus, timings, clock))
            group.create_task(_record(steps, record, timings, clock))
            for view in views:
                group.create_task(_shown(view))
    except BaseExceptionGroup as group_error:
        if len(group_error.exceptions) == 1:
            raise group_error.exceptions[0] from group_error
        raise


async def _feed(bars: AsyncIterator[BarBlock], bus: Bus, timings: Timings, clock: Clock) -> None:
    async for block in bars:
        if timings.started is None:
            timings.started = clock()
            timings.loop = timings.reading + timings.recording
        timings.bars += int(block.present.sum()) if block.present.shape[1] > 1 else len(block)
        timings.blocks += 1
        await bus.publish(block)
    bus.close(BarBlock)


async def _trade(
    incoming: Subscription[BarBlock], pipeline: Pipeline, bus: Bus, timings: Timings, clock: Clock
) -> None:
    async for block in incoming:
        for step in pipeline.process(block):
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
