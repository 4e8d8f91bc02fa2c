"""The training of each agent: its learner, what it remembers of its decisions, and when it learns from that.

Rewards are scaled here, by their running deviation: what is stored is the reward as it came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES
from training.config import DQNConfig, SACConfig
from training.experience import Answer, Decision, Observations, Transition
from training.learners.dqn import DQN
from training.learners.ppo import PPO
from training.learners.rollout import Rollout
from training.learners.sac import SAC
from training.randomness import State
from training.trainer.memory import ReplayMemory, RewardScale

Losses = dict[str, float]


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


class StrategicTraining:
    """PPO: decisions gather in a rollout, which is learned from when it is full, and forgotten then."""

    def __init__(self, learner: PPO, rollout: Rollout, steps: int) -> None:
        self.learner, self._rollout, self._steps = learner, rollout, steps
        self._scale = RewardScale()

    def answer(self, observations: Observations) -> Answer:
        """Decide, and explore."""
        actions, log_probabilities, values = self.learner.act(observations)
        return Answer(actions, {"log_probability": log_probabilities, "value": values})

    def begin(self, decision: Decision) -> None:
        """Remember decisions, in the order in which they are taken."""
        extra = decision.extra
        self._rollout.add(
            decision.environments, decision.keys, decision.actions, extra["log_probability"], extra["value"]
        )

    def close(self, transition: Transition) -> None:
        """Give decisions that are over their rewards."""
        self._scale.see(transition.rewards)
        cut = transition.truncated
        bootstrap = np.zeros(len(cut), np.float32)
        if cut.any():
            bootstrap[cut] = self.learner.values(transition.observations[cut])
        rewards = self._scale(transition.rewards)
        self._rollout.reward(transition.environments, rewards, transition.terminated, cut, bootstrap)

    def learn(self) -> Losses | None:
        """Update from a full rollout; to be called when every environment has an open decision or none at all."""
        if len(self._rollout) < self._steps:
            return None
        return self.learner.update(self._rollout)

    def state(self) -> State:
        """What `load` takes; without the learner, which keeps its own state."""
        return {"rollout": self._rollout.state(), "scale": self._scale.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._rollout.load(state["rollout"])
        self._scale.load(state["scale"])


class _OffPolicyTraining(ABC):
    """Transitions go into a replay buffer; every step of the environments is followed by updates."""

    def __init__(self, memory: ReplayMemory, config: SACConfig | DQNConfig) -> None:
        self.memory, self._batch_size, self._gradient_steps = memory, config.batch_size, config.gradient_steps

    def begin(self, decision: Decision) -> None:
        """Remember decisions until they are over."""
        self.memory.begin(decision)

    def close(self, transition: Transition) -> None:
        """Store decisions that are over."""
        self.memory.close(transition)

    def learn(self, progress: float) -> Losses | None:
        """Update from the replay buffer, once it holds enough; `progress` is the share of the training, 0 to 1."""
        if not self.memory.enough:
            return None
        losses: Losses = {}
        for _ in range(self._gradient_steps):
            losses = self._update(progress)
        return losses

    @abstractmethod
    def _update(self, progress: float) -> Losses:
        """One update from one batch."""


class TacticalTraining(_OffPolicyTraining):
    """SAC."""

    def __init__(self, learner: SAC, memory: ReplayMemory, config: SACConfig) -> None:
        super().__init__(memory, config)
        self.learner = learner

    def answer(self, observations: Observations) -> Answer:
        """Decide, and explore."""
        return Answer(self.learner.act(observations))

    def _update(self, progress: float) -> Losses:
        del progress
        return self.learner.update(self.memory.sample(self._batch_size, 1.0))


class RiskTraining(_OffPolicyTraining):
    """DQN: random actions become rarer from episode to episode, and transitions have priorities."""

    def __init__(self, learner: DQN, memory: ReplayMemory, config: DQNConfig, beta: float) -> None:
        super().__init__(memory, config)
        self.learner, self._config, self._beta = learner, config, beta
        self.epsilon = config.epsilon_start

    def answer(self, observations: Observations) -> Answer:
        """Decide, and explore."""
        return Answer(self.learner.act(observations, self.epsilon))

    def episode_ended(self) -> None:
        """Let random actions become rarer."""
        self.epsilon = max(self._config.epsilon_end, self.epsilon * self._config.epsilon_decay)

    def _update(self, progress: float) -> Losses:
        beta = self._beta + (1.0 - self._beta) * min(progress, 1.0)
        batch = self.memory.sample(self._batch_size, beta)
        losses, errors = self.learner.update(batch)
        self.memory.replay.update_priorities(batch.index, errors)
        return losses


class Trainings(NamedTuple):
    """Those of the ensemble."""

    strategic: StrategicTraining
    tactical: TacticalTraining
    risk: RiskTraining

    def of(self, agent: str) -> StrategicTraining | TacticalTraining | RiskTraining:
        """That of an agent, by its name."""
        found: StrategicTraining | TacticalTraining | RiskTraining = getattr(self, agent)
        return found

    def weights(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Weights by agent and name."""
        return {role: dict(learner.weights()) for role, learner in zip(AGENT_NAMES, self.learners, strict=True)}

    def state(self) -> State:
        """What `load` takes."""
        weights = self.weights()
        return {
            "learners": {
                role: {"weights": weights[role], "learner": learner.state()}
                for role, learner in zip(AGENT_NAMES, self.learners, strict=True)
            },
            "seats": {
                "strategic": self.strategic.state(),
                "tactical": self.tactical.memory.state(),
                "risk": self.risk.memory.state(),
                "epsilon": self.risk.epsilon,
            },
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            DataError: If it is one of other networks, buffers or numbers of environments.
        """
        for role, learner in zip(AGENT_NAMES, self.learners, strict=True):
            learner.load(state["learners"][role]["learner"])
        remembered = state["seats"]
        self.strategic.load(remembered["strategic"])
        self.tactical.memory.load(remembered["tactical"])
        self.risk.memory.load(remembered["risk"])
        self.risk.epsilon = float(remembered["epsilon"])

    @property
    def learners(self) -> tuple[Learner, Learner, Learner]:
        """In the agents' order."""
        return self.strategic.learner, self.tactical.learner, self.risk.learner
