"""What an agent's other actions would have led to: accounts that part from an episode at a decision.

Prices do not answer to what is traded here, and the simulator is exact. So the outcome of every action can be had on
the very bars that the episode goes through: at a decision the account is copied once for each alternative, and the
copies live through two decisions of the strategic agent. In the first they take their own action, in the second what
the episode really does; then they hold what the episode holds, and nothing follows any more from the difference but the
little by which equity differs. The rewards of both periods are the worth of an action, without the noise of all other
decisions.

Differences between these worths are difference rewards (Wolpert & Tumer, 2002) where the alternative is a stand-in's
action, and exact advantages where all actions of an agent are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES, STRATEGIC_AGENT
from engine.base.state import State
from engine.types.blocks import Bools, Floats, Ints
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

STRATEGIC = AGENT_NAMES.index(STRATEGIC_AGENT.name)
CLOCK = (STRATEGIC_AGENT.name,)
"""Branches go from one decision of the strategic agent to the next."""


class Worths(NamedTuple):
    """What k decisions of an agent were worth.

    Attributes:
        keys: What stands for what it saw, shape (k, ...).
        actions: The alternatives, shape (k, alternatives) or (k, alternatives, components).
        values: Reward of each, the second period discounted, shape (k, alternatives).
    """

    keys: NDArray[Any]
    actions: NDArray[Any]
    values: Floats


class _Period(NamedTuple):
    """Branches in the first or the second period of N decisions: accounts, and what they stand for."""

    accounts: VectorEnv
    keys: NDArray[Any]
    actions: NDArray[Any]
    live: Bools


class Branches:
    """Accounts that part from N episodes, a number of alternatives from each.

    Args:
        make: Gives so many environments like those of the episodes.
        envs: N.
        agent: Whose alternatives are tried.
        key: What stands for one of its observations: shape and element type.
        actions: Of the alternatives of one decision: shape, the first axis counts them, and element type.
        gamma: Discount of the second period's rewards.
    """

    def __init__(
        self,
        make: Callable[[int], VectorEnv],
        envs: int,
        agent: str,
        key: tuple[tuple[int, ...], Any],
        actions: tuple[tuple[int, ...], Any],
        gamma: float,
    ) -> None:
        self._agent, self._gamma, self._count = AGENT_NAMES.index(agent), gamma, actions[0][0]
        self._offsets = np.arange(self._count) * envs
        self._first, self._second = (
            _Period(
                make(self._count * envs),
                np.zeros((envs, *key[0]), key[1]),
                np.zeros((envs, *actions[0]), actions[1]),
                np.zeros(envs, np.bool_),
            )
            for _ in range(2)
        )
        self._earned = np.zeros((envs, self._count))

    def close(self, which: Ints, *, ended: bool) -> Worths:
        """Decisions whose two periods are over; the others go on to their second one.

        Args:
            which: Environments whose strategic agent is due, or whose episode has ended, shape (k,).
            ended: Whether it is the latter: the last decision of an episode has no second period and is left out.
        """
        first, second = self._first, self._second
        over = which[second.live[which]]
        values = self._earned[over] + self._gamma * self._rewards(second, over)
        worths = Worths(second.keys[over], second.actions[over], values)
        second.live[which] = False
        begun = which[first.live[which]]
        if not ended and len(begun):
            self._earned[begun] = self._rewards(first, begun)
            second.keys[begun], second.actions[begun], second.live[begun] = (
                first.keys[begun],
                first.actions[begun],
                True,
            )
            places = self._places(begun)
            second.accounts.adopt(first.accounts, places, places)
        first.live[which] = False
        return worths

    def open(self, env: VectorEnv, which: Ints, keys: NDArray[Any], actions: NDArray[Any]) -> None:
        """Part from episodes that are at a decision.

        Args:
            env: The episodes.
            which: Environments, shape (k,).
            keys: What stands for what the agent sees, shape (k, ...).
            actions: Its alternatives, shape (k, alternatives) or (k, alternatives, components).
        """
        self._first.keys[which], self._first.actions[which], self._first.live[which] = keys, actions, True
        for offset in self._offsets.tolist():
            self._first.accounts.adopt(env, which, which + offset)

    def advance(self, actual: Actions) -> None:
        """Take all branches to the next decision of the strategic agent.

        Args:
            actual: What the episodes do.
        """
        times = self._count
        followed = Actions(
            np.tile(actual.strategic, times), np.tile(actual.tactical, (times, 1)), np.tile(actual.risk, times)
        )
        parted = self._first.actions.swapaxes(0, 1).reshape(followed[self._agent].shape)
        alternatives = followed._replace(**{AGENT_NAMES[self._agent]: parted})
        self._first.accounts.advance(alternatives, CLOCK)
        self._second.accounts.advance(followed, CLOCK)

    def weigh(self, rewards: Rewards) -> None:
        """Other weights of the reward terms, from the next bar on."""
        for period in (self._first, self._second):
            period.accounts.weigh(rewards)

    def _places(self, which: Ints) -> Ints:
        places: Ints = (self._offsets[:, None] + which).ravel()
        return places

    def _rewards(self, period: _Period, which: Ints) -> Floats:
        rewards: Floats = period.accounts.rewards[self._places(which), STRATEGIC].reshape(self._count, len(which)).T
        return rewards

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {"earned": self._earned.copy(), "first": _snapshot(self._first), "second": _snapshot(self._second)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is one of another market or number of environments.
        """
        for name, period in (("first", self._first), ("second", self._second)):
            period.accounts.restore(state[name]["accounts"])
            for part in ("keys", "actions", "live"):
                getattr(period, part)[...] = state[name][part]
        self._earned[:] = state["earned"]


def _snapshot(period: _Period) -> State:
    parts = {part: getattr(period, part).copy() for part in ("keys", "actions", "live")}
    return {"accounts": period.accounts.snapshot(), **parts}
