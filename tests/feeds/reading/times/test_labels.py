from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.types.instruments import Instrument
from feeds.reading.columns.names import match_columns
from feeds.reading.times.labels import bar_width, decide

COLUMNS = match_columns(["date", "open", "high", "low", "close"], "X")
MINUTE = 60_000_000_000


@given(
    width=st.sampled_from([1, 60, 900, 86_400]),
    kept=st.lists(st.booleans(), min_size=30, max_size=200),
    symbols=st.integers(1, 3),
)
def test_the_width_is_found_through_some_missing_bars(width: int, kept: list[bool], symbols: int) -> None:
    steps = [number for number, keep in enumerate(kept) if keep or number % 3 < 2]
    times = np.repeat(np.array(steps, np.int64), symbols) * width * 10**9
    codes = np.tile(np.arange(symbols), len(steps))
    assert bar_width(times, codes, "X") == width * 10**9


def test_the_width_of_one_bar_is_not_known() -> None:
    for times in ([], [5], [5, 5], [6, 5]):
        with pytest.raises(DataError, match="how long"):
            bar_width(np.array(times, np.int64), np.zeros(len(times), np.int64), "X")


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS"])
@pytest.mark.parametrize("labels", ["open", "close"])
def test_sessions_of_exchanges_tell(calendar: str, labels: str) -> None:
    from exchange_calendars import get_calendar

    minutes = []
    for session in get_calendar(calendar, start="2024-02-01", end="2024-02-20").schedule.itertuples():
        opens, closes = session.open.value, session.close.value
        minutes.append(np.arange(opens, closes, MINUTE) + (MINUTE if labels == "close" else 0))
    decision = decide("auto", COLUMNS, np.concatenate(minutes), Instrument(name="X", calendar=calendar))
    assert (decision.labels, decision.assumed) == (labels, False)
    assert calendar in decision.reason


def test_trading_before_and_after_hours_tells_nothing() -> None:
    start = np.datetime64("2024-02-05", "ns").astype(np.int64)
    around_the_clock = start + np.arange(4 * 1440) * MINUTE
    decision = decide("auto", COLUMNS, around_the_clock, Instrument(name="X", calendar="XNYS"))
    assert (decision.labels, decision.assumed) == ("open", True)
