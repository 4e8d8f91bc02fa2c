"""What the agents see of a row, and who is due in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.features.kernels.risk import risk_metrics, update_risk
from agents.spec import STRATEGIC_AGENT, TACTICAL_AGENT
from engine.base.compiled import inlined, kernel
from engine.types.records import Record
from training.environment.kernels.layout import (
    RISK,
    RISK_DUE,
    STRATEGIC,
    STRATEGIC_DUE,
    TACTICAL,
    TACTICAL_DUE,
    Accounts,
    MarketArrays,
    Seen,
    Workspace,
)

STRATEGIC_WINDOW, TACTICAL_WINDOW = STRATEGIC_AGENT.observation[0], TACTICAL_AGENT.observation[0]


@inlined
def copy_window(rows: NDArray[np.float32], end: int, window: int, out: NDArray[np.float32], e: int) -> None:
    """Copy the feature rows before `end` into an environment's observation."""
    size = out.shape[1]
    start = (end - window) * (size // window)
    for k in range(size):
        out[e, k] = rows[start + k]


@inlined
def write_windows(view: MarketArrays, seen: Seen, episode: Record, e: int, news: int) -> None:
    """Renew the windows that changed in the current row."""
    i = episode.row
    if news & STRATEGIC_DUE:
        episode.strategic_key = end = view.strategic_end[i]
        copy_window(view.strategic_rows, end, STRATEGIC_WINDOW, seen.strategic, e)
    if news & TACTICAL_DUE:
        episode.tactical_key = end = view.tactical_end[i]
        copy_window(view.tactical_rows, end, TACTICAL_WINDOW, seen.tactical, e)


@inlined
def write_risk_metrics(accounts: Accounts, seen: Seen, workspace: Workspace, e: int) -> None:
    """Write the risk metrics of the current row."""
    # on a copy: the ensemble takes the row into its own state when it decides
    workspace.risk[0] = accounts.risk_state[e]
    update_risk(workspace.risk[0], accounts.accounts[e])
    risk_metrics(workspace.risk[0], accounts.accounts[e], seen.risk[e])


@inlined
def observe_row(view: MarketArrays, accounts: Accounts, seen: Seen, e: int, stops: int) -> bool:
    """After the account went through a row: what is seen, who is due, whether it is over. Returns whether to stop."""
    episode, account = accounts.episodes[e], accounts.accounts[e]
    accounts.equity[e, episode.steps] = account.equity
    news = view.due[episode.row] if episode.steps > 0 else STRATEGIC_DUE | TACTICAL_DUE | RISK_DUE
    write_windows(view, seen, episode, e, news)
    over = account.halted != 0
    seen.terminated[e] = over
    if not over and episode.steps >= episode.length:
        over = seen.truncated[e] = True
    seen.due[e, STRATEGIC] = not over and news & STRATEGIC_DUE != 0
    seen.due[e, TACTICAL] = not over and news & TACTICAL_DUE != 0
    seen.due[e, RISK] = not over and news & RISK_DUE != 0
    return over or news & stops != 0


@kernel
def renew_windows(view: MarketArrays, accounts: Accounts, seen: Seen) -> None:
    """Renew the windows of every environment that began, as after a restored state."""
    for e in range(accounts.accounts.shape[0]):
        if accounts.episodes[e].length > 0:
            write_windows(view, seen, accounts.episodes[e], e, STRATEGIC_DUE | TACTICAL_DUE)
