from __future__ import annotations

import pytest

from agents.serving.outputs import outputs_of
from agents.spec import AGENT_NAMES, AGENTS, TACTICAL_AGENT, AgentSpec, find_agent
from engine.base.errors import UsageError
from engine.types.records import SeatName


def test_the_agents_decide_in_the_order_of_their_records() -> None:
    assert AGENT_NAMES == ("strategic", "tactical", "risk")
    assert tuple(seat.name.lower() for seat in SeatName) == AGENT_NAMES


def test_observations_are_those_of_the_guide() -> None:
    assert {name: spec.observation for name, spec in AGENTS.items()} == {
        "strategic": (48, 13),
        "tactical": (60, 7),
        "risk": (10,),
    }
    assert AGENTS["strategic"].timeframe_ns == 6 * TACTICAL_AGENT.timeframe_ns == 30 * 60_000_000_000
    with pytest.raises(UsageError, match="no bars"):
        _ = AGENTS["risk"].timeframe_ns


@pytest.mark.parametrize("spec", AGENTS.values(), ids=AGENT_NAMES)
def test_an_agent_chooses_or_gives_components_and_its_stand_in_may_act(spec: AgentSpec) -> None:
    assert bool(spec.choices) != bool(spec.components)
    assert len(spec.stand_in) == spec.width
    bounds = zip(spec.low, spec.high, strict=True) if spec.components else [(0, len(spec.choices) - 1)]
    assert all(low <= value <= high for value, (low, high) in zip(spec.stand_in, bounds, strict=True))
    assert outputs_of(spec)["action"].shape == ((spec.width,) if spec.components else ())


def test_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no seat") as refused:
        find_agent("strategist")
    assert "strategic" in str(refused.value)
