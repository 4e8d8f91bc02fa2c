"""From a job to a training setup: the run's bars and rules, the parent's networks and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.spec import AGENT_NAMES
from engine.base.config import Tree, merge, parse, read_yaml
from engine.base.paths import shipped
from engine.learning.config import LearningConfig
from engine.types.blocks import BarBlock
from feeds.indicators.joining import Indicators, read_indicators
from portfolio.config import PortfolioConfig
from training.config import AgentsConfig, Network, TrainingConfig
from training.data.parts import Parts
from training.data.sources import read_sources
from training.environment.rewards import Rewards
from training.learners.networks import Statistics
from training.online.parent import Parent
from training.online.run import JobRun
from training.online.windows import Windows, build, series_of
from training.trainer.setup import TrainingSetup, market_sha256

CONFIG = "training/recommended.yaml"
SHORTENED: Tree = {
    "training": {"parallel_envs": 32},
    "training_params": {"credit": "exact", "episode_length": 480, "early_stopping": None, "collapse": None},
    "agents": {
        # a window holds a few hundred decisions, so that every update has to count: they are smaller than those of a
        # whole training, and go further
        "strategic_agent": {
            "rollout_steps": 256,
            "learning_rate": 0.001,
            "kl_stop": 0.1,
            # the parent has learned already: there is nothing to begin
            "imitation": None,
            "second_start": None,
        },
        "risk_agent": {"epsilon_start": 0.1},
    },
    "experience_replay": {"buffer_size": 20_000, "min_size_to_train": 500},
    "logging": {"tensorboard": False},
}
"""What a job changes in the recommended training."""

OWN_BARS: Tree = {"type": "historical", "path": "the rows of the run"}
"""Stands in the configuration for bars that come from no file."""


@dataclass(frozen=True)
class JobSetup:
    """Everything that a job does not change.

    Attributes:
        training: Market, statistics and rewards. Its training part holds what is learned from, its validation part the
            recent bars to judge by, its test part the older ones.
        windows: The same parts by name.
    """

    training: TrainingSetup
    windows: Windows


def job_setup(
    learning: LearningConfig, run: JobRun, parent: Parent, seed: int, bars: BarBlock, older: Sequence[BarBlock]
) -> JobSetup:
    """The market of a job with the parent's statistics.

    Args:
        learning: What the run says of its jobs; `older` is read here.
        run: That the job belongs to.
        parent: Whose statistics the networks keep: with others, the same weights would decide otherwise.
        seed: Of the job.
        bars: Rows a to b.
        older: Earlier rows of the run.

    Raises:
        TooFewBars: If no episode fits.
        ConfigError: If `learning.training` or `learning.older` does not fit.
        UsageError, DataError: If a source of `learning.older` cannot be read.
    """
    config = training_config(learning, run, parent, seed)
    join = Indicators(read_indicators(run.indicators))
    read = [one.bars for one in read_sources(config, seed)] if learning.older else []
    market, windows = build(
        run.instruments[0],
        series_of(join(bars), [*map(join, older), *read]),
        config.ensemble.risk_cadence,
        run.timeframe_ns,
        config.training_params.episode_length,
        {seat: parent.networks[seat].agent for seat in AGENT_NAMES},
    )
    parts = Parts((*windows.recent, *windows.older), windows.judged, windows.judged_older)
    statistics = {seat: Statistics(*parent.networks[seat].statistics) for seat in AGENT_NAMES}
    rewards = Rewards.of(config.reward_shaping)
    return JobSetup(TrainingSetup(config, market, parts, statistics, rewards, (market_sha256(market),)), windows)


def training_config(learning: LearningConfig, run: JobRun, parent: Parent, seed: int) -> TrainingConfig:
    """The configuration of a job's training.

    Raises:
        ConfigError: If `learning.training` or `learning.older` does not fit.
    """
    tree = merge(merge(read_yaml(shipped("configs") / CONFIG), SHORTENED), learning.training)
    agents: Tree = {}
    for seat in AGENT_NAMES:
        network = parent.networks[seat].network.model_dump(mode="json")
        # dropout is no part of a version: that of the training holds
        agents[f"{seat}_agent"] = {"network_architecture": network | {"dropout": _dropout(tree, seat)}}
    given: Tree = {
        "agents": agents,
        "data": {
            "sources": [_source(one) for one in learning.older] or [OWN_BARS],
            "indicators": [one.model_dump(mode="json") for one in run.indicators],
        },
        "training_params": {"total_episodes": learning.episodes},
        "portfolio": run.portfolio.model_dump(mode="json", include=set(PortfolioConfig.model_fields)),
        "ensemble": run.ensemble.model_dump(mode="json"),
        "seed": seed,
    }
    return parse(TrainingConfig, merge(tree, given), where="learning")


def _dropout(tree: Tree, seat: str) -> float:
    found = tree.get("agents", {}).get(f"{seat}_agent", {}).get("network_architecture", {})
    usual: Network = AgentsConfig.model_fields[f"{seat}_agent"].default.network_architecture
    return float(found.get("dropout", usual.dropout))


def _source(given: str | Tree) -> Tree:
    return {"type": "historical", "path": given} if isinstance(given, str) else dict(given)
