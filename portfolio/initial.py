"""What an account begins with: its money, room for its orders, and what it may trade."""

from __future__ import annotations

import numpy as np

from engine.base.errors import ConfigError
from engine.types.instruments import Instrument
from engine.types.records import ACCOUNT, COMMAND, Records
from portfolio.config import PortfolioConfig

COMMANDS_PER_ROW = 64


def check_currency(instrument: Instrument, config: PortfolioConfig) -> None:
    """Refuse an instrument whose gains cannot be booked.

    Raises:
        ConfigError: If its currency is not the account's and no rate is given.
    """
    if instrument.currency != config.currency and instrument.fx_rate == 1.0:
        raise ConfigError(
            f"{instrument.name} is quoted in {instrument.currency}, not in the account's currency",
            expected=f"an fx_rate ({config.currency} per {instrument.currency}) in the instrument's file",
        )


def initial_account(config: PortfolioConfig) -> Records:
    """The ACCOUNT record before the first row, shape (1,)."""
    account: Records = np.zeros(1, ACCOUNT)
    for name in ("initial", "cash", "equity", "peak_equity", "session_equity"):
        account[name] = config.initial_capital
    return account


def order_capacity(config: PortfolioConfig, symbols: int) -> int:
    """Places of the order table at first: working orders with their legs, orders that close a book, rejected ones.

    Enough for one symbol; with several the table grows when it must.
    """
    return 6 * config.execution.max_open_orders + 2 * symbols + 8


def command_buffer(symbols: int) -> Records:
    """Blank commands of one row, COMMAND: room for two of each symbol, such as a cancel and a target."""
    commands: Records = np.zeros(max(COMMANDS_PER_ROW, 2 * symbols), COMMAND)
    return commands
