from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base import CompiledStrategy
from agents.features.definitions import RISK
from agents.features.kernels.risk import RISK_PLACES, RISK_STATE, risk_metrics, update_risk
from agents.kernels import target
from engine.types.blocks import Floats, reblock
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from engine.types.records import ACCOUNT, Records
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.bars import random_bars

NAMES = [feature.name for feature in RISK]
LOW, HIGH = (np.array([getattr(feature, end) for feature in RISK]) for end in ("low", "high"))
MONEY = ("equity", "margin", "gross_exposure", "net_exposure", "unrealized", "peak_equity", "session_equity")


def account_of(**values: float) -> Records:
    account = np.zeros(1, ACCOUNT)
    defaults = {"equity": 100.0, "peak_equity": 100.0, "session_equity": 100.0}
    for name, value in (defaults | values).items():
        account[name] = value
    return account


def metrics_of(*accounts: Records) -> dict[str, float]:
    state, out = np.zeros(1, RISK_STATE), np.full(len(RISK), np.nan)
    for account in accounts:
        update_risk(state[0], account[0])
    risk_metrics(state[0], accounts[-1][0], out)
    return dict(zip(NAMES, out.tolist(), strict=True))


def test_ratios_by_hand() -> None:
    found = metrics_of(
        account_of(
            equity=80.0,
            peak_equity=160.0,
            session_equity=100.0,
            gross_exposure=240.0,
            net_exposure=-160.0,
            margin=20.0,
            unrealized=-4.0,
        )
    )
    expected = {
        "drawdown": 0.5,
        "session_return": -0.2,
        "gross_leverage": 3.0,
        "net_leverage": -2.0,
        "margin_usage": 0.25,
        "unrealized": -0.05,
        "volatility": 0.0,
        "sharpe": 0.0,
        "value_at_risk": 0.0,
        "time_in_position": 1 / 240,
    }
    assert found == pytest.approx(expected)


def test_moments_agree_with_pandas() -> None:
    rng = np.random.default_rng(3)
    equity = 1e5 * np.exp(np.cumsum(rng.normal(2e-5, 3e-4, 1500)))
    returns = pd.Series(equity).pct_change().dropna()
    weighted = returns.ewm(span=240, adjust=True)
    deviation, mean = weighted.std(bias=True).to_numpy(), weighted.mean().to_numpy()
    state, out = np.zeros(1, RISK_STATE), np.empty((1500, len(RISK)))
    for row, value in enumerate(equity):
        account = account_of(equity=value)
        update_risk(state[0], account[0])
        risk_metrics(state[0], account[0], out[row])
    found = dict(zip(NAMES, out.T, strict=True))
    np.testing.assert_allclose(found["volatility"][2:], deviation[1:] * np.sqrt(240), rtol=1e-9)
    np.testing.assert_allclose(found["value_at_risk"][2:], 1.645 * deviation[1:] * np.sqrt(240), rtol=1e-9)
    sharpe = np.clip(mean[1:] / deviation[1:] * np.sqrt(240), -5, 5)
    np.testing.assert_allclose(found["sharpe"][2:], sharpe, rtol=1e-9)
    assert (np.abs(sharpe) < 5).mean() > 0.5
    assert not out[:2, 6:9].any()


def test_time_in_position_counts_rows_since_flat() -> None:
    held, flat = account_of(gross_exposure=1.0), account_of()
    assert metrics_of(*[held] * 120)["time_in_position"] == 0.5
    assert metrics_of(*[held] * 120, flat)["time_in_position"] == 0.0
    assert metrics_of(*[held] * 120, flat, *[held] * 24)["time_in_position"] == pytest.approx(0.1)
    assert metrics_of(*[held] * 2000)["time_in_position"] == 4.0


@pytest.mark.parametrize("equity", [0.0, -50.0])
def test_lost_equity_is_the_end_of_every_range(equity: float) -> None:
    found = metrics_of(
        account_of(),
        account_of(equity=equity, gross_exposure=10.0, net_exposure=-10.0, margin=1.0, unrealized=-150.0),
        account_of(equity=equity, gross_exposure=10.0, net_exposure=-10.0, margin=1.0, unrealized=-150.0),
    )
    ends = {"drawdown": 1, "session_return": -1, "gross_leverage": 20, "net_leverage": -20, "margin_usage": 4}
    assert {name: found[name] for name in ends} == ends
    assert found["unrealized"] == -2.0
    flat = metrics_of(account_of(equity=equity))
    assert flat["gross_leverage"] == flat["net_leverage"] == flat["margin_usage"] == flat["unrealized"] == 0.0


AMOUNTS = st.one_of(st.sampled_from([0.0, -0.0, 1e-300, -1e-300, 5e-324, 1e300, -1e300, 1.0]), st.floats(-1e9, 1e9))
ACCOUNTS = st.lists(st.tuples(*[AMOUNTS] * len(MONEY)), min_size=1, max_size=20)


@given(ACCOUNTS)
def test_metrics_are_finite_and_in_range_whatever_the_account(rows: list[tuple[float, ...]]) -> None:
    state, out = np.zeros(1, RISK_STATE), np.empty(len(RISK), np.float32)
    for row in rows:
        values = dict(zip(MONEY, row, strict=True))
        values["gross_exposure"], values["margin"] = abs(values["gross_exposure"]), abs(values["margin"])
        account = account_of(**values)
        update_risk(state[0], account[0])
        risk_metrics(state[0], account[0], out)
        assert np.isfinite(out).all()
        assert (out >= LOW.astype(np.float32)).all()
        assert (out <= HIGH.astype(np.float32)).all()


def test_every_end_of_a_range_is_met() -> None:
    """The ranges of the schema are those of the kernel, not merely around them."""
    swings = [account_of(equity=value) for value in [1.0, 2.0] * 20]
    rich = {"gross_exposure": 1e9, "net_exposure": 1e9, "margin": 1e9, "unrealized": 1e9, "session_equity": 1.0}
    poor = {"gross_exposure": 1e9, "net_exposure": -1e9, "unrealized": -1e9, "equity": 1.0}
    rises = [account_of(equity=100.0 * 1.001**row, **rich) for row in range(1000)]
    falls = [account_of(equity=100.0 * 0.999**row) for row in range(1000)]
    cases = [metrics_of(*swings), metrics_of(*rises), metrics_of(*falls), metrics_of(account_of(**poor))]
    cases += [metrics_of(account_of(equity=0.0)), metrics_of(account_of())]
    table = np.array([list(case.values()) for case in cases])
    np.testing.assert_array_equal(table.max(axis=0), HIGH)
    np.testing.assert_array_equal(table.min(axis=0), LOW)


class Watcher(CompiledStrategy):
    """Keeps the state in the first places of its memory and the latest metrics behind it."""

    def __init__(self) -> None:
        self.memory = np.zeros(RISK_PLACES + len(RISK))

    @staticmethod
    def decide(
        i: int,
        bars: Any,
        signals: Any,
        account: Any,
        positions: Any,
        orders: Any,
        params: Any,
        memory: Any,
        commands: Any,
    ) -> int:
        state = memory[:RISK_PLACES].view(RISK_STATE)[0]
        update_risk(state, account[0])
        risk_metrics(state, account[0], memory[RISK_PLACES:])
        target(commands[0], 0, 3.0 if bars.ts_event[i] // 60_000_000_000 % 50 < 40 else 0.0)
        return 1


def watch(sizes: list[int]) -> tuple[Floats, Floats]:
    block = random_bars(600, seed=8)
    instrument = Instrument(name="X", size_step=1, min_size=1)
    agent, simulator = Watcher(), Simulator(PortfolioConfig(), [instrument], np.arange(1, 9, dtype=np.int64) * DAY_NS)
    agent.bind(["X"], [instrument])
    equity = np.concatenate([agent.step(simulator, part).column("equity") for part in reblock([block], sizes)])
    return agent._memory, equity


def test_works_inside_the_scan() -> None:
    memory, equity = watch([600])
    returns = pd.Series(equity).pct_change().dropna()
    deviation = returns.ewm(span=240, adjust=True).std(bias=True).to_numpy()[-1]
    found = dict(zip(NAMES, memory[RISK_PLACES:].tolist(), strict=True))
    assert found["volatility"] == pytest.approx(deviation * np.sqrt(240), rel=1e-9)
    assert found["drawdown"] == pytest.approx(1 - equity[-1] / max(equity.max(), 100_000.0), abs=1e-12)
    assert found["volatility"] > 0


def test_blocking_means_nothing() -> None:
    (whole, equity), (cut, equity_cut) = watch([600]), watch([1, 7, 100, 3])
    assert cut.tobytes() == whole.tobytes()
    assert equity_cut.tobytes() == equity.tobytes()
