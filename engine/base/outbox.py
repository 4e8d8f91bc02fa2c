"""Standard error and the like, written by a thread: a reader that does not read holds up nobody but itself.

What a session says (its log, a strategy's prints, warnings of libraries) goes through pipes and terminals that belong
to others. A pipe that is full blocks whoever writes to it, so a thread does that; what waits has a bound, and what
comes beyond it is dropped and counted.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import IO, Any, Final
from weakref import WeakSet

MOST_WAITING: Final = 1 << 20
"""Characters that may wait."""
AT_ONCE: Final = 1 << 16
LAST_WAIT_S: Final = 2.0


def write_out(file: IO[str] | TextIOBase, text: str) -> None:
    """Write to a file, waiting for as long as it takes, without the lock that Python needs at the end of a process.

    Raises:
        OSError: If the reader is gone.
        ValueError: If the file is closed.
    """
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):
        file.write(text)
        file.flush()
        return
    rest = memoryview(text.encode(getattr(file, "encoding", None) or "utf-8", errors="replace"))
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever shares the pipe has made it so
            select.select([], [descriptor], [])


class Outbox(TextIOBase):
    """A file whose texts a thread writes, in order.

    Args:
        file: Where to; nobody else may write to it until `close`.
        tell: Told how many lines were dropped, from the thread, once the file takes texts again.
        most: Characters that may wait.

    Attributes:
        dropped: Lines dropped so far.
    """

    def __init__(
        self, file: IO[str] | TextIOBase, tell: Callable[[int], object] = lambda _: None, most: int = MOST_WAITING
    ) -> None:
        self._file, self._tell, self._most = file, tell, most
        self._texts: deque[str] = deque()
        self._begun: dict[int, str] = {}  # by thread
        self._size = self._told = 0
        self._ready = threading.Condition()
        self._closing = self._failed = False
        self.dropped = 0
        _outboxes.add(self)
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the file."""
        return str(getattr(self._file, "encoding", None) or "utf-8")

    def fileno(self) -> int:
        """Of the file."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether the file is a terminal."""
        return self._file.isatty()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Hand a text over, once its line has ended; returns at once."""
        with self._ready:
            writer = threading.get_ident()
            whole, newline, rest = (self._begun.pop(writer, "") + text).rpartition("\n")
            if rest:
                self._begun[writer] = rest
            self._put(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Hand over what is there of a line; the thread flushes."""
        with self._ready:
            self._put(self._begun.pop(threading.get_ident(), ""))

    def _put(self, text: str) -> None:
        mine = threading.current_thread() is self._thread  # what tells of lines that were dropped is not dropped
        if self._failed or (self._texts and self._size + len(text) > self._most and not mine):
            self.dropped += text.count("\n")
        elif text:
            self._texts.append(text)
            self._size += len(text)
            self._ready.notify()

    def finish(self, timeout_s: float | None) -> bool:
        """End the thread once everything is written, but wait no longer than the timeout; returns whether it is."""
        with self._ready:
            for begun in self._begun.values():
                self._put(begun)
            self._begun.clear()
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while text := self._next():
            try:
                write_out(self._file, text)
            except (OSError, ValueError):  # the reader is gone, and another one will not come
                with self._ready:
                    self._failed = True
                    self.dropped += text.count("\n") + sum(one.count("\n") for one in self._texts)
                    self._texts.clear()
                    self._size = 0
            with self._ready:
                new = 0 if self._failed else self.dropped - self._told
                self._told += new
            if new:
                with suppress(Exception):
                    self._tell(new)

    def _next(self) -> str:
        """The next piece; empty at the end."""
        with self._ready:
            self._ready.wait_for(lambda: self._texts or self._closing)
            pieces: list[str] = []
            size = 0
            while self._texts and size < AT_ONCE:
                pieces.append(self._texts.popleft())
                size += len(pieces[-1])
            self._size -= size
        return "".join(pieces)


_outboxes: WeakSet[Outbox] = WeakSet()


@contextmanager
def unhurried(tell: Callable[[int], object]) -> Iterator[None]:
    """Let threads write to standard output and standard error while the body runs.

    Where nobody reads standard error at the end either, it stays with its thread, so that the process can end.

    Args:
        tell: As in `Outbox`, for standard error.
    """
    before: dict[str, Any] = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    if any(isinstance(stream, Outbox) for stream in before.values()):
        yield
        return
    boxes: dict[str, Outbox] = {}
    for name, stream in before.items():
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
            boxes[name] = Outbox(stream, tell if name == "stderr" else lambda _: None)
            setattr(sys, name, boxes[name])
    try:
        yield
    finally:
        for name, box in boxes.items():
            # results follow on standard output, behind what was printed before
            written = box.finish(LAST_WAIT_S if name == "stderr" else None)
            if written and getattr(sys, name) is box:
                setattr(sys, name, before[name])


def dropped_lines() -> int:
    """Lines that were dropped because nobody read them, of all that are being written."""
    return sum(box.dropped for box in _outboxes)
