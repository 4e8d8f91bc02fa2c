"""Accounts that play training episodes: agents are asked, the market moves on, and what became of it is gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES, STRATEGIC_AGENT
from engine.base.state import State
from engine.types.blocks import Ints
from training.environment.rewards import TERMS
from training.environment.vector import Actions, VectorEnv
from training.experience import Collector, Decide, Decision, Transition, moment_of
from training.trainer.schedule import Sampler


class Playing:
    """Environments side by side; where an episode has ended, the next one begins.

    Args:
        env: The environments; all of them begin now.
        sampler: Deals the rows where episodes begin.
        length: Bars of an episode.

    Attributes:
        env_steps: Bars taken so far by all environments together.
    """

    def __init__(self, env: VectorEnv, sampler: Sampler, length: int) -> None:
        self.env, self._sampler, self._length = env, sampler, length
        self._collector = Collector(env.envs)
        self.env_steps = 0
        self._begin(np.arange(env.envs))

    def ask(self, agents: Mapping[str, Decide]) -> list[Decision]:
        """Let the agents decide that are due, as `Collector.ask`; `advance` carries it out."""
        self._actions, decisions = self._collector.ask(moment_of(self.env), agents)
        return decisions

    def advance(self) -> list[Transition]:
        """Take every environment on until one of its agents is due; returns the decisions that are over.

        Raises:
            DataError: If a reward is not finite.
        """
        before = self.env.steps.copy()
        self.env.advance(self._actions)
        self.env_steps += int((self.env.steps - before).sum())
        return self._collector.gather(moment_of(self.env))

    def play(self, actions: Actions) -> Ints:
        """Take every environment on until its strategic agent is due; returns those whose episode has ended.

        What the team earns counts for every agent.

        Raises:
            DataError: If a reward is not finite.
        """
        env = self.env
        running, before = ~(env.terminated | env.truncated), env.steps.copy()
        env.advance(actions, (STRATEGIC_AGENT.name,))
        self.env_steps += int((env.steps - before).sum())
        ended = (env.terminated | env.truncated) & running
        over = np.flatnonzero((env.due[:, 0] & running) | ended)
        self._collector.terms[over] += env.terms[over, :1]
        return np.flatnonzero(ended)

    def finished(self) -> list[dict[str, Any]]:
        """Facts about the episodes that have just ended; others begin in their place.

        Returns:
            By episode: `rewards` by agent, `terms` of the team's reward, `return` as a fraction, `bars`.
        """
        env = self.env
        ended = np.flatnonzero(env.terminated | env.truncated)
        facts = []
        for which in ended.tolist():
            earned, steps = self._collector.terms[which], int(env.steps[which])
            facts.append(
                {
                    "rewards": {role: float(earned[agent].sum()) for agent, role in enumerate(AGENT_NAMES)},
                    # every agent is rewarded for the same bars: the risk agent's terms stand for the team's
                    "terms": {term: float(earned[-1, at]) for at, term in enumerate(TERMS)},
                    "return": float(env.equity[which, steps] / env.equity[which, 0] - 1.0),
                    "bars": steps,
                }
            )
        if len(ended):
            self._begin(ended)
        return facts

    def _begin(self, which: Ints) -> None:
        self._collector.forget(which)
        self.env.reset(which, self._sampler.deal(len(which)), np.full(len(which), self._length))

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "environment": self.env.snapshot(),
            "sampler": self._sampler.snapshot(),
            "sums": {"terms": self._collector.terms.copy()},
            "env_steps": self.env_steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is one of other environments.
        """
        self.env.restore(state["environment"])
        self._sampler.restore(state["sampler"])
        self._collector.terms[:] = state["sums"]["terms"]
        self.env_steps = int(state["env_steps"])
