"""Trainings on real months, walk-forward: learn from the weeks before, trade the days after, at three costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.learning.cases import Case, Learned, judge, learn, profits, rule_profits, with_fees
from engine.base.config import load, merge, read_yaml
from training.config import TrainingConfig
from training.data.parts import Parts
from training.data.sources import load_market
from training.evaluation.diagnosis import diagnose
from training.trainer.setup import TrainingSetup

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "training" / "recommended.yaml"
DATA = ROOT.parent / "shared" / "data"
EPISODE = 1000
EMBARGO = 1440
TEST, VALIDATION = 0.1, 0.12
ENDS = (0.8, 0.9, 1.0)
"""Where the test part of each fold ends, as a share of the file."""

COSTS = {"zero": 0.0, "real": 1.0, "double": 2.0}
"""Multiples of the instrument's fees and of a slippage of one tick."""


class Month(NamedTuple):
    """A file of real bars."""

    name: str
    path: Path
    instrument: str
    contracts: float


MONTHS = (
    Month("6E 2024-01", DATA / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz", "6E", 2.0),
    Month("BTC 2022-01", DATA / "btc-perp-20211231-20220201_1m.csv", "BTC-PERP", 1.0),
)


def months() -> tuple[Month, ...]:
    """Those that are here."""
    return tuple(month for month in MONTHS if month.path.is_file())


def config_of(month: Month, cost: str, seed: int, settings: Sequence[str] = ()) -> TrainingConfig:
    """The recommended training on one file, fees and slippage as wanted."""
    changes: dict[str, Any] = {
        "data": {"sources": [{"type": "historical", "path": str(month.path)}]},
        "training": {"parallel_envs": 32},
        "training_params": {
            "total_episodes": 600,
            "episode_length": EPISODE,
            "evaluation_frequency": 60,
            "checkpoint_frequency": 1000,
        },
        "reward_shaping": {"transaction_cost": None},
        "instrument": month.instrument,
        "portfolio": {
            "sizing": {"mode": "fixed", "value": month.contracts},
            "execution": {"slippage": {"ticks": COSTS[cost]}},
        },
        "seed": seed,
    }
    return load(TrainingConfig, settings=settings, base=merge(read_yaml(CONFIG), changes))


def fold_parts(rows: int, end: float) -> Parts:
    """Training, validation and test rows of one fold, each later than the one before, with embargoes between."""
    stop = round(end * rows)
    test = (stop - round(TEST * rows), stop)
    validation = (test[0] - EMBARGO - round(VALIDATION * rows), test[0] - EMBARGO)
    return Parts(((0, validation[0] - EMBARGO),), (validation,), (test,))


def fold(month: Month, cost: str, end: float, seed: int, settings: Sequence[str] = ()) -> Case:
    """Train one fold, and trade its test part in one episode from its first decision to its last bar."""
    config = config_of(month, cost, seed, settings)
    market, _ = load_market(config, seed)
    market = with_fees(market, COSTS[cost])
    setup = TrainingSetup.of(config, market, fold_parts(len(market), end))
    learned = learn(setup)
    ((start, stop),) = setup.parts.test
    first = int(market.starts((start, stop), EPISODE)[0])
    length = stop - first - 1
    params = config.training_params.model_copy(update={"episode_length": length})
    whole = replace(setup, config=config.model_copy(update={"training_params": params}))
    over = Learned(whole, learned.policy, np.array([first]), learned.episodes, learned.kept, learned.seconds)
    results = judge(over)
    return {
        "bars": length,
        "profit": float(profits(results, whole)[0]),
        "buy_and_hold": float(rule_profits("buy_and_hold", whole, over.starts)[0]),
        "trades": results[0].trades,
        "exposure": results[0].exposure,
        "max_drawdown": results[0].max_drawdown,
        "findings": [finding.name for finding in diagnose(results)],
        "kept": learned.kept,
        "seconds": learned.seconds,
    }
