"""The monitor on steps: cuts and restarts do not show, and the tables of the run say the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.state import decode, encode
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.following import StepMonitor
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.report.monitoring import monitor_run
from engine.types.calendar import sessions_for
from engine.types.records import AGENT_OUTPUT, SeatName
from engine.types.step import StepBlock
from tests.engine.runs import CONFIG, book, instruments, random_bars, random_targets, record, steps

ROWS, SYMBOLS, STEP = 3000, 2, 15 * 60_000_000_000
BARS = random_bars(ROWS, SYMBOLS, step=STEP)
TARGETS = random_targets(ROWS, SYMBOLS, change=0.05)
INSTRUMENTS = instruments(SYMBOLS)
SESSIONS = sessions_for(INSTRUMENTS, int(BARS.ts_event[0]))


def decisions() -> np.ndarray:
    """What an ensemble might have decided, in order of row, seat and symbol."""
    rng = np.random.default_rng(3)
    found = []
    for row in range(0, ROWS, 2):
        for seat in SeatName:
            for symbol in range(SYMBOLS) if seat is not SeatName.RISK else [-1]:
                side, sure = float(rng.integers(-1, 2)), float(rng.random())
                ts = int(BARS.ts_event[row])
                found.append((side, 0.0, 0.0, sure, ts, row, int(seat), symbol, ts, ts))
    return np.array(found, AGENT_OUTPUT)


OUTPUTS = decisions()


def cut(sizes: list[int]) -> list[StepBlock]:
    found = []
    for step in steps(BARS, TARGETS, sizes):
        own = (OUTPUTS["seq"] >= step.bars.seq) & (OUTPUTS["seq"] < step.bars.seq + len(step))
        found.append(replace(step, outputs=OUTPUTS[own]))
    return found


def follower(**more: object) -> StepMonitor:
    monitor = PerformanceMonitor(MonitorConfig.model_validate(more), 365.0, CONFIG.initial_capital)
    return StepMonitor(monitor, book(SYMBOLS), SESSIONS, SYMBOLS)


@pytest.fixture(scope="module")
def whole() -> StepMonitor:
    found = follower()
    for step in cut([4096]):
        found.update(step)
    assert found.monitor.raised > 10 and all(figure.value is not None for figure in found.monitor.figures)
    assert found.monitor.alerts("proved") and found.next_seq == ROWS
    return found


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5), st.integers(0, 20))
@settings(max_examples=12, deadline=None)
def test_neither_cuts_nor_restarts_show(whole: StepMonitor, sizes: list[int], at: int) -> None:
    found = follower()
    for number, step in enumerate(cut([max(size, 20) for size in sizes])):
        if number == at:
            saved, found = decode(encode(found.snapshot()), "the monitor"), follower()
            found.restore(saved)
        found.update(step)
    assert encode(found.snapshot()) == encode(whole.snapshot())


def test_one_row_at_a_time_is_the_same(whole: StepMonitor) -> None:
    found = follower()
    for step in cut([1]):
        found.update(step)
    assert encode(found.snapshot()) == encode(whole.snapshot())


def test_a_monitor_that_begins_late_takes_no_trade_for_another() -> None:
    whole, late = follower(), follower()
    seen: dict[int, list[tuple[int, float]]] = {}
    for number, found in enumerate((whole, late)):
        pushed = seen.setdefault(number, [])
        found.monitor.trade = lambda ts, profit, pushed=pushed: pushed.append((ts, profit))  # type: ignore[method-assign,misc]
    for step in cut([1000]):
        whole.update(step)
        if step.bars.seq:
            late.update(step)
    # of every symbol the trade that was open is left out, and all later ones are the same
    begun = [(ts, profit) for ts, profit in seen[0] if ts > BARS.ts_event[999]]
    missing = [one for one in begun if one not in seen[1]]
    assert seen[1] == [one for one in begun if one not in missing] and 0 < len(missing) <= SYMBOLS < len(seen[1])
    # the first day seen begins with the equity of the first row seen, not with the initial capital
    returns = next(figure for figure in late.monitor.figures if figure.name == "sharpe_ratio").snapshot()["window"]
    assert abs(returns[0]) < 0.05


def test_confidence_is_held_against_what_the_price_did(whole: StepMonitor) -> None:
    found: dict[int, list[tuple[float, bool]]] = {}
    strategic = OUTPUTS[OUTPUTS["seat"] == SeatName.STRATEGIC]
    for symbol in range(SYMBOLS):
        own = strategic[strategic["symbol"] == symbol]
        closes = BARS.close[own["seq"], symbol]
        for decision, before, after in zip(own[:-1], closes[:-1], closes[1:], strict=True):
            if side := float(decision["action_0"]):
                sure = float(decision["confidence"])
                found.setdefault(int(sure * 5), []).append((sure, (after - before) * side > 0))
    rows = whole.calibration.rows()
    assert [round(row["from"] * 5) for row in rows] == sorted(found)
    for row, part in zip(rows, sorted(found), strict=True):
        confidences, right = zip(*found[part], strict=True)
        assert row["decisions"] == len(right) and row["right"] == pytest.approx(np.mean(right))
        assert row["confidence"] == pytest.approx(np.mean(confidences))


def test_the_tables_of_the_run_say_the_same(whole: StepMonitor, tmp_path: Path) -> None:
    _, metrics = record(cut([1000]), BARS.symbols, tmp_path)
    manifest = {
        "config": {**CONFIG.model_dump(mode="json"), "statistics": {"periods_per_year": 365.0}},
        "instruments": {item.name: item.model_dump(mode="json") for item in INSTRUMENTS},
    }
    found = monitor_run(tmp_path, manifest, metrics)
    assert encode(found.snapshot()) == encode(whole.monitor.snapshot())
    assert json.loads(json.dumps(found.tree(), allow_nan=False)) == found.tree()
    with pytest.raises(DataError, match="does not say what was traded"):
        monitor_run(tmp_path, {}, metrics)


def test_the_state_of_another_monitor_is_refused(whole: StepMonitor) -> None:
    with pytest.raises(DataError, match="other settings"):
        follower(alpha=0.05).restore(whole.snapshot())
    state = whole.snapshot()
    with pytest.raises(DataError):
        follower().restore({**state, "equity": np.zeros(2)})
    elsewhere = StepMonitor(
        follower().monitor, book(SYMBOLS), sessions_for(INSTRUMENTS, int(BARS.ts_event[-1])), SYMBOLS
    )
    with pytest.raises(DataError, match="other sessions"):
        elsewhere.restore(state)
