"""Small parents and markets for jobs that take a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from agents.ensemble.config import EnsembleConfig
from agents.models.graphs import Normaliser
from agents.models.loading import load_ensemble
from agents.models.metadata import seal
from engine.base.config import parse
from engine.learning.config import LearningConfig
from engine.learning.job import Job
from engine.types.blocks import BarBlock
from engine.types.instruments import Fees, load_instrument
from engine.types.timeframe import MINUTE_NS
from feeds.generators import generate
from portfolio.config import PortfolioConfig, SizingConfig
from tests.training.trainer.small import small_config
from training.export import LearnedNetwork, write_network
from training.learners.constant import constant_weights
from training.online.run import JobRun
from training.trainer.build import build_trainings
from training.trainer.setup import TrainingSetup

INSTRUMENT = load_instrument("GENERIC").model_copy(update={"fees": Fees(rate=1e-5)})
SIZED = PortfolioConfig(sizing=SizingConfig(mode="equity_fraction", value=0.5))
RUN = JobRun((INSTRUMENT,), SIZED, EnsembleConfig(), MINUTE_NS)
EASY = {"drift_bps": 4.0, "volatility_bps": 2.0}
"""A drift that follows the hour, so strong that a small network finds it in a hundred episodes."""
REWARDS = {"risk_penalty": 0.0, "sharpe_bonus": 0.0, "max_drawdown_penalty": 0.0}


@cache
def _networks() -> dict[str, LearnedNetwork]:
    config = small_config(
        data={"sources": [{"type": "synthetic", "generator": "time_of_day", "scenarios": 6, "parameters": EASY}]}
    )
    setup = TrainingSetup.prepare(config)
    weights = build_trainings(setup, "cpu", compiled=False).weights()
    return {
        seat: LearnedNetwork(
            seat,
            weights[seat],
            Normaliser(*setup.statistics[seat]),
            getattr(config.agents, f"{seat}_agent").network_architecture,
        )
        for seat in weights
    }


def write_parent(folder: Path, **constants: tuple[float, ...] | None) -> Path:
    """A version whose strategic network knows nothing yet; the others always do the same (None: they do not)."""
    folder.mkdir(parents=True)
    usual: dict[str, tuple[float, ...] | None] = {"tactical": (1.0, 0.05, 1.0), "risk": (4.0,)}
    always = usual | constants
    for seat, network in _networks().items():
        action = always.get(seat)
        weights = network.weights if action is None else constant_weights(seat, network.weights, action)
        write_network(LearnedNetwork(seat, weights, network.statistics, network.network), folder)
    seal(folder, "parent", created_by="tests", untrained=False)
    return folder


def easy_bars(rows: int, seed: int = 3, first: int = 0) -> BarBlock:
    """Bars of an easy market, numbered from `first`."""
    block = generate("time_of_day", INSTRUMENT, rows, seed, EASY)
    return BarBlock(
        block.symbols,
        first,
        block.ts_event,
        block.open,
        block.high,
        block.low,
        block.close,
        block.volume,
        block.present,
    )


def learning(**changes: Any) -> LearningConfig:
    """Of small jobs."""
    training = {"reward_shaping": REWARDS, **changes.pop("training", {})}
    usual = {"episodes": 96, "max_kl": 5.0, "relearn_errors": None, "training": training}
    return parse(LearningConfig, usual | changes, where="test")


def job_of(bars: BarBlock, parent: Path, seed: int = 7) -> Job:
    """The job that learns from these bars."""
    number = bars.seq + len(bars)
    return Job(number, bars.seq, number - 1, load_ensemble(parent).sha256, seed)


def spoilt(block: BarBlock, row: int, **values: float) -> BarBlock:
    """The block with other numbers in one row."""
    columns = {name: np.array(getattr(block, name)) for name in ("open", "high", "low", "close", "volume")}
    for name, value in values.items():
        columns[name][row] = value
    return BarBlock(block.symbols, block.seq, block.ts_event, present=block.present, **columns)
