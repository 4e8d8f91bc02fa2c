"""From a configuration to three learners at their seats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agents.spec import AGENTS, TACTICAL_AGENT
from training.learners.dqn import DQN
from training.learners.ppo import PPO
from training.learners.replay.buffer import ArrayStore, Prioritized, ReferenceStore, Replay
from training.learners.rollout import Rollout
from training.learners.sac import SAC
from training.trainer.scene import Scene
from training.trainer.seats import RiskSeat, StrategicSeat, TacticalSeat
from training.trainer.transitions import Transitions

STRATEGIC, TACTICAL, RISK, REPLAYS, EPISODES = range(5)
"""What the seed of a training is spread over."""


def seeds(seed: int) -> list[int]:
    """Independent seeds for the learners, their buffers and the order of episodes."""
    return [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(5)]


def space(seat: str) -> gymnasium.spaces.Box:
    """Observation space of a seat."""
    return gymnasium.spaces.Box(-np.inf, np.inf, AGENTS[seat].observation, np.float32)


@dataclass(frozen=True)
class Seats:
    """The three of them."""

    strategic: StrategicSeat
    tactical: TacticalSeat
    risk: RiskSeat


def build_seats(scene: Scene, device: str, compiled: bool) -> Seats:
    """Learners with their buffers, as configured."""
    seeded = seeds(scene.config.seed)
    options: dict[str, Any] = {"device": device, "compiled": compiled}
    return Seats(_strategic(scene, seeded, options), _tactical(scene, seeded, options), _risk(scene, seeded, options))


def _strategic(scene: Scene, seeded: list[int], options: dict[str, Any]) -> StrategicSeat:
    config, envs = scene.config.agents.strategic_agent, scene.config.training.parallel_envs
    learner = PPO(
        space("strategic"),
        gymnasium.spaces.Discrete(3),
        config,
        seed=seeded[STRATEGIC],
        statistics=scene.statistics["strategic"],
        total_updates=_rollouts(scene),
        **options,
    )
    rollout = Rollout(envs, ReferenceStore(scene.market.strategic_windows))
    return StrategicSeat(learner, rollout, config.rollout_steps)


def _rollouts(scene: Scene) -> int:
    """About how many rollouts a training fills, for a learning rate that falls to 0."""
    params = scene.config.training_params
    market = scene.market
    decisions = params.total_episodes * params.episode_length * market.timeframe_ns / AGENTS["strategic"].timeframe_ns
    return max(1, round(decisions / scene.config.agents.strategic_agent.rollout_steps))


def _tactical(scene: Scene, seeded: list[int], options: dict[str, Any]) -> TacticalSeat:
    config, replay = scene.config.agents.tactical_agent, scene.config.experience_replay
    learner = SAC(
        space("tactical"),
        gymnasium.spaces.Box(np.array(TACTICAL_AGENT.low, np.float32), np.array(TACTICAL_AGENT.high, np.float32)),
        config,
        seed=seeded[TACTICAL],
        statistics=scene.statistics["tactical"],
        **options,
    )
    store = ReferenceStore(scene.market.tactical_windows)
    buffer = Replay(replay.buffer_size, store, (3,), np.float32, seed=seeded[REPLAYS], prioritized=None)
    envs = scene.config.training.parallel_envs
    least = max(replay.min_size_to_train, config.batch_size)
    transitions = Transitions(buffer, ((), np.int64), ((3,), np.float32), envs, least)
    return TacticalSeat(learner, transitions, config)


def _risk(scene: Scene, seeded: list[int], options: dict[str, Any]) -> RiskSeat:
    config, replay = scene.config.agents.risk_agent, scene.config.experience_replay
    learner = DQN(
        space("risk"),
        gymnasium.spaces.Discrete(5),
        config,
        seed=seeded[RISK],
        statistics=scene.statistics["risk"],
        **options,
    )
    priorities = Prioritized(replay.alpha) if replay.prioritized_replay else None
    store = ArrayStore((10,), np.float32)
    buffer = Replay(replay.buffer_size, store, (), np.int64, seed=seeded[REPLAYS] + 1, prioritized=priorities)
    envs = scene.config.training.parallel_envs
    least = max(replay.min_size_to_train, config.batch_size)
    transitions = Transitions(buffer, ((10,), np.float32), ((), np.int64), envs, least)
    return RiskSeat(learner, transitions, config, replay.beta)
