"""The environments' step: the backtest's own simulator and ensemble, row by row, in many accounts at once.

Every environment is at a row whose bar was filled, marked and observed. A step lets the agents that are due decide
there, which applies their commands, and then takes the account through the next row.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.kernels.deciding import decide
from agents.ensemble.kernels.layout import LEVELS, METRICS, NO_LEVEL, Memory
from agents.spec import TACTICAL_AGENT
from engine.base.compiled import inlined, kernel
from engine.types.blocks import Bools, Ints
from engine.types.records import Records
from portfolio.kernels.book import DECISIONS, EVENTS, FILLS, Book, has_room
from portfolio.kernels.row import advance_row
from portfolio.kernels.scan import apply_commands, clear
from training.environment.kernels.layout import (
    AGENT_COUNT,
    RISK,
    STRATEGIC,
    TACTICAL,
    TACTICAL_DUE,
    TERM_COUNT,
    Accounts,
    MarketArrays,
    Seen,
    Workspace,
)
from training.environment.kernels.observing import observe_row, write_risk_metrics
from training.environment.kernels.rewarding import reward

LOW_TIMING, LOW_STOP, LOW_SCALE = TACTICAL_AGENT.low
HIGH_TIMING, HIGH_STOP, HIGH_SCALE = TACTICAL_AGENT.high
SIDES = 3
ActionArrays = tuple[Ints, NDArray[np.float32], Ints]
"""Strategic, tactical and risk actions of all environments."""

decide_row = inlined(decide)


@kernel
def find_bad_action(due: Bools, strategic: Ints, tactical: NDArray[np.float32], risk: Ints) -> int:
    """The first action that a due agent may not take, as environment * 3 + agent; -1 if there is none."""
    for e in range(due.shape[0]):
        if due[e, STRATEGIC] and not 0 <= strategic[e] < SIDES:
            return e * AGENT_COUNT + STRATEGIC
        if due[e, TACTICAL] and not math.isfinite(tactical[e, 0] + tactical[e, 1] + tactical[e, 2]):
            return e * AGENT_COUNT + TACTICAL
        if due[e, RISK] and not 0 <= risk[e] < LEVELS:
            return e * AGENT_COUNT + RISK
    return -1


@inlined
def book_of(accounts: Accounts, workspace: Workspace, session_ends: Ints, e: int) -> Book:
    """The simulator's Book over the memory of one environment."""
    # environments that keep no fills share the memory of the first
    slot = min(e, workspace.fills.shape[0] - 1)
    return Book(
        accounts.accounts[e : e + 1],
        accounts.positions[e],
        accounts.orders[e],
        workspace.instruments,
        workspace.rules,
        session_ends,
        workspace.fills[slot],
        workspace.events,
        workspace.decisions,
        workspace.counts[slot],
    )


@inlined
def last_tactical(due: NDArray[np.uint8], i: int) -> int:
    """The row in which the tactical window seen in row i became known; an earlier one only where an episode begins."""
    while not due[i] & TACTICAL_DUE:
        i -= 1
    return i


@inlined
def write_signals(
    view: MarketArrays,
    seen: Seen,
    workspace: Workspace,
    actions: ActionArrays,
    e: int,
    i: int,
) -> None:
    """Lay the actions of the agents that are due where the ensemble reads them."""
    symbol, book = workspace.signals.symbols[0, 0], workspace.signals.risk[0]
    strategic, tactical, risk = actions
    symbol.strategic_fresh = symbol.tactical_fresh = book.due = 0
    if seen.due[e, STRATEGIC]:
        symbol.strategic_fresh = 1
        symbol.side = strategic[e] - 1
    if seen.due[e, TACTICAL]:
        symbol.tactical_fresh = 1
        # in double precision, as the models' answers are clipped in a backtest
        symbol.timing = min(max(np.float64(tactical[e, 0]), LOW_TIMING), HIGH_TIMING)
        symbol.stop_distance = min(max(np.float64(tactical[e, 1]), LOW_STOP), HIGH_STOP)
        symbol.scale = min(max(np.float64(tactical[e, 2]), LOW_SCALE), HIGH_SCALE)
        symbol.atr = view.atr[last_tactical(view.due, i)]
    if seen.due[e, RISK]:
        book.due = 1
        book.level = risk[e]


@inlined
def reset_terms(seen: Seen, e: int, stops: int) -> None:
    """The rewards of an agent that decides now count from 0.

    An agent for which nobody stops does not decide again: its rewards count from the strategic agent's decision.
    """
    for a in range(AGENT_COUNT):
        decides = a if stops & (1 << a) else STRATEGIC
        if seen.due[e, decides]:
            for k in range(TERM_COUNT):
                seen.terms[e, a, k] = 0.0


@inlined
def apply_actions(
    view: MarketArrays,
    accounts: Accounts,
    seen: Seen,
    workspace: Workspace,
    book: Book,
    actions: ActionArrays,
    e: int,
    used: int,
    stops: int,
) -> int:
    """Let the agents that are due decide at the close of the current row, and apply what follows from it.

    Args:
        actions: Strategic, tactical and risk actions of all environments.
        used: Commands that were written since they were cleared.
        stops: Whose decisions end a stretch.

    Returns:
        The same afterwards.
    """
    i = accounts.episodes[e].row
    write_signals(view, seen, workspace, actions, e, i)
    reset_terms(seen, e, stops)
    commands = workspace.commands
    for c in range(used):
        clear(commands[c])
    working = book.orders[: book.account[0].orders]
    memory = Memory(
        accounts.risk_state[e : e + 1],
        accounts.levels[e : e + 1],
        accounts.symbols[e],
        workspace.scratch,
        workspace.answers,
    )
    n = decide_row(
        i, view.bars, workspace.signals, book.account, book.positions, working, workspace.params, memory, commands
    )
    if n > 0:
        apply_commands(book, commands, n, view.bars.ts_event[i])
    return min(n + 1, commands.shape[0])


@kernel
def advance_environments(
    view: MarketArrays,
    accounts: Accounts,
    seen: Seen,
    workspace: Workspace,
    strategic: Ints,
    tactical: NDArray[np.float32],
    risk: Ints,
    which: Ints,
    first: int,
    single: bool,
    stops: int,
    keeps: bool,
    fault: Ints,
) -> int:
    """Take environments one bar further, or until an agent is due or the episode ended.

    Args:
        strategic: Actions 0..2, int64, shape (N,).
        tactical: Actions, float32, shape (N, 3).
        risk: Actions 0..4, int64, shape (N,).
        which: Environments, int64, shape (k,).
        first: Place in `which` to begin at.
        single: Whether one bar is all.
        stops: Whose decisions end a stretch: STRATEGIC_DUE, TACTICAL_DUE and RISK_DUE, added.
        keeps: Whether fills are kept over the episode.
        fault: Written if a reward is no finite number: environment and term, int64, shape (2,).

    Returns:
        k when all is done; another place in `which` if the fills of its environment need more room before it can go
        on, to be called again from there; -1 after a fault.
    """
    used = workspace.commands.shape[0]
    for k in range(first, which.shape[0]):
        e = which[k]
        if seen.terminated[e] or seen.truncated[e]:
            continue
        book = book_of(accounts, workspace, view.session_ends, e)
        account, episode = accounts.accounts[e], accounts.episodes[e]
        stop = False
        while not stop:
            book.counts[EVENTS] = book.counts[DECISIONS] = 0
            if not keeps:
                book.counts[FILLS] = 0
            # checked before anything happens, so that the row can be entered again with more room
            if not has_room(book, workspace.commands):
                return k
            # an episode that just began enters its first row before anyone decides
            if episode.steps >= 0:
                used = apply_actions(view, accounts, seen, workspace, book, (strategic, tactical, risk), e, used, stops)
            equity, fees = account.equity, account.fees
            episode.row += 1
            episode.steps += 1
            advance_row(book, view.bars, episode.row, workspace.ledger, workspace.held)
            wrong = reward(account, episode, seen, workspace.weights, e, equity, fees)
            if wrong >= 0:
                fault[0], fault[1] = e, wrong
                return -1
            stop = observe_row(view, accounts, seen, e, stops) or single
        write_risk_metrics(accounts, seen, workspace, e)
    return which.shape[0]


@kernel
def begin_episodes(
    accounts: Accounts,
    seen: Seen,
    workspace: Workspace,
    carried: Records,
    positions: Records,
    risk: Records,
    which: Ints,
    starts: Ints,
    lengths: Ints,
) -> None:
    """Put environments with idle accounts before the first rows of their episodes.

    `advance_environments` takes them through these.

    Args:
        carried: ACCOUNT, shape (k,).
        positions: POSITION, shape (k,).
        risk: RISK_STATE, shape (k,).
        which: Environments, int64, shape (k,).
        starts: First row of each, int64, shape (k,).
        lengths: Most steps of each, int64, shape (k,).
    """
    for k in range(which.shape[0]):
        e = which[k]
        accounts.accounts[e] = carried[k]
        accounts.positions[e, 0] = positions[k]
        accounts.risk_state[e] = risk[k]
        accounts.levels[e] = NO_LEVEL
        accounts.symbols[e, 0] = workspace.blank[0]
        workspace.counts[min(e, workspace.counts.shape[0] - 1), FILLS] = 0
        episode = accounts.episodes[e]
        episode.start, episode.length = starts[k], lengths[k]
        episode.row, episode.steps = starts[k] - 1, -1
        episode.average = episode.square = episode.drawdown = 0.0
        seen.terms[e, :, :] = 0.0
        seen.terminated[e] = seen.truncated[e] = False


@kernel
def copy_environments(source: Accounts, shown: Seen, which: Ints, target: Accounts, seen: Seen, places: Ints) -> None:
    """Copy the state of environments, but for the windows that they see and their equity so far.

    Args:
        source, shown: Copied from.
        which: Environments of the source, int64, shape (k,).
        target, seen: Copied to; their memory may be that of the source if no place comes later in `which`.
        places: Environments of the target, int64, shape (k,).
    """
    for k in range(which.shape[0]):
        a, b = which[k], places[k]
        target.accounts[b] = source.accounts[a]
        target.positions[b, 0] = source.positions[a, 0]
        for j in range(source.accounts[a].orders):
            target.orders[b, j] = source.orders[a, j]
        target.risk_state[b] = source.risk_state[a]
        target.levels[b] = source.levels[a]
        target.symbols[b, 0] = source.symbols[a, 0]
        target.episodes[b] = source.episodes[a]
        for j in range(METRICS):
            seen.risk[b, j] = shown.risk[a, j]
        for j in range(AGENT_COUNT):
            seen.due[b, j] = shown.due[a, j]
            seen.rewards[b, j] = shown.rewards[a, j]
            for t in range(TERM_COUNT):
                seen.terms[b, j, t] = shown.terms[a, j, t]
        seen.terminated[b] = shown.terminated[a]
        seen.truncated[b] = shown.truncated[a]
