"""A fresh network that imitates a regression, where recent bars show that it earns more than the parent.

A market that turns makes what a network has learned wrong, and gradients of a few hundred decisions turn it round
slowly. A ridge regression on a few averages finds a strong relation in a hundred of them. It is fitted to the whole
window and to its latest parts, since what turned is told by the bars after the turn only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.spec import STRATEGIC_AGENT
from engine.types.blocks import Floats, Ints
from training.data.parts import Range
from training.environment.market import Market
from training.learners.ppo import IMITATED, PPO
from training.online.setup import JobSetup
from training.regression.decisions import Stretch, kept, stretches
from training.regression.regression import Regression, fit
from training.regression.terms import WEIGHTS, averages
from training.trainer.imitating import cost_of_trading, linear_sum

Weights = dict[str, NDArray[np.float32]]
SHARES = (1.0, 0.5, 0.25)
"""Latest parts of the window that are tried."""
FEWEST = 80
"""Decisions that a part needs."""
UPDATES = 1500
VIEWS = 400
"""Of each decision, at most."""
LEARNING_RATE = 1e-3
OTHERS = 0.05
"""What remains of the weights of units that do not carry the regression's sum."""
FIXED = ("shared.0.weight", "shared.0.bias")
"""Weights of the first layer: a few hundred windows would be learned by heart through them."""
LEAST_AGREEMENT = 0.85
"""Of the network with the regression on the window: a network that does something else was not tested."""


@dataclass(frozen=True)
class Relearned:
    """What a network imitates, and what speaks for it.

    Attributes:
        gain: More than the parent earns a decision after costs, on decisions that were not fitted, basis points.
        error: Its standard error.
        decisions: Of the part of the window that it was fitted to.
        agreement: Share of the window's decisions in which the network does the same.
        updates: Of the imitation.
    """

    gain: float
    error: float
    decisions: int
    agreement: float
    updates: int

    def figures(self) -> dict[str, float]:
        """By name, for the record of the job."""
        return {
            "regression_gain_bps": self.gain,
            "regression_error_bps": self.error,
            "regression_decisions": float(self.decisions),
            "agreement": self.agreement,
        }

    def text(self) -> str:
        """In words."""
        better = f"{self.gain:.2f} ± {self.error:.2f} bp a decision more than its parent"
        return (
            f"imitates a regression on the last {self.decisions} decisions; it earns {better}, and agrees with it in "
            f"{self.agreement:.1%}"
        )


def relearn(
    setup: JobSetup, learner: PPO, parent: Mapping[str, NDArray[np.float32]], fresh: Weights, errors: float
) -> tuple[Relearned, Weights] | None:
    """A network that does what a regression on recent decisions would; None where none is better than the parent.

    Args:
        setup: Of the job; all of its recent rows are fitted.
        learner: Of the strategic agent; its weights are others afterwards only if a network is returned.
        parent: Weights of the parent's network.
        fresh: Those of a network that has learned nothing.
        errors: Standard errors by which a regression has to be better.
    """
    market, before = setup.training.market, learner.weights()
    cost = cost_of_trading(setup.training)
    learner.load_weights(parent)
    tried = [_tried(market, part, cost, learner) for part in _parts(setup.windows.whole)]
    learner.load_weights(before)
    found = [one for one in tried if one is not None and one[1] > 0.0 and one[1] >= errors * one[2]]
    if not found:
        return None
    regression, gain, error = max(found, key=lambda one: one[1] / one[2])
    learner.load_weights(fresh)
    agreement, updates = _imitate(setup, learner, regression)
    if agreement < LEAST_AGREEMENT:
        learner.load_weights(before)
        return None
    relearned = Relearned(1e4 * gain, 1e4 * error, regression.decisions, agreement, updates)
    return relearned, learner.weights()


def _parts(whole: tuple[Range, ...]) -> list[tuple[Range, ...]]:
    return [tuple((stop - round(share * (stop - start)), stop) for start, stop in whole) for share in SHARES]


def _tried(
    market: Market, ranges: tuple[Range, ...], cost: float, parent: PPO
) -> tuple[Regression, float, float] | None:
    """A regression, and what it earns a decision more than the parent: mean and standard error, of the price."""
    series = [part for one in ranges for part in stretches(market, one)]
    if sum(len(part.rows) for part in series) < FEWEST:
        return None
    regression = fit(market, ranges, cost, averages, fewest=FEWEST)
    ahead = {int(row): float(value) for part in series for row, value in zip(part.rows, part.ahead, strict=True)}
    found = []
    for rows, forecasts in regression.unseen:
        after = np.array([ahead[row] for row in rows.tolist()])
        windows = market.strategic_windows(market.strategic_end[rows])
        theirs = parent.act(windows, explore=False).actions - int(STRATEGIC_AGENT.stand_in[0])
        found.append(_earned(kept(forecasts, regression.earning.band), after, cost) - _earned(theirs, after, cost))
    differences = np.concatenate(found)
    return regression, float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _earned(sides: Ints, ahead: Floats, cost: float) -> Floats:
    """Return of each decision after the costs of its change, from nothing held to nothing held, shape (n,)."""
    paid = np.abs(np.diff(sides, prepend=0)).astype(np.float64)
    paid[-1] += abs(int(sides[-1]))
    found: Floats = sides * ahead - cost * paid
    return found


def _imitate(setup: JobSetup, learner: PPO, regression: Regression) -> tuple[float, int]:
    """Let a fresh network imitate it; share of the window's decisions in which it does the same, and updates.

    What it would do in older rows is shown, too: the more windows, the less is learned by heart.
    """
    market, windows = setup.training.market, setup.windows
    shown = [part for one in (*windows.older, *windows.judged_older, *windows.whole) for part in stretches(market, one)]
    rows, actions = _actions(market, regression, shown)
    seen = market.strategic_windows(market.strategic_end[rows])
    learner.look_for(*linear_sum(_as_windows(regression), seen), others=OTHERS)
    updates = min(UPDATES, -(-VIEWS * len(rows) // min(IMITATED, len(rows))))
    learner.imitate(seen, actions, updates=updates, learning_rate=LEARNING_RATE, fixed=FIXED)
    rows, actions = _actions(market, regression, [part for one in windows.whole for part in stretches(market, one)])
    done = learner.act(market.strategic_windows(market.strategic_end[rows]), explore=False).actions
    return float((done == actions).mean()), updates


def _actions(market: Market, regression: Regression, series: list[Stretch]) -> tuple[Ints, Ints]:
    sides = np.concatenate([regression.sides(market, part.rows) for part in series])
    return np.concatenate([part.rows for part in series]), sides + int(STRATEGIC_AGENT.stand_in[0])


def _as_windows(regression: Regression) -> Regression:
    """The same forecasts as a linear regression on the windows themselves."""
    shape = (len(WEIGHTS), -1)
    weights = np.einsum("hw,hf->wf", WEIGHTS.astype(np.float64), regression.weights.reshape(shape))
    return Regression(
        averages, regression.mean, regression.deviation, weights.ravel(), regression.intercept, regression.earning, 0
    )
