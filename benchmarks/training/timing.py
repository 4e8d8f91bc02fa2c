"""Where CPU time goes: sections of a program timed from outside, each without those that it calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any


class Sections:
    """CPU seconds by section.

    Attributes:
        seconds: By name, without what inner sections took.
        calls: By name.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._inner: list[float] = []
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls count for a section."""

        def call(*given: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            start = self._clock()
            try:
                return function(*given, **named)
            finally:
                took = self._clock() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + took - self._inner.pop()
                self.calls[name] = self.calls.get(name, 0) + 1
                if self._inner:
                    self._inner[-1] += took

        return call

    def watch(self, owner: Any, *methods: str, name: str) -> None:
        """Count calls of an object's methods for a section; a generator counts for the time in which it works."""
        for method in methods:
            setattr(owner, method, self.timed(name, getattr(owner, method)))

    def watch_generator(self, owner: Any, method: str, name: str) -> None:
        """The same of a method that yields: what counts is the time until each of its values."""
        function = getattr(owner, method)

        def call(*given: Any) -> Iterator[Any]:
            following = self.timed(name, iter(function(*given)).__next__)
            while True:
                try:
                    found = following()
                except StopIteration:
                    return
                yield found

        setattr(owner, method, call)

    def shares(self, total: float) -> dict[str, float]:
        """Parts of a total, in percent, the rest as `other`."""
        found = {name: 100.0 * seconds / total for name, seconds in self.seconds.items()}
        return found | {"other": 100.0 - sum(found.values())}
