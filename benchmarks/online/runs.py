"""One run of the benchmark: an arm in a market with a seed; a module of its own, which new processes import."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.ensemble.config import EnsembleConfig
from agents.models.loading import load_ensemble
from benchmarks.online.arms import ARMS, TRAINING, config_of, learn
from benchmarks.online.markets import FEE, TREND, WALK, Days, Piece, best_sides, instrument, make
from engine.base.config import merge, parse, read_yaml
from engine.base.paths import shipped
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.timeframe import MINUTE_NS
from feeds.generators import generate
from portfolio.config import PortfolioConfig, SizingConfig
from training.checkpoint import load
from training.config import TrainingConfig
from training.data.parts import Parts
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import ServedPolicy
from training.export import export
from training.online.run import JobRun
from training.suite.play import play
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Trainer

SLACK = 30
"""Bars that a stretch may begin late: it begins where all agents decide."""
NETWORKS = {
    "strategic_agent": {"network_architecture": {"hidden_layers": [64, 32, 16], "activation": "relu", "dropout": 0.1}},
    "tactical_agent": {"network_architecture": {"hidden_layers": [16, 8], "activation": "tanh", "dropout": 0.05}},
    "risk_agent": {"network_architecture": {"hidden_layers": [16, 8], "activation": "relu"}},
}


class Work(NamedTuple):
    """What a process is to do.

    Attributes:
        market, arm: Names; no arm is the optimum.
        seed: Of bars, parent and jobs.
        days: Lengths of the market.
        every, window: Rows between jobs, and of a job.
        parent: Folder of the version that decides at first.
    """

    market: str
    arm: str
    seed: int
    days: Days
    every: int
    window: int
    parent: str

    @property
    def key(self) -> str:
        """Under which its result is kept; all that it depends on but the program."""
        return f"{self.market}|{self.arm}|{self.seed}|{'-'.join(map(str, self.days))}|{self.every}|{self.window}"


def train_parent(folder: Path, seed: int, episodes: int = 600) -> None:
    """Train the version that decides at first, on many scenarios of the first market."""
    import torch

    torch.set_num_threads(1)
    generator, parameters = TREND
    source = {"type": "synthetic", "generator": generator, "parameters": parameters, "scenarios": 100, "length": 12_000}
    changes: dict[str, Any] = {
        "seed": seed,
        "data": {"sources": [source]},
        "agents": NETWORKS,
        "reward_shaping": {**TRAINING["reward_shaping"], "transaction_cost": FEE},
        "training_params": {"total_episodes": episodes, "turns": {"strategic": 0.9, "tactical": 0.05, "risk": 0.05}},
    }
    tree = merge(read_yaml(shipped("configs") / "training/recommended.yaml"), changes)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(TrainingSetup.prepare(parse(TrainingConfig, tree, where="benchmarks.online")), Path(scratch))
        export(load(trainer.run().checkpoint), folder, f"parent-{seed}", overwrite=True)


def run(work: Work) -> dict[str, Any]:
    """Let an arm learn and trade, or the optimum trade.

    Returns:
        `returns` of the stretches between jobs, in percent of the capital, each from an account without a position;
        `pieces`, the number of the piece that each lies in; `jobs`, `promotions`, `seconds` of CPU.
    """
    import torch

    torch.set_num_threads(1)
    began = time.process_time()
    bars, pieces = make(work.market, work.seed, work.days)
    traded = instrument()
    market = Market.build(traded, [("bars", bars)])
    job_run = JobRun((traded,), _portfolio(), EnsembleConfig(), MINUTE_NS)
    starts = _starts(market, work)
    length = work.every - SLACK
    found: dict[str, Any] = {"jobs": [], "promotions": 0}
    if work.arm == "optimum":
        returns = _optimum(market, pieces, starts, length, work.seed)
    else:
        arm, out = ARMS[work.arm], Path(tempfile.mkdtemp(prefix="online-"))
        try:
            config = config_of(arm, work.every, work.window)
            learnt = learn(arm, bars, Path(work.parent), job_run, config, work.seed, out)
            returns = _traded(market, learnt.versions, starts, length)
            found = {"jobs": learnt.jobs, "promotions": len(learnt.versions) - 1}
            if work.market == "random_walk":
                found["worse"] = _worse(learnt.versions, work.seed)
        finally:
            shutil.rmtree(out, ignore_errors=True)
    within = np.searchsorted([piece.stop for piece in pieces], starts, side="right")
    return {
        **found,
        "returns": [round(value, 5) for value in returns.tolist()],
        "pieces": within.tolist(),
        "kinds": [piece.kind[0] for piece in pieces],
        "seconds": round(time.process_time() - began, 1),
    }


def _portfolio() -> PortfolioConfig:
    return PortfolioConfig(sizing=SizingConfig(mode="equity_fraction", value=0.5))


def _starts(market: Market, work: Work) -> Ints:
    """First rows of the stretches: from each row where a candidate may take over to the next."""
    possible = market.decision_rows(0, len(market))
    lag = config_of(ARMS["ours"], work.every, work.window).lag_bars
    wanted = np.arange(work.window + lag, len(market) - work.every, work.every)
    return np.asarray(possible[np.searchsorted(possible, wanted)], np.int64)


def _traded(market: Market, versions: list[tuple[int, Path]], starts: Ints, length: int) -> Floats:
    """Returns of the stretches, by the version in force at the start of each."""
    rows = [row for row, _ in versions]
    at = np.searchsorted(rows, starts, side="right") - 1
    returns = np.zeros(len(starts))
    for number, (_, folder) in enumerate(versions):
        own = np.flatnonzero(at == number)
        if len(own):
            returns[own] = _returns(market, folder, starts[own], length)
    return returns


def _returns(market: Market, folder: Path, starts: Ints, length: int) -> Floats:
    policy, portfolio = ServedPolicy(load_ensemble(folder)), _portfolio()
    rewards = Rewards(1.0, 0.0, 0.0, 0.0)
    results = run_episodes(market, portfolio, rewards, EnsembleConfig(), policy, starts, length, envs=len(starts))
    return 100.0 * np.array([result.total_return for result in results])


def _optimum(market: Market, pieces: list[Piece], starts: Ints, length: int, seed: int) -> Floats:
    changes: dict[str, Any] = {
        "seed": seed,
        "data": {"sources": [{"type": "synthetic", "generator": TREND[0]}]},
        "training_params": {"episode_length": length},
        "portfolio": _portfolio().model_dump(mode="json"),
    }
    config = parse(TrainingConfig, changes, where="benchmarks.online")
    setup = TrainingSetup(config, market, Parts((), (), ()), {}, Rewards(1.0, 0.0, 0.0, 0.0), ())
    return 100.0 * play(setup, [lambda rows: best_sides(pieces, rows)] * len(starts), starts)


def _worse(versions: list[tuple[int, Path]], seed: int) -> int:
    """Promotions on the walk after which less is earned than before, on four fresh walks of 20 days each."""
    walks = [(f"walk {number}", _walk(seed, number)) for number in range(4)]
    market = Market.build(instrument(), walks)
    starts = market.starts((0, len(market)), 2000)
    means = [float(_returns(market, folder, starts, 2000).mean()) for _, folder in versions]
    return sum(after < before for before, after in itertools.pairwise(means))


def _walk(seed: int, number: int) -> BarBlock:
    return generate(WALK[0], instrument(), 20 * 1440, seed + 7_000 + number, WALK[1])
