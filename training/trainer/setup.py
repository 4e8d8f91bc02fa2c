"""What a training takes place in: the market, its parts, and the statistics that its networks carry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.spec import TACTICAL_AGENT
from engine.base.errors import DataError, UsageError
from engine.types.blocks import Ints
from training.config import TrainingConfig
from training.data.normalise import fit_statistics
from training.data.parts import Parts
from training.data.sources import build_market, read_sources, require_tradable
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv
from training.learners.networks import Statistics

RANDOM_ENVS = 16
RANDOM_DECISIONS = 4096
FLOOR = 1e-3


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training does not change.

    Attributes:
        config: Of the training.
        market: Bars and what agents see of them.
        parts: Row ranges for training, validation and test.
        statistics: By agent.
        rewards: What is rewarded.
        training_data: sha256 of what was learned from.
    """

    config: TrainingConfig
    market: Market
    parts: Parts
    statistics: Mapping[str, Statistics]
    rewards: Rewards
    training_data: tuple[str, ...]

    @classmethod
    def prepare(cls, config: TrainingConfig) -> TrainingSetup:
        """Load data, divide them, fit statistics on the training part.

        Raises:
            GrandModelError: If data are missing, damaged or too short, or not even one unit can be bought.
        """
        loaded = read_sources(config, config.seed)
        require_tradable(config, loaded)
        return cls.of(config, *build_market(config, loaded))

    @classmethod
    def of(cls, config: TrainingConfig, market: Market, parts: Parts) -> TrainingSetup:
        """The same in a market that is built already."""
        rewards = Rewards.of(config.reward_shaping)
        statistics = dict(fit_statistics(market, parts.training, config.data.preprocessing))
        setup = cls(config, market, parts, statistics, rewards, (market_sha256(market),))
        statistics["risk"] = risk_statistics(setup) if config.data.preprocessing.normalize else Statistics.identity(10)
        return setup

    def resumed(self, state: Mapping[str, Any], note: Mapping[str, Any], path: Path) -> TrainingSetup:
        """The same with the statistics that the networks of a checkpoint have learned with.

        Raises:
            DataError: As `require_same`.
        """
        self.require_same(note, path)
        kept = {
            seat: Statistics(np.asarray(values["mean"], np.float32), np.asarray(values["std"], np.float32))
            for seat, values in state["statistics"].items()
        }
        return replace(self, statistics=kept)

    def require_same(self, note: Mapping[str, Any], path: Path) -> None:
        """Refuse the checkpoint of a training that saw something else.

        Raises:
            DataError: If it was made on other data, or sees other features.
        """
        if list(note["training_data"]) != list(self.training_data):
            raise DataError(
                "the checkpoint was made on other data",
                where=str(path),
                expected=f"bars with the sha256 {', '.join(note['training_data'])}",
                found=", ".join(self.training_data),
                hint="resume with the configuration and the data of the training that wrote it",
            )
        before, now = note["config"]["data"]["preprocessing"], self.config.data.preprocessing.model_dump(mode="json")
        if before != now:
            raise DataError(
                "the networks of the checkpoint see other features",
                where=f"{path}, data.preprocessing",
                expected=str(before),
                found=str(now),
                hint="leave data.preprocessing as it was, or start a new training",
            )

    def environments(self, envs: int) -> VectorEnv:
        """Environments over the market."""
        config = self.config
        return VectorEnv(self.market, config.portfolio, self.rewards, config.ensemble, envs)

    def training_starts(self) -> Ints:
        """Rows where training episodes may begin; episodes overlap by half.

        Raises:
            UsageError: If none fits.
        """
        length = self.config.training_params.episode_length
        starts = np.concatenate([self.market.starts(part, length) for part in self.parts.training])
        if not len(starts):
            raise UsageError(
                "no episode fits into the training range",
                expected=f"{length} bars after the agents' warm-up",
                found=f"ranges of {', '.join(str(stop - start) for start, stop in self.parts.training)} bars",
                hint="lower training_params.episode_length, or give more data",
            )
        return starts


def market_sha256(market: Market) -> str:
    """Hash of the bars, which tells whether a resumed training sees the same ones."""
    digest = hashlib.sha256()
    for column in market.bars:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def risk_statistics(setup: TrainingSetup) -> Statistics:
    """Mean and deviation of the risk metrics of a portfolio that random decisions lead, on the training part.

    What the risk agent will see depends on what it and the others will do; random decisions reach every corner.
    """
    generator = np.random.Generator(np.random.PCG64(setup.config.seed))
    starts = generator.permutation(setup.training_starts())[:RANDOM_ENVS]
    env = setup.environments(len(starts))
    length = setup.config.training_params.episode_length
    env.reset(np.arange(len(starts)), starts, np.full(len(starts), length))
    seen = []
    for _ in range(max(1, RANDOM_DECISIONS // len(starts))):
        seen.append(env.risk[env.due[:, 2]].astype(np.float64))
        env.advance(random_actions(generator, len(starts)))
        if (env.terminated | env.truncated).all():
            break
    observations = np.concatenate(seen)
    deviation = observations.std(axis=0)
    return Statistics(
        observations.mean(axis=0).astype(np.float32), np.where(deviation > FLOOR, deviation, 1.0).astype(np.float32)
    )


def random_actions(generator: np.random.Generator, envs: int) -> Actions:
    """Actions drawn evenly from every agent's space."""
    return Actions(
        generator.integers(3, size=envs),
        generator.uniform(TACTICAL_AGENT.low, TACTICAL_AGENT.high, (envs, 3)).astype(np.float32),
        generator.integers(5, size=envs),
    )
