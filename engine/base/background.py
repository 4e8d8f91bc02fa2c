"""Background work of a session or a screen, whose failure never ends it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from engine.base.log import logger

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run blocking work in a separate thread, which may outlive the wait for it and the program need not wait for.

    A thread of the loop's pool would: a host that does not answer would keep the session from ending.

    Args:
        work: What it raises is raised here.
        name: Of the thread.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type] # it is what the work gave
        else:
            done.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except Exception as error:  # raised where it is awaited
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits for it any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


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
