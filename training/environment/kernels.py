"""The environments' step: the backtest's own simulator and ensemble, row by row, in many accounts at once.

Every environment is at a row whose bar was filled, marked and observed. A step lets the agents that are due decide
there, which applies their commands, and then takes the account through the next row.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from agents.ensemble.kernels import (
    ATR,
    DIRECTION,
    FIXED_LEVEL,
    LEVEL,
    RISK_CLOCK,
    SCALE,
    STOP_DISTANCE,
    STRATEGIC_FRESH,
    TACTICAL_FRESH,
    TIMING,
    decide,
)
from agents.features.kernels.risk import RISK_PLACES, RISK_STATE, risk_metrics, update_risk
from agents.serving.seats import BOX_HIGH, BOX_LOW
from engine.compiled import inlined, kernel
from portfolio.kernels.book import DECISIONS, EVENTS, FILLS, Book
from portfolio.kernels.row import advance_row, update_variance
from portfolio.kernels.scan import apply_commands, clear

decide_row = inlined(decide)

STRATEGIC_DUE, TACTICAL_DUE, RISK_DUE = 1, 2, 4
AGENTS = 3
STRATEGIC, TACTICAL, RISK = 0, 1, 2
PROFIT, COST, PENALTY, SHARPE, DRAWDOWN = range(5)
TERM_COUNT = 5
SPAN = 240.0  # bars, of the differential Sharpe ratio
ETA = 1.0 / SPAN
ROOT_SPAN = math.sqrt(SPAN)
MOST = 10.0
NOTHING = 1e-12  # share of the second moment below which the variance is rounding
LOW_TIMING, LOW_STOP, LOW_SCALE = BOX_LOW
HIGH_TIMING, HIGH_STOP, HIGH_SCALE = BOX_HIGH
DIRECTIONS, LEVELS = 3, 5

EPISODE = np.dtype(
    [(name, np.int64) for name in ("row", "start", "length", "steps", "strategic_key", "tactical_key")]
    + [(name, np.float64) for name in ("average", "square", "drawdown")]
)
"""Where an environment is: its row, the row that it began at, most steps, steps taken, ends of the windows that are
seen; then the moving averages of return and squared return, and the largest drawdown in percent."""


class View(NamedTuple):
    """The market as kernels see it; `training.environment.market.Market` explains the arrays.

    Attributes:
        strategic_rows, tactical_rows: Feature rows laid flat, shape (rows * features,).
    """

    bars: Any
    session_ends: Any
    due: Any
    atr: Any
    strategic_end: Any
    tactical_end: Any
    strategic_rows: Any
    tactical_rows: Any


class Accounts(NamedTuple):
    """What every environment carries, the first axis is the environment.

    Attributes:
        accounts: ACCOUNT, shape (N,).
        positions: POSITION, shape (N, 1).
        orders: ORDER, shape (N, capacity).
        memory: Of the ensemble, float64, shape (N, places).
        episodes: EPISODE, shape (N,).
        equity: After each step of the episode, shape (N, longest + 1).
    """

    accounts: Any
    positions: Any
    orders: Any
    memory: Any
    episodes: Any
    equity: Any


class Seen(NamedTuple):
    """What the caller reads.

    Attributes:
        strategic, tactical: Windows laid flat, float32, shape (N, length * features).
        risk: Metrics, float32, shape (N, 10).
        due: Who decides next, bool, shape (N, 3).
        terminated, truncated: How the episode ended, bool, shape (N,).
        terms: Reward terms since each agent's last decision, shape (N, 3, 5).
        rewards: Their sums, shape (N, 3).
    """

    strategic: Any
    tactical: Any
    risk: Any
    due: Any
    terminated: Any
    truncated: Any
    terms: Any
    rewards: Any


class Desk(NamedTuple):
    """Constants and scratch memory of the simulator and the ensemble.

    Attributes:
        instruments, rules: Of the Book.
        fills: FILL, shape (N, room) where fills are kept, else (1, room).
        events, decisions: Of the Book; forgotten in every row.
        counts: Of the Book, one for each row of `fills`.
        commands: COMMAND.
        signals: Of the ensemble, shape (rows, 1, columns); every row is the same memory.
        ledger, held: Outputs of the simulator, shapes (rows, 8) and (rows, 1); likewise.
        params: Of the ensemble; its fixed level carries the risk agent's action.
        risk: RISK_STATE, shape (1,).
        weights: Of the reward terms.
    """

    instruments: Any
    rules: Any
    fills: Any
    events: Any
    decisions: Any
    counts: Any
    commands: Any
    signals: Any
    ledger: Any
    held: Any
    params: Any
    risk: Any
    weights: Any


@kernel
def find_bad_action(due: Any, strategic: Any, tactical: Any, risk: Any) -> int:
    """The first action that a due agent may not take, as environment * 3 + agent; -1 if there is none."""
    for e in range(due.shape[0]):
        if due[e, STRATEGIC] and not 0 <= strategic[e] < DIRECTIONS:
            return e * AGENTS + STRATEGIC
        if due[e, TACTICAL] and not math.isfinite(tactical[e, 0] + tactical[e, 1] + tactical[e, 2]):
            return e * AGENTS + TACTICAL
        if due[e, RISK] and not 0 <= risk[e] < LEVELS:
            return e * AGENTS + RISK
    return -1


@inlined
def book_of(accounts: Accounts, desk: Desk, session_ends: Any, e: int) -> Book:
    """The simulator's Book over the memory of one environment."""
    slot = min(e, desk.fills.shape[0] - 1)
    return Book(
        accounts.accounts[e : e + 1],
        accounts.positions[e],
        accounts.orders[e],
        desk.instruments,
        desk.rules,
        session_ends,
        desk.fills[slot],
        desk.events,
        desk.decisions,
        desk.counts[slot],
    )


@inlined
def last_tactical(due: Any, i: int) -> int:
    """The row in which the tactical window seen in row i became known; an earlier one only where an episode begins."""
    while not due[i] & TACTICAL_DUE:
        i -= 1
    return i


@inlined
def signal(view: View, seen: Seen, desk: Desk, actions: Any, e: int, i: int) -> None:
    """Lay the actions of the agents that are due where the ensemble reads them."""
    signals = desk.signals[0, 0]
    strategic, tactical, risk = actions
    signals[STRATEGIC_FRESH] = signals[TACTICAL_FRESH] = signals[RISK_CLOCK] = 0.0
    if seen.due[e, STRATEGIC]:
        signals[STRATEGIC_FRESH] = 1.0
        signals[DIRECTION] = strategic[e] - 1.0
    if seen.due[e, TACTICAL]:
        signals[TACTICAL_FRESH] = 1.0
        signals[TIMING] = min(max(np.float64(tactical[e, 0]), LOW_TIMING), HIGH_TIMING)
        signals[STOP_DISTANCE] = min(max(np.float64(tactical[e, 1]), LOW_STOP), HIGH_STOP)
        signals[SCALE] = min(max(np.float64(tactical[e, 2]), LOW_SCALE), HIGH_SCALE)
        signals[ATR] = view.atr[last_tactical(view.due, i)]
    if seen.due[e, RISK]:
        signals[RISK_CLOCK] = 1.0
        desk.params[FIXED_LEVEL] = risk[e]


@inlined
def begin_decisions(seen: Seen, e: int) -> None:
    """The rewards of an agent that decides now count from 0."""
    for a in range(AGENTS):
        if seen.due[e, a]:
            for k in range(TERM_COUNT):
                seen.terms[e, a, k] = 0.0


@inlined
def differential_sharpe(episode: Any, x: float) -> float:
    """Take one return into the moving averages; returns what it adds to the Sharpe ratio per unit of eta."""
    average, square = episode.average, episode.square
    variance = square - average * average
    value = 0.0
    if variance > NOTHING * square:
        value = (square * (x - average) - 0.5 * average * (x * x - square)) / (variance * math.sqrt(variance))
        value = min(max(value, -MOST), MOST)
    episode.average = average + ETA * (x - average)
    episode.square = square + ETA * (x * x - square)
    return value


@inlined
def reward(account: Any, episode: Any, seen: Seen, weights: Any, e: int, equity: float, fees: float) -> int:
    """Add the reward terms of the bar just taken; returns the term that is no finite number, or -1.

    Args:
        equity, fees: Of the account before the bar.
    """
    scale = 100.0 / account.initial
    x = (account.equity - equity) * scale
    c = (account.fees - fees) * scale
    deepest = max(episode.drawdown, 100.0 * (1.0 - account.equity / account.peak_equity))
    profit = weights[0] * (x + c)
    cost = -weights[0] * c
    penalty = -weights[1] * 0.5 * x * x
    sharpe = weights[2] * ROOT_SPAN * ETA * differential_sharpe(episode, x)
    drawdown = -weights[3] * (deepest - episode.drawdown)
    episode.drawdown = deepest
    for a in range(AGENTS):
        terms = seen.terms[e, a]
        terms[PROFIT] += profit
        terms[COST] += cost
        terms[PENALTY] += penalty
        terms[SHARPE] += sharpe
        terms[DRAWDOWN] += drawdown
        seen.rewards[e, a] = terms[0] + terms[1] + terms[2] + terms[3] + terms[4]
    if math.isfinite(profit + cost + penalty + sharpe + drawdown):
        return -1
    if not math.isfinite(profit):
        return PROFIT
    if not math.isfinite(cost):
        return COST
    if not math.isfinite(penalty):
        return PENALTY
    return SHARPE if not math.isfinite(sharpe) else DRAWDOWN


@inlined
def copy_window(rows: Any, end: int, features: int, out: Any, e: int) -> None:
    """Copy the feature rows before `end` into an environment's observation."""
    size = out.shape[1]
    start = end * features - size
    for k in range(size):
        out[e, k] = rows[start + k]


@inlined
def see_market(view: View, seen: Seen, episode: Any, e: int, news: int) -> None:
    """Renew the windows that changed in the row at hand."""
    i = episode.row
    if news & STRATEGIC_DUE:
        episode.strategic_key = view.strategic_end[i]
        copy_window(view.strategic_rows, episode.strategic_key, 13, seen.strategic, e)
    if news & TACTICAL_DUE:
        episode.tactical_key = view.tactical_end[i]
        copy_window(view.tactical_rows, episode.tactical_key, 7, seen.tactical, e)


@inlined
def see_account(accounts: Accounts, seen: Seen, desk: Desk, e: int) -> None:
    """Write the risk metrics of the row at hand, which the ensemble takes into its memory when it decides."""
    desk.risk[0] = accounts.memory[e, :RISK_PLACES].view(RISK_STATE)[0]
    update_risk(desk.risk[0], accounts.accounts[e])
    risk_metrics(desk.risk[0], accounts.accounts[e], seen.risk[e])


@inlined
def arrive(view: View, accounts: Accounts, seen: Seen, e: int) -> bool:
    """After the account went through a row: what is seen, who is due, whether it is over. Returns whether to stop."""
    episode, account = accounts.episodes[e], accounts.accounts[e]
    accounts.equity[e, episode.steps] = account.equity
    news = view.due[episode.row] if episode.steps > 0 else STRATEGIC_DUE | TACTICAL_DUE | RISK_DUE
    see_market(view, seen, episode, e, news)
    over = account.halted != 0
    seen.terminated[e] = over
    if not over and episode.steps >= episode.length:
        over = seen.truncated[e] = True
    seen.due[e, STRATEGIC] = not over and news & STRATEGIC_DUE != 0
    seen.due[e, TACTICAL] = not over and news & TACTICAL_DUE != 0
    seen.due[e, RISK] = not over and news & RISK_DUE != 0
    return over or news != 0


@inlined
def act(view: View, accounts: Accounts, seen: Seen, desk: Desk, book: Book, actions: Any, e: int, used: int) -> int:
    """Let the agents that are due decide at the close of the row at hand, and apply what follows from it.

    Args:
        actions: Strategic, tactical and risk actions of all environments.
        used: Commands that were written since they were cleared.

    Returns:
        The same afterwards.
    """
    i = accounts.episodes[e].row
    signal(view, seen, desk, actions, e, i)
    begin_decisions(seen, e)
    commands = desk.commands
    for c in range(used):
        clear(commands[c])
    working = book.orders[: book.account[0].orders]
    memory = accounts.memory[e]
    n = decide_row(i, view.bars, desk.signals, book.account, book.positions, working, desk.params, memory, commands)
    if n > 0:
        apply_commands(book, commands, n, view.bars.ts_event[i])
    return min(n + 1, commands.shape[0])


@kernel
def move(
    view: View,
    accounts: Accounts,
    seen: Seen,
    desk: Desk,
    strategic: Any,
    tactical: Any,
    risk: Any,
    which: Any,
    first: int,
    single: bool,
    keeps: bool,
    fault: Any,
) -> int:
    """Take environments one bar further, or until an agent is due or the episode ended.

    Args:
        strategic: Actions 0..2, int64, shape (N,).
        tactical: Actions, float32, shape (N, 3).
        risk: Actions 0..4, int64, shape (N,).
        which: Environments, int64, shape (k,).
        first: Place in `which` to begin at.
        single: Whether one bar is all.
        keeps: Whether fills are kept over the episode.
        fault: Written if a reward is no finite number: environment and term, int64, shape (2,).

    Returns:
        k when all is done; another place in `which` if the fills of its environment need more room before it can go
        on, to be called again from there; -1 after a fault.
    """
    used = desk.commands.shape[0]
    reserve = desk.events.shape[0]  # as many as a row can bring
    for k in range(first, which.shape[0]):
        e = which[k]
        if seen.terminated[e] or seen.truncated[e]:
            continue
        book = book_of(accounts, desk, view.session_ends, e)
        account, episode = accounts.accounts[e], accounts.episodes[e]
        stop = False
        while not stop:
            if keeps and book.counts[FILLS] + reserve > book.fills.shape[0]:
                return k
            book.counts[EVENTS] = book.counts[DECISIONS] = 0
            if not keeps:
                book.counts[FILLS] = 0
            if episode.steps >= 0:
                used = act(view, accounts, seen, desk, book, (strategic, tactical, risk), e, used)
            equity, fees = account.equity, account.fees
            episode.row += 1
            episode.steps += 1
            advance_row(book, view.bars, episode.row, desk.ledger, desk.held)
            wrong = reward(account, episode, seen, desk.weights, e, equity, fees)
            if wrong >= 0:
                fault[0], fault[1] = e, wrong
                return -1
            stop = arrive(view, accounts, seen, e) or single
        see_account(accounts, seen, desk, e)
    return which.shape[0]


@kernel
def begin(
    accounts: Accounts,
    seen: Seen,
    desk: Desk,
    carried: Any,
    positions: Any,
    risk: Any,
    which: Any,
    starts: Any,
    lengths: Any,
) -> None:
    """Put environments with idle accounts before the first rows of their episodes; `move` takes them through these.

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
        accounts.memory[e, :] = 0.0
        accounts.memory[e, :RISK_PLACES].view(RISK_STATE)[0] = risk[k]
        accounts.memory[e, LEVEL] = np.nan
        desk.counts[min(e, desk.counts.shape[0] - 1), FILLS] = 0
        episode = accounts.episodes[e]
        episode.start, episode.length = starts[k], lengths[k]
        episode.row, episode.steps = starts[k] - 1, -1
        episode.average = episode.square = episode.drawdown = 0.0
        seen.terms[e, :, :] = 0.0
        seen.terminated[e] = seen.truncated[e] = False


@kernel
def idle_variances(bars: Any, firsts: Any, decay: float, position: Any, out: Any) -> None:
    """Mark and variance with which a position arrives at every row of sources that lie end to end.

    Args:
        bars: The Bars of all sources.
        firsts: First row of each, ascending, int64.
        decay: Of the variance.
        position: POSITION, shape (1,); scratch.
        out: Mark and variance before the row, shape (R, 2).
    """
    record, source = position[0], 0
    for i in range(out.shape[0]):
        if source < firsts.shape[0] and i == firsts[source]:
            record.mark = record.variance = 0.0
            record.seen = 0
            source += 1
        out[i, 0], out[i, 1] = record.mark, record.variance
        if bars.present[i, 0]:
            update_variance(record, bars.close[i, 0], decay)
            record.mark = bars.close[i, 0]
            record.seen += 1


@kernel
def see_again(view: View, accounts: Accounts, seen: Seen) -> None:
    """Renew the windows of every environment that began, as after a restored state."""
    for e in range(accounts.accounts.shape[0]):
        if accounts.episodes[e].length > 0:
            see_market(view, seen, accounts.episodes[e], e, STRATEGIC_DUE | TACTICAL_DUE)
