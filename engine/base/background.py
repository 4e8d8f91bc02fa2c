"""Background work of a session or a screen, whose failure never ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from engine.base.log import logger


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a background task while the body runs; if it fails, that is logged and the body continues."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Exception):
            logger("session").error("a background task failed", reason=repr(result))
