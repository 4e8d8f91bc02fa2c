"""Times in every form, against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.base.errors import DataError
from feeds.reading.times.column import settle
from feeds.reading.times.zones import LocalClock


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - what a clock on a wall shows has no zone


MOMENTS = st.lists(st.datetimes(wall(1980, 1, 1), wall(2099, 1, 1)).map(lambda t: t.replace(microsecond=0)), min_size=1)
EPOCH = wall(1970, 1, 1)


def nanoseconds(moments: list[datetime]) -> list[int]:
    return [(moment - EPOCH) // timedelta(microseconds=1) * 1000 for moment in moments]


def read(*columns: Any, zone: str = "UTC") -> tuple[list[int], list[bool]]:
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    stamps, good = settle(arrays, "a file").read(arrays, LocalClock(zone), None)
    return stamps.tolist(), good.tolist()


FORMS: dict[str, Any] = {
    "iso": lambda t: t.isoformat(sep=" "),
    "iso T": lambda t: t.isoformat(),
    "iso Z": lambda t: t.isoformat() + "Z",
    "iso micro": lambda t: t.isoformat(sep=" ", timespec="microseconds"),
    "iso comma": lambda t: t.isoformat(sep=" ", timespec="milliseconds").replace(".", ","),
    "iso zero offset": lambda t: t.isoformat(sep=" ") + "+00:00",
    "iso offset": lambda t: (t.replace(tzinfo=UTC)).astimezone(ZoneInfo("Asia/Kolkata")).isoformat(sep=" "),
    "iso spaced offset": lambda t: t.isoformat(sep=" ") + " +0000",
    "iso UTC": lambda t: t.isoformat(sep=" ") + " UTC",
    "dukascopy": lambda t: t.strftime("%d.%m.%Y %H:%M:%S.000 GMT+0000"),
    "compact": lambda t: t.strftime("%Y%m%d %H%M%S"),
    "compact T": lambda t: t.strftime("%Y%m%dT%H:%M:%S"),
    "compact milliseconds": lambda t: t.strftime("%Y%m%d %H%M%S000"),
    "digits and milliseconds": lambda t: t.strftime("%Y%m%d%H%M%S000"),
    "digits, a dot and a fraction": lambda t: t.strftime("%Y%m%d%H%M%S.0"),
    "digits": lambda t: t.strftime("%Y%m%d%H%M%S"),
    "integer digits": lambda t: int(t.strftime("%Y%m%d%H%M%S")),
    "dots": lambda t: t.strftime("%Y.%m.%d %H:%M:%S"),
    "slashes": lambda t: t.strftime("%Y/%m/%d %H:%M:%S"),
    "european": lambda t: t.strftime("%d.%m.%Y %H:%M:%S"),
    "seconds": lambda t: nanoseconds([t])[0] // 10**9,
    "milliseconds": lambda t: nanoseconds([t])[0] // 10**6,
    "microseconds": lambda t: nanoseconds([t])[0] // 10**3,
    "nanoseconds": lambda t: nanoseconds([t])[0],
    "seconds as float": lambda t: float(nanoseconds([t])[0] // 10**9),
    "seconds as text": lambda t: str(nanoseconds([t])[0] // 10**9),
    "milliseconds as text": lambda t: f"{nanoseconds([t])[0] // 10**6}.0",
}


@pytest.mark.parametrize("form", FORMS)
@given(moments=MOMENTS)
def test_every_form_is_read(form: str, moments: list[datetime]) -> None:
    stamps, good = read([FORMS[form](moment) for moment in moments])
    assert all(good)
    assert stamps == nanoseconds(moments)


def test_microseconds_that_look_like_a_date_are_microseconds() -> None:
    """1994112000000000 microseconds are in 2033, and no 20 November 1994."""
    moments = [wall(2033, 3, 11), wall(2033, 3, 11, 0, 1)]
    assert read([FORMS["microseconds"](moment) for moment in moments]) == (nanoseconds(moments), [True, True])


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us", "Asia/Tokyo"), pa.date64()])
def test_arrow_types(kind: Any) -> None:
    days = [wall(2024, 1, 2), wall(1969, 12, 31), wall(2200, 5, 6)]
    stamps, good = read(pa.array(days, pa.timestamp("us")).cast(pa.int64()).cast(pa.timestamp("us")).cast(kind))
    assert all(good)
    assert stamps == nanoseconds(days)


@given(moments=MOMENTS)
def test_a_date_and_a_time_of_day(moments: list[datetime]) -> None:
    forms = [("%Y-%m-%d", "%H:%M:%S"), ("%Y%m%d", "%H%M%S"), ("%Y.%m.%d", "%H:%M:%S"), ("%Y-%m-%d", "%H%M%S")]
    for date, time in forms:
        stamps, good = read([m.strftime(date) for m in moments], [m.strftime(time) for m in moments])
        assert all(good)
        assert stamps == nanoseconds(moments)


def test_a_time_of_day_that_lost_its_zeros() -> None:
    stamps, _ = read([20240102] * 3, [0, 930, 1600])
    assert [stamp // 60_000_000_000 % 1440 for stamp in stamps] == [0, 570, 960]
    stamps, _ = read([20240102] * 3, [0, 93000, 160000])
    assert [stamp // 60_000_000_000 % 1440 for stamp in stamps] == [0, 570, 960]


@pytest.mark.parametrize("bad", ["", "soon", "2024-02-30 00:00:00", "2024-01-02 25:00:00", "1066-10-14", "99", None])
def test_a_bad_cell_spoils_no_other(bad: str | None) -> None:
    cells: list[str | None] = [f"2024-01-02 00:{i // 2 % 60:02d}:00" for i in range(200)]
    cells[77] = bad
    stamps, good = read(cells)
    assert [row for row in range(200) if not good[row]] == [77]
    assert stamps[78] == nanoseconds([wall(2024, 1, 2, 0, 39)])[0]


def test_offsets_and_local_times_may_be_mixed() -> None:
    stamps, good = read(
        ["2024-07-01 12:00", "2024-07-01 12:00+00:00", "2024-07-01 12:00 -05:00"], zone="America/Chicago"
    )
    assert all(good)
    assert [stamp // 3_600_000_000_000 % 24 for stamp in stamps] == [17, 12, 17]


@pytest.mark.parametrize("kind", [int, float, str])
def test_the_size_of_each_epoch_tells_its_unit(kind: type) -> None:
    second, scales = 1_704_067_200, [1, 1, 10**3, 10**6, 10**9]
    stamps, good = read([*(kind(second * scale) for scale in scales), kind(7)])
    assert good == [True] * 5 + [False]
    assert stamps[:5] == [second * 10**9] * 5


@pytest.mark.parametrize(
    "zone", ["America/Chicago", "Europe/London", "Europe/Dublin", "Australia/Lord_Howe", "Asia/Kolkata"]
)
@given(start=st.datetimes(wall(2005, 1, 1), wall(2030, 1, 1)), cut=st.integers(0, 2000))
def test_local_times_come_back_whatever_the_cut(zone: str, start: datetime, cut: int) -> None:
    first = start.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    assume(first.astimezone(ZoneInfo(zone)).fold == 0)  # nothing tells that a stream starts in a second pass
    moments = [first + timedelta(minutes=15 * step) for step in range(2000)]
    utc = [(moment - EPOCH.replace(tzinfo=UTC)) // timedelta(microseconds=1) * 1000 for moment in moments]
    local = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments]
    walls = np.array(nanoseconds(local), np.int64)
    clock = LocalClock(zone)
    parts = [clock.to_utc(part, None)[0] for part in (walls[:cut], walls[cut:]) if len(part)]
    assert np.concatenate(parts).tolist() == utc


def test_a_column_without_times_is_refused() -> None:
    for cells in (["a", "b"], [1, 2], [None, None], [1.5, 2.5]):
        with pytest.raises(DataError) as caught:
            read(pa.array(cells) if cells != [None, None] else pa.array(cells, pa.string()))
        assert caught.value.where == "a file"
        assert "2024-01-31" in str(caught.value.expected)
