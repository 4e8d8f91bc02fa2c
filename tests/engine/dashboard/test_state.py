"""The view model against a plain recomputation from all rows."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.dashboard.alerts import AlertLevel, AlertLine, Alerts
from engine.dashboard.following import Following
from engine.dashboard.history import EquityHistory
from engine.dashboard.state import FILLS_KEPT, DashboardState, RunInfo
from engine.types.reasons import PHRASES
from engine.types.records import OrderEventKind, Reason, Role
from tests.engine.dashboard.steps import MINUTE, START, make_step

INFO = RunInfo("backtest", "ensemble", ("EURUSD",))


def _cut(equity, sizes):
    """Steps over consecutive rows; the peak in the account is that of all rows so far."""
    seq, steps = 0, []
    for size in [*sizes, len(equity)]:
        part = equity[seq : seq + size]
        if part:
            steps.append(make_step(part, seq=seq, peak=max(1000.0, *equity[: seq + size]), fills=seq % 3))
            seq += len(part)
    return steps


equities = st.lists(st.floats(100, 5000), min_size=1, max_size=120)
cuts = st.lists(st.integers(1, 30), max_size=10)


@given(equities, cuts)
def test_any_blocking_gives_the_figures_of_all_rows(equity, sizes):
    state = DashboardState(INFO)
    steps = _cut(equity, sizes)
    for number, step in enumerate(steps):
        state.update(step, 100.0 + number)
    peak, worst = 1000.0, 0.0
    for value in equity:
        peak = max(peak, value)
        worst = max(worst, 1 - value / peak)
    assert state.worst_drawdown == pytest.approx(worst, abs=1e-12)
    assert state.drawdown == pytest.approx(1 - equity[-1] / peak, abs=1e-12)
    assert state.total_profit == equity[-1] - 1000.0
    assert (state.rows, state.rows_missed) == (len(equity), 0)
    assert (state.first_ts, state.last_ts) == (START + MINUTE, START + len(equity) * MINUTE)
    expected = [fill for step in steps for fill in step.fills.tolist()][::-1][:FILLS_KEPT]
    assert [fill.tolist() for fill in state.fills] == expected
    assert state.fills_seen == sum(len(step.fills) for step in steps)


@given(equities, cuts, st.integers(2, 9))
def test_history_holds_extremes_of_equal_stretches(equity, sizes, capacity):
    history = EquityHistory(capacity)
    row = 0
    for size in [*sizes, len(equity)]:
        history.add(row, np.array(equity[row : row + size]))
        row = min(len(equity), row + size)
    stretches = [equity[at : at + history.stride] for at in range(0, len(equity), history.stride)]
    assert len(stretches) == len(history) <= capacity
    assert history.low.tolist() == [min(part) for part in stretches]
    assert history.high.tolist() == [max(part) for part in stretches]
    assert history.last.tolist() == [part[-1] for part in stretches]
    assert history.stride == 1 or len(equity) > capacity * history.stride // 2


def test_history_leaves_rows_that_were_missed_empty_and_ignores_repeats():
    history = EquityHistory(8)
    history.add(10, np.array([1.0, 2.0]))
    history.add(14, np.array([5.0]))
    history.add(13, np.array([9.0, 9.0, 6.0]))
    assert np.array_equal(history.last, [1.0, 2.0, math.nan, math.nan, 5.0, 6.0], equal_nan=True)


def test_steps_may_be_missing_and_the_account_stays_exact():
    state = DashboardState(INFO)
    state.update(make_step([1000.0, 990.0]), 1.0)
    state.update(make_step([900.0], seq=7, peak=1200.0, session_equity=950.0), 2.0)
    assert state.rows_missed == 5
    assert state.drawdown == pytest.approx(0.25)
    assert state.worst_drawdown == pytest.approx(0.25)
    assert state.day_profit == -50.0


def test_state_keeps_no_memory_of_the_simulator():
    state = DashboardState(INFO)
    step = make_step([1010.0], fills=3, initial=1000.0)
    price = float(step.fills["price"][-1])
    state.update(step, 1.0)
    step.fills["price"] = -1.0
    step.account["equity"] = -1.0
    step.ledger[:] = -1.0
    assert float(state.fills[0]["price"]) == price
    assert state.equity == 1010.0
    assert state.history.last.tolist() == [1010.0]


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 99))
def test_open_positions_are_the_largest_exposures(count, limit, seed):
    symbols = tuple(f"S{at}" for at in range(count + 1))
    multipliers = tuple(1.0 + at % 4 for at in range(count + 1))
    state = DashboardState(RunInfo("paper", "x", symbols, multipliers=multipliers))
    step = make_step([1000.0], symbols=symbols, seed=seed)
    state.update(step, 1.0)
    lines, total = state.open_positions(limit)
    plain = []
    for at, record in enumerate(step.position_records):
        quantity, mark, entry = (float(record[field]) for field in ("quantity", "mark", "avg_price"))
        if quantity:
            money = quantity * (mark - entry) * multipliers[at]
            plain.append((-abs(quantity) * mark * multipliers[at], at, money))
    plain.sort()
    assert total == len(plain)
    assert [line.symbol for line in lines] == [at for _, at, _ in plain[:limit]]
    for line, (exposure, _, money) in zip(lines, plain, strict=False):
        assert (line.exposure, line.unrealized) == (pytest.approx(-exposure), pytest.approx(money))


def test_rate_settles_at_the_true_rate_and_gives_the_time_left():
    state = DashboardState(RunInfo("backtest", "x", ("EURUSD",), total_rows=1000))
    for number in range(80):
        state.update(make_step([1000.0] * 5, seq=5 * number), 50.0 + 0.1 * number)
    assert state.pace.rate == pytest.approx(50.0)
    assert state.progress == pytest.approx(0.4)
    assert state.seconds_left == pytest.approx(600 / 50)
    for number in range(80, 200):
        state.update(make_step([1000.0], seq=5 * number), 58.0 + 0.1 * (number - 79))
    assert state.pace.rate == pytest.approx(50.0, rel=0.02)


def test_rate_survives_a_clock_set_back():
    state = DashboardState(INFO)
    for number, now in enumerate([100.0, 101.0, 40.0, 41.0]):
        state.update(make_step([1000.0], seq=number), now)
    assert state.pace.rate == pytest.approx(1.0)


def test_lag_of_a_live_feed_is_wall_time_less_close_time():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=True))
    state.update(make_step([1000.0]), (START + MINUTE) / 1e9 + 0.75)
    assert state.pace.lag == pytest.approx(0.75)


def test_the_bars_tell_whether_they_are_live():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=None))
    state.update(make_step([1000.0]), (START + MINUTE) / 1e9 + 3600)
    assert (state.pace.live, state.pace.lag) == (None, None)  # one that waited at the broker
    state.update(make_step([1000.0], seq=1), (START + 2 * MINUTE) / 1e9 + 2.0)
    assert (state.pace.live, state.pace.lag) == (True, pytest.approx(2.0))
    state.update(make_step([1000.0], seq=2), (START + 3 * MINUTE) / 1e9 + 3600)
    assert state.pace.lag == pytest.approx(3600)


def test_what_was_before_the_screen_says_nothing_of_pace():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=True))
    state.recall(make_step([1000.0, 900.0, 1100.0], seq=40, fills=2))
    assert (state.rows, state.rows_missed, state.fills_seen, state.equity) == (43, 40, 2, 1100.0)
    assert state.worst_drawdown == pytest.approx(0.1)
    assert (state.pace.rate, state.pace.lag, state.silence(5e9)) == (None, None, 0.0)
    assert state.feed_status(5e9) == "waiting for the next bar"
    state.update(make_step([1000.0], seq=43), 100.0)
    state.update(make_step([1000.0], seq=44), 102.0)
    assert state.pace.rate == pytest.approx(0.5)


def test_rows_that_were_seen_are_not_seen_again():
    state = DashboardState(INFO)
    step = make_step([1000.0, 990.0], seq=5, fills=3)
    state.recall(step)
    state.update(step, 1.0)
    assert (state.rows, state.fills_seen, state.pace.rate) == (7, 3, None)


def test_a_session_is_followed_and_what_it_counts_is_told_once():
    state = DashboardState(INFO)
    following = Following(state)
    counted = {"bars": 40, "letters.late": 2, "missing": 3}
    following.look("trading", "", counted)
    following.look("trading", "", counted)
    following.look("waiting", "lost the connection", counted | {"letters.late": 5, "letters.malformed": 1})
    assert (state.standing, state.feed_status(0.0), state.quarantined) == ("waiting", "lost the connection", 6)
    assert {alert.text: alert.count for alert in state.alerts} == {
        "quarantined: messages, late": 5,
        "quarantined: messages, malformed": 1,
        "bars are missing": 3,
    }
    version = state.version
    following.look("waiting", "lost the connection", counted)
    assert state.version == version


def test_lag_of_a_paced_replay_is_lateness_against_its_best():
    state = DashboardState(RunInfo("replay", "x", ("EURUSD",), pace=60.0))
    lags = []
    for seq, now in [(0, 10.0), (1, 11.0), (2, 12.5), (3, 13.0), (100, 14.0)]:
        state.update(make_step([1000.0], seq=seq), now)
        lags.append(state.pace.lag)
    assert lags == pytest.approx([0.0, 0.0, 0.5, 0.0, 0.0], abs=1e-5)


def test_full_speed_has_no_lag():
    state = DashboardState(INFO)
    state.update(make_step([1000.0]), 5e9)
    assert state.pace.lag is None


def test_feed_status_follows_the_bars_unless_the_feed_speaks():
    state = DashboardState(RunInfo("paper", "x", ("EURUSD",), live=True))
    assert state.feed_status(0.0) == "waiting for the first bar"
    state.update(make_step([1000.0]), 100.0)
    state.update(make_step([1000.0], seq=1), 160.0)
    assert state.feed_status(161.0) == "receiving"
    assert state.feed_status(339.0) == "receiving"  # three bars of a minute
    assert state.feed_status(341.0) == "quiet"
    state.set_feed("reconnecting to the broker")
    assert state.feed_status(341.0) == "reconnecting to the broker"
    state.end()
    assert state.feed_status(341.0) == "ended"


def test_rejections_are_counted_by_symbol_and_reason():
    state = DashboardState(RunInfo("paper", "x", ("A", "B")))
    seen: Counter[str] = Counter()
    for number in range(6):
        step = make_step([1000.0], seq=number, symbols=("A", "B"), events=40)
        for event in step.events[step.events["kind"] == OrderEventKind.REJECTED]:
            reason = PHRASES[Reason(int(event["reason"]))]
            seen[f"rejected {'AB'[event['symbol']]}" + (f": {reason}" if event["reason"] else "")] += 1
        state.update(step, float(number))
    shown = {alert.text: alert.count for alert in state.alerts if alert.text.startswith("rejected")}
    assert sum(seen.values()) > 20
    assert shown == dict(seen)


def test_halt_and_its_reset_are_told_once():
    state = DashboardState(INFO)
    for seq, halted in enumerate([0, Reason.MAX_DRAWDOWN, Reason.MAX_DRAWDOWN, 0]):
        state.update(make_step([1000.0], seq=seq, halted=halted), float(seq))
    reset, halt = list(state.alerts)
    assert "max drawdown" in halt.text
    assert (halt.severity, halt.count, halt.ts_event) == (AlertLevel.CRITICAL, 1, START + 2 * MINUTE)
    assert (reset.severity, "reset" in reset.text) == (AlertLevel.INFO, True)


def test_a_pause_its_end_and_a_halt_by_a_person_are_told_once():
    state = DashboardState(INFO)
    for seq, (paused, halted) in enumerate([(0, 0), (1, 0), (1, 0), (0, Reason.BY_OPERATOR)]):
        state.update(make_step([1000.0], seq=seq, paused=paused, halted=halted), float(seq))
    told = [(alert.severity, alert.text, alert.count) for alert in reversed(list(state.alerts))]
    assert told == [
        (AlertLevel.WARNING, "paused by the operator; positions cannot open or grow", 1),
        (AlertLevel.CRITICAL, "halted by the operator; trading is halted until it is reset", 1),
        (AlertLevel.INFO, "the pause is over", 1),
    ]


def test_a_liquidation_within_one_step_is_told():
    state = DashboardState(INFO)
    step = make_step([1000.0], events=1)
    step.events["kind"], step.events["role"] = OrderEventKind.SUBMITTED, Role.LIQUIDATION
    step.events["reason"] = Reason.MARGIN_CALL
    state.update(step, 1.0)
    assert [(alert.severity, alert.text) for alert in state.alerts] == [
        (AlertLevel.CRITICAL, "liquidation order EURUSD: margin call")
    ]


def test_margin_call_begins_and_ends():
    state = DashboardState(INFO)
    for seq, liquidating in enumerate([0, 1, 1, 0]):
        state.update(make_step([1000.0], seq=seq, liquidating=liquidating), float(seq))
    assert [alert.severity for alert in state.alerts] == [AlertLevel.INFO, AlertLevel.CRITICAL]


def test_alerts_are_bounded_and_the_newest_come_first():
    alerts = Alerts()
    for number in range(500):
        alerts.add(AlertLine(number, AlertLevel.INFO, str(number % 100)))
    kept = list(alerts)
    assert [alert.text for alert in kept] == [str(number) for number in range(99, 49, -1)]
    alerts.warn(600, "60")
    assert (next(iter(alerts)).text, len(alerts)) == ("60", 50)


def test_quarantine_is_counted_and_told():
    state = DashboardState(INFO)
    state.quarantine("bars.csv row 7: high below low")
    state.quarantine("bars.csv row 7: high below low", 2)
    alert = next(iter(state.alerts))
    assert (state.quarantined, alert.count, alert.severity) == (3, 3, AlertLevel.WARNING)


def test_wrong_number_of_multipliers_is_a_usage_error():
    with pytest.raises(UsageError, match="multipliers"):
        RunInfo("paper", "x", ("A", "B"), multipliers=(1.0,))


def test_every_change_raises_the_version():
    state = DashboardState(INFO)
    versions = [state.version]
    for change in (
        lambda: state.update(make_step([1000.0]), 1.0),
        lambda: state.set_feed("x"),
        lambda: state.set_standing("paused"),
        lambda: state.recall(make_step([1000.0], seq=1)),
        lambda: state.tell(AlertLevel.INFO, "x"),
        lambda: state.quarantine("x"),
        state.end,
    ):
        change()
        versions.append(state.version)
    assert versions == sorted(set(versions))
