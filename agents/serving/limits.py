"""Bounds on what a model may cost while it is loaded: a file of some bytes can ask for gigabytes, or for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.base.files import read_file

MOST_BYTES = 256 * 1024 * 1024
"""Of one file of a model."""
MOST_MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes that a model may ask for while it is loaded and tried."""
MOST_SECONDS = 30.0
"""That a model may take to answer when it is tried."""
_lock = threading.RLock()


def read_model_file(path: Path) -> bytes:
    """The content of a model's file.

    Raises:
        OSError: If it cannot be read, is no regular file or larger than MOST_BYTES.
    """
    return read_file(path, MOST_BYTES)


@contextmanager
def bounded_memory(most: int = MOST_MEMORY) -> Iterator[None]:
    """Let the process take no more memory than it has now and some bytes more; beyond, allocations fail.

    It holds for all threads of the process, for the moment that the block takes. Where the system has no such limit,
    nothing is bounded.

    Args:
        most: Bytes beyond those that the process has now.
    """
    try:
        import resource  # noqa: PLC0415 - not on every system

        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    with _lock:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        bound = held + most
        if soft != resource.RLIM_INFINITY:
            bound = min(bound, soft)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
