"""Markets at the edge: each runs through a backtest, with the result that can be said beforehand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from engine.app.backtest import BacktestRun, run_backtest
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared
from engine.base.config import parse
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from feeds.generators_bars import close_times
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine

MINUTE, TICK, FEE = 60_000_000_000, 0.25, 2.25
ES = load_instrument("ES")


def ns(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000_000


def market(ts: np.ndarray, close: np.ndarray, volume: float = 10.0) -> BarBlock:
    """Bars that open where the one before closed."""
    opens = np.concatenate([close[:1], close[:-1]])
    columns = {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}
    return BarBlock.from_columns(("ES",), ts, {**columns, "volume": np.full(len(ts), volume)})


def run(bars: BarBlock, agent: str = "buy_and_hold", **given: object) -> BacktestRun:
    config = parse(BacktestConfig, {"agent": agent, "instrument": "ES", **given}, where="test")
    return run_backtest(
        config, prepared=Prepared(config, MemorySource(bars), Quarantine(None), {"ES": ES}, MINUTE, "close", "", ())
    )


def fills(found: BacktestRun) -> list[int]:
    """Close times of the rows in which orders filled, nanoseconds UTC."""
    times: list[int] = found.recorder.frames()["fills"]["ts_event"].cast(int).to_list()
    return times


def stopped(close: np.ndarray, begins: set[int], limit: float) -> int:
    """The row in which a daily loss stops one contract bought at the second open, by hand.

    Args:
        begins: First rows of sessions: the loss counts from the last equity of the session before.
    """
    equity = opening = 100_000.0
    for row in range(1, len(close)):
        if row in begins:
            opening = equity
        equity = 100_000.0 - FEE + 50.0 * (close[row] - close[0])
        if equity <= opening * (1.0 - limit):
            return row
    raise AssertionError("it never stops")


def minutes(count: int) -> np.ndarray:
    return close_times(ES, count, ns(2024, 1, 2))


def test_a_single_bar_is_decided_on_and_never_filled() -> None:
    found = run(market(minutes(1), np.array([5000.0])))
    assert found.metrics["final_equity"] == 100_000.0
    assert found.metrics["fills"] == 0
    assert found.manifest["decisions"] == 1
    two = run(market(minutes(2), np.array([5000.0, 5001.0])))
    assert two.metrics["final_equity"] == 100_000.0 - FEE + 50.0 * 1.0  # filled at the second open, 5000


@pytest.mark.parametrize("agent", ["buy_and_hold", "sma_cross:fast=2,slow=5", "ensemble:untrained-2"])
def test_a_flat_market_earns_nothing_but_costs(agent: str) -> None:
    count = 400 if agent != "ensemble:untrained-2" else 3200
    found = run(market(minutes(count), np.full(count, 5000.0)), agent)
    assert found.metrics["final_equity"] == pytest.approx(100_000.0 - FEE * found.metrics["fills"])
    assert found.metrics["net_profit"] == pytest.approx(-FEE * found.metrics["fills"])
    assert found.metrics["sharpe"] is None or np.isfinite(found.metrics["sharpe"])


def test_a_one_tick_market_costs_a_reversal_what_it_must() -> None:
    close = 5000.0 + TICK * (np.arange(300) % 2)
    found = run(market(minutes(300), close), "sma_cross:fast=1,slow=2")
    # the slow rule by hand: each crossing is decided at a close and filled at the next open, the same price
    cash, position, last, wanted = 100_000.0, 0.0, close[0], 0.0
    for row in range(300):
        if row and wanted != position:
            cash -= (wanted - position) * 50.0 * close[row - 1] + FEE * abs(wanted - position)
            position = wanted
        if row >= 1:
            wanted = 1.0 if close[row] > last else -1.0
        last = close[row]
    assert found.metrics["final_equity"] == pytest.approx(cash + position * 50.0 * close[-1])
    assert found.metrics["fills"] == 298


def test_without_volume_nothing_fills_under_a_cap_and_everything_without() -> None:
    bars = market(minutes(50), 5000.0 + np.arange(50.0), volume=0.0)
    capped = run(bars, execution={"participation": 0.1})
    assert (capped.metrics["fills"], capped.metrics["final_equity"]) == (0, 100_000.0)
    free = run(bars)
    assert free.metrics["final_equity"] == 100_000.0 - FEE + 50.0 * 49.0  # from the second open, 5000, to 5049


def test_a_week_in_which_clocks_change_has_its_sessions_at_the_right_hours() -> None:
    # New York and Chicago went to summer time on Sunday, 10 March 2024: sessions begin at 23:00 UTC before, 22:00 after
    ts = close_times(ES, 8 * 23 * 60, ns(2024, 3, 6, 12))
    later = np.flatnonzero(np.diff(ts) > MINUTE) + 1
    starts = [datetime.fromtimestamp((int(ts[row]) - MINUTE) / 1e9, UTC) for row in later]
    assert [(start.day, start.hour) for start in starts[:4]] == [(6, 23), (7, 23), (10, 22), (11, 22)]
    # a steady fall that begins 600 bars before: an hour that is wrong would move the stop by 60 rows
    close = 5000.0 - TICK * np.maximum(np.arange(len(ts)) - (later[2] - 600), 0)
    found = run(market(ts, close), limits={"max_daily_loss": 0.14})
    row = stopped(close, set(later.tolist()), 0.14)
    assert later[2] < row < later[3], "in the first session after clocks have changed"
    assert fills(found) == [int(ts[1]), int(ts[row + 1])]


def test_an_early_close_ends_the_session() -> None:
    # on 24 December 2024 equity futures closed at 12:00 in Chicago, 18:00 UTC, and opened again on the evening after
    ts = close_times(ES, 3000, ns(2024, 12, 24))
    end = int(np.flatnonzero(np.diff(ts) > MINUTE)[0])
    assert ts[end] == ns(2024, 12, 24, 18)
    assert ts[end + 1] == ns(2024, 12, 25, 23, 1)
    close = 5000.0 - TICK * np.maximum(np.arange(3000) - (end - 300), 0)
    found = run(market(ts, close), limits={"max_daily_loss": 0.1})
    row = stopped(close, {end + 1}, 0.1)
    assert row > end + 700, "the loss before the close belongs to the day before"
    assert fills(found) == [int(ts[1]), int(ts[row + 1])]
