"""DQN on CartPole-v1 and beside Stable-Baselines3; `python -m benchmarks.learners` drives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from benchmarks.learners.timing import Reference, Speed, compared, mean_return
from training.config import DQNConfig, Network
from training.learners.dqn import DQN
from training.learners.networks import Statistics
from training.learners.replay.buffer import ArrayStore, Prioritized, Replay

TASK = "CartPole-v1"
STEPS, WANTED = 50_000, 475.0
LEARNING_STARTS, EVALUATE_EVERY, EVALUATION_EPISODES, FINAL_EPISODES = 1000, 2500, 10, 50
CONFIG = DQNConfig(
    network_architecture=Network(hidden_layers=(64, 64), activation="relu"),
    learning_rate=1e-3,
    batch_size=16,
    epsilon_end=0.04,
    epsilon_decay=0.98,
    target_update_frequency=2,
    tau=0.01,
)
INPUTS, ACTIONS, CAPACITY = 10, 5, 100_000
BETA = 0.4


def evaluated(learner: DQN, episodes: int, seed: int) -> float:
    """Mean return of the greedy policy; all episodes side by side."""
    return mean_return(TASK, learner.greedy, episodes, seed)


def reference(seed: int, steps: int = STEPS) -> Reference:
    """Learn CartPole-v1 and judge the best of the evaluated policies on new episodes.

    Policies are evaluated every 2,500 steps, until one cannot be better. The best is then judged on 50 episodes that
    did not choose it.
    """
    start = time.process_time()
    task = gym.make(TASK)
    learner = DQN(task.observation_space, task.action_space, CONFIG, seed=seed)
    replay = Replay(STEPS, ArrayStore((4,)), (), np.int64, seed=seed, prioritized=Prioritized(0.6))
    observation, _ = task.reset(seed=seed)
    epsilon, best, at, weights = 1.0, -np.inf, 0, learner.weights()
    for step in range(1, steps + 1):
        action = learner.act(observation[None], epsilon)
        following, reward, terminated, truncated, _ = task.step(int(action[0]))
        replay.add(observation[None], action, np.array([reward]), following[None], np.array([terminated]))
        observation = following
        if terminated or truncated:
            observation, _ = task.reset()
            epsilon = max(epsilon * CONFIG.epsilon_decay, CONFIG.epsilon_end)
        if step > LEARNING_STARTS:
            batch = replay.sample(CONFIG.batch_size, BETA + (1.0 - BETA) * step / steps)
            replay.update_priorities(batch.index, learner.update(batch)[1])
        if step % EVALUATE_EVERY == 0:
            score = evaluated(learner, EVALUATION_EPISODES, 1000 + seed)
            if score > best:
                best, at, weights = score, step, learner.weights()
            if best >= 500.0:
                break
    learner.load_weights(weights)
    score = evaluated(learner, FINAL_EPISODES, 10_000 + 100 * seed)
    seconds = time.process_time() - start
    note = f"best evaluated policy, of step {at:,}; {FINAL_EPISODES} new episodes"
    return Reference(task=TASK, steps=steps, score=score, wanted=WANTED, seconds=seconds, note=note)


def speed(compiled: bool) -> Speed:
    """Updates on the shapes of the risk agent (10 inputs, 64 and 32 units, 5 actions), sampling of 16 included.

    Ours samples by priority, corrects by importance weights, updates priorities and has a dueling network; the peer
    samples uniformly, and its network is a plain one. Both follow a target with tau 0.01.
    """
    peer = peers()
    work = "10-64-32-5, batch 16 of 100,000" + ("" if peer is None else " (prioritized, dueling: ours only)")
    return compared(work, ours(compiled), peer)


def transitions(
    count: int, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Random ones: observation, action, reward, next observation, terminated."""
    return (
        generator.standard_normal((count, INPUTS), dtype=np.float32),
        generator.integers(0, ACTIONS, count),
        generator.standard_normal(count, dtype=np.float32),
        generator.standard_normal((count, INPUTS), dtype=np.float32),
        generator.random(count) < 0.01,
    )


def ours(compiled: bool) -> Callable[[], object]:
    """One step of learning: sample, update, new priorities."""
    box = spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)
    config = DQNConfig(target_update_frequency=2, tau=0.01)
    statistics = Statistics.identity(INPUTS)
    learner = DQN(box, spaces.Discrete(ACTIONS), config, seed=0, statistics=statistics, compiled=compiled)
    replay = Replay(CAPACITY, ArrayStore((INPUTS,)), (), np.int64, seed=0, prioritized=Prioritized(0.6))
    replay.add(*transitions(CAPACITY, np.random.default_rng(0)))

    def step() -> None:
        batch = replay.sample(config.batch_size, BETA)
        replay.update_priorities(batch.index, learner.update(batch)[1])

    return step


def peers() -> Callable[[], object] | None:
    """The same step of Stable-Baselines3, or None where it is not installed."""
    try:
        from stable_baselines3 import DQN as SB3DQN
        from stable_baselines3.common.logger import configure
        from stable_baselines3.common.utils import polyak_update
        from torch import nn
    except ImportError:
        return None

    class Shapes(gym.Env[NDArray[np.float32], np.int64]):
        observation_space = spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)
        action_space = spaces.Discrete(ACTIONS)

    model = SB3DQN(
        "MlpPolicy",
        Shapes(),
        learning_rate=5e-4,
        buffer_size=CAPACITY,
        batch_size=16,
        policy_kwargs={"net_arch": [64, 32], "activation_fn": nn.ReLU},
        device="cpu",
    )
    model.set_logger(configure(None, []))
    buffer: Any = model.replay_buffer
    rows = zip(*transitions(CAPACITY, np.random.default_rng(0)), strict=True)
    for observation, action, reward, following, terminated in rows:
        buffer.add(observation, following, action, reward, terminated, [{}])
    updates = 0

    def step() -> None:
        nonlocal updates
        model.train(gradient_steps=1, batch_size=16)
        updates += 1
        if updates % 2 == 0:
            polyak_update(model.q_net.parameters(), model.q_net_target.parameters(), 0.01)

    return step
