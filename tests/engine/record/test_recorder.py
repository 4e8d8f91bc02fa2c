from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine.base.errors import DataError, UsageError
from engine.base.state import decode
from engine.record.recorder import TABLES, RunRecorder
from engine.types.calendar import DAY_NS, Sessions
from engine.types.records import LEDGER_COLUMNS
from engine.types.step import StepBlock
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics
from portfolio.trades import TradeBook
from tests.engine.runs import CONFIG, START, book, random_bars, random_targets, record, steps
from tests.trees import saved

ROWS, SYMBOLS = 400, 2
BARS = random_bars(ROWS, SYMBOLS, absent=0.2)
TARGETS = random_targets(ROWS, SYMBOLS)
BLOCKS = steps(BARS, TARGETS)


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def test_folder_and_memory_hold_the_same_tables(tmp_path: Path) -> None:
    on_disk, metrics = record(BLOCKS, BARS.symbols, tmp_path)
    in_memory, metrics_too = record(BLOCKS, BARS.symbols)
    assert metrics == metrics_too
    mine, theirs = on_disk.frames(), in_memory.frames()
    assert tuple(mine) == tuple(theirs) == TABLES
    for name in TABLES:
        assert_frame_equal(readable(mine[name]), readable(theirs[name]), check_exact=True)
        assert (mine[name].height > 0) == (name not in {"agents", "plots"})  # not every agent fills these


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=6))
def test_any_blocking_gives_the_same_tables_and_metrics(sizes: list[int]) -> None:
    whole, metrics = record(BLOCKS, BARS.symbols)
    parts, metrics_too = record(steps(BARS, TARGETS, sizes), BARS.symbols)
    assert metrics == metrics_too
    for name, frame in whole.frames().items():
        assert_frame_equal(readable(frame), readable(parts.frames()[name]), check_exact=True)


def test_rows_flow_through_the_buffer_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.record.buffer.LEAST_ROWS", 7)
    monkeypatch.setattr("engine.record.buffer.BUFFER_VALUES", 1)
    small, metrics = record(BLOCKS, BARS.symbols, tmp_path)
    monkeypatch.undo()
    large, metrics_too = record(BLOCKS, BARS.symbols)
    assert metrics == metrics_too
    assert_frame_equal(small.frames()["ledger"], large.frames()["ledger"], check_exact=True)
    assert pl.scan_parquet(tmp_path / "ledger.parquet").select(pl.len()).collect().item() == ROWS


def test_the_ledger_is_the_simulators(tmp_path: Path) -> None:
    ledger = record(BLOCKS, BARS.symbols, tmp_path)[0].frames()["ledger"]
    assert ledger.schema["ts_event"] == pl.Datetime("ns", "UTC")
    np.testing.assert_array_equal(ledger["ts_event"].to_physical().to_numpy(), BARS.ts_event)
    np.testing.assert_array_equal(ledger.select(LEDGER_COLUMNS).to_numpy(), BLOCKS[0].ledger)
    positions = ledger.select(f"position.{name}" for name in BARS.symbols).to_numpy()
    np.testing.assert_array_equal(positions, BLOCKS[0].positions)


def test_tables_agree_with_each_other() -> None:
    recorder, metrics = record(BLOCKS, BARS.symbols)
    frames = {name: readable(frame) for name, frame in recorder.frames().items()}
    ledger, fills, orders, trades = (frames[name] for name in ("ledger", "fills", "orders", "trades"))
    assert fills["fee"].sum() == pytest.approx(ledger["fees"][-1])
    assert fills["realized"].sum() == pytest.approx(ledger["realized"][-1])
    assert trades["profit"].sum() == pytest.approx(ledger["equity"][-1] - CONFIG.initial_capital)
    assert trades["fees"].sum() == pytest.approx(ledger["fees"][-1])
    done = orders.filter(pl.col("filled") > 0)
    assert done["filled"].sum() == pytest.approx(fills["quantity"].sum())
    value = (done["filled"] * done["price"]).sum()
    assert value == pytest.approx((fills["quantity"] * fills["price"]).sum())
    assert orders["id"].n_unique() == orders.height == frames["decisions"].height
    assert frames["sessions"]["equity"][-1] == metrics["final_equity"] == ledger["equity"][-1]
    assert frames["chart"].height == ROWS
    assert (ledger["ts_event"][-1] >= trades["exit_time"]).all()


def test_a_run_without_rows_has_all_files(tmp_path: Path) -> None:
    recorder, metrics = record([], ("A",), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.parquet" for name in TABLES}
    assert all(frame.is_empty() for frame in recorder.frames().values())
    assert metrics["total_return"] == 0.0 and metrics["sharpe"] is None


def test_one_symbol_name_may_hold_anything(tmp_path: Path) -> None:
    name = "</script> & co.\n€"
    frames = record([], (name,), tmp_path)[0].frames()
    assert f"position.{name}" in frames["ledger"].columns


def test_frames_of_an_open_recorder_are_refused() -> None:
    recorder = RunRecorder(None, BARS.symbols, 1.0, book(SYMBOLS))
    with pytest.raises(UsageError, match="still being recorded"):
        recorder.frames()


def test_closing_twice_changes_nothing() -> None:
    recorder, _ = record(BLOCKS, BARS.symbols)
    before = recorder.frames()["trades"]
    recorder.close()
    assert_frame_equal(recorder.frames()["trades"], before)


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="run folder"):
        RunRecorder(tmp_path / "file" / "run", ("A",), 1.0, book(1))


HOURS = random_bars(ROWS, SYMBOLS, absent=0.2, step=3_600_000_000_000)
MIDDAYS = START + DAY_NS // 2 + DAY_NS * np.arange(-1, 40)
DAYS = Sessions(MIDDAYS[:-1], MIDDAYS[1:])


def folded(run: list[StepBlock], sessions: Sessions | None, stops: list[int]) -> tuple[RunRecorder, Metrics, bytes]:
    """A run whose recorder is given up for another at every stop, as a journal does."""
    trades = book(SYMBOLS)
    recorder = RunRecorder(None, BARS.symbols, CONFIG.initial_capital, trades, sessions)
    for number, step in enumerate(run):
        if number in stops:
            state, trades = saved(recorder), book(SYMBOLS)
            recorder = RunRecorder(None, BARS.symbols, CONFIG.initial_capital, trades, sessions)
            recorder.restore(decode(state))
            assert saved(recorder) == state
        recorder.write(step)
    state = saved(recorder)
    recorder.close()
    assert saved(recorder) == state
    return recorder, compute_metrics(recorder.tallies, trades.stats, always_open=True), state


def bits(recorder: RunRecorder) -> list[object]:
    tallies = recorder.tallies
    values = (getattr(tallies, name) for name in tallies.__dataclass_fields__)
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
    st.lists(st.integers(0, 30), max_size=4),
    st.booleans(),
)
def test_a_run_folded_on_the_way_comes_to_the_same(sizes: list[int], stops: list[int], by_day: bool) -> None:
    sessions = DAYS if by_day else None
    whole, metrics, state = folded(steps(HOURS, TARGETS), sessions, [])
    parts, metrics_too, state_too = folded(steps(HOURS, TARGETS, sizes), sessions, stops)
    assert metrics_too == metrics
    assert bits(parts) == bits(whole)
    assert state_too == state
    mine, theirs = parts.frames(), whole.frames()
    for name in ("sessions", "chart"):
        assert_frame_equal(readable(mine[name]), readable(theirs[name]), check_exact=True)
    for name in ("trades", "orders"):
        later = readable(theirs[name])[-mine[name].height :] if mine[name].height else theirs[name].clear()
        assert_frame_equal(readable(mine[name]), readable(later), check_exact=True)
    assert metrics["sessions"] == len(whole.tallies.sessions) > 10


def test_a_folder_that_goes_on_holds_the_later_rows_alone(tmp_path: Path) -> None:
    run = steps(BARS, TARGETS, [70])
    first = RunRecorder(tmp_path / "first", BARS.symbols, CONFIG.initial_capital, book(SYMBOLS))
    for step in run[:3]:
        first.write(step)
    state = saved(first)
    second = RunRecorder(tmp_path / "second", BARS.symbols, CONFIG.initial_capital, book(SYMBOLS))
    second.restore(decode(state))
    for recorder in (first, second):
        for step in run[3:]:
            recorder.write(step)
        recorder.close()
    whole, parts = first.frames(), second.frames()
    assert parts["ledger"].height == ROWS - 210
    assert whole["ledger"].height == ROWS
    for name in ("ledger", "fills", "decisions"):
        later = readable(whole[name])[-parts[name].height :]
        assert_frame_equal(readable(parts[name]), later, check_exact=True)
    assert saved(first) == saved(second)
    assert_frame_equal(first.frames()["ledger"], whole["ledger"])  # asking a closed recorder leaves its files alone


def test_a_recorder_that_goes_on_without_further_rows_knows_its_account() -> None:
    whole, metrics = record(BLOCKS, BARS.symbols)
    trades = book(SYMBOLS)
    recorder = RunRecorder(None, BARS.symbols, CONFIG.initial_capital, trades)
    recorder.restore(decode(saved(whole)))
    recorder.close()
    assert bits(recorder) == bits(whole)
    assert compute_metrics(recorder.tallies, trades.stats, always_open=True) == metrics
    still_open = readable(whole.frames()["trades"]).filter(pl.col("open"))
    assert still_open.height == recorder.tallies.open_positions > 0
    assert_frame_equal(readable(recorder.frames()["trades"]), still_open, check_exact=True)


def test_a_state_of_another_run_is_refused() -> None:
    def recorder(
        symbols: tuple[str, ...] = BARS.symbols, capital: float = 1e5, sessions: Sessions | None = DAYS
    ) -> RunRecorder:
        return RunRecorder(None, symbols, capital, book(len(symbols)), sessions)

    first = recorder()
    for step in steps(HOURS, TARGETS):
        first.write(step)
    state = saved(first)
    recorder().restore(decode(state))
    later = Sessions(DAYS.opens[3:], DAYS.closes[3:])
    for other in (recorder(("S0", "T1")), recorder(capital=1.0), recorder(sessions=later), recorder(sessions=None)):
        with pytest.raises(DataError, match="snapshot"):
            other.restore(decode(state))
    with pytest.raises(DataError, match="snapshot"):
        RunRecorder(None, BARS.symbols, 1e5, TradeBook([1.0, 2.0]), DAYS).restore(decode(state))
    for wrong in (None, {}, {**decode(state), "account": None}):
        with pytest.raises(DataError, match="snapshot"):
            recorder().restore(wrong)
    with pytest.raises(UsageError, match="holds a run already"):
        first.restore(decode(state))
