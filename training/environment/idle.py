"""How an account arrives at the first row of an episode: it stood idle since the first bar of its source.

Agents decide only after days of bars, and a backtest's account stands idle meanwhile. The moving averages behind its
risk metrics and its variance have seen those bars, and an episode begins with the same: else the risk agent would
learn from metrics that no account shows when it trades (a deviation of two returns says nothing).
"""

from __future__ import annotations

import numpy as np

from agents.features.kernels.risk import DECAY, RISK_STATE
from engine.types.blocks import Floats, Ints
from engine.types.records import POSITION, Records, Sizing
from portfolio.config import PortfolioConfig, rules_record
from portfolio.initial import initial_account
from training.environment.kernels.idle import idle_variances
from training.environment.market import Market


class IdleAccounts:
    """Accounts, positions and risk states at any row of a market, of one who has not traded yet.

    Args:
        market: Its sources.
        portfolio: Capital and sizing.
    """

    def __init__(self, market: Market, portfolio: PortfolioConfig) -> None:
        self._firsts = np.array([segment.start for segment in market.segments])
        self._account = initial_account(portfolio)
        self._weights = _weights()
        rules = rules_record(portfolio, market.bars_per_year)
        # only this sizing reads the variance, and computing it reads every bar
        traced = int(rules["sizing"][0]) == Sizing.VOLATILITY_TARGET
        self._before = np.zeros((len(market) if traced else 0, 2))
        if traced:
            decay = float(rules["variance_decay"][0])
            idle_variances(market.bars, self._firsts, decay, np.zeros(1, POSITION), self._before)

    def at(self, rows: Ints) -> tuple[Records, Records, Records]:
        """What is carried into rows, shape (k,).

        Returns:
            ACCOUNT, POSITION and RISK_STATE records, each of shape (k,).
        """
        seen = rows - self._firsts[np.searchsorted(self._firsts, rows, side="right") - 1]
        accounts = np.repeat(self._account, len(rows))
        accounts["seq"] = seen
        positions = np.zeros(len(rows), POSITION)
        positions["seen"] = seen
        if len(self._before):
            positions["mark"], positions["variance"] = self._before[rows].T
        risk = np.zeros(len(rows), RISK_STATE)
        risk["equity"] = np.where(seen > 0, self._account["equity"][0], 0.0)
        risk["weight"] = self._weights[np.clip(seen - 1, 0, len(self._weights) - 1)]
        return accounts, positions, risk


def _weights() -> Floats:
    """Weight of the moving averages after 0, 1, 2 and more returns, as far as it still grows."""
    found = [0.0, 1.0]
    while found[-1] != found[-2]:
        found.append(DECAY * found[-1] + 1.0)
    return np.array(found)
