"""The ensemble's carried state: one that an earlier release saved is converted, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.ensemble.kernels.layout import NO_LEVEL
from agents.ensemble.state import make_memory, pack_memory, unpack_memory
from engine.base.errors import DataError
from engine.base.packing import pack_array
from tests.agents.ensemble.runs import make_simulator
from tests.agents.test_snapshots import AGENTS, bars_of, bound, go

EARLIER = Path(__file__).with_name("release_0_2.snapshot")
"""What release 0.2 saved of the agent `ensemble of rules` after CUT rows."""
CUT = 137


def test_a_snapshot_of_release_0_2_continues_as_if_nothing_had_happened() -> None:
    bars = bars_of(240, 1, 1)
    agent, simulator = bound(AGENTS["ensemble of rules"](), bars), make_simulator(bars)
    before = go(agent, simulator, [bars.slice(0, CUT)])
    rest = go(agent, simulator, [bars.slice(CUT, len(bars))])
    other, again = bound(AGENTS["ensemble of rules"](), bars), make_simulator(bars)
    other.restore(EARLIER.read_bytes())
    again.restore(before.simulator)
    assert other.snapshot() == before.agent
    assert go(other, again, [bars.slice(CUT, len(bars))]).parts() == rest.parts()
    assert sum(len(step.fills) for step in rest.steps) > 10


def test_every_number_of_release_0_2_finds_its_field() -> None:
    like = make_memory(2, 3)
    floats = np.arange(6 + 2 * 17 + 10 + 5 + 3, dtype=np.float64)
    floats[5] = 0.75
    found = unpack_memory(pack_array(floats), like)
    assert found.risk.tolist() == [(0.0, 1.0, 2.0, 3.0, 4.0)]
    assert found.level.tolist() == [3]
    assert [value for record in found.symbols.tolist() for value in record] == list(range(6, 40))
    floats[5] = np.nan
    assert unpack_memory(pack_array(floats), like).level.tolist() == [NO_LEVEL]


@pytest.mark.parametrize(
    "state", [pack_array(np.zeros(57)), pack_memory(make_memory(1, 3)), pack_memory(make_memory(2, 3))[:-1], b""]
)
def test_a_state_of_another_size_is_refused(state: bytes) -> None:
    with pytest.raises(DataError, match="snapshot"):
        unpack_memory(state, make_memory(2, 3))
