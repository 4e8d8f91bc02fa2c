"""Runs a strategy object over bars, in blocks of any sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from agents.strategy import Strategy
from engine.record.recorder import RunRecorder
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument
from engine.types.step import StepBlock
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from portfolio.trades import TradeBook

ENDS = np.arange(1, 4000, dtype=np.int64) * DAY_NS
MINUTE = 60_000_000_000


def driven(
    strategy: Strategy, bars: BarBlock, sizes: Iterable[int], instrument: Instrument | None = None
) -> list[StepBlock]:
    """Every step of a strategy over the bars."""
    traded = [instrument or Instrument(name="X", size_step=1)] * len(bars.symbols)
    strategy.bind(bars.symbols, traded, MINUTE)
    simulator = Simulator(PortfolioConfig(), traded, ENDS)
    return [strategy.step(simulator, part) for part in reblock([bars], sizes)]


def recorded(steps: list[StepBlock], folder: Path | None = None) -> RunRecorder:
    """The steps in a closed recorder."""
    symbols = steps[0].bars.symbols
    recorder = RunRecorder(folder, symbols, 100_000.0, TradeBook([1.0] * len(symbols)))
    for step in steps:
        recorder.write(step)
    recorder.close()
    return recorder
