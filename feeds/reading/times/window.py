"""The part of a file that is wanted, from `start` to `end`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from feeds.reading.rows.ordering import NEVER

FOREVER = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, zone: str, *, end: bool) -> int:
    """A date or time as nanoseconds UTC.

    Args:
        text: ISO 8601; an offset in it goes before `zone`.
        zone: IANA name, for local times.
        end: A date alone means its end, not its start.

    Raises:
        ValueError: If it is neither a date nor a time.
    """
    text = text.strip()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("expected a date or a time such as 2024-01-31 or 2024-01-31 23:59") from None
    else:
        when = datetime.combine(day + timedelta(days=end), datetime.min.time())
    aware = when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone))
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def window(start: str | None, end: str | None, zone: str) -> tuple[int, int]:
    """The close times wanted: after the first, up to and with the second.

    A bar is wanted if it opens at `start` or later and closes at `end` or earlier, so that a date is exactly its
    day and periods that follow each other share no bar.

    Raises:
        ValueError: If one of them cannot be read, or the end is not after the start.
    """
    after = NEVER if start is None else moment(start, zone, end=False)
    through = FOREVER if end is None else moment(end, zone, end=True)
    if through <= after:
        raise ValueError(f"the end {end!r} must come after the start {start!r}")
    return after, through
