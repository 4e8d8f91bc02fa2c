"""How many trading days the monitor counts in a year."""

from __future__ import annotations

from collections.abc import Iterable

from engine.types.instruments import Instrument, never_closes

WEEKDAYS, EVERY_DAY = 252.0, 365.0


def trading_days(instruments: Iterable[Instrument], given: float | None = None) -> float:
    """Trading days in a year, known before the first of them.

    Args:
        instruments: What is traded.
        given: `statistics.periods_per_year` of the run; None for 365 where a market never closes, else 252.
    """
    if given is not None:
        return given
    return EVERY_DAY if never_closes(instruments) else WEEKDAYS
