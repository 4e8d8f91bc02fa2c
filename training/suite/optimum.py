"""The best that can be earned in a market whose law is known.

A trader decides every so many bars how much to hold, from -m to m units, and pays a fraction of the price for every
unit traded. What the market will do depends on a state: the hidden regime, a belief about it, or the deviation from the
mean. State and position together form a Markov decision process; relative value iteration (Puterman, 1994, section
8.5) gives its largest average profit, and bounds that enclose it.

Profit is counted in fractions of the price (log returns of small size), so that nothing depends on the price level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import CheckFailed, UsageError
from engine.types.blocks import Floats, Ints
from engine.types.records import Bars

TOLERANCE = 1e-9
ROUND_OFF = 1e-14
ROUNDS = 200_000


class Chain(NamedTuple):
    """How the market moves between two decisions.

    Attributes:
        states: What each state stands for, ascending, shape (S,).
        transition: Probability of the next state (column) after each state (row), shape (S, S).
        reward: Expected log return until the next decision from each state, shape (S,).
        period: Bars between two decisions.
    """

    states: Floats
    transition: Floats
    reward: Floats
    period: int


@dataclass(frozen=True)
class Solution:
    """The best policy.

    Attributes:
        gain: Expected profit a bar, in fractions of the price of one unit.
        error: The true gain differs by less than this.
        policy: Place in `positions` of what to hold, by state and place of what is held, shape (S, K).
        positions: Units, ascending, shape (K,).
        states: Those of the chain.
        ahead: Value of each position in each state, up to a constant, shape (S, K).
        cost: Of changing from one position (row) to another, shape (K, K).
    """

    gain: float
    error: float
    policy: NDArray[np.intp]
    positions: Floats
    states: Floats
    ahead: Floats
    cost: Floats

    def follow(self, seen: Floats) -> Floats:
        """Units held after each of consecutive decisions, from nothing held, shape (n,).

        Args:
            seen: What is known of the state at each decision: one of them, of which the nearest of the chain is taken,
                shape (n,), or the probability of each, shape (n, S). With probabilities, what is best on average over
                the states is done, as if the state became known by the next decision (QMDP; Littman et al., 1995).
        """
        if seen.ndim == 2:
            return self._weigh(seen)
        middle = (self.states[1:] + self.states[:-1]) / 2.0
        at = np.searchsorted(middle, seen).tolist()
        policy = self.policy.tolist()
        held = int(np.argmin(np.abs(self.positions)))
        places = []
        for state in at:
            held = policy[state][held]
            places.append(held)
        return self.positions[places]

    def _weigh(self, weights: Floats) -> Floats:
        held = int(np.argmin(np.abs(self.positions)))
        places = []
        for ahead in weights @ self.ahead:
            gains = ahead - self.cost[held]
            best = int(gains.argmax())
            held = best if gains[best] > gains[held] + ROUND_OFF else held
            places.append(held)
        return self.positions[places]


def levels(most: float, steps: int = 1) -> Floats:
    """Positions from -most to most.

    Args:
        most: Largest position, units: with scale 2 and full exposure, 2.
        steps: Between nothing and that; profit and cost are linear, so that 1 is enough for the optimum.
    """
    return np.linspace(-most, most, 2 * steps + 1)


def solve(chain: Chain, positions: Floats, cost: float) -> Solution:
    """The policy of the largest average profit.

    Args:
        chain: The market.
        positions: What can be held, units, ascending, shape (K,).
        cost: Of trading one unit, a fraction of the price.

    Raises:
        UsageError: If the transition matrix is not one, or the cost is negative.
        CheckFailed: If the iteration does not settle, as in a periodic chain.
    """
    _check(chain, cost)
    scale = float(np.abs(positions).max() * np.abs(chain.reward).max())
    trading = cost * np.abs(positions[:, None] - positions[None, :])
    if scale == 0.0:
        still = np.tile(np.arange(len(positions)), (len(chain.states), 1))
        return Solution(0.0, 0.0, still, positions, chain.states, np.zeros(still.shape), trading)
    earned = np.outer(chain.reward, positions)
    # values are differences of about the cost of turning round, known to so many digits
    enough = max(TOLERANCE * scale, ROUND_OFF * (scale + float(trading.max())))
    value = np.zeros_like(earned)
    # a chain without chance is a cycle, in which values would go round for ever without a share that stays
    stays = 0.5 if len(chain.states) > 1 and bool((chain.transition.max(axis=1) == 1.0).all()) else 0.0
    for _ in range(ROUNDS):
        ahead = earned + chain.transition @ value
        choices = ahead[:, None, :] - trading[None, :, :]
        better = choices.max(axis=2)
        change = better - value
        low, high = float(change.min()), float(change.max())
        if high - low <= enough:
            gain = (low + high) / 2.0 / chain.period
            policy = _calmest(choices, better)
            return Solution(gain, (high - low) / chain.period, policy, positions, chain.states, ahead, trading)
        value = better - better[0, 0] if not stays else (1.0 - stays) * better + stays * value
    raise CheckFailed(
        "the optimum was not found", expected=f"bounds within {enough:g}", found=f"{low:.6g} to {high:.6g}"
    )


def _calmest(choices: Floats, better: Floats) -> NDArray[np.intp]:
    """The best position of each state and position held; among equals the one that is held."""
    best = choices.argmax(axis=2)
    held = np.arange(choices.shape[1])
    stays = choices[:, held, held] >= better - 1e-15
    return np.where(stays, held[None, :], best)


def _check(chain: Chain, cost: float) -> None:
    rows = chain.transition.sum(axis=1)
    if not np.allclose(rows, 1.0, atol=1e-9) or bool((chain.transition < 0).any()):
        raise UsageError("rows of a transition matrix are probabilities that add up to 1", found=f"sums {rows}")
    if cost < 0 or bool((np.diff(chain.states) <= 0).any()):
        raise UsageError("states must ascend and the cost cannot be negative", found=f"cost {cost}")


class Earned(NamedTuple):
    """What positions earned on a path, in account currency.

    Attributes:
        profit: After fees.
        fees: Paid.
        contracts: Traded, both ways.
    """

    profit: float
    fees: float
    contracts: float


def earn(
    bars: Bars, rows: Ints, units: Floats, last: int, *, size: float = 1.0, fee: float = 0.0, multiplier: float = 1.0
) -> Earned:
    """Trade given positions by the rules of the simulator: what is decided at a close fills at the next open.

    Args:
        bars: Of one symbol, arrays of shape (R, 1).
        rows: Rows at whose close a position is decided, ascending, shape (n,).
        units: Position wanted from each of them on, shape (n,).
        last: Row at whose close what is held is valued.
        size: Contracts of one unit.
        fee: Fraction of the notional of every fill.
        multiplier: Account value of one contract per unit of price.

    Raises:
        UsageError: If a decision has no bar left to fill in.
    """
    if len(rows) and int(rows[-1]) >= last:
        raise UsageError("the last decision has no bar to fill in", expected=f"rows before {last}", found=f"{rows[-1]}")
    contracts = np.diff(units, prepend=0.0) * size
    price = bars.open[rows + 1, 0]
    fees = float((np.abs(contracts) * price).sum() * fee * multiplier)
    held = float(units[-1] * size) if len(units) else 0.0
    profit = (held * float(bars.close[last, 0]) - float((contracts * price).sum())) * multiplier - fees
    return Earned(profit, fees, float(np.abs(contracts).sum()))
