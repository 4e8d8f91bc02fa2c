"""What bars of order books hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from engine.base.config import Config
from engine.base.errors import UsageError
from engine.types.timeframe import parse_timeframe


class BookConfig(Config):
    """Bars of order books.

    Attributes:
        levels: Levels of each side that a bar holds.
        latency_ms: From the close of a bar until an order that was decided there meets the book, milliseconds.
        stands: How long a book without messages is taken for known; then there are no bars until the next message.
    """

    levels: Annotated[int, Field(ge=1, le=50)] = 10
    latency_ms: Annotated[float, Field(ge=0)] = 0.0
    stands: str = "1h"

    @field_validator("stands")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            parse_timeframe(value)
        except UsageError as error:
            raise ValueError(f"{error.what}: expected {error.expected}") from error
        return value

    @property
    def latency_ns(self) -> int:
        """The latency in nanoseconds."""
        return round(self.latency_ms * 1e6)

    @property
    def stands_ns(self) -> int:
        """How long a book stands, nanoseconds."""
        return parse_timeframe(self.stands)
