"""An idle account is what the simulator comes to without an order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.features.kernels.risk import RISK_STATE, update_risk
from engine.types.calendar import sessions_for
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.training.environment.markets import PLAIN, make_bars, make_market
from training.environment.idle import IdleAccounts

VOLATILITY = {"sizing": {"mode": "volatility_target", "value": 0.2, "volatility_span": 40}}


@pytest.mark.parametrize("settings", [{}, VOLATILITY])
def test_idle_accounts_are_those_of_the_simulator(settings: dict[str, Any]) -> None:
    portfolio = PortfolioConfig.model_validate({"initial_capital": 12_345.678, **settings})
    blocks = [make_bars(300, 1), make_bars(7000, 2, gaps=0.1)]
    idle = IdleAccounts(make_market(blocks), portfolio)
    before = 0
    for block in blocks:
        simulator = Simulator(portfolio, [PLAIN], sessions_for([PLAIN], int(block.ts_event[0])).closes)
        state = np.zeros(1, RISK_STATE)
        for row in range(len(block)):
            if row < 40 or row % 97 == 0:
                account, position, risk = idle.at(np.array([before + row]))
                assert risk.tobytes() == state.tobytes(), f"row {row}"
                for name in set(account.dtype.names or ()) - {"ts_event", "session_end"}:
                    assert account[name] == simulator.account[name], f"{name}, row {row}"
                assert position["seen"] == simulator.positions["seen"]
                if settings:  # else nothing reads them
                    assert position.tobytes() == simulator.positions.tobytes(), f"row {row}"
            simulator.advance(block, row)
            update_risk(state[0], simulator.account[0])
        before += len(block)
