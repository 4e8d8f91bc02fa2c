from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.timeframe import DAY_NS, SECOND_NS, format_timeframe, parse_timeframe


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min", 60),
        ("5m", 300),
        ("30min", 1800),
        ("30 min", 1800),
        (" 1h ", 3600),
        ("24H", 86400),
        ("1d", 86400),
        ("1D", 86400),
        ("15s", 15),
        ("90minutes", 5400),
        ("2Hours", 7200),
    ],
)
def test_reads_the_usual_spellings(text: str, seconds: int) -> None:
    assert parse_timeframe(text) == seconds * 1_000_000_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", "add a unit: 5min?"),
        ("", "a whole number and a unit"),
        ("min", "a whole number and a unit"),
        ("5 parsecs", "a whole number and a unit"),
        ("-5min", "a whole number and a unit"),
        ("\u0665min", "a whole number and a unit"),
        ("1.5h", "90min for 1.5h"),
        ("1M", "write 1min"),
        ("M5", "write the number first: 5min"),
        ("h4", "write the number first: 4h"),
        ("0min", "cannot be zero"),
        ("2d", "longer than a day"),
        ("25h", "longer than a day"),
        ("1w", "a whole number and a unit"),
    ],
)
def test_refuses_with_advice(text: str, says: str) -> None:
    with pytest.raises(UsageError, match="timeframe") as caught:
        parse_timeframe(text)
    assert says in str(caught.value)


@given(st.integers(1, DAY_NS // SECOND_NS))
def test_what_is_written_reads_back(seconds: int) -> None:
    assert parse_timeframe(format_timeframe(seconds * SECOND_NS)) == seconds * SECOND_NS


@pytest.mark.parametrize(
    ("ns", "text"), [(60 * SECOND_NS, "1min"), (5400 * SECOND_NS, "90min"), (DAY_NS, "1d"), (7, "7ns")]
)
def test_writes_the_largest_whole_unit(ns: int, text: str) -> None:
    assert format_timeframe(ns) == text
