"""What the ensemble does while an operator has paused it, and after."""

from __future__ import annotations

import numpy as np
import pytest

from engine.types.blocks import BarBlock
from engine.types.records import Operation, Role
from engine.types.step import StepBlock
from tests.agents.ensemble.runs import bound, make_simulator, seat
from tests.agents.ensemble.test_orders import FLAT, steady


def _operated(bars: BarBlock, plan: str, orders: dict[int, Operation], tactics: str = "1;0.05;1") -> list[StepBlock]:
    """One step a row; an order is given before the row that it names."""
    seats = {
        "strategic": seat("Plan", plan=plan),
        "tactical": seat("TacticPlan", plan=tactics),
        "risk": "level:4",
    }
    ensemble, simulator = bound(bars, None, seats=seats), make_simulator(bars)
    steps = []
    for row in range(len(bars)):
        if row in orders:
            simulator.operate(orders[row], int(bars.ts_event[row - 1]))
        steps.append(ensemble.step(simulator, bars.slice(row, row + 1)))
    return steps


def _positions(steps: list[StepBlock]) -> list[float]:
    return [float(step.positions[0, 0]) for step in steps]


@pytest.mark.parametrize("order", [Operation.FLATTEN, Operation.PAUSE])
def test_a_wish_that_does_not_change_is_asked_again_after_resume(order: Operation) -> None:
    orders = {25 if order is Operation.PAUSE else 40: order, 70: Operation.RESUME}
    positions = _positions(_operated(steady([FLAT] * 120), "1", orders))
    assert set(positions[42:71]) == {0.0}
    assert positions[76:] == [1.0] * len(positions[76:])


def test_a_flip_that_the_pause_refuses_leaves_the_stop_where_it_is() -> None:
    steps = _operated(steady([FLAT] * 150), "1/-1", {40: Operation.PAUSE, 120: Operation.RESUME})
    positions = _positions(steps)
    assert positions[31:121] == [1.0] * 90
    assert positions[-1] == -1.0
    for step in steps[41:120]:
        assert int(np.count_nonzero(step.orders["role"] == Role.STOP_LOSS)) == 1
