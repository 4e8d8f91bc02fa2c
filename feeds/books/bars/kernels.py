"""Bars from order books: the best levels after every event, and what became of them within a bar."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.compiled import inlined, kernel
from engine.types.records import Record, Records
from feeds.books.kernels import BID, SNAPSHOT, TRADE, apply_message, has_places, write_levels
from feeds.books.layout import NO_PRICE, PRICE_SCALE, BookArrays

NEVER = np.iinfo(np.int64).min
BIDS, BID_SIZES, ASKS, ASK_SIZES = 0, 1, 2, 3
as_int: Any = np.int64


@inlined
def price_of(key: int) -> float:
    """An integer price in quote currency; NaN where there is none."""
    return np.nan if abs(key) == NO_PRICE else key / PRICE_SCALE


@inlined
def begin_bar(bar: Record, flow: NDArray[np.float64]) -> None:
    """Empty the unfinished bar; it opens with the book that stands."""
    bar.arrived = 0
    bar.volume = 0
    bar.trades = 0
    bar.signed = 0
    mid = bar.close if bar.known else np.nan
    bar.open = mid
    bar.high = mid
    bar.low = mid
    bar.close = mid
    for m in range(flow.shape[0]):
        flow[m] = 0.0


@inlined
def widen(bar: Record, top: NDArray[np.int64]) -> None:
    """Note the best prices since orders arrived."""
    bid, ask = top[0, BIDS, 0], top[0, ASKS, 0]
    bid_size, ask_size = top[0, BID_SIZES, 0], top[0, ASK_SIZES, 0]
    if ask < bar.lowest_ask:
        bar.lowest_ask = ask
        bar.lowest_ask_size = ask_size
    elif ask == bar.lowest_ask:
        bar.lowest_ask_size = max(bar.lowest_ask_size, ask_size)
    if bid > bar.highest_bid:
        bar.highest_bid = bid
        bar.highest_bid_size = bid_size
    elif bid == bar.highest_bid:
        bar.highest_bid_size = max(bar.highest_bid_size, bid_size)


@inlined
def arrive(bar: Record, top: NDArray[np.int64]) -> None:
    """Keep the book that orders of the row before meet."""
    bar.arrived = 1
    bar.arrival_known = bar.known
    bar.lowest_ask = NO_PRICE
    bar.lowest_ask_size = 0
    bar.highest_bid = -NO_PRICE
    bar.highest_bid_size = 0
    for kind in range(4):
        for m in range(top.shape[2]):
            top[1, kind, m] = top[0, kind, m]
    if bar.known:
        widen(bar, top)


@inlined
def flow_of(old: int, old_size: int, new: int, new_size: int) -> int:
    """Net addition of demand at one level of bids; for asks, prices are negated and so is the result.

    Cont, Kukanov and Stoikov (2014), level by level as in Xu, Gould and Howison (2019).
    """
    if new > old:
        return new_size
    if new < old:
        return -old_size
    return new_size - old_size


@inlined
def look(book: BookArrays, bar: Record, top: NDArray[np.int64], flow: NDArray[np.float64]) -> None:
    """Take note of the book after an event."""
    state = book.state[0]
    write_levels(book, 0, top[2, BIDS], top[2, BID_SIZES], -NO_PRICE)
    write_levels(book, 1, top[2, ASKS], top[2, ASK_SIZES], NO_PRICE)
    bid, ask = top[2, BIDS, 0], top[2, ASKS, 0]
    known = state.suspect == 0 and state.bids > 0 and state.asks > 0 and bid < ask
    # a snapshot repairs the book: what it changes did not flow in
    if known and bar.known and bar.snapshot == 0:
        for m in range(flow.shape[0]):
            demand = flow_of(top[0, BIDS, m], top[0, BID_SIZES, m], top[2, BIDS, m], top[2, BID_SIZES, m])
            supply = flow_of(-top[0, ASKS, m], top[0, ASK_SIZES, m], -top[2, ASKS, m], top[2, ASK_SIZES, m])
            flow[m] += demand - supply
    bar.snapshot = 0
    bar.known = 1 if known else 0
    if not known:
        return
    for kind in range(4):
        for m in range(top.shape[2]):
            top[0, kind, m] = top[2, kind, m]
    mid = (bid + ask) / (2.0 * PRICE_SCALE)
    if math.isnan(bar.open):
        bar.open = mid
        bar.high = mid
        bar.low = mid
    bar.high = max(bar.high, mid)
    bar.low = min(bar.low, mid)
    bar.close = mid
    if bar.arrived:
        widen(bar, top)


@inlined
def slope_of(top: NDArray[np.int64], unit: float) -> float:
    """Contracts that rest for each unit of price away from the mid, by least squares through the origin.

    Over the levels of both sides, of cumulative size on distance: sum(distance * size) / sum(distance^2).
    """
    mid = (top[0, BIDS, 0] + top[0, ASKS, 0]) / (2.0 * PRICE_SCALE)
    above, below = 0.0, 0.0
    for side in (BIDS, ASKS):
        total = 0.0
        for m in range(top.shape[2]):
            if abs(top[0, side, m]) == NO_PRICE:
                break
            total += unit * top[0, side + 1, m]
            distance = abs(top[0, side, m] / PRICE_SCALE - mid)
            above += distance * total
            below += distance * distance
    return above / below


@inlined
def write_book(bar: Record, top: NDArray[np.int64], flow: NDArray[np.float64], unit: float, out: Any) -> None:
    """Write the levels of a bar behind its head, NaN where the book is not known."""
    depth = flow.shape[0]
    at = 14
    for m in range(depth):
        bid_size, ask_size = unit * top[0, BID_SIZES, m], unit * top[0, ASK_SIZES, m]
        out[at] = price_of(top[0, BIDS, m]) if bar.known else np.nan
        out[at + 1] = bid_size if bar.known else np.nan
        out[at + 2] = price_of(top[0, ASKS, m]) if bar.known else np.nan
        out[at + 3] = ask_size if bar.known else np.nan
        whole = bid_size + ask_size
        out[at + 4] = (bid_size - ask_size) / whole if bar.known and whole > 0.0 else np.nan
        out[at + 5] = unit * flow[m]
        at += 6
    for m in range(depth):
        out[at] = price_of(top[1, BIDS, m]) if bar.arrival_known else np.nan
        out[at + 1] = unit * top[1, BID_SIZES, m] if bar.arrival_known else np.nan
        out[at + 2] = price_of(top[1, ASKS, m]) if bar.arrival_known else np.nan
        out[at + 3] = unit * top[1, ASK_SIZES, m] if bar.arrival_known else np.nan
        at += 4


@inlined
def write_bar(bar: Record, top: NDArray[np.int64], flow: NDArray[np.float64], unit: float, out: Any) -> None:
    """Write the unfinished bar as one row of output."""
    out[0] = bar.open
    out[1] = bar.high
    out[2] = bar.low
    out[3] = bar.close
    out[4] = unit * bar.volume
    out[5] = bar.trades
    out[6] = unit * bar.signed
    out[7] = np.nan
    out[8] = np.nan
    out[9] = np.nan
    if bar.known:
        bid, ask = top[0, BIDS, 0] / PRICE_SCALE, top[0, ASKS, 0] / PRICE_SCALE
        bid_size, ask_size = top[0, BID_SIZES, 0], top[0, ASK_SIZES, 0]
        out[7] = (top[0, ASKS, 0] - top[0, BIDS, 0]) / PRICE_SCALE
        out[8] = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        out[9] = slope_of(top, unit)
    out[10] = price_of(bar.lowest_ask)
    out[11] = unit * bar.lowest_ask_size
    out[12] = price_of(bar.highest_bid)
    out[13] = unit * bar.highest_bid_size
    write_book(bar, top, flow, unit, out)


@kernel
def close_bars(
    ts: int,
    params: Records,
    bars: Records,
    top: NDArray[np.int64],
    flow: NDArray[np.float64],
    out_ts: NDArray[np.int64],
    out: NDArray[np.float64],
    count: int,
) -> int:
    """Write the bars that end before a time, and begin the one that holds it; a bar includes its end.

    Args:
        ts: Nanoseconds UTC.
        count: Rows of output in use.

    Returns:
        Rows of output in use then. If all are, there may be more to write.
    """
    rules, bar = params[0], bars[0]
    if bar.end == NEVER:
        bar.end = -(-ts // rules.timeframe) * rules.timeframe
        begin_bar(bar, flow)
    while ts > bar.end:
        if bar.end - rules.timeframe >= bar.last_ts and bar.end - bar.last_ts > rules.stands:
            # nobody knows what became of a book from which nothing is heard
            bar.known = 0
            bar.end = -(-ts // rules.timeframe) * rules.timeframe
            begin_bar(bar, flow)
            break
        if count == out.shape[0]:
            return count
        if not bar.arrived:
            arrive(bar, top)
        if not math.isnan(bar.open):
            write_bar(bar, top, flow, rules.size_unit, out[count])
            out_ts[count] = bar.end
            count += 1
        bar.end += rules.timeframe
        begin_bar(bar, flow)
    if not bar.arrived and ts > bar.end - rules.timeframe + rules.latency:
        arrive(bar, top)
    return count


@kernel
def fold_messages(
    book: BookArrays,
    params: Records,
    bars: Records,
    top: NDArray[np.int64],
    flow: NDArray[np.float64],
    messages: Records,
    start: int,
    out_ts: NDArray[np.int64],
    out: NDArray[np.float64],
) -> tuple[int, int]:
    """Apply messages to the book and write the bars that they complete.

    Args:
        book: Changed.
        params: BAR_PARAMS, shape (1,).
        bars: BAR_STATE, shape (1,), changed.
        top: Best levels now, when orders arrived, and scratch: shape (3, 4, depth), changed; the second axis is bids,
            their sizes, asks, their sizes.
        flow: Order-flow imbalance of the unfinished bar by level, shape (depth,), changed.
        messages: MESSAGE, of which the first is `start`.
        out_ts: Ends of bars, shape (rows,).
        out: Columns of bars, shape (rows, 14 + 10 * depth).

    Returns:
        The message reached, and the number of bars written. If messages are left, the output must be emptied or the
        tables of the book must grow.
    """
    bar, count = bars[0], 0
    timeframe, latency = params[0].timeframe, params[0].latency
    for i in range(start, messages.shape[0]):
        if not has_places(book):
            return i, count
        message = messages[i]
        ts = max(message.ts_event, bar.last_ts)
        if ts > bar.end or (bar.arrived == 0 and ts > bar.end - timeframe + latency):
            count = close_bars(ts, params, bars, top, flow, out_ts, out, count)
            if ts > bar.end:
                return i, count
        bar.last_ts = ts
        if message.flags & SNAPSHOT:
            bar.snapshot = 1
        if message.action == TRADE:
            size = as_int(message.size)
            bar.volume += size
            bar.trades += 1
            bar.signed += size if message.side == BID else -size
        if apply_message(book, message):
            look(book, bar, top, flow)
    return messages.shape[0], count
