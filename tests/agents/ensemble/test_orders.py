"""From decisions to orders: against the rules in plain Python, and each rule by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from engine.types.records import CommandKind, OrderEventKind, OrderType, Reason, Role, SeatName
from tests.agents.ensemble import scripted
from tests.agents.ensemble.oracle import Oracle, average_true_ranges
from tests.agents.ensemble.runs import (
    FIVE,
    Outcome,
    larger_bars,
    make_simulator,
    networks,
    play,
    run,
    seat,
    without_rows,
)
from tests.bars import MINUTE, random_bars

TICK = load_instrument("BTC-PERP").tick_size


def oracle_ranges(bars: BarBlock) -> dict[tuple[int, int], float]:
    found = {}
    for s in range(len(bars.symbols)):
        larger = larger_bars(bars, s)
        for (_, row, bar), value in zip(larger, average_true_ranges([bar for _, _, bar in larger]), strict=True):
            if bar is not None:
                found[row, s] = value
    return found


def told(commands: Any) -> list[tuple[Any, ...]]:
    """What of a command is decided."""
    names = ("kind", "symbol", "type", "tif", "expire_ts", "reduce_only", "quantity", "stop_distance")
    return [(*(c[name].item() for name in names), round(float(c["limit"]), 6)) for c in commands]


CASES = {
    "seed": st.integers(0, 30),
    "symbols": st.integers(1, 3),
    "absent": st.sampled_from([0.0, 0.15]),
    "gaps": st.sampled_from([0.0, 0.1]),
    "volatility": st.sampled_from([3e-4, 1e-3, 3e-3]),
    "market": st.sampled_from([0.0, 0.4, 1.0]),
    "cadence": st.sampled_from(["tactical", "bar"]),
    "rebalance": st.sampled_from([0.0, 0.1, 0.5]),
    "participation": st.sampled_from([None, 0.005]),
    "halts": st.booleans(),
}


@given(**CASES)
@settings(max_examples=60)
def test_orders_follow_the_rules(
    seed: int,
    symbols: int,
    absent: float,
    gaps: float,
    volatility: float,
    market: float,
    cadence: str,
    rebalance: float,
    participation: float | None,
    halts: bool,
) -> None:
    bars = random_bars(400, seed, tuple("ABC"[:symbols]), start=40_000, tick=TICK, absent=absent, volatility=volatility)
    bars = without_rows(bars, gaps, seed)
    rules = {"execution": {"participation": participation}, "limits": {"max_drawdown": 0.02 if halts else None}}
    seats = {"strategic": seat("Direction", seed=seed), "tactical": seat("Tactics", seed=seed, market=market)}
    models = networks(risk=scripted.risk_network(seed))
    config = {"seats": seats, "risk_cadence": cadence, "rebalance": rebalance}
    found = run(bars, models, settings=rules, **config)
    oracle = Oracle(found.outputs, oracle_ranges(bars), [TICK] * symbols, rebalance)
    decisions, fills, ledger = oracle.run(make_simulator(bars, **rules), bars)
    assert told(found.decisions) == told(decisions)
    assert found.fills.tobytes() == np.array(fills, found.fills.dtype).tobytes()
    assert found.ledger.tobytes() == ledger.tobytes()


@pytest.mark.parametrize("participation", [None, 0.005])
def test_cases_are_worth_having(participation: float | None) -> None:
    """The examples above are no proof if stops, expiries, flips and reductions never happen in them."""
    seen: set[str] = set()
    for seed in range(12):
        bars = random_bars(400, seed, ("A", "B"), start=40_000, tick=TICK, absent=0.1)
        seats = {"strategic": seat("Direction", seed=seed), "tactical": seat("Tactics", seed=seed)}
        rules = {"execution": {"participation": participation}}
        found = run(bars, networks(risk=scripted.risk_network(seed)), settings=rules, seats=seats)
        seen |= {Role(r).name for r in found.fills["role"].tolist()}
        seen |= {OrderEventKind(k).name for k in found.events["kind"].tolist()}
        seen |= {CommandKind(k).name for k in found.decisions["kind"].tolist()}
        seen |= {OrderType(t).name for t in found.decisions["type"].tolist()}
        seen |= {f"level {int(a)}" for a in found.outputs["action_0"][found.outputs["seat"] == SeatName.RISK]}
        seen |= {"reduces"} if (found.decisions["reduce_only"] & (found.decisions["quantity"] != 0)).any() else set()
    wanted = {
        "ENTRY",
        "STOP_LOSS",
        "FILLED",
        "EXPIRED",
        "CANCELLED",
        "CANCEL_ALL",
        "TARGET",
        "MARKET",
        "LIMIT",
        "reduces",
    }
    assert wanted <= seen
    assert len({word for word in seen if word.startswith("level")}) >= 3


def steady(prices: list[tuple[float, float, float, float]], before: int = 0, price: float = 1000.0) -> BarBlock:
    """One-minute bars (open, high, low, close), after `before` bars of a range of 4 around a price."""
    rows = [(price, price + 2, price - 2, price)] * before + prices
    columns = dict(zip(("open", "high", "low", "close"), np.array(rows, np.float64).T, strict=True))
    return BarBlock.from_columns(("X",), (np.arange(len(rows), dtype=np.int64) + 1) * MINUTE, columns)


FLAT = (1000.0, 1002.0, 998.0, 1000.0)


def scripted_run(bars: BarBlock, strategic: str, tactical: str, level: int = 4, **config: Any) -> Outcome:
    seats = {
        "strategic": seat("Plan", plan=strategic),
        "tactical": seat("TacticPlan", plan=tactical),
        "risk": f"level:{level}",
    }
    return run(bars, None, seats=seats, **config)


def at(found: Outcome) -> list[tuple[int, float]]:
    """Minute and units of every decided position."""
    targets = found.decisions[found.decisions["kind"] == CommandKind.TARGET]
    return [(int(d["ts_event"]) // MINUTE, float(d["quantity"])) for d in targets]


def test_nothing_before_all_seats_have_decided() -> None:
    found = scripted_run(steady([FLAT] * 61), "1", "1;0.05;1")
    assert at(found) == [(30, 1.0)]
    assert int(found.fills["ts_event"][0]) == 31 * MINUTE
    assert found.fills["price"][0] == 1000


@pytest.mark.parametrize("level", range(5))
def test_target_is_direction_times_scale_times_level(level: int) -> None:
    found = scripted_run(steady([FLAT] * 40), "-1", "1;0.05;1.5", level)
    assert at(found) == ([(30, -1.5 * level / 4)] if level else [])


@pytest.mark.parametrize(("timing", "limit"), [(0.0, 996.0), (0.5, 998.0), (0.75, 999.0), (0.9, 999.5)])
def test_patience_rests_between_the_close_and_one_range_away(timing: float, limit: float) -> None:
    found = scripted_run(steady([FLAT] * 31), "1", f"{timing};0.05;1")
    decision = found.decisions[0]
    assert (decision["type"], decision["limit"]) == (OrderType.LIMIT, limit)
    assert decision["expire_ts"] == decision["ts_event"] + FIVE
    short = scripted_run(steady([FLAT] * 31), "-1", f"{timing};0.05;1").decisions[0]
    assert short["limit"] == 2000 - limit


def test_patient_entry_lasts_one_tactical_bar_and_is_placed_again() -> None:
    still = (1000.0, 1001.0, 999.0, 1000.0)
    found = scripted_run(steady([still] * 25, before=30), "1", "0;0.05;1")
    assert at(found) == [(minute, 1.0) for minute in (30, 35, 40, 45, 50, 55)]
    assert not len(found.fills)


def test_patient_growth_that_lapsed_is_placed_again() -> None:
    """A position of 1 shall become 2; the price never comes."""
    away = (1100.0, 1101.0, 1099.0, 1100.0)
    found = scripted_run(steady([FLAT] * 4 + [away] * 50, before=30), "1", "/".join(["1;0.05;1"] * 11 + ["0;0.05;2"]))
    assert at(found) == [(30, 1.0), (60, 2.0), (65, 2.0), (70, 2.0), (75, 2.0), (80, 2.0)]
    assert set(found.decisions["type"][1:].tolist()) == {OrderType.LIMIT}


def test_growth_after_a_lapse_is_patient_still() -> None:
    """Less is wanted than before, but more than is held: the entry that lapsed never filled."""
    away = (1100.0, 1101.0, 1099.0, 1100.0)
    plan = "/".join(["1;0.05;0.5"] * 11 + ["0;0.05;2"] * 6 + ["0;0.05;1"])
    found = scripted_run(steady([FLAT] * 5 + [away] * 60, before=30), "1", plan)
    assert [found for found in at(found) if not found[0] % 30] == [(30, 0.5), (60, 2.0), (90, 1.0)]
    assert found.decisions["type"].tolist() == [OrderType.MARKET] + [OrderType.LIMIT] * (len(found.decisions) - 1)


def test_reductions_and_exits_go_to_the_market_and_never_open() -> None:
    plan = "/".join(["1;0.05;2"] * 11 + ["0;0.05;1"])
    found = scripted_run(steady([FLAT] * 65, before=30), "1/1/0", plan)
    assert at(found) == [(30, 2.0), (60, 1.0), (90, 0.0)]
    assert set(found.decisions["type"].tolist()) == {OrderType.MARKET}
    assert found.decisions["reduce_only"].tolist() == [0, 1, 1]
    assert found.positions[[30, 60, 90], 0].tolist() == [2, 1, 0]


def test_changes_below_the_threshold_are_not_traded() -> None:
    scales = ["1"] * 11 + ["1.1"] * 6 + ["1.2"] * 6 + ["1.07"] * 6 + ["1"]
    plan = "/".join(f"1;0.05;{scale}" for scale in scales)
    found = scripted_run(steady([FLAT] * 125, before=30), "1", plan, rebalance=0.1)
    assert at(found) == [(30, 1.0), (90, 1.2), (120, 1.07)]


def test_a_position_is_resized_only_when_the_strategic_agent_decides() -> None:
    plan = "/".join(["1;0.05;1"] * 6 + ["1;0.05;2", "1;0.05;0.5"] * 2 + ["1;0.05;2", "1;0.05;1.5"])
    found = scripted_run(steady([FLAT] * 70), "1", plan)
    assert at(found) == [(30, 1.0), (60, 1.5)]


def test_an_entry_that_has_not_filled_takes_the_latest_scale() -> None:
    still = (1000.0, 1001.0, 999.0, 1000.0)
    plan = "/".join(["0;0.05;1"] * 6 + ["0;0.05;2"])
    found = scripted_run(steady([still] * 12, before=30), "1", plan)
    assert at(found) == [(30, 1.0), (35, 2.0), (40, 2.0)]


def test_flip_with_patience_closes_first_and_enters_when_flat() -> None:
    plan = "/".join(["1;0.05;1"] * 6 + ["0.5;0.05;1"])
    found = scripted_run(steady([FLAT] * 40, before=30), "1/-1", plan)
    assert at(found) == [(30, 1.0), (60, 0.0), (61, -1.0)]
    assert found.decisions["type"].tolist() == [OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT]
    assert found.decisions["limit"][2] == 1002
    assert found.decisions["expire_ts"][2] == 66 * MINUTE


def test_flip_without_patience_crosses_at_once() -> None:
    found = scripted_run(steady([FLAT] * 40, before=30), "1/-1", "1;0.05;1")
    assert at(found) == [(30, 1.0), (60, -1.0)]
    assert found.positions[60, 0] == -1


@pytest.mark.parametrize(
    ("then", "tactics", "after"),
    [
        ("0", "1;0.05;2", 0.0),
        ("-1", "1;0.05;2", -2.0),
        ("-1", "0.5;0.05;2", 0.0),
        ("1", "/".join(["1;0.05;2"] * 11 + ["1;0.05;1"]), 0.0),
    ],
)
def test_a_gap_through_the_stop_never_overshoots_what_was_decided(then: str, tactics: str, after: float) -> None:
    """At the open after the decision the stop is met as well: an exit stays an exit, a flip has its own size."""
    rows = [FLAT] * 30 + [(900.0, 901.0, 899.0, 900.0)]
    found = scripted_run(steady(rows, before=30), f"1/{then}", tactics)
    assert 60 in dict(at(found))
    assert found.positions[59:, 0].tolist() == [2.0, after]


def stop_out_bars(minute: int) -> BarBlock:
    """Flat but for one minute that reaches 2 percent below; an hour and a half."""
    rows = [FLAT] * 95
    rows[minute - 1] = (1000.0, 1002.0, 975.0, 1000.0)
    return steady(rows)


@pytest.mark.parametrize("minute", [31, 34, 41, 59])
def test_after_a_stop_out_nothing_until_the_next_strategic_decision(minute: int) -> None:
    """Minute 31 is the bar of the entry itself."""
    found = scripted_run(stop_out_bars(minute), "1", "1;0.02;1")
    assert [int(f["ts_event"]) // MINUTE for f in found.fills] == [31, minute, 61]
    assert at(found) == [(30, 1.0), (60, 1.0)]


def test_a_strategic_decision_at_the_close_of_the_bar_that_stopped_out_is_the_next_one() -> None:
    found = scripted_run(stop_out_bars(60), "1", "1;0.02;1")
    assert at(found) == [(30, 1.0), (60, 1.0)]
    assert found.positions[[59, 60], 0].tolist() == [0, 1]


def test_a_stop_out_calls_off_a_patient_entry_that_still_works() -> None:
    """At minute 60 a unit more rests below the stop of 999; minute 61 meets the stop, minute 63 the limit."""
    calm = (1000.0, 1000.5, 999.5, 1000.0)
    rows = (
        [FLAT] * 30
        + [calm] * 30
        + [(1000.0, 1000.5, 998.5, 1000.0), calm, (1000.0, 1000.5, 990.0, 1000.0)]
        + [calm] * 15
    )
    found = scripted_run(steady(rows), "1", "/".join(["1;0.001;1"] * 11 + ["0;0.001;2"]))
    assert 990.0 < found.decisions["limit"][1] < 999.0
    assert at(found) == [(30, 1.0), (60, 2.0), (61, 0.0)]
    assert not found.positions[60:, 0].any()
    assert (found.events["reason"] == Reason.REPLACED).sum() == 1


def test_a_reduction_that_rounds_to_nothing_is_no_stop_out() -> None:
    """ES trades whole contracts: half a unit is none, and one and a half is one again."""
    plan = "/".join(["1;0.05;1"] * 11 + ["1;0.05;0.5", "1;0.05;1.5"])
    seats = {"strategic": seat("Plan", plan="1"), "tactical": seat("TacticPlan", plan=plan), "risk": "level:4"}
    bars = steady([FLAT] * 75)
    bars = BarBlock.from_columns(
        ("X",),
        bars.ts_event + 1_704_240_000_000_000_000 + 8 * 60 * MINUTE,  # a Wednesday morning
        {name: getattr(bars, name) for name in ("open", "high", "low", "close")},
    )
    ensemble = Ensemble(None, EnsembleConfig.model_validate({"seats": seats}))
    ensemble.bind(("X",), [load_instrument("ES")])
    found = play(ensemble, make_simulator(bars, "ES"), [bars])
    assert found.positions[[30, 60, 65], 0].tolist() == [1, 0, 1]
