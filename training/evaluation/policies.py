"""Who decides in an evaluation: learners, exported networks, and neutral stand-ins; none of them explores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.ensemble import Models
from agents.ensemble.seats import agent_of
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import RiskNetwork
from agents.spec import AGENT_NAMES, AGENTS, STRATEGIC_AGENT, TACTICAL_AGENT, find_agent
from engine.base.errors import UsageError
from engine.types.blocks import Ints
from training.experience import Answer, Decide, Observations, repeated


class Policy(Protocol):
    """What the three agents do; observations are float32, the first axis counts them."""

    def strategic(self, observations: Observations) -> Ints:
        """0 short, 1 neutral, 2 long, of observations of shape (N, 48, 13)."""
        ...

    def tactical(self, observations: Observations) -> Observations:
        """Entry timing, stop distance and position scale, shape (N, 3), of observations of shape (N, 60, 7)."""
        ...

    def risk(self, observations: Observations) -> Ints:
        """Levels 0 to 4 of observations of shape (N, 10)."""
        ...


def deciding(policy: Policy) -> dict[str, Decide]:
    """The agents of a policy, by name, as a `Collector` asks them."""

    def decide(agent: str, observations: Observations) -> Answer:
        return Answer(getattr(policy, agent)(observations))

    return {name: partial(decide, name) for name in AGENT_NAMES}


class ServedPolicy:
    """Networks as they are served.

    Args:
        models: Of a version, see `agents.models.loading.load_ensemble`.

    Raises:
        UsageError: If a seat has no network.
    """

    def __init__(self, models: Models) -> None:
        missing = [role for role in AGENT_NAMES if getattr(models, role) is None]
        if missing:
            raise UsageError(
                f"version {models.version} has no {missing[0]} network",
                expected="a network in every seat",
                hint="`grandmodel models list` shows the seats of every version",
            )
        self.agents = {name: agent_of(name, getattr(models, name)) for name in AGENT_NAMES}
        self._strategic: OnnxModel = models.strategic  # type: ignore[assignment] # seen above
        self._tactical: OnnxModel = models.tactical  # type: ignore[assignment] # likewise
        self._risk: RiskNetwork = models.risk  # type: ignore[assignment] # likewise

    def strategic(self, observations: Observations) -> Ints:
        """The most probable direction."""
        return self._strategic.run(observations)["action"]

    def tactical(self, observations: Observations) -> Observations:
        """The middle of the policy, within the box."""
        return np.asarray(
            np.clip(self._tactical.run(observations)["action"], TACTICAL_AGENT.low, TACTICAL_AGENT.high), np.float32
        )

    def risk(self, observations: Observations) -> Ints:
        """The level of greatest value."""
        return self._risk.run(observations)["action"]


class LearnedPolicy:
    """Learners as they stand; no random number is drawn, so that evaluating changes nothing of a training.

    Args:
        ppo: A `training.learners.ppo.PPO`.
        sac: A `training.learners.sac.SAC`.
        dqn: A `training.learners.dqn.DQN`.
    """

    def __init__(self, ppo: Any, sac: Any, dqn: Any) -> None:
        self._ppo, self._sac, self._dqn = ppo, sac, dqn

    def strategic(self, observations: Observations) -> Ints:
        """The most probable direction."""
        return np.asarray(self._ppo.act(observations, explore=False).actions, np.int64)

    def tactical(self, observations: Observations) -> Observations:
        """The middle of the policy, within the box."""
        return np.asarray(
            np.clip(self._sac.act(observations, explore=False), TACTICAL_AGENT.low, TACTICAL_AGENT.high), np.float32
        )

    def risk(self, observations: Observations) -> Ints:
        """The level of greatest value."""
        return np.asarray(self._dqn.greedy(observations), np.int64)


class Constants:
    """A policy in which some agents always act the same.

    Args:
        policy: Decides in the other seats.
        actions: By agent: one number of a choice, or one for each component.

    Raises:
        UsageError: If there is no such agent.
    """

    def __init__(self, policy: Policy, actions: Mapping[str, tuple[float, ...]]) -> None:
        for agent in actions:
            find_agent(agent)

        def answer(agent: str) -> Any:
            return partial(repeated_action, agent, actions[agent]) if agent in actions else getattr(policy, agent)

        self.strategic, self.tactical, self.risk = answer("strategic"), answer("tactical"), answer("risk")
        self.constant: set[str] = set(actions) | (policy.constant if isinstance(policy, Constants) else set())


def without(policy: Policy, agent: str) -> Constants:
    """The policy with an agent replaced by its stand-in.

    Strategic: always neutral, so that nothing is traded. Tactical: enters at once (timing 1), with a stop of 5 % and a
    position scale of 1. Risk: always full exposure (level 4).
    """
    return Constants(policy, {agent: find_agent(agent).stand_in})


def asked(policy: Policy) -> tuple[str, ...]:
    """Agents for whose decisions an episode has to stop: the strategic one alone where nobody else can change."""
    changing = set(AGENT_NAMES) - (policy.constant if isinstance(policy, Constants) else set())
    return AGENT_NAMES if changing - {STRATEGIC_AGENT.name} else (STRATEGIC_AGENT.name,)


def repeated_action(agent: str, action: tuple[float, ...], observations: Observations) -> NDArray[Any]:
    """The same action for every observation."""
    return repeated(AGENTS[agent], action, len(observations))
