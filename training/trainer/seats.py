"""The three learners at their seats: each turns the environments' clock into decisions, transitions and updates.

Decisions of an agent last until its next one, so a transition is closed when the agent is due again or the episode has
ended. Rewards are scaled here, by their running deviation: what is stored is the reward as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.config import DQNConfig, SACConfig
from training.environment.vector import VectorEnv
from training.learners.dqn import DQN
from training.learners.ppo import PPO
from training.learners.rollout import Rollout
from training.learners.sac import SAC
from training.randomness import State
from training.trainer.scaling import RewardScale
from training.trainer.transitions import Transitions

Losses = dict[str, float]
Which = NDArray[np.int64]
STRATEGIC, TACTICAL, RISK = 0, 1, 2


class Learner(Protocol):
    """What the three learners have in common."""

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name."""
        ...

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights."""
        ...

    def state(self) -> State:
        """What `load` takes."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        ...


class StrategicSeat:
    """PPO: decisions gather in a rollout, which is learned from when it is full, and forgotten then."""

    def __init__(self, learner: PPO, rollout: Rollout, steps: int) -> None:
        self.learner, self._rollout, self._steps = learner, rollout, steps
        self.scale = RewardScale()

    def decide(self, env: VectorEnv, which: Which) -> NDArray[np.int64]:
        """Actions of the environments in which the agent is due."""
        acted = self.learner.act(env.strategic[which])
        self._rollout.add(which, env.strategic_key[which], acted.actions, acted.log_probabilities, acted.values)
        return acted.actions

    def close(self, env: VectorEnv, which: Which) -> None:
        """Close the decisions that are over."""
        rewards = env.rewards[which, STRATEGIC]
        self.scale.see(rewards)
        truncated = env.truncated[which] & ~env.terminated[which]
        bootstrap = np.zeros(len(which), np.float32)
        if truncated.any():
            bootstrap[truncated] = self.learner.values(env.strategic[which[truncated]])
        self._rollout.reward(which, self.scale(rewards), env.terminated[which], truncated, bootstrap)

    def learn(self) -> Losses | None:
        """Update from a full rollout; to be called when every environment has an open decision or none at all."""
        if len(self._rollout) < self._steps:
            return None
        return self.learner.update(self._rollout)

    def state(self) -> State:
        """What `load` takes; without the learner, which keeps its own state."""
        return {"rollout": self._rollout.state(), "scale": self.scale.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._rollout.load(state["rollout"])
        self.scale.load(state["scale"])


class TacticalSeat:
    """SAC: transitions go into a replay buffer; every step of the environments is followed by updates."""

    def __init__(self, learner: SAC, transitions: Transitions, config: SACConfig) -> None:
        self.learner, self.transitions, self._config = learner, transitions, config

    def decide(self, env: VectorEnv, which: Which) -> NDArray[np.float32]:
        """Actions of the environments in which the agent is due."""
        actions: NDArray[np.float32] = self.learner.act(env.tactical[which])
        self.transitions.begin(which, env.tactical_key[which], actions)
        return actions

    def close(self, env: VectorEnv, which: Which) -> None:
        """Store the transitions that are over."""
        self.transitions.close(which, env.rewards[which, TACTICAL], env.tactical_key[which], env.terminated[which])

    def learn(self, progress: float) -> Losses | None:
        """Update from the replay buffer, once it holds enough."""
        del progress
        if not self.transitions.enough:
            return None
        losses: Losses = {}
        for _ in range(self._config.gradient_steps):
            losses = self.learner.update(self.transitions.sample(self._config.batch_size, 1.0))
        return losses


class RiskSeat:
    """DQN: as the tactical seat, with random actions that become rarer from episode to episode, and priorities."""

    def __init__(self, learner: DQN, transitions: Transitions, config: DQNConfig, beta: float) -> None:
        self.learner, self.transitions, self._config, self._beta = learner, transitions, config, beta
        self.epsilon = config.epsilon_start

    def decide(self, env: VectorEnv, which: Which) -> NDArray[np.int64]:
        """Actions of the environments in which the agent is due."""
        observations = env.risk[which]
        actions = self.learner.act(observations, self.epsilon)
        self.transitions.begin(which, observations, actions)
        return actions

    def close(self, env: VectorEnv, which: Which) -> None:
        """Store the transitions that are over."""
        self.transitions.close(which, env.rewards[which, RISK], env.risk[which], env.terminated[which])

    def learn(self, progress: float) -> Losses | None:
        """Update from the replay buffer, once it holds enough; `progress` 0..1 of the training anneals beta."""
        if not self.transitions.enough:
            return None
        losses: Losses = {}
        beta = self._beta + (1.0 - self._beta) * min(progress, 1.0)
        for _ in range(self._config.gradient_steps):
            batch = self.transitions.sample(self._config.batch_size, beta)
            losses, errors = self.learner.update(batch)
            self.transitions.replay.update_priorities(batch.index, errors)
        return losses

    def episode_ended(self) -> None:
        """Let random actions become rarer."""
        self.epsilon = max(self._config.epsilon_end, self.epsilon * self._config.epsilon_decay)
