"""SAC on Pendulum-v1 and beside Stable-Baselines3; `python -m benchmarks.learners` drives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.spec import AGENTS, TACTICAL_AGENT
from benchmarks.learners.timing import Reference, Speed, compared, mean_return
from training.config import Network, SACConfig
from training.learners.networks import Statistics
from training.learners.replay.buffer import ArrayStore, Replay
from training.learners.sac import SAC

TASK = "Pendulum-v1"
STEPS, WANTED, WARM_UP, EVALUATION_EPISODES = 20_000, -160.0, 500, 50
CONFIG = SACConfig(
    network_architecture=Network(hidden_layers=(64, 64), activation="relu"),
    learning_rate=1e-3,
    batch_size=256,
    target_update_frequency=1,
    alpha="auto",
)
WINDOW, HIDDEN, BATCH, TRANSITIONS = AGENTS["tactical"].observation, (128, 64, 32), 32, 2000


def evaluated(learner: SAC, episodes: int, seed: int) -> float:
    """Mean return of the squashed means; all episodes side by side."""
    return mean_return(TASK, lambda seen: learner.act(seen, explore=False), episodes, seed)


def learned(seed: int, steps: int, config: SACConfig = CONFIG) -> SAC:
    """A learner after so many steps of Pendulum-v1, an update after each but the first ones."""
    task: Any = gym.make(TASK)
    learner = SAC(task.observation_space, task.action_space, config, seed=seed)
    replay = Replay(steps, ArrayStore((3,)), (1,), np.float32, seed=seed)
    low, high = task.action_space.low, task.action_space.high
    uniform = np.random.Generator(np.random.PCG64(seed))
    observation, _ = task.reset(seed=1000 * seed)
    for number in range(steps):
        action = uniform.uniform(low, high).astype(np.float32)
        if number >= WARM_UP:
            action = learner.act(observation[None])[0]
        following, reward, terminated, truncated, _ = task.step(action)
        replay.add(
            observation[None], action[None], np.array([reward]), following[None], np.array([terminated], np.float32)
        )
        observation = task.reset()[0] if terminated or truncated else following
        if number >= WARM_UP:
            learner.update(replay.sample(config.batch_size))
    return learner


def reference(seed: int, steps: int = STEPS) -> Reference:
    """Learn Pendulum-v1, one update a step, and judge the last policy."""
    start = time.process_time()
    score = evaluated(learned(seed, steps), EVALUATION_EPISODES, 10_000 + 100 * seed)
    seconds = time.process_time() - start
    note = f"last policy; {EVALUATION_EPISODES} new episodes, squashed means"
    return Reference(task=TASK, steps=steps, score=score, wanted=WANTED, seconds=seconds, note=note)


def speed(compiled: bool) -> Speed:
    """Updates a second on the shapes of the tactical agent: 60 x 7 windows, 128-64-32 tanh, batch 32.

    Each call samples a batch and learns from it; alpha is fixed, the targets move each time, no side drops units out.
    """
    return compared("60x7, 128-64-32 tanh, batch 32", ours(compiled), peers())


def transitions() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Random ones: observations, actions within the box, rewards, what followed."""
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((TRANSITIONS, *WINDOW), dtype=np.float32)
    actions = generator.uniform(TACTICAL_AGENT.low, TACTICAL_AGENT.high, (TRANSITIONS, len(TACTICAL_AGENT.low))).astype(
        np.float32
    )
    return observations, actions, generator.standard_normal(TRANSITIONS, dtype=np.float32), np.roll(observations, -1, 0)


def box() -> spaces.Box:
    """The tactical actions."""
    return spaces.Box(np.array(TACTICAL_AGENT.low, np.float32), np.array(TACTICAL_AGENT.high, np.float32))


def ours(compiled: bool) -> Callable[[], object]:
    """A sample and an update, observations normalised."""
    config = SACConfig(
        network_architecture=Network(hidden_layers=HIDDEN, activation="tanh"),
        batch_size=BATCH,
        target_update_frequency=1,
    )
    seen = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
    learner = SAC(seen, box(), config, seed=0, statistics=Statistics.identity(WINDOW[-1]), compiled=compiled)
    replay = Replay(TRANSITIONS, ArrayStore(WINDOW), (len(TACTICAL_AGENT.low),), np.float32, seed=0)
    observations, actions, rewards, following = transitions()
    replay.add(observations, actions, rewards, following, np.zeros(TRANSITIONS, np.float32))
    return lambda: learner.update(replay.sample(BATCH))


def peers() -> Callable[[], object] | None:
    """The same of Stable-Baselines3, or None where it is not installed."""
    try:
        from stable_baselines3 import SAC as SB3SAC
        from stable_baselines3.common.logger import configure
        from torch import nn
    except ImportError:
        return None

    class Shapes(gym.Env[NDArray[np.float32], Any]):
        observation_space = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
        action_space = box()

        def reset(self, **given: object) -> tuple[NDArray[np.float32], dict[str, object]]:
            return np.zeros(WINDOW, np.float32), {}

    model = SB3SAC(
        "MlpPolicy",
        Shapes(),
        learning_rate=1e-3,
        buffer_size=TRANSITIONS,
        batch_size=BATCH,
        ent_coef=0.2,
        policy_kwargs={"net_arch": list(HIDDEN), "activation_fn": nn.Tanh},
        device="cpu",
    )
    model.set_logger(configure(None, []))
    buffer: Any = model.replay_buffer
    observations, actions, rewards, following = transitions()
    scaled = model.policy.scale_action(actions)
    for row in range(TRANSITIONS):
        one = slice(row, row + 1)
        buffer.add(observations[one], following[one], scaled[one], rewards[one], np.zeros(1), [{}])
    return lambda: model.train(gradient_steps=1, batch_size=BATCH)
