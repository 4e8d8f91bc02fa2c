"""Stretches of quiet rows give the bits of rows that are advanced one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.types.blocks import BarBlock, reblock
from engine.types.instruments import Margin
from engine.types.records import COMMAND, CommandKind, OrderType
from portfolio.config import Limits, PortfolioConfig, SizingConfig
from portfolio.simulator import Simulator
from tests.engine.runs import MINUTE, START, instruments, random_bars, random_targets

ROWS = 400
TRADED = instruments(1)[0].model_copy(update={"maintenance_margin": Margin(rate=0.095)})  # called soon
ENDS = START + np.arange(1, 60, dtype=np.int64) * 37 * MINUTE


def row_by_row(simulator: Simulator, bars: BarBlock, targets: np.ndarray) -> list[bytes]:
    """As a strategy in Python does it: every row by `advance`, every change of the target a command."""
    simulator.begin(bars)
    for row in range(len(bars)):
        simulator.advance(bars, row)
        changed = np.flatnonzero(
            bars.present[row] & ~np.isnan(targets[row]) & (targets[row] != simulator.positions["target"])
        )
        commands = np.zeros(len(changed), COMMAND)
        commands["kind"], commands["symbol"], commands["quantity"] = CommandKind.TARGET, changed, targets[row, changed]
        commands["type"] = OrderType.MARKET
        if len(commands):
            simulator.submit(commands)
    return everything(simulator, [simulator.take()])


def everything(simulator: Simulator, steps: list) -> list[bytes]:
    names = ("ledger", "positions", "fills", "events")
    arrays = [np.concatenate([getattr(step, name) for step in steps]) for name in names]
    return [*(array.tobytes() for array in arrays), simulator.account.tobytes(), simulator.positions.tobytes()]


@given(
    seed=st.integers(0, 10_000),
    change=st.sampled_from([0.0, 0.01, 0.2]),
    absent=st.sampled_from([0.0, 0.3]),
    capital=st.sampled_from([1_500.0, 5_000.0, 100_000.0]),
    limits=st.sampled_from([{}, {"max_drawdown": 0.02}, {"max_daily_loss": 0.005}]),
    mode=st.sampled_from(["fixed", "equity_fraction"]),
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=5),
)
@settings(max_examples=120)
def test_any_stretch_is_the_sum_of_its_rows(
    seed: int, change: float, absent: float, capital: float, limits: dict, mode: str, sizes: list[int]
) -> None:
    config = PortfolioConfig(
        initial_capital=capital,
        limits=Limits(**limits),
        sizing=SizingConfig(mode=mode, value=4.0 if mode == "fixed" else 1.0),
    )
    bars, targets = random_bars(ROWS, 1, seed, absent=absent), random_targets(ROWS, 1, seed + 1, change)
    slow, quick = (Simulator(config, [TRADED], ENDS) for _ in range(2))
    expected = row_by_row(slow, bars, targets)
    found = [
        quick.run_targets(part, targets[part.seq : part.seq + len(part)].copy()) for part in reblock([bars], sizes)
    ]
    assert everything(quick, found) == expected
