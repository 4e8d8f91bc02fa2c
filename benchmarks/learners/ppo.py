"""PPO on CartPole-v1 and beside Stable-Baselines3; `python -m benchmarks.learners` drives it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from benchmarks.learners.timing import Reference, Speed, compared, mean_return
from training.config import Network, PPOConfig
from training.learners.networks import Statistics
from training.learners.ppo import PPO
from training.learners.replay.buffer import ArrayStore
from training.learners.rollout import Rollout

TASK = "CartPole-v1"
STEPS, WANTED, ENVS, EVALUATION_EPISODES = 100_000, 490.0, 8, 20
CONFIG = PPOConfig(
    network_architecture=Network(hidden_layers=(64, 64), activation="tanh"),
    learning_rate=1e-3,
    batch_size=256,
    epochs_per_update=20,
    rollout_steps=256,
    gamma=0.98,
    gae_lambda=0.8,
    entropy=0.0,
    anneal=True,
)
WINDOW, ACTIONS, HIDDEN, BATCH = (48, 13), 3, (256, 128, 64), 64


def evaluated(learner: PPO, episodes: int, seed: int) -> float:
    """Mean return of the likeliest actions; all episodes side by side."""
    return mean_return(TASK, lambda seen: learner.act(seen, explore=False).actions, episodes, seed)


def learned(seed: int, steps: int, config: PPOConfig = CONFIG) -> PPO:
    """A learner after so many steps of CartPole-v1 in 8 environments."""
    tasks = [gym.make(TASK) for _ in range(ENVS)]
    learner = PPO(
        tasks[0].observation_space,
        tasks[0].action_space,
        config,
        seed=seed,
        total_updates=steps // config.rollout_steps,
    )
    rollout = Rollout(ENVS, ArrayStore((4,)))
    everyone = np.arange(ENVS)
    observations = np.stack([task.reset(seed=1000 * seed + number)[0] for number, task in enumerate(tasks)])
    rewards, bootstrap = np.zeros(ENVS), np.zeros(ENVS)
    terminated, truncated = np.zeros(ENVS, bool), np.zeros(ENVS, bool)
    for _ in range(steps // ENVS):
        acted = learner.act(observations)
        rollout.add(everyone, observations, *acted)
        for number, task in enumerate(tasks):
            observations[number], reward, terminated[number], truncated[number], _ = task.step(
                int(acted.actions[number])
            )
            rewards[number] = float(reward)
        bootstrap[:] = learner.values(observations)
        rollout.reward(everyone, rewards, terminated, truncated, bootstrap)
        for number in np.flatnonzero(terminated | truncated).tolist():
            observations[number], _ = tasks[number].reset()
        if len(rollout) >= config.rollout_steps:
            learner.update(rollout)
    return learner


def reference(seed: int, steps: int = STEPS) -> Reference:
    """Learn CartPole-v1 with the RL Zoo's settings (their clip falls, ours stays) and judge the last policy."""
    start = time.process_time()
    score = evaluated(learned(seed, steps), EVALUATION_EPISODES, 10_000 + 100 * seed)
    seconds = time.process_time() - start
    note = f"last policy; {EVALUATION_EPISODES} new episodes, likeliest actions"
    return Reference(task=TASK, steps=steps, score=score, wanted=WANTED, seconds=seconds, note=note)


def speed(compiled: bool) -> Speed:
    """Minibatches a second of updates on the shapes of the strategic agent: 48 x 13 windows, 256-128 and 64-32, 64-32.

    Each call learns from 1 epoch of 256 decisions. Neither side drops units out. Ours fills its rollout and estimates
    advantages in each call; the peer's buffer is filled once, before the timing.
    """
    work, minibatches = "48x13, 256-128, two heads of 64-32, batch 64", DECISIONS // BATCH
    return compared(work, ours(compiled), peers(), calls=MINIBATCH_CALLS, updates=minibatches)


DECISIONS, MINIBATCH_CALLS = 256, 10


def decisions(generator: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Random ones: observations, actions, rewards."""
    return (
        generator.standard_normal((DECISIONS, *WINDOW), dtype=np.float32),
        generator.integers(0, ACTIONS, DECISIONS),
        generator.standard_normal(DECISIONS),
    )


def ours(compiled: bool) -> Callable[[], object]:
    """One epoch over 256 decisions of one environment, the rollout's own work included."""
    box = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
    network = Network(hidden_layers=HIDDEN, activation="relu")
    config = PPOConfig(network_architecture=network, batch_size=BATCH, epochs_per_update=1, rollout_steps=DECISIONS)
    statistics = Statistics.identity(WINDOW[-1])
    learner = PPO(box, spaces.Discrete(ACTIONS), config, seed=0, statistics=statistics, compiled=compiled)
    rollout = Rollout(DECISIONS, ArrayStore(WINDOW))
    observations, actions, rewards = decisions(np.random.default_rng(0))
    everyone, none = np.arange(DECISIONS), np.zeros(DECISIONS, bool)
    likely = np.full(DECISIONS, -np.log(3.0))
    empty = np.zeros(DECISIONS)

    def step() -> None:
        rollout.add(everyone, observations, actions, likely, empty)
        rollout.reward(everyone, rewards, ~none, none)
        learner.update(rollout)

    return step


def stable_baselines(environment: Any, **settings: Any) -> Any:
    """PPO of Stable-Baselines3 on networks of the strategic agent's shapes.

    Args:
        environment: Where it would learn.
        settings: Of its class.

    Raises:
        ImportError: If it is not installed.
    """
    from stable_baselines3 import PPO as SB3PPO
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from torch import Tensor, nn

    class Shared(BaseFeaturesExtractor):
        def __init__(self, space: spaces.Box) -> None:
            super().__init__(space, HIDDEN[1])
            sizes = (int(np.prod(space.shape)), *HIDDEN[:2])
            layers = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
            self.layers = nn.Sequential(nn.Flatten(), *layers)

        def forward(self, observations: Tensor) -> Tensor:
            hidden: Tensor = self.layers(observations)
            return hidden

    head = [HIDDEN[2], HIDDEN[2] // 2]
    policy = {"net_arch": {"pi": head, "vf": head}, "activation_fn": nn.ReLU, "features_extractor_class": Shared}
    model = SB3PPO(
        "MlpPolicy", environment, batch_size=BATCH, ent_coef=0.01, policy_kwargs=policy, device="cpu", **settings
    )
    model.set_logger(configure(None, []))
    return model


def peers() -> Callable[[], object] | None:
    """The same epoch of Stable-Baselines3, or None where it is not installed."""
    import torch

    class Shapes(gym.Env[NDArray[np.float32], np.int64]):
        observation_space = spaces.Box(-np.inf, np.inf, WINDOW, np.float32)
        action_space = spaces.Discrete(ACTIONS)

        def reset(self, **given: object) -> tuple[NDArray[np.float32], dict[str, object]]:
            return np.zeros(WINDOW, np.float32), {}

    try:
        model = stable_baselines(Shapes(), n_steps=DECISIONS, n_epochs=1)
    except ImportError:
        return None
    observations, actions, rewards = decisions(np.random.default_rng(0))
    buffer = model.rollout_buffer
    buffer.reset()
    value, likely = torch.zeros(1), torch.full((1,), -float(np.log(3.0)))

    for row in range(DECISIONS):
        reward = rewards[row : row + 1]
        buffer.add(observations[row : row + 1], actions[row : row + 1, None], reward, np.ones(1), value, likely)
    buffer.compute_returns_and_advantage(value, np.ones(1))
    train: Callable[[], object] = model.train
    return train
