"""How patient a live source is, and how much it takes at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.base.config import Config

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SourceOptions(Config):
    """What sources have in common.

    Attributes:
        connect_timeout_s: How long the first connection is tried before the start fails; later ones are tried
            for ever.
        longest_retry_s: Most seconds between two attempts; the first ones follow faster.
        quiet_after_s: Silence after which a partition that holds nothing more counts as quiet.
        max_records: Most messages of one delivery.
        refresh_s: How often a topic that is silent is asked for its partitions; one that speaks is with every delivery.
    """

    connect_timeout_s: Seconds = 30.0
    longest_retry_s: Seconds = 10.0
    quiet_after_s: Seconds = 5.0
    max_records: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    refresh_s: Seconds = 1.0


def backoff(attempt: int, longest_s: float) -> float:
    """Seconds to wait after an attempt, counted from 0, that failed: 0.1 and twice as long each time."""
    return float(min(0.1 * 2.0 ** min(attempt, 30), longest_s))
