"""Runs under stress: faults of the feed leave the account on the true bars, blocks mean nothing, limits are checked."""

from pathlib import Path

import numpy as np
import pytest

from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared
from engine.app.stress.costs import costlier
from engine.app.stress.evidence import refusal, stress_test
from engine.app.stress.honoured import NEVER, Stop, broken_limits, stop_of
from engine.app.stress.running import run_course
from engine.app.stress.stress import Plan, interval, run_stress, strikes
from engine.base.config import parse
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from feeds.generators import generate
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine
from feeds.stress.scenarios import OPERATORS, Scenario, Struck, load_scenarios
from feeds.stress.strike import FeedOperator
from portfolio.config import Limits

MINUTE = 60_000_000_000
ES = load_instrument("ES")
ROWS, AT = 4000, 1500
RULES = "tests/engine/app/stress/strategies.py"


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return generate("monte_carlo", ES, ROWS, 5)


def settings(**given: object) -> BacktestConfig:
    base = {"agent": "sma_cross:fast=5,slow=20", "instrument": "ES", "execution": {"slippage": {"ticks": 1}}}
    return parse(BacktestConfig, {**base, **given}, where="test")


def prepared(config: BacktestConfig, bars: BarBlock) -> Prepared:
    source = MemorySource(bars)
    return Prepared(config, source, Quarantine(None), {"ES": ES}, MINUTE, "close", "", ())


def single(name: str, **parameters: object) -> Scenario:
    return parse(Scenario, {"name": "test", "operators": [{"operator": name, **parameters}]}, where="test")


def course_of(config: BacktestConfig, struck: Struck, block_rows: int | None = None):
    return run_course(config, {"ES": ES}, MINUTE, struck, block_rows=block_rows)


FAULTS = sorted(name for name, kind in OPERATORS.items() if issubclass(kind, FeedOperator))
SHOCKS = ["flash_crash", "gap", "limit_down", "volatility_shock", "trend_day", "squeeze", "sell_off"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_feed_changes_nothing_for_an_agent_that_ignores_it(bars: BarBlock, name: str) -> None:
    config = settings(agent="buy_and_hold")
    calm = course_of(config, Struck(bars, bars))
    struck = single(name, rows=500).struck(bars, AT, 1, [0.25])
    assert struck.truth is bars
    assert course_of(config, struck).ledger_sha256 == calm.ledger_sha256


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_feed_changes_decisions_and_marks_at_true_prices(bars: BarBlock, name: str) -> None:
    config = settings()
    calm, struck = course_of(config, Struck(bars, bars)), single(name, rows=1000).struck(bars, AT, 1, [0.25])
    found = course_of(config, struck)
    assert found.ledger_sha256 != calm.ledger_sha256
    assert np.array_equal(found.equity[: AT + 1], calm.equity[: AT + 1])
    # what a position earns from row to row is that of the true closes, where nothing was filled
    quiet = np.setdiff1d(np.arange(1, ROWS), found.fill_rows)
    earned = found.positions[quiet - 1, 0] * 50.0 * (bars.close[quiet, 0] - bars.close[quiet - 1, 0])
    assert np.allclose(found.equity[quiet] - found.equity[quiet - 1], earned, atol=1e-6)


@pytest.mark.parametrize("name", SHOCKS)
def test_a_shock_of_the_market_moves_the_account_too(bars: BarBlock, name: str) -> None:
    config = settings(agent="buy_and_hold")
    struck = single(name).struck(bars, AT, 1, [0.25])
    calm, found = course_of(config, Struck(bars, bars)), course_of(config, struck)
    assert np.array_equal(found.equity[:AT], calm.equity[:AT])
    moved = struck.truth.close[AT:, 0] - bars.close[AT:, 0]
    assert np.abs(moved).max() > 1.0
    assert np.allclose(found.equity[AT:] - calm.equity[AT:], 50.0 * moved)


@pytest.mark.parametrize("agent", ["sma_cross:fast=5,slow=20", f"{RULES}:Compiled", f"{RULES}:Plain"])
def test_blocks_mean_nothing_on_a_faulty_feed(bars: BarBlock, agent: str) -> None:
    config = settings(agent=agent)
    scenario = next(one for one in load_scenarios() if one.name == "perfect_storm")
    struck = scenario.struck(bars, AT, 1, [0.25])
    hashes = {course_of(config, struck, rows).ledger_sha256 for rows in (1, 7, 509, ROWS)}
    assert len(hashes) == 1


def test_three_kinds_of_agents_see_the_same_feed(bars: BarBlock) -> None:
    struck = single("spikes", rows=1000, share=0.2).struck(bars, AT, 1, [0.25])
    file = "tests/engine/app/stress/strategies.py"
    found = {
        course_of(settings(agent=f"{file}:{name}"), struck).ledger_sha256 for name in ("Compiled", "Plain", "Mapped")
    }
    assert len(found) == 1


def test_costs_are_multiplied(bars: BarBlock) -> None:
    scenario = next(one for one in load_scenarios() if one.name == "perfect_storm")
    config, traded = costlier(settings(), {"ES": ES}, scenario.costs)
    assert config.execution.slippage.ticks == 5.0
    assert traded["ES"].fees.per_contract == 5 * ES.fees.per_contract
    free = settings(execution={"slippage": {"ticks": 0}})
    assert costlier(free, {"ES": ES}, single("spread").costs)[0].execution.slippage.ticks == 5.0
    assert costlier(free, {"ES": ES}, single("participation", share=0.2).costs)[0].execution.participation == 0.2


def test_every_scenario_that_ships_runs_and_hard_limits_hold(bars: BarBlock) -> None:
    config = settings(limits={"max_drawdown": 0.1, "max_daily_loss": 0.05, "max_position": 1})
    plan = Plan(load_scenarios(), seeds=2, horizon=500)
    tree = run_stress(prepared(config, bars), plan)
    assert len(tree["scenarios"]) == 30
    assert tree["broken"] == []
    by_name = {one["name"]: one for one in tree["scenarios"]}
    assert by_name["gap_down"]["halts"] + by_name["gap_up"]["halts"] >= 1
    assert all(one["rows_to_flat"] in (None, 0, 1) for one in tree["scenarios"])
    assert tree == run_stress(prepared(config, bars), plan), "the same seed gives the same figures"


def test_a_loss_above_the_bound_is_broken(bars: BarBlock) -> None:
    config = settings(agent="buy_and_hold")
    scenarios = load_scenarios(names=["gap_down", "fees_5"])
    tree = run_stress(prepared(config, bars), Plan(scenarios, seeds=2, horizon=100, max_loss=0.05))
    gap = tree["scenarios"][0]
    lost = 50.0 * 0.05 * bars.close[gap["rows"][0], 0] / 100_000
    assert gap["worst_loss"] > 0.8 * lost > 0.05
    assert len(tree["broken"]) == 2
    assert all("gap_down: strike at row" in line for line in tree["broken"])


def test_strikes_are_where_a_position_is_held(bars: BarBlock) -> None:
    course = course_of(settings(), Struck(bars, bars))
    rows = strikes(course, 5, 42)
    assert len(rows) == 5
    assert course.positions[rows].all()
    flat = course_of(settings(agent="flat"), Struck(bars, bars))
    assert (np.diff(strikes(flat, 5, 42)) > 0).all()


def test_the_check_of_limits_finds_what_does_not_hold() -> None:
    ts = np.arange(1, 7, dtype=np.int64) * MINUTE
    block = BarBlock.from_columns(("X",), ts, {name: np.full(6, 10.0) for name in ("open", "high", "low", "close")})
    equity = np.array([100.0, 110.0, 104.0, 98.0, 97.0, 97.0])
    limits = Limits(max_drawdown=0.1, max_position=2)
    held = np.array([[1.0], [1.0], [1.0], [1.0], [1.0], [0.0]])
    stop = stop_of(equity, held, 100.0, limits, ts, ts[-1:])
    assert stop == Stop(3, "max_drawdown", 2)
    assert broken_limits(stop, block, held, limits) == ["row 4: X is held although max_drawdown tripped in row 3"]
    closed = np.array([[3.0], [1.0], [1.0], [1.0], [0.0], [0.0]])
    stop = stop_of(equity, closed, 100.0, limits, ts, ts[-1:])
    assert stop.flat_after == 1
    assert broken_limits(stop, block, closed, limits) == ["row 0: a position above limits.max_position"]
    daily = Limits(max_daily_loss=0.06)
    # the second session begins in row 3 with the 104 that the first one ended with
    assert stop_of(equity, held, 100.0, daily, ts, np.array([3 * MINUTE, 9 * MINUTE])).row == 4
    assert stop_of(equity, held, 100.0, Limits(), ts, ts[-1:]).row == NEVER


def test_intervals_are_those_of_student() -> None:
    values = [0.1, 0.2, 0.4]
    found = interval(values)
    assert found.value == pytest.approx(0.7 / 3)
    half = 4.303 * np.std(values, ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.7 / 3 - half, 0.7 / 3 + half))
    assert interval([0.1]).high is None


def test_evidence_is_found_by_the_hash_of_the_models(tmp_path: Path) -> None:
    for name, sha, broken in (("one", "aa", "[]"), ("two", "bb", '["gap_down: x"]')):
        (tmp_path / name).mkdir()
        text = f'{{"broken": {broken}, "models": {{"sha256": "{sha}"}}, "scenarios": []}}'
        (tmp_path / name / "stress.json").write_text(text)
    good, bad = stress_test("aa", "v", runs=tmp_path), stress_test("bb", "v", runs=tmp_path)
    assert good is not None
    assert bad is not None
    assert refusal(good, "v") is None
    assert "gap_down" in str(refusal(bad, "v").found)  # type: ignore[union-attr]
    assert stress_test("cc", "v", runs=tmp_path) is None
    with pytest.raises(UsageError, match="not a stress test of v"):
        stress_test("aa", "v", tmp_path / "two")
