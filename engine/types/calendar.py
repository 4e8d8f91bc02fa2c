"""Trading sessions: when the day of a market starts and ends.

Bars are labelled by their close, so a session is the half-open interval (open, close]: the bar stamped exactly at
the close still belongs to it. Source of session times: exchange_calendars.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from engine.base.errors import ConfigError
from engine.types.blocks import Ints
from engine.types.instruments import DailyHalt, Instrument

DAY_NS = 86_400_000_000_000
MARGIN_DAYS = 10
YEAR_NS = 365 * DAY_NS + DAY_NS // 4
LAST_NS = 2**63 - 1
HORIZON_YEARS = {"24/7": 300}  # cheap where sessions are a rule, looked up elsewhere
DEFAULT_HORIZON_YEARS = 25


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Sessions in order of time.

    Attributes:
        opens: Exclusive starts, nanoseconds UTC, shape (n,).
        closes: Inclusive ends, nanoseconds UTC, shape (n,).
    """

    opens: Ints
    closes: Ints

    def index(self, ts_event: Ints) -> Ints:
        """Number of the session of each close time; a time between sessions belongs to the next one."""
        return np.searchsorted(self.closes, ts_event, side="left").astype(np.int64)

    def is_open(self, ts_event: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether a bar closing at each time lies inside a session."""
        at = np.minimum(self.index(ts_event), len(self.closes) - 1)
        return (ts_event > self.opens[at]) & (ts_event <= self.closes[at])


def sessions_between(instrument: Instrument, first_ns: int, last_ns: int) -> Sessions:
    """All sessions that cover the times from first to last, with a margin on both sides.

    Args:
        instrument: Its `calendar` and `daily_halt` decide.
        first_ns: First close time, nanoseconds UTC.
        last_ns: Last close time, nanoseconds UTC.

    Raises:
        ConfigError: If no calendar has that name.
    """
    first_day = (first_ns - 1) // DAY_NS - MARGIN_DAYS
    last_day = (last_ns - 1) // DAY_NS + MARGIN_DAYS
    if instrument.calendar == "24/7":
        opens = np.arange(first_day, last_day + 1, dtype=np.int64) * DAY_NS
        return Sessions(opens, opens + DAY_NS)
    return _exchange_sessions(instrument.calendar, instrument.daily_halt, first_day, last_day)


def sessions_for(instruments: Sequence[Instrument], first_ns: int) -> Sessions:
    """Sessions from the first bar on, of the first instrument whose market closes (else around the clock).

    They reach so far ahead that no stream outlives them: 25 years, 300 where the market never closes.

    Args:
        instruments: At least one.
        first_ns: Close of the first bar, nanoseconds UTC.
    """
    chosen = next((item for item in instruments if item.calendar != "24/7"), instruments[0])
    years = HORIZON_YEARS.get(chosen.calendar, DEFAULT_HORIZON_YEARS)
    return sessions_between(chosen, first_ns, min(first_ns + years * YEAR_NS, LAST_NS - 30 * DAY_NS))


def bars_per_year(sessions: Sessions, timeframe_ns: int, years: int = 4) -> float:
    """Bars that a year of sessions holds, averaged over the first years.

    A bar of a day, or one longer than its session, is one bar a session; a bar of several days takes its time by the
    calendar.

    Args:
        sessions: Of the market.
        timeframe_ns: Length of the bars, nanoseconds.
        years: How many are looked at.
    """
    until = sessions.opens[0] + years * YEAR_NS
    inside = sessions.opens < until
    open_ns: Ints = (sessions.closes - sessions.opens)[inside]
    span = min(until, int(sessions.closes[inside][-1])) - int(sessions.opens[0])
    if timeframe_ns > DAY_NS:
        return YEAR_NS / timeframe_ns
    if timeframe_ns > int(open_ns.min()):
        return float(np.maximum(open_ns / timeframe_ns, 1.0).sum() * YEAR_NS / span)
    return float(int(open_ns.sum()) / timeframe_ns * YEAR_NS / span)


@cache
def _exchange_sessions(name: str, halt: DailyHalt | None, first_day: int, last_day: int) -> Sessions:
    # exchange_calendars brings pandas along, which a market that never closes need not wait for
    import exchange_calendars  # noqa: PLC0415 - brings pandas along
    import pandas as pd  # noqa: PLC0415 - likewise

    start, end = pd.Timestamp(first_day * DAY_NS), pd.Timestamp(last_day * DAY_NS)
    try:
        with warnings.catch_warnings():
            # the library calls what newer releases of pandas give up: nothing that a user could mend
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            schedule = exchange_calendars.get_calendar(name, start=start, end=end).schedule
    except exchange_calendars.errors.InvalidCalendarName as error:
        raise ConfigError(
            f"no exchange calendar is called {name!r}",
            expected="a name known to exchange_calendars, such as CMES, XNYS or 24/7",
        ) from error
    except ValueError as error:  # a calendar may know no sessions that far back or ahead
        raise ConfigError(f"the exchange calendar {name} does not cover the data: {error}") from error
    opens = schedule["open"].astype("datetime64[ns, UTC]").astype("int64").to_numpy(dtype=np.int64)
    closes = schedule["close"].astype("datetime64[ns, UTC]").astype("int64").to_numpy(dtype=np.int64)
    return Sessions(opens, _before_halt(closes, halt) if halt else closes)


def _before_halt(closes: Ints, halt: DailyHalt) -> Ints:
    """Move a session's end to the start of the halt where the session ends with the halt."""
    import pandas as pd  # noqa: PLC0415 - only exchange sessions need it

    local = pd.DatetimeIndex(pd.to_datetime(closes, utc=True)).tz_convert(halt.timezone)
    length = pd.Timedelta(f"{halt.end}:00") - pd.Timedelta(f"{halt.start}:00")
    ends_with_halt = np.asarray(local.strftime("%H:%M") == halt.end)
    return np.where(ends_with_halt, closes - int(length.value), closes)
