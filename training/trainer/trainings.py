"""The training of each agent: its learner, what it remembers of its decisions, and when it learns from that.

One that is on-policy learns from the decisions of its present policy alone, before the environments move on; the others
learn after every step of theirs. `learn` takes the share of the training that is over, 0 to 1.

Rewards are scaled here, by their running deviation: what is stored is the reward as it came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES, RISK_AGENT, STRATEGIC_AGENT
from engine.base.state import State
from training.config import DQNConfig, SACConfig
from training.environment.branches import Worths
from training.experience import Answer, Decision, Observations, Transition
from training.learners.dqn import DQN
from training.learners.outcomes import Outcomes
from training.learners.ppo import PPO
from training.learners.rollout import Rollout
from training.learners.sac import SAC
from training.trainer.memory import ReplayMemory, RewardScale

Losses = dict[str, float]
Learner = TypeVar("Learner", SAC, DQN)


class StrategicTraining:
    """PPO: decisions gather in a rollout, which is learned from when it is full, and forgotten then."""

    algorithm, on_policy = "ppo", True

    def __init__(self, learner: PPO, rollout: Rollout, outcomes: Outcomes) -> None:
        self.learner, self._rollout, self._outcomes = learner, rollout, outcomes
        self._steps, self._second = learner.config.rollout_steps, learner.config.second_start
        self._scale = RewardScale()
        self.starts = 1
        self.gamma = learner.config.gamma

    def answer(self, observations: Observations) -> Answer:
        """The log probabilities and values of its policy belong to the answer."""
        actions, log_probabilities, values = self.learner.act(observations)
        return Answer(actions, {"log_probability": log_probabilities, "value": values})

    def begin(self, decision: Decision) -> None:
        """Add decisions to the rollout."""
        extra = decision.extra
        self._rollout.add(
            decision.environments, decision.keys, decision.actions, extra["log_probability"], extra["value"]
        )

    def close(self, transition: Transition) -> None:
        """Give decisions that are over their rewards."""
        self._scale.see(transition.rewards)
        # an episode that was only cut off would have gone on earning: what is expected of that is added as a bootstrap
        # (Pardo et al., Time Limits in Reinforcement Learning, 2018); after a halt nothing can follow
        cut = transition.truncated
        bootstrap = np.zeros(len(cut), np.float32)
        if cut.any():
            bootstrap[cut] = self.learner.values(transition.observations[cut])
        rewards = self._scale(transition.rewards)
        self._rollout.reward(transition.environments, rewards, transition.terminated, cut, bootstrap)

    def learn(self, progress: float) -> Losses | None:
        """Update from a full rollout; to be called when every environment has an open decision or none at all."""
        del progress
        return self.learner.update(self._rollout) if len(self._rollout) >= self._steps else None

    def weigh(self, worths: Worths) -> None:
        """Take decisions of which the worth of every action is known."""
        if len(worths.keys):
            self._outcomes.add(worths.keys, worths.values)

    def learn_worths(self, progress: float) -> Losses | None:
        """Update from them once they fill a rollout; `progress` is the share of the turn, 0 to 1."""
        if len(self._outcomes) < self._steps:
            return None
        learner, second = self.learner, self._second
        if second is None or self.starts == 1:
            learner.progress = progress if second is None else min(2.0 * progress, 1.0)
            return learner.update_outcomes(self._outcomes.take(), kl_stop=learner.config.kl_stop)
        learner.progress = max(2.0 * progress - 1.0, 0.0)
        replayed = second.outcome_replay
        return learner.update_outcomes(
            self._outcomes.take(replayed), replayed=replayed, kl_stop=second.kl_stop, entropy=second.entropy
        )

    def starts_again(self, progress: float) -> bool:
        """Whether it is time for the second start; `progress` is the share of the turn, 0 to 1."""
        return self._second is not None and self.starts == 1 and progress >= 0.5

    def start_again(self, fresh: StrategicTraining) -> None:
        """Begin a second time (see `training.config.SecondStart`), with the networks of another training."""
        self.starts = 2
        self.begin_anew(fresh)

    def begin_anew(self, fresh: StrategicTraining) -> None:
        """Take the networks of a training that has not begun, and forget what has been learned and seen."""
        self.learner.restore(fresh.learner.snapshot())
        self._rollout.forget()
        self._outcomes.forget()
        self._scale.restore(fresh._scale.snapshot())
        if self._second is not None and self.starts > 1:
            self.learner.start_from(first_probabilities(self._second.initial_neutral))

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "rollout": self._rollout.snapshot(),
            "outcomes": self._outcomes.snapshot(),
            "scale": self._scale.snapshot(),
            "starts": self.starts,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._rollout.restore(state["rollout"])
        self._outcomes.restore(state["outcomes"])
        self._scale.restore(state["scale"])
        self.starts = int(state["starts"])


def first_probabilities(neutral: float) -> list[float]:
    """Of the strategic agent's actions, those of the sides alike."""
    count, at = len(STRATEGIC_AGENT.choices), int(STRATEGIC_AGENT.stand_in[0])
    return [neutral if action == at else (1.0 - neutral) / (count - 1) for action in range(count)]


class _OffPolicyTraining(ABC, Generic[Learner]):
    """Transitions go into a replay buffer; every step of the environments is followed by updates."""

    on_policy = False
    learner: Learner

    def __init__(self, memory: ReplayMemory, config: SACConfig | DQNConfig) -> None:
        self.memory, self._batch_size, self._gradient_steps = memory, config.batch_size, config.gradient_steps
        self.gamma = config.gamma
        self._owed = 0

    def begin(self, decision: Decision) -> None:
        """Keep decisions open until they are over."""
        self.memory.begin(decision)

    def close(self, transition: Transition) -> None:
        """Store decisions that are over."""
        self.memory.close(transition)

    def learn(self, progress: float) -> Losses | None:
        """Update from the replay buffer, once it holds enough."""
        if not self.memory.enough:
            return None
        losses: Losses = {}
        for _ in range(self._gradient_steps):
            losses = self._update(progress)
        return losses

    def weigh(self, worths: Worths) -> None:
        """Store what alternatives were worth beside the one that they are measured by."""
        differences = worths.values - worths.values[:, [self._measure()]]
        self._owed += self.memory.add(worths.keys, worths.actions, differences)

    @abstractmethod
    def _measure(self) -> int:
        """Which alternative is the constant action."""

    def learn_worths(self, progress: float) -> Losses | None:
        """Update: each transition is sampled `gradient_steps` times on average, however many environments there are."""
        if not self.memory.enough:
            return None
        losses: Losses | None = None
        self.learner.set_progress(progress)
        while self._owed >= self._batch_size:
            self._owed -= self._batch_size
            for _ in range(self._gradient_steps):
                losses = self._update(progress)
        return losses

    @abstractmethod
    def _update(self, progress: float) -> Losses:
        """One update from one batch."""

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {**self.memory.snapshot(), "owed": self._owed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.memory.restore(state)
        self._owed = int(state["owed"])


class TacticalTraining(_OffPolicyTraining[SAC]):
    """SAC."""

    algorithm = "sac"

    def __init__(self, learner: SAC, memory: ReplayMemory, config: SACConfig) -> None:
        super().__init__(memory, config)
        self.learner = learner

    def answer(self, observations: Observations) -> Answer:
        """Decide, and explore."""
        return Answer(self.learner.act(observations))

    def begin_anew(self, fresh: TacticalTraining) -> None:
        """Take the networks of a training that has not begun, and forget what has been learned and seen."""
        self.learner.restore(fresh.learner.snapshot())
        self.restore(fresh.snapshot())

    def _measure(self) -> int:
        return -1  # the constant one comes last

    def _update(self, progress: float) -> Losses:
        del progress
        return self.learner.update(self.memory.sample(self._batch_size, 1.0))


class RiskTraining(_OffPolicyTraining[DQN]):
    """DQN: random actions become rarer from episode to episode, and transitions have priorities."""

    algorithm = "dqn"

    def __init__(self, learner: DQN, memory: ReplayMemory, config: DQNConfig, beta: float) -> None:
        super().__init__(memory, config)
        self.learner, self._config, self._beta = learner, config, beta
        self.epsilon = config.epsilon_start
        self.constant = int(RISK_AGENT.stand_in[0])

    def answer(self, observations: Observations) -> Answer:
        """Decide, and explore."""
        return Answer(self.learner.act(observations, self.epsilon))

    def begin_anew(self, fresh: RiskTraining) -> None:
        """Take the networks of a training that has not begun, forget what has been learned, and explore as at first."""
        self.learner.restore(fresh.learner.snapshot())
        self.restore(fresh.snapshot())
        self.epsilon = fresh.epsilon

    def episode_ended(self) -> None:
        """Let random actions become rarer."""
        self.epsilon = max(self._config.epsilon_end, self.epsilon * self._config.epsilon_decay)

    def _measure(self) -> int:
        return self.constant

    def _update(self, progress: float) -> Losses:
        # the bias of prioritized samples matters most near the end, when values settle (Schaul et al., 2016, 3.4)
        beta = self._beta + (1.0 - self._beta) * min(progress, 1.0)
        batch = self.memory.sample(self._batch_size, beta)
        losses, errors = self.learner.update(batch)
        self.memory.replay.update_priorities(batch.index, errors)
        return losses


AgentTraining = StrategicTraining | TacticalTraining | RiskTraining


class Trainings(NamedTuple):
    """Those of the ensemble, in the agents' order."""

    strategic: StrategicTraining
    tactical: TacticalTraining
    risk: RiskTraining

    def of(self, agent: str) -> AgentTraining:
        """That of an agent, by its name."""
        found: AgentTraining = getattr(self, agent)
        return found

    def learn(self, progress: float, *, on_policy: bool) -> dict[str, Losses]:
        """Let the agents of one kind update; losses of those that did, by algorithm."""
        found = {one.algorithm: one.learn(progress) for one in self if one.on_policy == on_policy}
        return {algorithm: dict(losses) for algorithm, losses in found.items() if losses is not None}

    def weights(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Weights by agent and name."""
        return {role: dict(self.of(role).learner.weights()) for role in AGENT_NAMES}

    def snapshot(self) -> State:
        """What `restore` takes."""
        weights = self.weights()
        return {
            "learners": {
                role: {"weights": weights[role], "learner": self.of(role).learner.snapshot()} for role in AGENT_NAMES
            },
            "seats": {**{role: self.of(role).snapshot() for role in AGENT_NAMES}, "epsilon": self.risk.epsilon},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is one of other networks, buffers or numbers of environments.
        """
        for role in AGENT_NAMES:
            self.of(role).learner.restore(state["learners"][role]["learner"])
        for role in AGENT_NAMES:
            self.of(role).restore(state["seats"][role])
        self.risk.epsilon = float(state["seats"]["epsilon"])

    @property
    def learners(self) -> tuple[PPO, SAC, DQN]:
        """In the agents' order."""
        return self.strategic.learner, self.tactical.learner, self.risk.learner
