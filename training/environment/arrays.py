"""The memory of the environments: making it, growing it, and taking it from a saved state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.kernels.layout import (
    METRICS,
    NO_LEVEL,
    RISK_ANSWER,
    SYMBOL_STATE,
    Signals,
)
from agents.ensemble.state import blank_signals, make_params
from agents.features.kernels.risk import RISK_STATE
from agents.spec import AGENTS
from engine.base.errors import ConfigError, DataError
from engine.base.restoring import array_of
from engine.types.records import ACCOUNT, COMMAND, FILL, LEDGER_COLUMNS, ORDER, ORDER_EVENT, POSITION, Records
from portfolio.config import PortfolioConfig, instrument_records, rules_record
from portfolio.initial import check_currency, command_buffer, order_capacity
from portfolio.kernels.book import row_reserve
from training.environment.kernels.layout import AGENT_COUNT, EPISODE, TERM_COUNT, Accounts, Seen, Workspace
from training.environment.market import Market
from training.environment.rewards import Rewards

SPARE_FILLS = 256
SAVED = ("accounts", "positions", "risk_state", "levels", "symbols", "episodes")
"""One record a environment of Accounts."""
SHOWN = ("risk", "due", "terminated", "truncated", "terms", "rewards")
"""What is saved of Seen; the windows come from the market again."""


def make_workspace(
    market: Market, portfolio: PortfolioConfig, ensemble: EnsembleConfig, rewards: Rewards, slots: int
) -> Workspace:
    """Constants and scratch memory.

    Raises:
        ConfigError: If the instrument's currency is not the account's and no rate is given, or fills are to come from
            an order book.
    """
    if portfolio.execution.fills != "bars":
        raise ConfigError(
            "environments fill orders against bars",
            where="execution.fills",
            expected="bars",
            found=portfolio.execution.fills,
            hint="train with the slippage that the book costs, and backtest against the book",
        )
    instrument = market.instrument
    check_currency(instrument, portfolio)
    commands = command_buffer(1)
    reserve = row_reserve(order_capacity(portfolio, 1), len(commands), 0)
    one = blank_signals(1, 1)
    return Workspace(
        instruments=instrument_records([instrument]),
        rules=rules_record(portfolio, market.bars_per_year),
        fills=np.zeros((slots, reserve + SPARE_FILLS), FILL),
        events=np.zeros(reserve, ORDER_EVENT),
        decisions=np.zeros(reserve, COMMAND),
        counts=np.zeros((slots, 4), np.int64),
        commands=commands,
        signals=Signals(repeated_row(len(market), one.symbols[0]), repeated_row(len(market), one.risk[0])),
        ledger=repeated_row(len(market), np.zeros(len(LEDGER_COLUMNS))),
        held=repeated_row(len(market), np.zeros(1)),
        params=make_params(AGENTS["tactical"].timeframe_ns, ensemble.rebalance, [instrument.tick_size]),
        answers=repeated_row(len(market), np.zeros((), RISK_ANSWER)),
        scratch=np.zeros(0),
        risk=np.zeros(1, RISK_STATE),
        blank=np.zeros(1, SYMBOL_STATE),
        weights=rewards.weights(),
    )


def repeated_row(rows: int, row: NDArray[Any]) -> NDArray[Any]:
    """A matrix whose rows all are the same memory: kernels number rows by the market, and nothing is kept of them."""
    return as_strided(row, (rows, *row.shape), (0, *row.strides))


def make_accounts(portfolio: PortfolioConfig, envs: int) -> Accounts:
    """Carried memory of environments that have not begun."""
    return Accounts(
        accounts=np.zeros(envs, ACCOUNT),
        positions=np.zeros((envs, 1), POSITION),
        orders=np.zeros((envs, order_capacity(portfolio, 1)), ORDER),
        risk_state=np.zeros(envs, RISK_STATE),
        levels=np.full(envs, NO_LEVEL, np.int64),
        symbols=np.zeros((envs, 1), SYMBOL_STATE),
        episodes=np.zeros(envs, EPISODE),
        equity=np.zeros((envs, 1)),
    )


def make_seen(market: Market, envs: int) -> Seen:
    """What is shown of environments that have not begun: all are over."""
    return Seen(
        strategic=np.zeros((envs, int(np.prod(market.agents["strategic"].observation))), np.float32),
        tactical=np.zeros((envs, int(np.prod(market.agents["tactical"].observation))), np.float32),
        risk=np.zeros((envs, METRICS), np.float32),
        due=np.zeros((envs, AGENT_COUNT), np.bool_),
        terminated=np.zeros(envs, np.bool_),
        truncated=np.ones(envs, np.bool_),
        terms=np.zeros((envs, AGENT_COUNT, TERM_COUNT)),
        rewards=np.zeros((envs, AGENT_COUNT)),
    )


def with_longer_equity(accounts: Accounts, length: int) -> Accounts:
    """Room for longer episodes."""
    equity = np.zeros((len(accounts.equity), length))
    equity[:, : accounts.equity.shape[1]] = accounts.equity
    return accounts._replace(equity=equity)


def with_more_fills(workspace: Workspace) -> Workspace:
    """Twice the room for fills."""
    return workspace._replace(fills=np.concatenate([workspace.fills, np.zeros_like(workspace.fills)], axis=1))


def restored(
    market: Market, accounts: Accounts, seen: Seen, workspace: Workspace, state: Mapping[str, Any], keeps: bool
) -> tuple[Accounts, Workspace]:
    """Take over a saved state; everything is checked before anything changes.

    Raises:
        DataError: If it does not fit.
    """
    records = {name: array_of(state.get(name), getattr(accounts, name), name) for name in SAVED}
    orders = _some(state, "orders", accounts.orders, 0, accounts.orders.shape[1])
    equity = _some(state, "equity", accounts.equity, 1, len(market) + 1)
    _check_places(market, records["episodes"], records["accounts"], orders.shape[1], equity.shape[1])
    shown = {name: _shaped(state, name, getattr(seen, name)) for name in SHOWN}
    if keeps:
        workspace = _with_fills(workspace, state, len(market))
    for name, values in records.items():
        getattr(accounts, name)[...] = values
    for name, values in shown.items():
        getattr(seen, name)[...] = values
    accounts.orders[:, : orders.shape[1]] = orders
    return accounts._replace(equity=equity), workspace


def _check_places(market: Market, episodes: Records, accounts: Records, orders: int, equity: int) -> None:
    """Kernels trust the places that a state names."""
    row, steps, length = episodes["row"], episodes["steps"], episodes["length"]
    inside = (steps >= 0) & (steps <= length) & (length < equity) & (row >= 0)
    inside &= row < len(market) - np.where(inside, length - steps, 0)
    at = np.where(inside, row, 0)
    inside &= (market.strategic_end[at] >= 0) & (market.tactical_end[at] >= 0)
    begun = length != 0
    if not (inside | ~begun).all():
        raise _misfit("episodes", "rows within the market", f"rows {row[begun]}, steps {steps[begun]}")
    held = accounts["orders"]
    if held.min() < 0 or held.max() > orders:
        raise _misfit("accounts", f"0 to {orders} working orders", f"{held}")


def _some(state: Mapping[str, Any], name: str, like: NDArray[Any], least: int, most: int) -> NDArray[Any]:
    """Records of every environment, shape (N, least to most)."""
    found = state.get(name)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or not least <= found.shape[1] <= most:
        raise _misfit(name, f"{least} to {most} records of each environment", f"shape {getattr(found, 'shape', None)}")
    return array_of(found, np.empty((len(like), found.shape[1]), like.dtype), name)


def _shaped(state: Mapping[str, Any], name: str, like: NDArray[Any]) -> NDArray[Any]:
    found = np.asarray(state.get(name, ()))
    if found.shape != like.shape:
        raise _misfit(name, f"shape {like.shape}", f"shape {found.shape}")
    return found.astype(like.dtype)


def _with_fills(workspace: Workspace, state: Mapping[str, Any], rows: int) -> Workspace:
    kept = _some(state, "fills", workspace.fills, 0, workspace.events.shape[0] * rows)
    counts = _shaped(state, "fill_counts", workspace.counts[:, 0])
    if counts.min() < 0 or counts.max() > kept.shape[1]:
        raise _misfit("fill_counts", f"0 to {kept.shape[1]}", f"{counts}")
    fills = np.zeros((len(kept), kept.shape[1] + workspace.fills.shape[1]), FILL)
    fills[:, : kept.shape[1]] = kept
    all_counts = workspace.counts.copy()
    all_counts[:, 0] = counts
    return workspace._replace(fills=fills, counts=all_counts)


def _misfit(name: str, expected: str, found: str) -> DataError:
    return DataError(f"the state of the environments does not fit: {name}", expected=expected, found=found)
