"""Rewards of running episodes, by agent and by term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES
from training.environment.rewards import TERMS
from training.randomness import State


class Sums:
    """Rewards of the running episode of every environment, by agent and by term."""

    def __init__(self, envs: int) -> None:
        self.terms = np.zeros((envs, len(AGENT_NAMES), len(TERMS)))

    def add(self, which: Any, agent: int, terms: Any) -> None:
        """Take the terms of closed decisions of one agent."""
        self.terms[which, agent] += terms

    def take(self, env: int) -> tuple[dict[str, float], dict[str, float]]:
        """Rewards by agent and terms of the team of an episode that has ended; resets them."""
        rewards = {role: float(self.terms[env, a].sum()) for a, role in enumerate(AGENT_NAMES)}
        # every agent is rewarded for the same bars: the risk agent's sums stand for the team's
        terms = {term: float(self.terms[env, -1, t]) for t, term in enumerate(TERMS)}
        self.terms[env] = 0.0
        return rewards, terms

    def state(self) -> State:
        """What `load` takes."""
        return {"terms": self.terms.copy()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.terms[:] = state["terms"]
