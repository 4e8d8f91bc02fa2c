"""Who may sit where: rule agents, classes of the user's, and what they may answer."""

from __future__ import annotations

import numpy as np
import pytest

from agents.base import MarketAgent
from agents.ensemble.config import EnsembleConfig
from agents.ensemble.seats import RuleSeat, TrueRange
from agents.features.stream import FeatureStream
from agents.strategy import Strategy
from engine.base.config import parse
from engine.base.errors import ConfigError, UsageError
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from engine.types.records import SeatName
from tests.agents.ensemble import scripted
from tests.agents.ensemble.runs import larger_bars, networks, run, seat
from tests.bars import MINUTE, random_bars

GENERIC = load_instrument("GENERIC")
RULES = {"strategic": "sma_cross:fast=2,slow=5", "tactical": "buy_and_hold:size=1.5", "risk": "level:3"}


def test_three_rule_agents_trade_without_any_model() -> None:
    bars = random_bars(600, 2, start=40_000, tick=0.5)
    found = run(bars, None, seats=RULES, stop_distance=0.03)
    own = {seat_name: found.outputs[found.outputs["seat"] == seat_name] for seat_name in SeatName}
    assert set(own[SeatName.STRATEGIC]["action_0"].tolist()) <= {-1.0, 0.0, 1.0}
    assert (own[SeatName.TACTICAL][["action_0", "action_1", "action_2"]].tolist()) == [(1.0, 0.03, 1.5)] * 120
    assert set(own[SeatName.RISK]["action_0"].tolist()) == {3.0}
    assert set(found.outputs["confidence"].tolist()) == {1.0}
    traded = set(np.abs(found.decisions["quantity"]).tolist())
    assert traded <= {0.0, 1.125}
    assert 1.125 in traded


def test_the_strategic_direction_is_the_rule_on_half_hours() -> None:
    """The 2-bar over the 5-bar mean of closes, by hand."""
    bars = random_bars(900, 3, start=40_000, tick=0.5)
    found = run(bars, None, seats=RULES)
    closes = [bar[2] for _, _, bar in larger_bars(bars, 0, 30 * MINUTE) if bar]
    sides = []
    for k in range(len(closes)):
        if k < 4:
            sides.append(0.0)
        else:
            sides.append(float(np.sign(np.mean(closes[k - 1 : k + 1]) - np.mean(closes[k - 4 : k + 1]))))
    strategic = found.outputs[found.outputs["seat"] == SeatName.STRATEGIC]
    assert strategic["action_0"].tolist() == sides
    assert strategic["seq"].tolist() == list(range(29, 900, 30))


def test_a_users_class_gives_tactics_within_the_box() -> None:
    class Wild(scripted.Fixed):
        def __init__(self) -> None:
            super().__init__(-3.0, 0.9, 50.0)

    bars = random_bars(60, first_ns=MINUTE)
    sessions = sessions_for([GENERIC], MINUTE)
    given = RuleSeat("tactical", Wild(), ("X",), [GENERIC], sessions, 0.01).push(bars)
    assert given.action.tolist() == [[0.0, 0.05, 2.0]] * 12


def test_silence_keeps_the_last_decision() -> None:
    class Quiet(scripted.Fixed):
        def tactics(self, block: BarBlock) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
            answer = np.array(super().tactics(block))
            answer[block.ts_event % (10 * MINUTE) == 0, :, 1] = np.nan
            return answer

    bars = random_bars(60, first_ns=MINUTE)
    sessions = sessions_for([GENERIC], MINUTE)
    given = RuleSeat("tactical", Quiet(), ("X",), [GENERIC], sessions, 0.01).push(bars)
    assert given.known_at.tolist() == list(range(4, 60, 10))


@pytest.mark.parametrize(
    ("seats", "said"),
    [
        ({"tactical": seat("WrongShape")}, "tactics has the wrong shape"),
        ({"tactical": seat("FlatTargets")}, "targets has the wrong shape"),
        ({"strategic": seat("FlatTargets")}, "targets has the wrong shape"),
        ({"strategic": "sma_crosss"}, "did you mean sma_cross"),
        ({"strategic": "sma_cross:fast=9,slow=3"}, "fast < slow"),
        ({"tactical": f"{scripted.HERE}:Missing"}, "no strategy class 'Missing'"),
        ({"tactical": "nowhere.py:Agent"}, "does not exist"),
    ],
)
def test_wrong_agents_are_refused(seats: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(random_bars(100), None, seats={**RULES, **seats})
    assert said in str(caught.value)


@pytest.mark.parametrize("answer", [None, "text", [["a"]], [[[1, 2, 3]], [[1]]]])
def test_an_answer_that_is_no_array_of_numbers_is_refused(answer: object) -> None:
    class Odd(scripted.Fixed):
        def tactics(self, block: BarBlock) -> object:  # type: ignore[override] # the mistake under test
            return answer

    sessions = sessions_for([GENERIC], MINUTE)
    with pytest.raises(UsageError, match="tactics"):
        RuleSeat("tactical", Odd(), ("X",), [GENERIC], sessions, 0.01).push(random_bars(60))


def test_only_agents_of_the_market_alone_take_a_seat() -> None:
    class Sees(Strategy):
        def on_bar(self, context: object) -> None:
            """Nothing."""

    with pytest.raises(UsageError, match="depends only on the market"):
        RuleSeat("strategic", Sees(), ("X",), [GENERIC], sessions_for([GENERIC], MINUTE), 0.01)  # type: ignore[arg-type] # the mistake under test


@pytest.mark.parametrize("risk", ["level:5", "level:-1", "level", "sma_cross", "level:2.5"])
def test_the_risk_seat_takes_levels_alone(risk: str) -> None:
    with pytest.raises(ConfigError, match="risk"):
        parse(EnsembleConfig, {"seats": {"risk": risk}}, where="here")


def test_an_agent_in_a_seat_is_told_the_length_of_its_bars() -> None:
    class Told(scripted.Plan):
        def bind(self, symbols: object, instruments: object, timeframe_ns: int = MINUTE) -> None:
            self.told = timeframe_ns
            MarketAgent.bind(self, symbols, instruments, timeframe_ns)  # type: ignore[arg-type] # passed on

    for name, minutes in (("strategic", 30), ("tactical", 5)):
        agent = Told("1")
        RuleSeat(name, agent, ("X",), [GENERIC], sessions_for([GENERIC], MINUTE), 0.01)
        assert agent.told == minutes * MINUTE


def test_networks_and_rules_mix() -> None:
    bars = random_bars(400, 1, start=40_000, tick=0.5)
    seats = {"strategic": RULES["strategic"], "tactical": seat("Tactics", seed=1)}
    found = run(bars, networks(risk=scripted.risk_network(1)), seats=seats)
    assert set(found.outputs["seat"].tolist()) == {1, 2, 3}
    assert len(found.fills)


def test_ranges_of_rule_agents_are_those_of_the_feature_stream() -> None:
    """A tactical rule and a tactical network that say the same rest at the same price."""
    bars = random_bars(2000, 5, ("A", "B"), start=40_000, tick=0.5, absent=0.3)
    sessions = sessions_for([GENERIC], MINUTE)
    rows = FeatureStream("tactical", bars.symbols, sessions).push(bars)
    known = np.isfinite(rows.atr)
    tactical = RuleSeat("tactical", scripted.Fixed(), bars.symbols, [GENERIC] * 2, sessions, 0.01)
    tactical.push(bars)
    assert (tactical.ranges.known_at == rows.known_at).all()
    assert tactical.ranges.atr[known].tobytes() == rows.atr[known].tobytes()
    assert known.sum() > 700
    assert np.isfinite(tactical.ranges.atr[5:]).all()


def test_ranges_begin_with_the_first_bar() -> None:
    bars = random_bars(3, 5)
    first = TrueRange(1).push(bars)
    assert first[0, 0] == bars.high[0, 0] - bars.low[0, 0]
    second = max(bars.high[1, 0], bars.close[0, 0]) - min(bars.low[1, 0], bars.close[0, 0])
    third = max(bars.high[2, 0], bars.close[1, 0]) - min(bars.low[2, 0], bars.close[1, 0])
    assert first[1:, 0].tolist() == [second, (second + third) / 2]
