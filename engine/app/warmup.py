"""Compiling the kernels before a run needs them, so that the user is told why it takes half a minute, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.base import CompiledStrategy
from agents.ensemble.ensemble import Ensemble
from agents.models.loading import load_ensemble
from agents.models.store import BUNDLED
from agents.rules import SmaCross
from engine.agent import Agent
from engine.blocks import BarBlock
from engine.calendar import DAY_NS, Sessions
from engine.compiled import cache_dir
from engine.instruments import Instrument
from engine.ledger_hash import LedgerHash
from engine.recorder import RunRecorder
from engine.records import Operation
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

Kind = Literal["rules", "strategy", "ensemble", "live"]
"""The kernels of an agent of that kind; `live` are those that a live session needs besides."""


class _Idle(CompiledStrategy):
    """Decides nothing."""

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
        return 0


def kind_of(agent: str) -> Kind:
    """Which kernels an agent's specification needs."""
    head = agent.partition(":")[0]
    if head == "ensemble":
        return "ensemble"
    return "strategy" if head.endswith(".py") else "rules"


def _marker(kind: Kind) -> Path:
    return cache_dir() / f"complete-{kind}"


def is_warm(kind: Kind = "rules") -> bool:
    """Whether the kernels of a backtest have been compiled for these sources on this processor."""
    return _marker(kind).exists()


def warm_up(kind: Kind = "rules") -> None:
    """Compile, or load, the kernels of a backtest by running a tiny one."""
    rows, instrument = 8, Instrument(name="WARM-UP")
    close = 100.0 + np.sin(np.arange(rows, dtype=np.float64))
    columns = {"open": close, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": np.ones(rows)}
    ts_event = (np.arange(rows, dtype=np.int64) + 1) * 60_000_000_000
    block = BarBlock.from_columns(["X"], ts_event, columns)
    agent = _agent(kind)
    agent.bind(["X"], [instrument])
    sessions = Sessions(np.array([0], np.int64), np.array([DAY_NS], np.int64))
    simulator = Simulator(PortfolioConfig(), [instrument], sessions.closes)
    step = agent.step(simulator, block)
    if kind == "live":
        LedgerHash(resumable=True).update(step)
        simulator.operate(Operation.PAUSE, int(ts_event[-1]))
    recorder = RunRecorder(None, ["X"], 1e6, TradeBook([1.0]), sessions)
    recorder.write(step)
    recorder.close()
    _marker(kind).parent.mkdir(parents=True, exist_ok=True)
    _marker(kind).touch()


def _agent(kind: Kind) -> Agent:
    if kind == "ensemble":
        return Ensemble(load_ensemble(BUNDLED))
    return _Idle() if kind == "strategy" else SmaCross(1, 2)
