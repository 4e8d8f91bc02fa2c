"""Ctrl-C while kernels compile: it ends the command as anywhere else, in one line and with its exit code.

LLVM calls back into Python while it compiles, and what is raised in such a call (or while an object is deleted) is
printed and forgotten. The compilation then goes on, or fails of something that has nothing to do with the user.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_S = 0.1
"""Seconds after which an interruption that was swallowed is raised again."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the block for certain, whatever a library makes of the exception.

    Raises:
        KeyboardInterrupt: If the user asked for it, in place of any other error that follows from that.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) in (
        signal.SIG_IGN,
        None,
    ):
        yield  # signals are not for this thread, or whoever started the command wants none
        return
    asked = leaving = False

    def interrupt(_number: int, _frame: Any) -> None:
        nonlocal asked
        if not asked:
            asked = True
            # half-made objects are deleted as late as when the program ends, and their errors tell the user nothing
            sys.unraisablehook = lambda _: None
        if leaving:
            return
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    except BaseException:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        leaving = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
