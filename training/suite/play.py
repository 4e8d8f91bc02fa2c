"""Plans of sides at the decisions of the strategic agent, carried out by the simulator that trains the agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agents.spec import STRATEGIC_AGENT, TACTICAL_AGENT
from engine.types.blocks import Floats, Ints
from training.environment.vector import Actions
from training.suite.markets import decisions
from training.trainer.setup import TrainingSetup, random_actions

FULL_EXPOSURE = 4
MOST = TACTICAL_AGENT.high[2]
"""Units of the largest position."""

Plan = Callable[[Ints], Ints]
"""Sides (-1, 0, 1) after the decisions of one episode, from their rows."""


def play(setup: TrainingSetup, plans: Sequence[Plan], starts: Ints, scale: float = MOST) -> Floats:
    """Returns of episodes in which the strategic agent follows a plan and the others never change, shape (n,).

    Args:
        setup: With the market and the accounts.
        plans: One for each episode.
        starts: First row of each, shape (n,).
        scale: Position scale of the tactical agent.
    """
    count, length = len(starts), setup.config.training_params.episode_length
    sides = np.zeros((count, length + 1), np.int64)
    for number, (plan, start) in enumerate(zip(plans, starts.tolist(), strict=True)):
        rows = decisions(setup.market, start, length)
        sides[number, rows - start] = plan(rows)
    env, every = setup.environments(count), np.arange(count)
    env.reset(every, starts, np.full(count, length))
    low, high = np.array(TACTICAL_AGENT.low), np.array(TACTICAL_AGENT.high)
    tactics = np.clip([high[0], high[1], scale], low, high).astype(np.float32)
    actions = Actions(np.zeros(count, np.int64), np.tile(tactics, (count, 1)), np.full(count, FULL_EXPOSURE))
    while not bool((env.terminated | env.truncated).all()):
        env.advance(actions._replace(strategic=1 + sides[every, env.rows - starts]), (STRATEGIC_AGENT.name,))
    return np.asarray(env.equity[every, env.steps] / env.equity[every, 0] - 1.0)


def play_at_random(setup: TrainingSetup, starts: Ints, seed: int) -> Floats:
    """Returns of episodes in which all three agents act at random wherever they are due, shape (n,).

    Args:
        setup: With the market and the accounts.
        starts: First row of each, shape (n,).
        seed: Of the actions.
    """
    count, length = len(starts), setup.config.training_params.episode_length
    generator = np.random.Generator(np.random.PCG64(seed))
    env, every = setup.environments(count), np.arange(count)
    env.reset(every, starts, np.full(count, length))
    while not bool((env.terminated | env.truncated).all()):
        env.advance(random_actions(generator, count))
    return np.asarray(env.equity[every, env.steps] / env.equity[every, 0] - 1.0)
