"""What an ensemble's result is held against: rules without knowledge, a linear regression, and the optimum.

Each is a plan of sides (short, flat or long) at the decisions of the strategic agent, carried out by the simulator that
trains the agents: at the largest scale, with the widest stop and full exposure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from agents.spec import STRATEGIC_AGENT, TACTICAL_AGENT
from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from training.environment.vector import Actions
from training.evaluation.starts import evaluation_starts
from training.suite.linear import fit
from training.suite.markets import Information, Proof, best_policy, decisions, has_known_laws
from training.suite.optimum import Solution
from training.trainer.setup import TrainingSetup

EPISODES = 40
FULL_EXPOSURE = 4
MOST = TACTICAL_AGENT.high[2]
"""Units of the largest position."""

Plan = Callable[[Ints], Ints]
"""Sides (-1, 0, 1) after the decisions of one episode, from their rows."""


def yardsticks(
    setup: TrainingSetup, judged: TrainingSetup | None = None, *, episodes: int = EPISODES, most: float = MOST
) -> dict[str, float]:
    """Mean returns of test episodes in percent of the capital.

    Args:
        setup: Of the training: the linear regression and the best constant are found on its training part.
        judged: Whose test part the episodes are from; by default the same.
        episodes: How many; see `training.evaluation.starts.evaluation_starts`.
        most: Largest position, units.

    Returns:
        By name:

        * `flat`: 0.
        * `buy_and_hold`: Long throughout.
        * `best_constant`: Short, flat or long throughout, whichever earns most on the training part.
        * `linear`: See `training.suite.linear`.

        And where the laws of the judged markets are known:

        * `optimum_full`: The best policy that knows what drives the market.
        * `optimum_prices`: The best that knows from prices what the strategic agent's window tells.
        * `optimum_minutes`: The best that sees the close of every minute.
        * `expected_full`, `expected_prices`, `expected_minutes`: The same averaged over all paths rather than on these;
          only the first where beliefs are approximate, see `training.suite.phases`.

        Where nothing is hidden, all of them are alike.

    Raises:
        UsageError: If no episode fits into the test part, or the training part is too short for a regression.
    """
    judged = judged or setup
    length = judged.config.training_params.episode_length
    starts = evaluation_starts(judged.market, judged.parts.test, length, episodes)
    rate = setup.market.instrument.fees.rate
    regression = fit(setup.market, setup.parts.training, rate)
    constant = best_constant(setup)
    plans: dict[str, Plan] = {
        "buy_and_hold": lambda rows: np.ones(len(rows), np.int64),
        "best_constant": lambda rows: np.full(len(rows), constant),
        "linear": partial(regression.sides, judged.market),
    }
    earned = {"flat": 0.0} | {
        name: 100.0 * float(play(judged, [plan] * len(starts), starts, most).mean()) for name, plan in plans.items()
    }
    return earned | optima(judged, starts, most)


def optima(setup: TrainingSetup, starts: Ints, most: float = MOST) -> dict[str, float]:
    """Mean returns of the best policies in percent of the capital, see `yardsticks`; empty if no law is known.

    Args:
        setup: With the market.
        starts: First rows of the episodes, shape (n,).
        most: Largest position, units.
    """
    config = setup.config
    if not has_known_laws(config):
        return {}
    proof = Proof.of(config, config.seed, setup.market, setup.parts)
    rate, length = setup.market.instrument.fees.rate, config.training_params.episode_length
    share = unit_share(setup, starts)
    laws = [proof.scenarios[proof.segment(start)].law for start in starts.tolist()]
    found: dict[str, float] = {}
    for name in ("full", "prices", "minutes"):
        information: Information = "full" if name == "full" else "belief"
        observed = [law.resolution if name == "prices" else 1 for law in laws]
        policies = [best_policy(law, rate, most, information, bars) for law, bars in zip(laws, observed, strict=True)]
        plans = [
            partial(_best_sides, proof, policy, information, bars)
            for policy, bars in zip(policies, observed, strict=True)
        ]
        found[f"optimum_{name}"] = 100.0 * float(play(setup, plans, starts, most).mean())
        if name == "full" or all(law.exact for law in laws):
            gains = np.array([policy.gain for policy in policies])
            found[f"expected_{name}"] = 100.0 * length * float((gains * share).mean())
    return found


def unit_share(setup: TrainingSetup, starts: Ints) -> Floats:
    """Notional of one unit where episodes begin, as a share of the capital, shape (n,).

    Raises:
        UsageError: If sizes follow the volatility.
    """
    portfolio, instrument = setup.config.portfolio, setup.market.instrument
    value = portfolio.sizing.value
    if portfolio.sizing.mode == "volatility_target":
        raise UsageError(
            "what the optimum earns is not known where sizes follow the volatility",
            where="portfolio.sizing.mode",
            expected="fixed or equity_fraction",
            found=portfolio.sizing.mode,
        )
    if portfolio.sizing.mode == "equity_fraction":
        return np.full(len(starts), value)
    price = setup.market.bars.close[starts, 0] * instrument.multiplier * instrument.fx_rate
    return np.asarray(value * price / portfolio.initial_capital)


def best_constant(setup: TrainingSetup) -> int:
    """Short (-1), flat (0) or long (1): what earns most in the training sources, by their first and last prices.

    Flat where nothing is earned beyond two standard errors and the fee of an entry and an exit for an episode.
    """
    length, bars = setup.config.training_params.episode_length, setup.market.bars
    rises, episodes = [], 0.0
    for part in setup.parts.training:
        starts = setup.market.starts(part, length)
        if len(starts):
            rises.append(float(bars.close[starts[-1] + length, 0] / bars.open[starts[0] + 1, 0] - 1.0))
            episodes += (starts[-1] - starts[0]) / length + 1.0
    rise, error = float(np.sum(rises)), float(np.std(rises)) * math.sqrt(len(rises))
    beyond = abs(rise) > max(2.0 * error, 2.0 * setup.market.instrument.fees.rate * episodes)
    return int(np.sign(rise)) if beyond and len(rises) > 1 else 0


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


def _best_sides(proof: Proof, policy: Solution, information: Information, observe: int, rows: Ints) -> Ints:
    return np.sign(policy.follow(proof.seen(rows, information, observe))).astype(np.int64)
