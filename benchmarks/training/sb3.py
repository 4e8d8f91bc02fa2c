"""The strategic agent trained alone from end to end: ours, Stable-Baselines3, and the matrix products of its updates.

One market, one kind of environment, networks of the same shapes, as many decisions and minibatches on both sides.
Stand-ins decide for the tactical and risk agents. Ours normalises observations and scales rewards besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from agents.ensemble.config import EnsembleConfig
from agents.spec import AGENTS
from benchmarks.learners.ppo import BATCH, HIDDEN, stable_baselines
from benchmarks.training.timing import Sections
from portfolio.config import PortfolioConfig
from training.config import Network, PPOConfig
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.spaces import action_space, observation_space
from training.environment.vector import VectorEnv
from training.experience import stand_ins
from training.learners.networks import Statistics
from training.learners.outcomes import Outcomes
from training.learners.ppo import PPO
from training.learners.replay.buffer import ReferenceStore
from training.learners.rollout import Rollout
from training.trainer.playing import Playing
from training.trainer.schedule import EpisodeSampler
from training.trainer.trainings import StrategicTraining

ENVS, DECISIONS, EPOCHS, EPISODE = 4, 256, 10, 2000
MINIBATCHES = EPOCHS * DECISIONS // BATCH

Observation = NDArray[np.float32]


def environments(market: Market, envs: int) -> VectorEnv:
    """Accounts in the market, as they are by default."""
    return VectorEnv(market, PortfolioConfig(), Rewards(), EnsembleConfig(), envs)


class Ours:
    """The strategic part of the trainer's loop.

    Args:
        market: Bars.
        seed: Of weights, exploration and episodes.
        compiled: Whether updates are compiled whole.
    """

    def __init__(self, market: Market, seed: int, *, compiled: bool = False) -> None:
        network = Network(hidden_layers=HIDDEN, activation="relu", dropout=0.0)
        config = PPOConfig(
            network_architecture=network, batch_size=BATCH, epochs_per_update=EPOCHS, rollout_steps=DECISIONS
        )
        seen, acted = observation_space("strategic"), action_space("strategic")
        statistics = Statistics.identity(seen.shape[-1])
        self.learner = PPO(seen, acted, config, seed=seed, statistics=statistics, compiled=compiled)
        self.rollout = Rollout(ENVS, ReferenceStore(market.strategic_windows))
        self.env = environments(market, ENVS)
        store, choices = ReferenceStore(market.strategic_windows), AGENTS["strategic"].choices
        outcomes = Outcomes(store, len(choices), capacity=0, seed=seed)
        self._training = StrategicTraining(self.learner, self.rollout, outcomes)
        self._playing = Playing(self.env, EpisodeSampler(market.starts((0, len(market)), EPISODE), seed), EPISODE)

    def train(self, rollouts: int) -> None:
        """Decide and learn until so many more rollouts have been learned from."""
        playing, training, wanted = self._playing, self._training, self.learner.updates + rollouts
        while self.learner.updates < wanted:
            for decision in playing.ask({"strategic": training.answer}):
                training.begin(decision)
            training.learn(0.0)
            for transition in playing.advance():
                if transition.agent == "strategic":
                    training.close(transition)
            playing.finished()

    def watched(self, *, compiled: bool) -> Sections:
        """Time this system's sections from now on; a compiled update is one of them, an eager one has four."""
        sections, learner = Sections(), self.learner
        sections.watch(self.env, "advance", "reset", name="environment")
        sections.watch(learner, "act", "values", name="acting")
        sections.watch(self.rollout, "add", "reward", "take", name="batches")
        sections.watch_generator(learner, "_batches", "batches")
        if not compiled:
            step, optimizer = learner._step, learner._optimizer
            sections.watch(step, "loss", name="forward")
            sections.watch(step, "backward", name="backward")
            sections.watch(optimizer, "step", name="optimizer")
        sections.watch(learner, "_step", name="update" if compiled else "clipping")
        return sections


class DecisionEnv(gym.Env[Any, np.int64]):
    """One environment as gymnasium has it: a step lasts from one strategic decision to the next.

    Args:
        market: Bars.
        seed: Of the order of episodes.
    """

    def __init__(self, market: Market, seed: int) -> None:
        self.observation_space = observation_space("strategic")
        self.action_space = spaces.Discrete(3)
        self.env = environments(market, 1)
        self._sampler = EpisodeSampler(market.starts((0, len(market)), EPISODE), seed)
        self._actions = stand_ins(1)

    def reset(self, **given: Any) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode."""
        self.env.reset([0], self._sampler.deal(1), [EPISODE])
        return self.env.strategic[0].copy(), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act, and go on to the next decision."""
        env = self.env
        self._actions.strategic[0] = action
        while True:
            env.advance(self._actions)
            terminated, truncated = bool(env.terminated[0]), bool(env.truncated[0])
            if terminated or truncated or env.due[0, 0]:
                return env.strategic[0].copy(), float(env.rewards[0, 0]), terminated, truncated, {}


def peer(market: Market, seed: int) -> Callable[[int], object] | None:
    """Training of Stable-Baselines3 by a number of rollouts, or None where it is not installed."""
    try:
        from stable_baselines3.common.vec_env import DummyVecEnv
    except ImportError:
        return None
    # one order of episodes, dealt to each environment with another seed
    made = DummyVecEnv([lambda k=k: DecisionEnv(market, seed + k) for k in range(ENVS)])  # type: ignore[misc] # bound now, and untyped
    model = stable_baselines(made, n_steps=DECISIONS // ENVS, n_epochs=EPOCHS, seed=seed)
    return lambda rollouts: model.learn(rollouts * DECISIONS, log_interval=1 << 60, reset_num_timesteps=False)


def products(rollouts: int) -> Callable[[], None]:
    """The matrix products alone of the updates from so many rollouts: forward, and backward for weights and inputs."""
    generator = torch.Generator().manual_seed(0)
    inputs = int(np.prod(observation_space("strategic").shape))
    head = (*HIDDEN[1:], HIDDEN[2] // 2)
    stacks = [(inputs, *HIDDEN[:2]), (*head, 3), (*head, 1)]
    made = []
    for before, after in [pair for stack in stacks for pair in itertools.pairwise(stack)]:
        shapes = ((BATCH, before), (after, before), (BATCH, after))
        values, weights, slopes = (torch.randn(shape, generator=generator) for shape in shapes)
        made += [(values, weights.T), (slopes.T, values)]
        if before != inputs:  # nothing asks for the slopes of observations
            made.append((slopes, weights))
    pairs = [(left, right, torch.empty(left.shape[0], right.shape[1])) for left, right in made]

    def run() -> None:
        for _ in range(rollouts * MINIBATCHES):
            for left, right, out in pairs:
                torch.mm(left, right, out=out)

    return run
