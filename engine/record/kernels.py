"""Compiled sequential scans over rows and events; carried state makes every blocking give the same bits."""

from __future__ import annotations

import numpy as np

from engine.base.compiled import kernel
from engine.types.blocks import Bools, Floats, Ints
from engine.types.records import OrderEventKind, Reason, Records

SUBMITTED = int(OrderEventKind.SUBMITTED)
TRIGGERED = int(OrderEventKind.TRIGGERED)
FILLED = int(OrderEventKind.FILLED)
REJECTED = int(OrderEventKind.REJECTED)
NO_SUCH_ORDER = int(Reason.NO_SUCH_ORDER)
EQUITY, GROSS, NET = 1, 6, 7
ROUNDING = 1e-12


@kernel
def update_drawdown(d: np.void, value: float, ts: int) -> float:
    """Move a DRAWDOWN record to the next value of its curve; returns the drawdown there (0 or negative).

    A value that is below the peak by the rounding of sums alone is at the peak.
    """
    if d["started"] == 0:
        d["started"] = 1
        d["peak_ts"] = ts
    if value >= d["peak"] - ROUNDING * abs(d["peak"]):
        if d["under"] == 1:
            d["under"] = 0
            d["longest_ns"] = max(d["longest_ns"], ts - d["peak_ts"])
            if d["depth"] > 0.0 and d["top_ts"] == d["peak_ts"]:
                d["recovery_ts"] = ts
        d["peak"] = max(d["peak"], value)
        d["peak_ts"] = ts
        return 0.0
    d["under"] = 1
    down: float = 1.0 - value / d["peak"]
    if down > d["depth"]:
        d["depth"] = down
        d["top_ts"] = d["peak_ts"]
        d["trough_ts"] = ts
        d["recovery_ts"] = 0
    return -down


@kernel
def held_value(close: Floats, present: Bools, i: int, first: Floats, mark: Floats) -> float:
    """Value of one unit of money spread equally over all symbols, each bought at its first close."""
    total = 0.0
    for s in range(first.shape[0]):
        if present[i, s] and close[i, s] == close[i, s]:
            mark[s] = close[i, s]
            if first[s] == 0.0:
                first[s] = close[i, s]
        total += mark[s] / first[s] if first[s] != 0.0 else 1.0
    value: float = total / first.shape[0]
    return value


@kernel
def count_row(t: np.void, ts: int, equity: float, gross: float, exposed: bool) -> None:
    """Add one row to a TALLY record."""
    if t["rows"] == 0:
        t["first_ts"] = ts
    else:
        t["leverage_time"] += t["leverage"] * (ts - t["last_ts"])
        t["timed_ns"] += ts - t["last_ts"]
    t["leverage"] = gross / equity if equity > 0.0 else 0.0
    t["max_leverage"] = max(t["max_leverage"], t["leverage"])
    t["equity"] = equity
    t["equity_sum"] += equity
    t["rows"] += 1
    t["last_ts"] = ts
    if exposed:
        t["exposed_rows"] += 1


@kernel
def tally_rows(
    ts_event: Ints,
    ledger: Floats,
    positions: Floats,
    close: Floats,
    present: Bools,
    session: Ints,
    initial: float,
    tally: Records,
    drawdowns: Records,
    first: Floats,
    mark: Floats,
    lines: Floats,
    ended: Records,
) -> int:
    """Fold rows into the running tallies.

    Args:
        ts_event: Close times of the rows, shape (rows,).
        ledger: Shape (rows, 8).
        positions: Shape (rows, S).
        close: Shape (rows, S).
        present: Shape (rows, S).
        session: Number of the session of each row.
        initial: Capital of buy-and-hold.
        tally: TALLY, shape (1,); state.
        drawdowns: DRAWDOWN of equity and of buy-and-hold, shape (2,); state.
        first: First close of each symbol, 0 before; state.
        mark: Last close of each symbol, 0 before; state.
        lines: Chart lines of each row, shape (rows, 4); output.
        ended: SESSION_END records, at least one per row; output.

    Returns:
        Number of sessions that ended before the last row.
    """
    t = tally[0]
    sessions = 0
    for i in range(ts_event.shape[0]):
        if t["rows"] > 0 and session[i] != t["session"]:
            ended[sessions]["ts_event"] = t["last_ts"]
            ended[sessions]["equity"] = t["equity"]
            ended[sessions]["buy_and_hold"] = t["buy_and_hold"]
            sessions += 1
        t["session"] = session[i]
        ts, equity = ts_event[i], ledger[i, EQUITY]
        exposed = False
        for s in range(positions.shape[1]):
            exposed = exposed or positions[i, s] != 0.0
        count_row(t, ts, equity, ledger[i, GROSS], exposed)
        t["buy_and_hold"] = initial * held_value(close, present, i, first, mark)
        lines[i, 0] = equity
        lines[i, 1] = t["buy_and_hold"]
        lines[i, 2] = update_drawdown(drawdowns[0], equity, ts)
        lines[i, 3] = ledger[i, NET] / equity if equity > 0.0 else 0.0
        update_drawdown(drawdowns[1], t["buy_and_hold"], ts)
    return sessions


@kernel
def copy_point(
    lines: Floats,
    prices: Floats,
    volumes: Floats,
    into: int,
    from_lines: Floats,
    from_prices: Floats,
    from_volumes: Floats,
    at: int,
) -> None:
    """Make chart point `into` that at place `at` of other values."""
    for c in range(lines.shape[1]):
        lines[into, c] = from_lines[at, c]
    for s in range(prices.shape[1]):
        for p in range(4):
            prices[into, s, p] = from_prices[at, s, p]
        volumes[into, s] = from_volumes[at, s]


@kernel
def merge_point(
    lines: Floats,
    prices: Floats,
    volumes: Floats,
    into: int,
    from_lines: Floats,
    from_prices: Floats,
    from_volumes: Floats,
    at: int,
) -> None:
    """Add later values to chart point `into`: last equity, worst drawdown, bars of bars, and their volume."""
    lines[into, 0] = from_lines[at, 0]
    lines[into, 1] = from_lines[at, 1]
    lines[into, 2] = min(lines[into, 2], from_lines[at, 2])
    lines[into, 3] = from_lines[at, 3]
    for s in range(prices.shape[1]):
        if not np.isnan(from_volumes[at, s]):
            known = 0.0 if np.isnan(volumes[into, s]) else volumes[into, s]
            volumes[into, s] = known + from_volumes[at, s]
        if np.isnan(from_prices[at, s, 0]):
            continue
        if np.isnan(prices[into, s, 0]):
            prices[into, s, 0] = from_prices[at, s, 0]
            prices[into, s, 1] = from_prices[at, s, 1]
            prices[into, s, 2] = from_prices[at, s, 2]
        prices[into, s, 1] = max(prices[into, s, 1], from_prices[at, s, 1])
        prices[into, s, 2] = min(prices[into, s, 2], from_prices[at, s, 2])
        prices[into, s, 3] = from_prices[at, s, 3]


@kernel
def halve(times: Ints, lines: Floats, prices: Floats, volumes: Floats) -> None:
    """Merge neighbouring chart points pair by pair into the first half."""
    for point in range(times.shape[0] // 2):
        times[point] = times[2 * point + 1]
        copy_point(lines, prices, volumes, point, lines, prices, volumes, 2 * point)
        merge_point(lines, prices, volumes, point, lines, prices, volumes, 2 * point + 1)


@kernel
def chart_rows(
    ts_event: Ints,
    new_lines: Floats,
    bars: Floats,
    volume: Floats,
    state: Ints,
    times: Ints,
    lines: Floats,
    prices: Floats,
    volumes: Floats,
) -> None:
    """Add rows to a chart of bounded length; when full, points merge in pairs.

    Args:
        ts_event: Close times of the rows.
        new_lines: Line values of the rows.
        bars: Open, high, low, close of the rows, shape (rows, S, 4); NaN where absent.
        volume: Of the rows, shape (rows, S); NaN where absent or unknown.
        state: Rows per point, rows in the current point, points completed; state.
        times: Of the points (an even number); state.
        lines: Of the points; state.
        prices: Of the points; state.
        volumes: Of the points; state.
    """
    for i in range(ts_event.shape[0]):
        if state[1] == 0:
            if state[2] == times.shape[0]:
                halve(times, lines, prices, volumes)
                state[0] *= 2
                state[2] //= 2
            copy_point(lines, prices, volumes, state[2], new_lines, bars, volume, i)
        else:
            merge_point(lines, prices, volumes, state[2], new_lines, bars, volume, i)
        times[state[2]] = ts_event[i]
        state[1] += 1
        if state[1] == state[0]:
            state[1] = 0
            state[2] += 1


@kernel
def find_order(orders: Records, n: int, order_id: int) -> int:
    """Place of an order among the first n, or n; orders are mostly found near the end."""
    for k in range(n - 1, -1, -1):
        if orders[k]["id"] == order_id:
            return k
    return n


@kernel
def start_order(order: np.void, event: np.void) -> None:
    """Begin a CLOSED_ORDER record from the first event seen of it."""
    order["quantity"] = event["quantity"]
    order["filled"] = 0.0
    order["value"] = 0.0
    order["price"] = event["price"] if event["kind"] != FILLED else 0.0
    order["id"] = event["order_id"]
    order["symbol"] = event["symbol"]
    order["side"] = event["side"]
    order["type"] = event["type"]
    order["role"] = event["role"]
    order["parent"] = event["parent"]
    order["tag"] = event["tag"]
    order["closed"] = 0
    # an order submitted before recording began has no known time of submission
    known = event["kind"] == SUBMITTED or event["kind"] == REJECTED
    order["submitted"] = event["ts_event"] if known else 0


@kernel
def fold_orders(
    events: Records, working: Records, count: int, done: Records, counts: Ints, roles: Ints
) -> tuple[int, int]:
    """Fold ORDER_EVENT records into one record per order.

    Args:
        events: In order of happening.
        working: CLOSED_ORDER records of orders not yet ended, with room for one more per event; state.
        count: How many of them there are.
        done: Orders that ended, in order of their ends, room for one per event; output.
        counts: Events by kind and reason; state.
        roles: Submitted orders by role; state.

    Returns:
        Number of working orders, number of orders that ended.
    """
    ended = 0
    for e in range(events.shape[0]):
        event = events[e]
        kind = event["kind"]
        counts[kind, event["reason"]] += 1
        if kind == SUBMITTED:
            roles[event["role"]] += 1
        if kind == REJECTED and event["reason"] == NO_SUCH_ORDER:
            continue  # a cancel that named no order is not an order
        k = find_order(working, count, event["order_id"]) if event["order_id"] > 0 else count
        order = working[k]
        if k == count:
            start_order(order, event)
            count += 1
        order["status"] = kind
        order["reason"] = event["reason"]
        if kind == FILLED:
            order["filled"] += event["quantity"]
            order["value"] += event["quantity"] * event["price"]
            order["quantity"] = order["filled"] + event["remaining"]
            if event["remaining"] > 1e-12 * order["quantity"]:
                continue
        else:
            order["quantity"] = max(order["quantity"], event["quantity"])
        if kind in (SUBMITTED, TRIGGERED):
            continue
        order["closed"] = event["ts_event"]
        done[ended] = order
        ended += 1
        count -= 1
        for later in range(k, count):
            working[later] = working[later + 1]
    return count, ended
