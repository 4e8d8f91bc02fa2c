"""Experience: what agents decide, what becomes of it, and the collector that asks them and gathers it.

Agents decide at different times, so decisions do not come in lockstep: one lasts until its agent is due again or the
episode is over. What feeds the collector shows it a `Moment`: today `VectorEnv` (see `moment_of`), N accounts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES, AGENTS, AgentSpec
from engine.types.blocks import Bools, Floats, Ints
from training.environment.rewards import TERMS
from training.environment.vector import Actions, VectorEnv

Observations = NDArray[np.float32]


class Moment(NamedTuple):
    """What N environments show between two bars; arrays may be live, and axes of agents are in their order.

    Attributes:
        observations: Of each agent, float32, shape (N, *observation).
        keys: Of each agent, what stands for its observations: row numbers (N,) or the observations themselves.
        due: Which agents decide now, shape (N, 3).
        terms: Reward terms since each agent's last decision, shape (N, 3, 5), columns TERMS.
        rewards: Their sums, shape (N, 3).
        terminated, truncated: How episodes ended, shape (N,); neither while they run.
    """

    observations: tuple[Observations, ...]
    keys: tuple[NDArray[Any], ...]
    due: Bools
    terms: Floats
    rewards: Floats
    terminated: Bools
    truncated: Bools


class Answer(NamedTuple):
    """What an agent does about k observations.

    Attributes:
        actions: Shape (k,), or (k, components) where they are continuous.
        extra: More that its learner wants to remember, by name, shape (k,).
    """

    actions: NDArray[Any]
    extra: Mapping[str, NDArray[Any]] = MappingProxyType({})


class Decision(NamedTuple):
    """What one agent has just decided in k environments.

    Attributes:
        agent: Its name.
        environments: None twice, shape (k,).
        keys: What stands for what it saw, shape (k, ...).
        actions: Shape (k,), or (k, components) where they are continuous.
        extra: As the log probability and the value that its policy gave, by name, shape (k,).
    """

    agent: str
    environments: Ints
    keys: NDArray[Any]
    actions: NDArray[Any]
    extra: Mapping[str, NDArray[Any]]


class Transition(NamedTuple):
    """What became of the last decisions of one agent, its own or a stand-in's, in k environments.

    Attributes:
        agent: Its name.
        environments: None twice, shape (k,).
        rewards: Since the decision, shape (k,).
        observations: What it sees now, float32, shape (k, *observation).
        keys: What stands for that, shape (k, ...).
        terminated: Where nothing can follow, shape (k,).
        truncated: Where the episode was cut off although something would follow, shape (k,).
    """

    agent: str
    environments: Ints
    rewards: Floats
    observations: Observations
    keys: NDArray[Any]
    terminated: Bools
    truncated: Bools


Decide = Callable[[Observations], Answer]
"""An agent, asked about several environments at once."""


class Collector:
    """Asks the agents that are due, and gathers what becomes of their decisions.

    Args:
        environments: N.

    Attributes:
        terms: Reward terms of each agent in the running episodes, shape (N, 3, 5), columns TERMS; a decision counts
            once it is over.
    """

    def __init__(self, environments: int) -> None:
        self._running = np.zeros(environments, np.bool_)
        self.terms = np.zeros((environments, len(AGENT_NAMES), len(TERMS)))

    def ask(self, moment: Moment, agents: Mapping[str, Decide]) -> tuple[Actions, list[Decision]]:
        """Let the agents decide that are due.

        Args:
            moment: What they see.
            agents: By name. Where one is missing its stand-in decides, and nothing is told of that.

        Returns:
            The actions of all environments, stand-ins' where nobody was asked, and the decisions, in the agents' order.
        """
        self._running = ~(moment.terminated | moment.truncated)
        actions = stand_ins(len(moment.due))
        decisions = []
        for at, name in enumerate(AGENT_NAMES):
            due = np.flatnonzero(moment.due[:, at])
            if len(due) and name in agents:
                answer = agents[name](moment.observations[at][due])
                actions[at][due] = answer.actions
                decisions.append(Decision(name, due, moment.keys[at][due], actions[at][due], answer.extra))
        return actions, decisions

    def gather(self, moment: Moment) -> list[Transition]:
        """What those decisions have led to that are over: their agent is due again, or the episode has ended.

        Args:
            moment: After the actions were carried out. Episodes that were over before are left out.
        """
        ended = moment.terminated | moment.truncated
        transitions = []
        for at, name in enumerate(AGENT_NAMES):
            over = np.flatnonzero((moment.due[:, at] | ended) & self._running)
            if len(over):
                self.terms[over, at] += moment.terms[over, at]
                transitions.append(
                    Transition(
                        name,
                        over,
                        # the only place where an agent is credited with what happened: whatever else it shall be
                        # rewarded with, and whatever it shall not, changes here
                        moment.rewards[over, at],
                        moment.observations[at][over],
                        moment.keys[at][over],
                        moment.terminated[over],
                        moment.truncated[over] & ~moment.terminated[over],
                    )
                )
        return transitions

    def forget(self, environments: Ints) -> None:
        """Other episodes begin there, shape (k,)."""
        self.terms[environments] = 0.0


def moment_of(env: VectorEnv) -> Moment:
    """What the training environments show now."""
    return Moment(
        (env.strategic, env.tactical, env.risk),
        (env.strategic_key, env.tactical_key, env.risk),
        env.due,
        env.terms,
        env.rewards,
        env.terminated,
        env.truncated,
    )


def stand_ins(environments: int) -> Actions:
    """What is done where no agent is asked, in so many environments."""
    return Actions(*(repeated(AGENTS[name], AGENTS[name].stand_in, environments) for name in AGENT_NAMES))


def repeated(agent: AgentSpec, action: Sequence[float], count: int) -> NDArray[Any]:
    """One action so many times: int64, shape (count,), of a choice; else float32, shape (count, components)."""
    if agent.choices:
        return np.full(count, int(action[0]), np.int64)
    return np.tile(np.array(action, np.float32), (count, 1))
