"""The event bus: typed, asyncio, in process.

Two kinds of subscription: lossless ones have a bounded queue and hold the publisher back when it is full (the
recorder, the trainer); latest-only ones keep the newest event and may skip (screens). A subscription is an
asynchronous iterator that ends when the bus closes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Generic, TypeVar

E = TypeVar("E")


class Subscription(Generic[E]):
    """One reader of one type of event; iterate over it with `async for`."""

    def __init__(self, capacity: int | None) -> None:
        self._events: deque[E] = deque(maxlen=1 if capacity is None else None)
        self._capacity = capacity
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False
        self.skipped = 0

    async def put(self, event: E) -> None:
        """Hand an event over; waits while a lossless queue is full."""
        if self._capacity is None:
            self.skipped += len(self._events)
        while self._capacity is not None and len(self._events) >= self._capacity and not self._closed:
            self._writable.clear()
            await self._writable.wait()
        if not self._closed:
            self._events.append(event)
            self._readable.set()

    def close(self) -> None:
        """Let the reader finish what is queued, then end its iteration; release a waiting publisher."""
        self._closed = True
        self._readable.set()
        self._writable.set()

    def __aiter__(self) -> Subscription[E]:
        return self

    async def __anext__(self) -> E:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        event = self._events.popleft()
        self._writable.set()
        return event


class Bus:
    """Publishes events to the subscribers of their exact type, in order of subscription."""

    def __init__(self) -> None:
        self._subscriptions: dict[type[Any], list[Subscription[Any]]] = {}

    def subscribe(self, event_type: type[E], capacity: int = 4) -> Subscription[E]:
        """A lossless subscription: the publisher waits while `capacity` events are unread."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, found {capacity}")
        return self._add(event_type, Subscription[E](capacity))

    def latest(self, event_type: type[E]) -> Subscription[E]:
        """A latest-only subscription: never holds the publisher back, skips what it was too slow to read."""
        return self._add(event_type, Subscription[E](None))

    def _add(self, event_type: type[E], subscription: Subscription[E]) -> Subscription[E]:
        self._subscriptions.setdefault(event_type, []).append(subscription)
        return subscription

    async def publish(self, event: object) -> None:
        """Hand an event to every subscriber of its type."""
        for subscription in self._subscriptions.get(type(event), ()):
            await subscription.put(event)

    def close(self, event_type: type[Any] | None = None) -> None:
        """End the subscriptions of one type of event, or all; what is queued is still delivered."""
        for kind, subscriptions in self._subscriptions.items():
            if event_type is None or kind is event_type:
                for subscription in subscriptions:
                    subscription.close()
