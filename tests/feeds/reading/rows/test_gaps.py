from __future__ import annotations

import numpy as np
import pytest

from engine.types.instruments import DailyHalt, Instrument
from feeds.reading.rows.gaps import GapFinder
from feeds.reading.rows.ordering import NEVER

MINUTE = 60_000_000_000
ALWAYS = Instrument(name="A")
HALT = DailyHalt(start="16:00", end="17:00", timezone="America/Chicago")
EURO = Instrument(name="E", calendar="CMES", daily_halt=HALT)
LONDON = Instrument(name="L", calendar="XLON")


def ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("instrument", "before", "after", "missing"),
    [
        (ALWAYS, "2024-01-05T23:58", "2024-01-06T00:02", 3),  # midnight is no break
        (ALWAYS, "2024-01-05T23:58:00", "2024-01-05T23:59:30", 1),
        (EURO, "2024-01-03T12:00", "2024-01-03T12:01", 0),
        (EURO, "2024-01-03T12:00", "2024-01-03T12:05", 4),
        (EURO, "2024-01-03T22:00", "2024-01-03T23:01", 0),  # the halt
        (EURO, "2024-01-03T21:59", "2024-01-03T23:01", 0),  # from one session into the next
        (EURO, "2024-01-05T22:00", "2024-01-07T23:01", 0),  # the week-end
        (EURO, "2024-01-02T23:01", "2024-01-03T22:00", 1378),
        (LONDON, "2024-01-03T16:30", "2024-01-04T08:01", 0),
        (LONDON, "2024-01-03T16:00", "2024-01-03T16:30", 29),
        (LONDON, "2024-01-03T18:00", "2024-01-03T18:10", 0),  # closed all the while
        (LONDON, "2001-01-03T12:00", "2024-01-03T12:00", 0),
    ],
)
def test_bars_missing_within_a_session(instrument: Instrument, before: str, after: str, missing: int) -> None:
    found = GapFinder((instrument,), MINUTE).find(np.array([ns(after)]), np.array([ns(before)]), None)
    assert found == ([(0, missing)] if missing else [])


def test_each_symbol_has_its_calendar_and_its_first_bar_follows_no_gap() -> None:
    finder = GapFinder((ALWAYS, EURO), MINUTE)
    after, before = ns("2024-01-03T23:03"), ns("2024-01-03T21:58")
    times, previous = np.array([after] * 3), np.array([before, before, NEVER])
    assert finder.find(times, previous, np.array([0, 1, 1])) == [(0, 64)]
