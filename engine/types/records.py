"""The records of trading: what agents command, what the simulator keeps and what it reports.

Every record is a NumPy structured dtype of 8-byte fields, so that its bytes are its value: states snapshot, hash
and compare bit for bit, and kernels read the fields by name. Prices and sizes of 0 mean "none".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]
Record = np.record
"""One of Records, as kernels see it: its fields are attributes."""


class CommandKind(IntEnum):
    """What an agent asks for."""

    ORDER = 1  # `quantity` is signed contracts
    TARGET = 2  # `quantity` is a position in units of the configured base size
    CANCEL = 3  # `order_id`
    CANCEL_ALL = 4  # of the symbol
    CLOSE = 5  # cancel all orders of the symbol and close its position at the market
    UP_TO = 6  # an ORDER that margin shortens, as it does a target, rather than rejects


class Operation(IntEnum):
    """An operator's commands between two rows; docs/simulator.md describes them."""

    PAUSE = 1  # nothing may raise risk until RESUME
    RESUME = 2
    FLATTEN = 3  # PAUSE, and the book is closed
    HALT = 4  # trips the kill switch
    RESET_HALT = 5  # resumes trading after a halt
    PROMOTE = 6  # the challenger with the most evidence becomes the champion at the next cut
    ROLLBACK = 7  # the champion before becomes it again at the next cut
    HAND_OVER = 8  # no command: another agent decides from here on, and the orders of the one before are cancelled
    PAUSE_LEARNING = 9  # no training job begins by itself until RESUME_LEARNING
    RESUME_LEARNING = 10
    LEARN = 11  # a training job begins at the next cut


class OrderType(IntEnum):
    """How an order meets the market."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5


class TimeInForce(IntEnum):
    """How long an order works."""

    GTC = 0  # until cancelled
    DAY = 1  # until the session in which it was submitted ends
    GTD = 2  # until `expire_ts`
    IOC = 3  # what fills in its first bar, the rest is cancelled
    FOK = 4  # all of it in its first bar, or nothing


class Role(IntEnum):
    """Why an order exists."""

    ENTRY = 0  # an agent's own order
    STOP_LOSS = 1  # protective leg of a bracket
    TAKE_PROFIT = 2  # profit-taking leg of a bracket
    KILL_SWITCH = 3  # closes the book after a hard limit tripped
    LIQUIDATION = 4  # closes the book after a margin call
    FLATTEN = 5  # closes the book by an operator's command


class OrderEventKind(IntEnum):
    """What happened to an order."""

    SUBMITTED = 1
    TRIGGERED = 2
    FILLED = 3  # wholly or in part; `remaining` tells
    CANCELLED = 4
    EXPIRED = 5
    REJECTED = 6


class Reason(IntEnum):
    """Why an order was rejected, clipped, cancelled or expired, or why trading stopped."""

    NONE = 0
    BY_AGENT = 1
    BELOW_MIN_SIZE = 2
    INSUFFICIENT_MARGIN = 3
    MAX_POSITION = 4
    MAX_LEVERAGE = 5
    MAX_DAILY_LOSS = 6
    MAX_DRAWDOWN = 7
    HALTED = 8
    REDUCE_ONLY = 9
    POSITION_CLOSED = 10
    OCO = 11
    TIME_IN_FORCE = 12
    SESSION_END = 13
    MARGIN_CALL = 14
    BANKRUPT = 15
    TOO_MANY_ORDERS = 16
    BAD_PRICE = 17
    REPLACED = 18
    NO_SUCH_ORDER = 19
    NO_MARKET = 20
    PAUSED = 21
    BY_OPERATOR = 22


class SeatName(IntEnum):
    """The seats of the ensemble."""

    STRATEGIC = 1
    TACTICAL = 2
    RISK = 3


class Sizing(IntEnum):
    """What one unit of a target position is worth in contracts."""

    FIXED = 0  # `sizing_value` contracts
    EQUITY_FRACTION = 1  # notional of `sizing_value` times equity
    VOLATILITY_TARGET = 2  # contracts whose annualised volatility is `sizing_value` times equity


def _dtype(floats: str, ints: str) -> np.dtype[np.void]:
    fields: list[tuple[str, Any]] = [(name, np.float64) for name in floats.split()]
    return np.dtype(fields + [(name, np.int64) for name in ints.split()])


COMMAND = _dtype(
    "quantity limit stop trail stop_loss take_profit stop_distance target_distance trail_distance",
    "ts_event kind symbol type tif expire_ts reduce_only order_id tag",
)
"""One command of an agent. `stop_loss` and `take_profit` are prices; `*_distance` are fractions of the entry fill
price; `trail` is a price offset (TRAILING_STOP orders); `tag` is the agent's own reason code; `order_id` names the
order to cancel, and is filled in with the order that the command became."""

ORDER = _dtype(
    "quantity filled limit stop trail stop_loss take_profit stop_distance target_distance trail_distance",
    "id symbol side type tif expire_ts reduce_only role parent state rows submitted_ts tag intrabar clip legs",
)
"""One working order. `quantity` and `filled` are unsigned contracts, `side` is +1 or -1; `state` is 1 working, 2
triggered (a stop-limit that now rests as a limit), 0 done; `rows` counts tradable bars seen since submission;
`intrabar` marks a leg attached (or a limit triggered) inside the current bar; `clip` an order that margin shortens
rather than rejects (it came from a target); `legs` whether its bracket was attached. `limit` of a stop leg
attached inside a bar holds that bar's base price."""

ORDER_EVENT = _dtype("quantity price remaining", "ts_event order_id symbol kind reason side type role parent tag")
"""One event in an order's life. `price` is the working limit or stop price, or the fill price."""

FILL = _dtype("quantity price fee realized position avg_price", "ts_event seq order_id symbol side role reason tag")
"""One fill. `quantity` is unsigned, `side` +1 or -1; `fee` and `realized` (before fees) in account currency;
`position` and `avg_price` hold after the fill; `seq` is the row; `reason` is the limit that clipped it, if any."""

ACCOUNT = _dtype(
    "initial cash equity realized unrealized fees margin gross_exposure net_exposure peak_equity session_equity",
    "ts_event seq session_end halted next_order_id orders bankrupt liquidating paused",
)
"""The account (one record). `session_equity` is the equity at the end of the session before; `halted` is the Reason
that tripped the kill switch, or 0; `paused` is 1 from an operator's PAUSE to RESUME; `orders` is the number of working
orders; `seq` is the number of rows seen."""

POSITION = _dtype("quantity avg_price mark target variance realized", "seen")
"""The position in one symbol. `quantity` is signed contracts, `mark` the last close, `target` the last target
commanded (units; NaN after an operator resumed trading, until the next), `variance` the exponentially weighted variance
of log returns per bar; `seen` counts its bars."""

INSTRUMENT = _dtype(
    "tick_size multiplier size_step min_size fee_per_contract fee_rate "
    "initial_per_contract initial_rate maintenance_per_contract maintenance_rate",
    "index",
)
"""What a kernel needs of an instrument; `multiplier` already includes the exchange rate to account currency."""

RULES = _dtype(
    "slippage_ticks slippage_bps slippage_range participation sizing_value variance_decay bars_per_year "
    "max_position max_leverage max_daily_loss max_drawdown",
    "limit_through sizing max_open_orders book_levels",
)
"""How orders fill and what stops them; limits of infinity are off, a participation of infinity is no cap. `book_levels`
is the most levels of a book that an order can walk at once; 0 where fills come from bars."""

AGENT_OUTPUT = _dtype("action_0 action_1 action_2 confidence", "ts_event seq seat symbol first_ts last_ts")
"""What one agent of the ensemble decided. Strategic: `action_0` is the side; tactical: entry timing, stop distance,
position scale; risk: `action_0` is the level, 0 to 4, and `symbol` -1 (the whole book). `first_ts` and `last_ts` are
the close times of the first and last bar observed."""

LEDGER_COLUMNS = (
    "cash",
    "equity",
    "realized",
    "unrealized",
    "fees",
    "margin",
    "gross_exposure",
    "net_exposure",
)
"""Columns of the ledger matrix, in account currency; `realized` and `fees` are cumulative."""


class Bars(NamedTuple):
    """A bar block as kernels see it: arrays of shape (rows,) and (rows, S)."""

    ts_event: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    present: NDArray[np.bool_]


class BookRows(NamedTuple):
    """Bars of an order book as kernels see them, for fills against the book.

    Attributes:
        ts_event, open, high, low, close, volume, present: As in `Bars`; prices are mid prices.
        levels: Prices and sizes of the best levels, best first: shape (rows, S, 2, 4, K). The third axis is the book
            that orders of the row before meet, and that at the close; the fourth bids, their sizes, asks, their sizes.
        reach: Of the time since those orders came: lowest ask, its size, highest bid, its size; shape (rows, S, 4).
        taken: What own fills took from the book and is still shown: prices and sizes, shape (S, 2, places, 2), bids
            first, ended by a size of 0. State, changed.
    """

    ts_event: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    present: NDArray[np.bool_]
    levels: NDArray[np.float64]
    reach: NDArray[np.float64]
    taken: NDArray[np.float64]
