"""Waiting for what a test means. The one limit only turns a hang into a failure; no machine is expected to reach it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LIMIT_S = 240.0
LOOK_S = 0.01


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds; fails if it never does."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for never happened"
        time.sleep(LOOK_S)


async def eventually(condition: Callable[[], object]) -> None:
    """Let the event loop go on until something holds; fails if it never does."""
    async with patience():
        while not condition():
            await asyncio.sleep(LOOK_S)


def patience() -> asyncio.Timeout:
    """A block of an asynchronous test that ends, or fails."""
    return asyncio.timeout(LIMIT_S)
