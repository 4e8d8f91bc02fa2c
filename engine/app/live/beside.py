"""Work that goes on beside a session or a screen, and never ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from engine.log import logger


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do some work beside the body; it ends with it, and if it fails that is logged and the body goes on."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Exception):
            logger("session").error("what goes on beside it failed", reason=repr(result))
