"""Compiling the kernels before a run needs them, so that a person is told why it takes half a minute, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agents.rules import SmaCross
from engine.blocks import BarBlock
from engine.calendar import DAY_NS, Sessions
from engine.compiled import cache_dir
from engine.instruments import Instrument
from engine.recorder import RunRecorder
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook


def _marker() -> Path:
    return cache_dir() / "complete"


def is_warm() -> bool:
    """Whether every kernel of a backtest has been compiled for these sources on this processor."""
    return _marker().exists()


def warm_up() -> None:
    """Compile every kernel of a backtest by running a tiny one."""
    rows, instrument = 8, Instrument(name="WARM-UP")
    close = 100.0 + np.sin(np.arange(rows, dtype=np.float64))
    columns = {
        "open": close,
        "high": close + 1.0,
        "low": close - 1.0,
        "close": close,
        "volume": np.ones(rows),
    }
    ts_event = (np.arange(rows, dtype=np.int64) + 1) * 60_000_000_000
    block = BarBlock.from_columns(["X"], ts_event, columns)
    agent = SmaCross(1, 2)
    agent.bind(["X"], [instrument])
    sessions = Sessions(np.array([0], np.int64), np.array([DAY_NS], np.int64))
    recorder = RunRecorder(None, ["X"], 1e6, TradeBook([1.0]), sessions)
    recorder.write(agent.step(Simulator(PortfolioConfig(), [instrument], sessions.closes), block))
    recorder.close()
    _marker().parent.mkdir(parents=True, exist_ok=True)
    _marker().touch()
