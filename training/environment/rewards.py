"""What the agents are rewarded for, bar by bar, in percent of the initial capital.

With x the change of equity and c the fees of a bar, both in percent of the initial capital:

    profit     profit_weight * (x + c)                     what the market paid, before costs
    cost      -profit_weight * c                           fees; slippage is part of the profit
    risk      -risk_penalty * x^2 / 2                      quadratic utility (Markowitz, 1952)
    sharpe     sharpe_bonus * sqrt(SPAN) * eta * D         differential Sharpe ratio, eta = 1 / SPAN
    drawdown  -max_drawdown_penalty * (M - M before)       M: present drawdown, percent of the peak of equity

    D = (B * (x - A) - A * (x^2 - B) / 2) / (B - A^2)^(3/2), within -10..10      (Moody & Saffell, 2001)
    A <- A + eta * (x - A),   B <- B + eta * (x^2 - B), both 0 before the first bar

The drawdown term is given back when the account recovers: a potential (Ng, Harada & Russell, 1999), which weighs on
an episode by the drawdown that it ends with. Charging each new depth for good forbade learning: whatever an agent
tries first costs more than it can earn back. D is 0 while the variance B - A^2 is nothing beside B. All five are
summed over the bars between two decisions of an agent; the three agents share them, each over its own decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.types.blocks import Floats
from training.config import RewardShaping

TERMS = ("profit", "cost", "risk", "sharpe", "drawdown")
"""Columns of the reward terms."""


@dataclass(frozen=True)
class Rewards:
    """Weights of the terms; see the module for the formulas.

    Attributes:
        profit_weight: Of profit and of cost.
        risk_penalty: Of half the squared return.
        sharpe_bonus: Of the differential Sharpe ratio.
        max_drawdown_penalty: Of the change of the drawdown.
    """

    profit_weight: float = 1.0
    risk_penalty: float = 0.5
    sharpe_bonus: float = 0.2
    max_drawdown_penalty: float = 1.0

    @classmethod
    def of(cls, shaping: RewardShaping) -> Rewards:
        """The weights of a configuration; its transaction cost belongs to the instrument."""
        return cls(shaping.profit_weight, shaping.risk_penalty, shaping.sharpe_bonus, shaping.max_drawdown_penalty)

    def weights(self) -> Floats:
        """As the kernels take them, shape (4,)."""
        return np.array([self.profit_weight, self.risk_penalty, self.sharpe_bonus, self.max_drawdown_penalty])
