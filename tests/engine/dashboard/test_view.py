"""The screen: exact in size whatever it shows, and exact in what it says."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.alerts import AlertLevel
from engine.dashboard.cells import TableColumn, crop, fit, spread, table, width_of
from engine.dashboard.chart import BRAILLE, dots, equity_chart, resample
from engine.dashboard.history import EquityHistory
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import DashboardView, frame, status_line
from engine.types.records import Reason
from tests.engine.dashboard.steps import MINUTE, START, make_step

NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(["[red]", "[/]", "永続BTC", "x\x1b[31m", "a\nb", "🦊"])


def shown(state, width=160, height=45, now=0.0):
    return ["".join(part.text for part in line) for line in frame(state, width, height, now)]


def run_of(symbols=("EURUSD",), steps=3, rows=20, events=3, fills=5, orders=9, scale=1000.0, **info):
    state = DashboardState(RunInfo("backtest", "ensemble", symbols, **info))
    rng = np.random.default_rng(5)
    for number in range(steps):
        equity = list(scale * (1 + rng.normal(0, 0.1, rows)))
        step = make_step(
            equity, seq=rows * number, symbols=symbols, events=events, fills=fills, orders=orders, initial=scale
        )
        state.update(step, 100.0 + number)
    return state


def _check(state, width, height):
    lines = frame(state, width, height, 123.0, "drawing takes 0.1 % of the time")
    assert len(lines) == height
    for line in lines:
        assert width_of(line) == width
        assert all(part.text.isprintable() for part in line)


@given(
    st.integers(1, 220),
    st.integers(1, 70),
    st.lists(NAMES, min_size=1, max_size=30).map(tuple),
    st.integers(0, 3),
    st.sampled_from([1e-3, 1000.0, 1e6, 1e12, 1e30]),
    st.booleans(),
)
def test_every_line_is_as_wide_as_the_terminal(width, height, symbols, steps, scale, live):
    state = run_of(symbols, steps, scale=scale, live=live, name=symbols[0], total_rows=None if live else 60)
    _check(state, width, height)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 45), (200, 60)])
@pytest.mark.parametrize("steps", [0, 3])
def test_usual_sizes_show_every_part(size, steps):
    screen = "\n".join(shown(run_of(steps=steps, total_rows=60), *size))
    for part in ("GrandModel", "Equity USD", "Positions", "Orders", "Fills", "Alerts", "drawdown", "rows/s", "Ctrl-C"):
        assert part in screen
    if not steps:
        for words in ("no bars yet", "flat", "none", "none yet", "WAITING"):
            assert words in screen


def test_small_terminals_do_without_the_least_important():
    screen = "\n".join(shown(run_of(total_rows=60), 60, 20))
    assert "Orders" not in screen
    for part in ("Equity USD", "Positions", "Market", "Alerts", "q close", "Ctrl-C stop"):
        assert part in screen
    tiny = "\n".join(shown(run_of(total_rows=60), 40, 6))
    assert "Positions" not in tiny
    assert "equity" in tiny


def test_keys_that_cannot_be_read_are_not_offered():
    state = run_of()
    last = ["".join(part.text for part in frame(state, 80, 24, 0.0, keys=keys)[-1]) for keys in (True, False)]
    assert ["q close" in line for line in last] == [True, False]


def test_numbers_are_those_of_the_step():
    state = DashboardState(
        RunInfo("backtest", "x", ("6EH4",), multipliers=(125000.0,), tick_sizes=(0.00005,), total_rows=4)
    )
    step = make_step(
        [1_000_500.0, 1_234_567.891],
        initial=1_000_000.0,
        symbols=("6EH4",),
        fills=1,
        orders=1,
        session_equity=1_200_000.0,
        peak=1_300_000.0,
        gross_exposure=2_469_135.782,
        net_exposure=-1_234_567.891,
        margin=123_456.7891,
        fees=1_234.5,
        realized=-4_321.0,
        unrealized=999.5,
        session_end=START + 23 * 60 * MINUTE,
    )
    step.position_records["quantity"] = -3
    step.position_records["avg_price"], step.position_records["mark"] = 1.09005, 1.0912
    step.position_records["realized"] = -4_321.0
    step.fills["price"], step.fills["quantity"], step.fills["side"] = 1.09005, 3, -1
    step.fills["realized"], step.fills["fee"], step.fills["position"] = 1_234.56, 7.2, -3
    step.orders["type"], step.orders["limit"], step.orders["stop"] = 2, 1.0805, 0.0
    step.orders["quantity"], step.orders["filled"], step.orders["side"] = 1250.5, 250.5, 1
    state.update(step, 1.0)
    lines = shown(state)
    screen = "\n".join(lines)
    for figure in (
        "2024-01-01 00:02 UTC", "50 %", "2 / 4 rows",
        "1,234,567.89", "of 1,000,000", "+34,567.89", "+2.88 %", "+234,567.89", "+23.46 %",
        "-5.03 %", "max -5.0 %", "2.00x", "net -1.00x", "10.0 %", "123,456.79",
        "-4,321.00", "open +999.50", "1,234.50", "1 fills", "01-01 23:00", "22 h 58 min",
    ):  # fmt: skip
        assert figure in screen, figure
    position = next(line for line in lines if "short" in line)
    assert position.split()[:8] == [
        "6EH4", "short", "-3", "1.09005", "1.09120", "409,200.00", "-431.25", "-4,321.00"
    ]  # fmt: skip
    assert any(re.search(r"1 +6EH4 +buy +1,000 +limit +1\.08050", line) for line in lines)
    assert any(re.search(r"6EH4 +sell +3 +1\.09005 +\+1,234\.56 +7\.20 +-3", line) for line in lines)


def test_markup_in_names_is_shown_as_it_is():
    state = run_of(("[red]BTC[/red]", "[bold]"))
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True, color_system=None)
    console.print(DashboardView(state, 0.0), end="")
    output = console.file.getvalue()
    assert "[red]BTC[/red]" in output
    assert "[bold]" in output
    assert [cell_len(line) for line in output.split("\n")] == [120] * 40


def test_more_than_fits_is_counted():
    state = run_of(tuple(f"S{at}" for at in range(40)), orders=30)
    lines = shown(state, 80, 24)
    screen = "\n".join(lines)
    total = state.open_positions(0)[1]
    start = next(at for at, line in enumerate(lines) if "Positions" in line)
    drawn = next(at for at, line in enumerate(lines) if "Orders" in line) - start - 2
    assert 0 < drawn < total
    assert f"{total} open, +{total - drawn} more" in lines[start]
    assert "30 working" in screen
    assert "S0 S1 S2 +37 more" in screen


def test_newest_orders_come_first_whatever_their_slots():
    lines = shown(run_of(orders=9))
    start = next(at for at, line in enumerate(lines) if "9 working" in line)
    ids = [re.findall(r"(?:^| )(\d+) +EURUSD +(?:buy|sell)", line) for line in lines[start + 2 :]]
    found = [int(one[-1]) for one in ids if one]
    assert found[0] == 9
    assert found == sorted(found, reverse=True)


def test_a_halt_heads_the_screen_and_its_reason_stays_in_sight():
    state = run_of(events=0)
    state.update(make_step([900.0], seq=60, halted=Reason.MAX_DAILY_LOSS), 110.0)
    for number in range(20):
        state.quarantine(f"row {number}")
    lines = shown(state, 80, 24)
    assert "HALTED" in lines[0]
    assert any("limit tripped: max daily loss" in line for line in lines)


@pytest.mark.parametrize(
    ("standing", "account", "badge"),
    [
        ("", {"paused": 1}, "PAUSED"),
        ("paused", {}, "PAUSED"),  # ordered after the last row
        ("trading", {"paused": 1}, "RUNNING"),  # resumed after it
        ("trading", {"halted": Reason.MAX_DRAWDOWN}, "RUNNING"),  # reset after it
        ("halted", {}, "HALTED"),
        ("stuck", {"paused": 1}, "STUCK"),
        ("waiting", {}, "WAITING"),
        ("trading", {}, "RUNNING"),
        ("trading", {"liquidating": 1}, "MARGIN CALL"),
        ("stopped", {}, "STOPPED"),
        ("stopped", {"halted": Reason.BY_OPERATOR}, "HALTED"),
    ],
)
def test_the_badge_is_what_holds_now(standing, account, badge):
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",)))
    state.set_standing(standing)
    state.update(make_step([1000.0], **account), 1.0)
    assert f" {badge} " in shown(state)[0]


def test_why_nothing_is_written_stays_in_sight():
    state = run_of(events=0)
    state.tell(AlertLevel.CRITICAL, "the journal cannot be written: the disk is full")
    state.set_standing("stuck")
    for number in range(20):
        state.quarantine(f"row {number}")
    assert any("the disk is full" in line for line in shown(state, 80, 24))


def test_bars_that_are_not_live_are_owned_up_to():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=None))
    state.update(make_step([1000.0]), 5e9)
    state.update(make_step([1000.0], seq=1), 5e9 + 1)
    assert "bars of the past" in shown(state)[1]
    state.update(make_step([1000.0], seq=2), (START + 3 * MINUTE) / 1e9 + 1.5)
    assert "lag 1.5 s  live" in shown(state)[1]


def test_missed_rows_are_owned_up_to():
    state = DashboardState(RunInfo("backtest", "x", ("EURUSD",)))
    state.update(make_step([1000.0, 900.0], seq=1500), 1.0)
    screen = "\n".join(shown(state))
    assert "1,500 not drawn" in screen
    assert "seen -10.0 %" in screen


def test_live_run_shows_its_feed_and_lag():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=True))
    arrival = (START + MINUTE) / 1e9 + 7.0
    state.update(make_step([1000.0]), arrival)
    assert "receiving, last bar 2.0 s ago" in shown(state, now=arrival + 2)[1]
    assert "lag 7.0 s" in shown(state, now=arrival)[1]
    assert "quiet for 10 min 00 s" in shown(state, now=arrival + 600)[1]
    state.set_feed("broker is away")
    assert "broker is away" in shown(state, now=arrival)[1]


def test_status_line_fits_or_drops_its_end():
    state = run_of(total_rows=60)
    whole = status_line(state)
    assert f"equity {state.equity:,.2f} USD" in whole
    assert "60 / 60 rows (100 %)" in whole
    for width in range(60, 200):
        line = status_line(state, width)
        assert len(line) <= width
        assert whole.startswith(line)
    assert status_line(DashboardState(RunInfo("paper", "x", ("A",)))) == "no bars yet"


@given(st.floats(-1e15, 1e15), st.integers(8, 30))
def test_money_is_rounded_to_fit_and_never_cut(value, width):
    shortened = text.money_within(value, width)
    assert len(shortened) <= width
    unit = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(shortened[-1], 1.0)
    number = float(shortened.rstrip("kMBT").replace(",", ""))
    assert math.isclose(number * unit, value, rel_tol=0.05, abs_tol=0.501 if width < 12 else 0.0051)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: text.money(-0.001, sign=True), "0.00"),
        (lambda: text.money(math.nan), "-"),
        (lambda: text.quantity(1250.50, sign=True), "+1,250.5"),
        (lambda: text.quantity(100.0), "100"),
        (lambda: text.quantity(1e-8), "0.00000001"),
        (lambda: text.price(46306.5, 0.5), "46,306.5"),
        (lambda: text.price(1.1, 0.00005), "1.10000"),
        (lambda: text.price(4500.0, 5.0), "4,500"),
        (lambda: text.price(0.0, 0.5), "-"),
        (lambda: text.rate(3_421_000.4), "3,421,000 rows/s"),
        (lambda: text.rate(1 / 60), "1.0 rows/min"),
        (lambda: text.rate(1 / 1800), "2.0 rows/h"),
        (lambda: text.rate(None), "- rows/s"),
        (lambda: text.duration(59.7), "1 min 00 s"),
        (lambda: text.duration(3 * 86400 + 4 * 3600 + 59), "3 d 04 h"),
        (lambda: text.clock(START), "2024-01-01 00:00"),
        (lambda: text.stamp(START + 10**9), "01-01 00:00:01"),
        (lambda: text.stamp(0), "-"),
        (lambda: text.clean("a\x1b[31m\nb"), r"a\x1b[31m\nb"),
        (lambda: crop("永続BTC", 4), "永 …"),
    ],
)
def test_words_for_numbers(call, expected):
    assert call() == expected


@given(st.lists(st.text(max_size=12), max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_lines_fit_exactly(parts, width, other):
    line = [Segment(text.clean(part)) for part in parts]
    assert width_of(fit(line, width)) == width
    assert width_of(spread(line, [Segment("right")], width + other)) == width + other


def test_tables_drop_columns_by_rank_and_never_crop_numbers():
    columns = (TableColumn("name"), TableColumn("a", right=True, rank=1), TableColumn("b", right=True, rank=2))
    rows = [[Segment("EURUSD"), Segment("1,000.00"), Segment("22")]]

    def lines(width):
        return ["".join(part.text for part in line).rstrip() for line in table(columns, rows, width)]

    assert lines(20) == ["name           a   b", "EURUSD  1,000.00  22"]
    assert lines(19) == ["name           a", "EURUSD  1,000.00"]
    assert lines(15) == ["name", "EURUSD"]


def test_chart_lights_exactly_the_dots_between_neighbours():
    last = np.array([0.0, 7.0, 3.0, 3.0])
    codes = dots(last, last, last, 0.0, 7.0, 2)
    lit = {
        (4 * row + down, 2 * cell + across)
        for row in range(2)
        for cell in range(2)
        for down in range(4)
        for across in range(2)
        if codes[row, cell] & [[1, 8], [2, 16], [4, 32], [64, 128]][down][across]
    }
    expected = {(7, 0)} | {(at, 1) for at in range(8)} | {(at, 2) for at in range(5)} | {(4, 3)}
    assert lit == expected


@given(st.lists(st.floats(1, 100), min_size=1, max_size=60), st.integers(2, 90))
def test_resampling_loses_no_extreme(values, columns):
    history = EquityHistory(64)
    history.add(0, np.array(values))
    low, high, last = resample(history, columns)
    assert (low.min(), high.max()) == (min(values), max(values))
    assert last[-1] == values[-1]
    assert len(low) == len(high) == len(last) == columns


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=50), st.integers(1, 120), st.integers(0, 20))
def test_chart_fills_its_place(values, width, height):
    history = EquityHistory(32)
    history.add(0, np.array(values))
    lines = equity_chart(history, 1000.0, width, height)
    assert [width_of(line) for line in lines] == [width] * height
    if width >= 16 and height:
        drawn = "".join(part.text for line in lines for part in line)
        assert any(BRAILLE < ord(char) < BRAILLE + 256 for char in drawn)
