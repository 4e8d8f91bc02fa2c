"""Compiling the kernels before a run needs them, so that the user is told why it takes half a minute, once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.base import CompiledStrategy, MarketAgent
from agents.context.context import Context
from agents.indicators.kinds import KINDS
from agents.rules import SmaCross
from agents.strategy import Strategy
from engine.app.agents import as_ensemble
from engine.base.compiled import cache_dir
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock
from engine.types.calendar import Sessions
from engine.types.contracts import Agent
from engine.types.instruments import Instrument
from engine.types.records import Operation
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

Kind = Literal["rules", "strategy", "ensemble", "live"]
"""The kernels of an agent of that kind; `live` are those that a live session needs besides."""
MESSAGE = "Compiling the simulator for this processor (once; about half a minute)"
RECIPE = 3
"""Goes up when a warm-up compiles more than before: caches that were complete for the one before are not any more."""
ROWS = 16
ENSEMBLE_ROWS = 10_000
"""One-minute bars after which every agent of the ensemble has decided."""


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


class _Busy(Strategy):
    """Asks for everything that a strategy in Python can ask for: each way has kernels of its own."""

    def on_start(self, context: Context) -> None:
        """Every indicator, of the bars and of larger ones."""
        for of in (context, context.bars("2min")):
            for name in KINDS:
                of.indicator(name)

    def on_bar(self, context: Context) -> None:
        """An order of every size, a target, and their end."""
        ways: list[dict[str, Any]] = [{"fraction": 0.1}, {"notional": 1e3}, {"risk": 0.01, "stop_distance": 0.1}, {}]
        row = context.seq % len(ways)
        if ways[row]:
            context.buy(**ways[row])
        elif context.seq % ROWS < ROWS // 2:
            context.close()
        else:
            context.buy(1, limit=99.0)
            context.target(1.0)


def kind_of(agent: str) -> Kind:
    """Which kernels an agent's specification needs."""
    head = agent.partition(":")[0]
    if head == "ensemble":
        return "ensemble"
    return "strategy" if head.endswith(".py") else "rules"


def kind_of_object(agent: Agent) -> Kind:
    """Which kernels an agent object needs."""
    if as_ensemble(agent) is not None:
        return "ensemble"
    return "rules" if isinstance(agent, MarketAgent) else "strategy"


def _marker(kind: Kind) -> Path:
    return cache_dir() / f"complete-{kind}-{RECIPE}"


def is_warm(kind: Kind = "rules") -> bool:
    """Whether the kernels of a backtest have been compiled for these sources on this processor."""
    return _marker(kind).exists()


def warm_up(kind: Kind = "rules") -> None:
    """Compile, or load, the kernels of a backtest by running a tiny one."""
    for agent in _agents(kind):
        _run(agent, ROWS if as_ensemble(agent) is None else ENSEMBLE_ROWS, live=kind == "live")
    _marker(kind).parent.mkdir(parents=True, exist_ok=True)
    _marker(kind).touch()


def warm_up_announced(kinds: Sequence[Kind], *, quiet: bool = False) -> None:
    """Compile what is not compiled yet, and say so on standard error, for calls from Python.

    Args:
        kinds: Of the agents that will run.
    """
    cold = [kind for kind in dict.fromkeys(kinds) if not is_warm(kind)]
    if cold and not quiet:
        sys.stderr.write(MESSAGE + "\n")
        sys.stderr.flush()
    for kind in cold:
        warm_up(kind)


def _run(agent: Agent, rows: int, *, live: bool) -> None:
    instrument = Instrument(name="WARM-UP")
    close = 100.0 + np.sin(np.arange(rows, dtype=np.float64))
    columns = {"open": close, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": np.ones(rows)}
    ts_event = (np.arange(rows, dtype=np.int64) + 1) * 60_000_000_000
    block = BarBlock.from_columns(["X"], ts_event, columns)
    agent.bind(["X"], [instrument])
    sessions = Sessions(np.array([0], np.int64), np.array([ENSEMBLE_ROWS * 60_000_000_000], np.int64))
    simulator = Simulator(PortfolioConfig(), [instrument], sessions.closes)
    step = agent.step(simulator, block)
    if live:
        simulator.operate(Operation.PAUSE, int(ts_event[-1]))
    recorder = RunRecorder(None, ["X"], 1e6, TradeBook([1.0]), sessions)
    recorder.write(step)
    recorder.close()


def _agents(kind: Kind) -> list[Agent]:
    if kind == "ensemble":
        from agents.ensemble.ensemble import Ensemble  # noqa: PLC0415 - its kernels wait until one runs
        from agents.models.loading import load_ensemble  # noqa: PLC0415 - likewise
        from agents.models.store import BUNDLED  # noqa: PLC0415 - likewise

        return [SmaCross(1, 2), Ensemble(load_ensemble(BUNDLED))]  # the first one trades for certain
    # a class of the user's may be any of them, which is known only when its file is executed
    return [SmaCross(1, 2), _Idle(), _Busy()] if kind == "strategy" else [SmaCross(1, 2)]
