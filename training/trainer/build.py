"""From a configuration to the trainings of three agents."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.spec import AGENTS, RISK_AGENT, STRATEGIC_AGENT, TACTICAL_AGENT
from training.environment.spaces import action_space, observation_space
from training.learners.dqn import DQN
from training.learners.outcomes import Outcomes
from training.learners.ppo import PPO
from training.learners.replay.buffer import ArrayStore, Prioritized, ReferenceStore, Replay
from training.learners.rollout import Rollout
from training.learners.sac import SAC
from training.trainer.memory import ReplayMemory
from training.trainer.setup import TrainingSetup
from training.trainer.trainings import RiskTraining, StrategicTraining, TacticalTraining, Trainings

STRATEGIC, TACTICAL, RISK, REPLAYS, EPISODES, TRIALS, OUTCOMES = range(7)
"""What the seed of a training is spread over; a new one goes to the end, so that the seeds of the others stay."""


def seeds(seed: int) -> list[int]:
    """Independent seeds: of learners, buffers, the order of episodes, actions tried, and outcomes learned from again.

    One seed for all would let a learner explore by the very numbers that its batches are drawn by.
    """
    return [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(7)]


def build_trainings(setup: TrainingSetup, device: str, compiled: bool) -> Trainings:
    """Learners and what they remember, as configured."""
    seeded = seeds(setup.config.seed)
    options: dict[str, Any] = {"device": device, "compiled": compiled}
    return Trainings(
        _strategic(setup, seeded, options), _tactical(setup, seeded, options), _risk(setup, seeded, options)
    )


def _strategic(setup: TrainingSetup, seeded: list[int], options: dict[str, Any]) -> StrategicTraining:
    config, envs = setup.config.agents.strategic_agent, setup.config.training.parallel_envs
    learner = PPO(
        observation_space(setup.market.agents["strategic"]),
        action_space("strategic"),
        config,
        seed=seeded[STRATEGIC],
        statistics=setup.statistics["strategic"],
        total_updates=_rollouts(setup),
        **options,
    )
    rollout = Rollout(envs, ReferenceStore(setup.market.strategic_windows))
    outcomes = Outcomes(
        ReferenceStore(setup.market.strategic_windows),
        len(STRATEGIC_AGENT.choices),
        capacity=setup.config.experience_replay.buffer_size,
        seed=seeded[OUTCOMES],
    )
    return StrategicTraining(learner, rollout, outcomes)


def _rollouts(setup: TrainingSetup) -> int:
    """About how many rollouts a training fills, for a learning rate that falls to 0."""
    params = setup.config.training_params
    market = setup.market
    decisions = params.total_episodes * params.episode_length * market.timeframe_ns / AGENTS["strategic"].timeframe_ns
    return max(1, round(decisions / setup.config.agents.strategic_agent.rollout_steps))


def _tactical(setup: TrainingSetup, seeded: list[int], options: dict[str, Any]) -> TacticalTraining:
    config, replay = setup.config.agents.tactical_agent, setup.config.experience_replay
    learner = SAC(
        observation_space(setup.market.agents["tactical"]),
        action_space("tactical"),
        config,
        seed=seeded[TACTICAL],
        statistics=setup.statistics["tactical"],
        **options,
    )
    store = ReferenceStore(setup.market.tactical_windows)
    buffer = Replay(
        replay.buffer_size, store, (TACTICAL_AGENT.width,), np.float32, seed=seeded[REPLAYS], prioritized=None
    )
    envs = setup.config.training.parallel_envs
    least = max(replay.min_size_to_train, config.batch_size)
    memory = ReplayMemory(buffer, ((), np.int64), ((TACTICAL_AGENT.width,), np.float32), envs, least)
    return TacticalTraining(learner, memory, config)


def _risk(setup: TrainingSetup, seeded: list[int], options: dict[str, Any]) -> RiskTraining:
    config, replay = setup.config.agents.risk_agent, setup.config.experience_replay
    learner = DQN(
        observation_space("risk"),
        action_space("risk"),
        config,
        seed=seeded[RISK],
        statistics=setup.statistics["risk"],
        **options,
    )
    priorities = Prioritized(replay.alpha) if replay.prioritized_replay else None
    store = ArrayStore(RISK_AGENT.observation, np.float32)
    buffer = Replay(replay.buffer_size, store, (), np.int64, seed=seeded[REPLAYS] + 1, prioritized=priorities)
    envs = setup.config.training.parallel_envs
    least = max(replay.min_size_to_train, config.batch_size)
    memory = ReplayMemory(buffer, (RISK_AGENT.observation, np.float32), ((), np.int64), envs, least)
    return RiskTraining(learner, memory, config, replay.beta)
