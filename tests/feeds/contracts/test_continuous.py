"""Contracts into one series: rolls by volume and date, adjusted or not, and nothing known too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, concat, reblock
from engine.types.calendar import Sessions
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.contracts.continuous import continuous
from feeds.contracts.rolls import Roll, find_rolls, in_order, session_sums

HOUR = 60 * MINUTE_NS
DAYS = 9
SESSIONS = Sessions(np.arange(20, dtype=np.int64) * DAY_NS, np.arange(1, 21, dtype=np.int64) * DAY_NS)
NAMES = ("H", "M", "U")
STEADY = settings(deadline=None, derandomize=True)


def contracts() -> BarBlock:
    """Three contracts of hourly bars: H days 0 to 3, M days 1 to 6, U days 4 to 8; M is 5 dearer than H, U 3 than M.

    M trades more than H from day 2 on, U more than M from day 5 on.
    """
    hours = np.arange(1, 24 * DAYS + 1, dtype=np.int64)
    day = (hours - 1) // 24
    base = 100.0 + 0.1 * hours
    spans = {"H": (0, 3, 0.0, 2), "M": (1, 6, 5.0, 5), "U": (4, 8, 8.0, 99)}
    close = np.full((len(hours), 3), np.nan)
    volume = np.full((len(hours), 3), np.nan)
    for place, (first, last, dearer, fades) in enumerate(spans.values()):
        inside = (day >= first) & (day <= last)
        close[inside, place] = base[inside] + dearer
        volume[inside, place] = np.where(day[inside] < fades, 10.0 * place + 10.0, 1.0)
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    # the next one trades less until its day
    volume[(day < 2), 1] = 1.0
    volume[(day < 5), 2] = 1.0
    return BarBlock.from_columns(NAMES, hours * HOUR, {**columns, "volume": volume}, ~np.isnan(close))


def made(block: BarBlock, adjust: str = "none", rule: str = "volume", sizes: tuple[int, ...] = (1000,)) -> BarBlock:
    order = in_order(reblock([block], sizes))
    rolls = find_rolls(session_sums(reblock([block], sizes), order, SESSIONS), order, rule)
    return concat(list(continuous(reblock([block], sizes), order, rolls, adjust, "C")))  # type: ignore[arg-type]


def test_contracts_follow_each_other_by_their_last_bars() -> None:
    block = contracts()
    turned = replace(block, symbols=("U", "M", "H"), present=block.present[:, ::-1], close=block.close[:, ::-1])
    assert in_order([turned]) == NAMES


def test_a_roll_comes_after_the_first_session_in_which_the_next_trades_more() -> None:
    block = contracts()
    rolls = find_rolls(session_sums([block], NAMES, SESSIONS), NAMES, "volume")
    assert rolls == [
        Roll("H", "M", 3 * DAY_NS, pytest.approx(107.2), pytest.approx(112.2)),
        Roll("M", "U", 6 * DAY_NS, pytest.approx(119.4), pytest.approx(122.4)),
    ]
    assert [roll.gap for roll in rolls] == [pytest.approx(5.0), pytest.approx(3.0)]


def test_unadjusted_prices_are_those_that_traded() -> None:
    block, found = contracts(), made(contracts())
    day = (found.ts_event // HOUR - 1) // 24
    expected = np.where(day <= 2, block.close[:, 0], np.where(day <= 5, block.close[:, 1], block.close[:, 2]))
    assert found.symbols == ("C",) and len(found) == 24 * DAYS
    np.testing.assert_array_equal(found.close[:, 0], expected)


def test_differences_take_the_jumps_out_and_leave_the_last_contract_alone() -> None:
    found = made(contracts(), "difference")
    np.testing.assert_allclose(np.diff(found.close[:, 0]), 0.1)
    assert found.close[-1, 0] == contracts().close[-1, 2]


def test_ratios_leave_the_returns_of_each_contract() -> None:
    plain, found = made(contracts()), made(contracts(), "ratio")
    day = (found.ts_event // HOUR - 1) // 24
    within = np.diff(np.digitize(day, [3, 6])) == 0
    ours, theirs = (np.diff(np.log(one.close[:, 0]))[within] for one in (found, plain))
    np.testing.assert_allclose(ours, theirs)
    assert np.abs(np.diff(np.log(found.close[:, 0]))).max() < 0.002


@STEADY
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.sampled_from(["none", "difference", "ratio"]))
def test_any_blocking_gives_the_same_series(sizes: list[int], adjust: str) -> None:
    one, other = made(contracts(), adjust), made(contracts(), adjust, sizes=tuple(sizes))
    assert one.close.tobytes() == other.close.tobytes() and one.ts_event.tobytes() == other.ts_event.tobytes()


@STEADY
@given(st.integers(30, 24 * DAYS - 1))
def test_what_comes_later_moves_no_roll_that_has_happened(cut: int) -> None:
    block = contracts()
    poisoned = block.volume.copy()
    poisoned[cut:] = 1e9 * (np.arange(3) + 1.0)
    rolls = find_rolls(session_sums([block], NAMES, SESSIONS), NAMES, "volume")
    later = find_rolls(session_sums([replace(block, volume=poisoned)], NAMES, SESSIONS), NAMES, "volume")
    done = [roll for roll in rolls if roll.from_ns <= int(block.ts_event[cut - 1])]
    assert later[: len(done)] == done


def test_dates_roll_after_the_session_that_closes_by_then() -> None:
    sums = session_sums([contracts()], NAMES, SESSIONS)
    rolls = find_rolls(sums, NAMES, "date", [date(1970, 1, 2), date(1970, 1, 6)])
    assert [roll.from_ns // DAY_NS for roll in rolls] == [2, 6]
    with pytest.raises(UsageError, match="roll date"):
        find_rolls(sums, NAMES, "date", [date(1970, 1, 2)])


def test_contracts_that_never_meet_are_refused() -> None:
    block = contracts()
    apart = block.present.copy()
    apart[: 24 * 4, 1] = False
    with pytest.raises(DataError, match="never trade in the same minute"):
        find_rolls(session_sums([replace(block, present=apart)], NAMES, SESSIONS), NAMES, "volume")
