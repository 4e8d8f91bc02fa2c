"""What the guide advises, from how many alerts there are and the win rate."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

Advice = Literal["IMMEDIATE_RETRAINING_REQUIRED", "RETRAINING_RECOMMENDED", "PERFORMANCE_ACCEPTABLE"]
RETRAIN_NOW: Final = "IMMEDIATE_RETRAINING_REQUIRED"
RETRAIN: Final = "RETRAINING_RECOMMENDED"
ACCEPTABLE: Final = "PERFORMANCE_ACCEPTABLE"
MANY = 2
"""So many alerts ask for a retraining at once."""


def advise(alerts: Collection[str], *, low_win_rate: bool) -> Advice:
    """The guide's advice.

    Args:
        alerts: Codes of the alerts that stand; several seats of low confidence are one.
        low_win_rate: Whether the win rate is below 0.5 (`monitor.win_rate.retrain_below`).
    """
    if len(set(alerts)) >= MANY:
        return RETRAIN_NOW
    return RETRAIN if low_win_rate else ACCEPTABLE
