"""What every place that bars are published to offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Message = tuple[str, bytes]
"""Key and payload."""


class Outlet(Protocol):
    """Where messages go; one that loses its broker waits for it and loses nothing."""

    @property
    def status(self) -> str:
        """A few words for screens."""
        ...

    @property
    def unconfirmed(self) -> int:
        """Messages that were taken, and of which the broker has not yet said that it has them."""
        ...

    async def open(self) -> None:
        """Connect.

        Raises:
            UsageError: If that is not possible.
        """
        ...

    async def send(self, messages: Sequence[Message]) -> None:
        """Take keys and payloads, in order; waits while too many are unconfirmed.

        Raises:
            GrandModelError: If the broker refuses one for good.
        """
        ...

    async def finish(self) -> None:
        """Wait until everything is confirmed."""
        ...

    async def close(self) -> None:
        """Let go of the connection, confirmed or not."""
        ...
