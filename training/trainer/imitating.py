"""The strategic agent begins as a network that does what a regression would."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.spec import STRATEGIC_AGENT
from training.config import Imitation
from training.learners.ppo import IMITATED, PPO
from training.regression.regression import FEWEST, Regression, decisions_in, fit
from training.regression.terms import Array, flat, quadratic
from training.trainer.setup import TrainingSetup

MOST_OFTEN = 40
"""Times that the network sees a decision: of few, more would be learned by heart."""
KINDS = {"linear": flat, "quadratic": quadratic}


class Imitated(NamedTuple):
    """What is imitated, and how well.

    Attributes:
        regression: Its kind.
        earned: By the regression after costs on decisions that were not fitted, basis points a decision.
        errors: The same in its standard errors.
        agreement: Share of the decisions in which the network does the same; 0 where nothing is imitated.
    """

    regression: str
    earned: float
    errors: float
    agreement: float

    def text(self) -> str:
        """In words."""
        found = f"a {self.regression} regression earns {self.earned:.2f} bp a decision after costs"
        if not self.agreement:
            return f"the strategic agent begins with equal probabilities: {found}, {self.errors:.1f} standard errors"
        imitated = "the strategic agent begins by imitating a regression"
        return f"{imitated}: {found}, and the network agrees in {self.agreement:.1%}"


def imitate(setup: TrainingSetup, learner: PPO, config: Imitation) -> Imitated | None:
    """Let the network imitate the better regression, where one earns anything; None where there is too little to fit.

    Args:
        setup: Of the training; its training part is fitted.
        learner: That has learned nothing yet.
        config: How.
    """
    market, ranges = setup.market, setup.parts.training
    series = decisions_in(market, ranges)
    if sum(len(part.rows) for part in series) < FEWEST:
        return None
    cost = cost_of_trading(setup)
    found = {name: fit(market, ranges, cost, terms) for name, terms in KINDS.items()}
    kind = max(found, key=lambda name: found[name].earning.profit)
    best = found[kind]
    earned = 1e4 * best.earning.profit / best.decisions
    errors = best.earning.profit / best.earning.error if best.earning.error else 0.0
    if errors < config.least_errors:
        return Imitated(kind, earned, errors, 0.0)
    rows = np.concatenate([part.rows for part in series])
    sides = np.concatenate([best.sides(market, part.rows) for part in series])
    windows = market.strategic_windows(market.strategic_end[rows])
    actions = sides + int(STRATEGIC_AGENT.stand_in[0])
    if best.terms is flat:
        learner.look_for(*linear_sum(best, windows))
    updates = min(config.updates, -(-MOST_OFTEN * len(actions) // IMITATED))
    agreement = learner.imitate(windows, actions, updates=updates, learning_rate=config.learning_rate)
    return Imitated(kind, earned, errors, agreement)


def linear_sum(regression: Regression, windows: Array) -> tuple[Array, float]:
    """Weights of a window, shape (48, 13), and an offset: a linear regression's forecasts in their deviations.

    Args:
        regression: On windows as they are.
        windows: Whose forecasts have a deviation of 1, shape (n, 48, 13).
    """
    weights = regression.weights.reshape(windows.shape[1:]) / regression.deviation
    offset = regression.intercept - float((weights * regression.mean).sum())
    forecasts = windows.reshape(len(windows), -1) @ weights.ravel().astype(np.float32) + offset
    deviation = float(forecasts.std()) or 1.0
    return (weights / deviation).astype(np.float32), offset / deviation


def cost_of_trading(setup: TrainingSetup) -> float:
    """Of one unit by one fill, as a fraction of the price: commission and slippage, at the mean price of the market."""
    instrument, slippage = setup.market.instrument, setup.config.portfolio.execution.slippage
    price = float(setup.market.bars.close.mean())
    commission = instrument.fees.rate + instrument.fees.per_contract / (
        price * instrument.multiplier * instrument.fx_rate
    )
    return commission + slippage.ticks * instrument.tick_size / price + 1e-4 * slippage.bps
