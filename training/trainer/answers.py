"""What is done about an agent that has collapsed: it begins anew, at most so many times, with penalties eased in.

A new beginning is a network of other first weights, without memories; the tactical one begins at its constant action
again. Where rewards have penalties, it learns without them at first, and they rise to their full weight: what is tried
first costs more than it earns, and with penalties in force a network may never see that trading pays. The networks that
were evaluated best are kept whatever happens later, and every evaluation is by the full reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.base.state import State
from training.environment.rewards import Rewards
from training.trainer.build import build_trainings
from training.trainer.setup import TrainingSetup
from training.trainer.trainings import Trainings
from training.trainer.watch import Sign

EASED = 0.5
"""Share of the episodes that an agent has left in which penalties rise."""

ANEW = 99
"""Marks the seeds of new beginnings."""


def fresh_trainings(setup: TrainingSetup, number: int) -> Trainings:
    """Networks of other first weights, and empty memories.

    Args:
        setup: Of the training.
        number: Of the new beginning; 0 is the strategic agent's second start.
    """
    config = setup.config
    seed = np.random.SeedSequence(config.seed, spawn_key=(ANEW, number)).generate_state(1)[0]
    changed = replace(setup, config=config.model_copy(update={"seed": int(seed)}))
    return build_trainings(changed, "cpu", compiled=False)


class Answers:
    """Counts new beginnings, and knows how much penalties weigh by now.

    Args:
        setup: Of the training.
    """

    def __init__(self, setup: TrainingSetup) -> None:
        self._setup = setup
        collapse = setup.config.training_params.collapse
        self._most = 0 if collapse is None else collapse.restarts
        self.restarts: dict[str, int] = {}
        self._eased: tuple[int, int] | None = None

    @property
    def answers(self) -> bool:
        """Whether anything is done at all."""
        return self._most > 0

    def left(self, agent: str) -> bool:
        """Whether an agent may begin anew."""
        return self.restarts.get(agent, 0) < self._most

    def begin_anew(self, agent: str, episode: int, remaining: int) -> tuple[Trainings, str]:
        """Networks and memories for a new beginning, and what to say of it.

        Args:
            agent: Which begins anew.
            episode: By now.
            remaining: Episodes that it has left.
        """
        number = self.restarts[agent] = self.restarts.get(agent, 0) + 1
        said = f"it begins anew ({number} of at most {self._most})"
        if self._has_penalties:
            self._eased = (episode, max(1, round(EASED * remaining)))
            said += f", and penalties rise from 0 to their full weight until episode {episode + self._eased[1]:,}"
        return fresh_trainings(self._setup, number), said

    def given_up(self, sign: Sign) -> str:
        """What to say of an agent that has begun anew as often as it may."""
        count = self.restarts.get(sign.agent, 0)
        tried = f"{count} new beginning{'s' if count != 1 else ''}"
        tried += ", with penalties eased in" if self._has_penalties else ""
        return f"the {sign.agent} agent learns nothing of use ({sign.name}); tried: {tried}"

    def rest(self) -> None:
        """Penalties have their full weight again: another agent begins to learn."""
        self._eased = None

    def rewards(self, episode: int) -> Rewards:
        """The weights of the reward's terms by now."""
        full = self._setup.rewards
        if self._eased is None:
            return full
        since, length = self._eased
        share = min((episode - since) / length, 1.0)
        return replace(
            full,
            risk_penalty=share * full.risk_penalty,
            sharpe_bonus=share * full.sharpe_bonus,
            max_drawdown_penalty=share * full.max_drawdown_penalty,
        )

    @property
    def _has_penalties(self) -> bool:
        full = self._setup.rewards
        return bool(full.risk_penalty or full.sharpe_bonus or full.max_drawdown_penalty)

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {"restarts": dict(self.restarts), "eased": None if self._eased is None else list(self._eased)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.restarts = {agent: int(count) for agent, count in state["restarts"].items()}
        eased = state["eased"]
        self._eased = None if eased is None else (int(eased[0]), int(eased[1]))
