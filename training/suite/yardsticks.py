"""What an ensemble's result is held against: rules without knowledge, a linear regression, and the optimum.

Each is a plan of sides (short, flat or long) at the decisions of the strategic agent, carried out by the simulator that
trains the agents: at the largest scale, with the widest stop and full exposure.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from training.evaluation.starts import evaluation_starts
from training.regression.regression import fit
from training.regression.terms import flat, quadratic
from training.suite.markets import Information, Proof, best_policy, has_known_laws
from training.suite.optimum import Solution
from training.suite.play import MOST, Plan, play, play_at_random
from training.trainer.setup import TrainingSetup

EPISODES = 40


def yardsticks(
    setup: TrainingSetup, judged: TrainingSetup | None = None, *, episodes: int = EPISODES, most: float = MOST
) -> dict[str, float]:
    """Mean returns of test episodes in percent of the capital.

    Args:
        setup: Of the training: the regressions and the best constant are found on its training part.
        judged: Whose test part the episodes are from; by default the same.
        episodes: How many; see `training.evaluation.starts.evaluation_starts`.
        most: Largest position, units.

    Returns:
        By name:

        * `flat`: 0.
        * `random`: All three agents act at random.
        * `buy_and_hold`: Long throughout.
        * `best_constant`: Short, flat or long throughout, whichever earns most on the training part.
        * `linear`: See `training.regression.regression`.

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
    linear, products = (fit(setup.market, setup.parts.training, rate, terms) for terms in (flat, quadratic))
    constant = best_constant(setup)
    plans: dict[str, Plan] = {
        "buy_and_hold": lambda rows: np.ones(len(rows), np.int64),
        "best_constant": lambda rows: np.full(len(rows), constant),
        "linear": partial(linear.sides, judged.market),
        "quadratic": partial(products.sides, judged.market),
    }
    chance = 100.0 * float(play_at_random(judged, starts, judged.config.seed).mean())
    earned = {"flat": 0.0, "random": chance} | {
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


def _best_sides(proof: Proof, policy: Solution, information: Information, observe: int, rows: Ints) -> Ints:
    return np.sign(policy.follow(proof.seen(rows, information, observe))).astype(np.int64)
