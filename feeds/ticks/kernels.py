"""Compiled loops over ticks: trades and quotes into bars."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.base.compiled import inlined, kernel
from engine.types.records import Records

TIME, TICK, VOLUME, VALUE, IMBALANCE, RENKO = range(6)
NOTHING = np.iinfo(np.int64).min

PARAMS = np.dtype(
    [(name, np.int64) for name in ("kind", "timeframe", "begins", "quotes", "measure", "floor", "cap", "warm_up")]
    + [(name, np.float64) for name in ("size", "tick_weight", "bar_weight")]
)
"""What bars to make: a kind and its numbers; `begins` whether a tick at the boundary of a time bar opens the next one;
`quotes` whether prices are the mids of quotes; `measure` TICK, VOLUME or VALUE of an imbalance."""

TICK_STATE = np.dtype(
    [(name, np.float64) for name in ("open", "high", "low", "close", "volume", "signed", "value", "bid", "ask")]
    + [("ticks", np.int64), ("last", np.float64), ("direction", np.int64)]
    + [(name, np.float64) for name in ("theta", "threshold", "expected", "mean", "square")]
    + [("seen", np.int64), ("anchor", np.float64), ("level", np.int64), ("trend", np.int64)]
)
"""The unfinished bar of one symbol, and what is carried from bar to bar: best prices, the last price and the direction
in which it last changed, the estimates of imbalance bars and the bricks of Renko bars."""

TICK_CLOCK = np.dtype([(name, np.int64) for name in ("end", "held", "last_ts", "ticks")])
"""Where a stream stands: end of the current time bar, whether it has a tick, time of the last bar, ticks so far."""

OPEN, HIGH, LOW, CLOSE, VOL, TRADES, SIGNED, WORTH, VWAP, BID, ASK, SPREAD = range(12)
"""Columns of a bar as it is written."""


@inlined
def begin_bar(part: np.void) -> None:
    """Empty the unfinished bar; what is carried from bar to bar stays."""
    part["ticks"] = 0
    part["volume"] = 0.0
    part["value"] = 0.0
    part["signed"] = np.nan
    part["theta"] = 0.0


@inlined
def write_bar(part: np.void, quotes: bool, out: NDArray[np.float64], at: int) -> None:
    """Write the unfinished bar as row `at` of `out`."""
    out[at, OPEN] = part["open"]
    out[at, HIGH] = part["high"]
    out[at, LOW] = part["low"]
    out[at, CLOSE] = part["close"]
    volume = part["volume"]
    out[at, VOL] = np.nan if quotes else volume
    out[at, TRADES] = np.nan if quotes else float(part["ticks"])
    out[at, SIGNED] = np.nan if quotes else part["signed"]
    out[at, WORTH] = np.nan if quotes else part["value"]
    out[at, VWAP] = part["value"] / volume if not quotes and volume > 0.0 else np.nan
    out[at, BID] = part["bid"]
    out[at, ASK] = part["ask"]
    out[at, SPREAD] = part["ask"] - part["bid"]


@inlined
def sign_of(part: np.void, price: float, side: int) -> int:
    """Who took: as given, else by Lee and Ready (1991): against the mid of the quote, else by the last change of price.

    The quote is the last one known at the trade, without the delay of five seconds that data of 1991 asked for. The
    last price and its direction are noted for the next trade.
    """
    if part["last"] > 0.0:
        if price > part["last"]:
            part["direction"] = 1
        elif price < part["last"]:
            part["direction"] = -1
    part["last"] = price
    if side != 0:
        return side
    mid = 0.5 * part["bid"] + 0.5 * part["ask"]
    if price > mid:  # false without a quote, which is NaN
        return 1
    if price < mid:
        return -1
    return part["direction"]


@inlined
def add_tick(part: np.void, price: float, size: float, sign: int) -> None:
    """Fold one price into the unfinished bar."""
    if part["ticks"] == 0:
        part["open"] = price
        part["high"] = price
        part["low"] = price
    elif price > part["high"]:
        part["high"] = price
    elif price < part["low"]:
        part["low"] = price
    part["close"] = price
    part["volume"] += size
    part["value"] += price * size
    part["ticks"] += 1
    if sign != 0:
        part["signed"] = sign * size if np.isnan(part["signed"]) else part["signed"] + sign * size


@inlined
def imbalance_closes(part: np.void, params: np.void, signed: float) -> bool:
    """Whether the imbalance closes the bar, and the estimates for the next one.

    Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.2: a bar closes when its imbalance reaches the
    expected number of ticks times the expected imbalance of a tick, both exponentially weighted averages. That rule
    runs away: a threshold that is not reached makes bars longer and the threshold higher, and the other way round. Here
    the expected imbalance of a tick is never taken below what chance brings about, one standard deviation of its mean
    over a bar, and no bar is shorter than the floor or longer than the cap.
    """
    part["theta"] += signed
    part["seen"] += 1
    weight = max(params["tick_weight"], 1.0 / part["seen"])
    part["mean"] += weight * (signed - part["mean"])
    part["square"] += weight * (signed * signed - part["square"])
    ticks = part["ticks"]
    warm = part["threshold"] >= 0.0
    if not warm:
        if ticks < params["size"]:
            return False
    elif ticks < params["cap"] and (ticks < params["floor"] or abs(part["theta"]) < part["threshold"]):
        return False
    if warm:
        part["expected"] += params["bar_weight"] * (ticks - part["expected"])
        part["expected"] = min(max(part["expected"], float(params["floor"])), float(params["cap"]))
    if part["seen"] >= params["warm_up"]:
        expected = part["expected"]
        part["threshold"] = max(expected * abs(part["mean"]), math.sqrt(expected * part["square"]))
    return True


@inlined
def whole_bricks(anchor: float, brick: float, price: float) -> int:
    """The largest number of bricks above the anchor that a price reaches, whatever the division rounds to."""
    bricks = math.floor((price - anchor) / brick)
    if anchor + (bricks + 1) * brick <= price:
        bricks += 1
    elif anchor + bricks * brick > price:
        bricks -= 1
    return bricks


@inlined
def renko_closes(part: np.void, brick: float, price: float) -> bool:
    """Whether a price ends a brick: one further in its direction, two against it. The level moves by whole bricks."""
    if part["anchor"] <= 0.0:
        part["anchor"] = price
        return False
    anchor, level, trend = part["anchor"], part["level"], part["trend"]
    up = level + (2 if trend < 0 else 1)
    down = level - (2 if trend > 0 else 1)
    if price >= anchor + up * brick:
        part["level"] = max(up, whole_bricks(anchor, brick, price))
        part["trend"] = 1
        return True
    if price <= anchor + down * brick:
        part["level"] = min(down, -whole_bricks(-anchor, brick, -price))
        part["trend"] = -1
        return True
    return False


@inlined
def closes_bar(part: np.void, params: np.void, price: float, volume: float, sign: int) -> bool:
    """Whether the tick that was folded in last completes the bar of its symbol, where bars have no fixed length."""
    kind = params["kind"]
    if kind == TICK:
        return part["ticks"] >= params["size"]
    if kind == VOLUME:
        return part["volume"] >= params["size"]
    if kind == VALUE:
        return part["value"] >= params["size"]
    if kind == RENKO:
        return renko_closes(part, params["size"], price)
    if kind == IMBALANCE:
        signed = float(sign)
        if params["measure"] == VOLUME:
            signed *= volume
        elif params["measure"] == VALUE:
            signed *= price * volume
        return imbalance_closes(part, params, signed)
    return False


@inlined
def write_time_bars(
    state: Records,
    end: int,
    quotes: bool,
    out_ts: NDArray[np.int64],
    out_codes: NDArray[np.int64],
    out: NDArray[np.float64],
    count: int,
) -> int:
    """Write the time bars of all symbols that have a tick, from place `count` on; returns the next place."""
    for s in range(state.shape[0]):
        if state[s]["ticks"] > 0:
            write_bar(state[s], quotes, out, count)
            out_ts[count] = end
            out_codes[count] = s
            count += 1
            begin_bar(state[s])
    return count


@inlined
def end_of(ts: int, timeframe: int, begins: bool) -> int:
    """End of the time bar that holds a tick; at the boundary the bar that begins there, or the one that ends."""
    return (ts // timeframe + 1) * timeframe if begins else -(-ts // timeframe) * timeframe


@kernel
def fold_ticks(
    given: Records,
    clock: Records,
    state: Records,
    codes: NDArray[np.int64],
    ts_event: NDArray[np.int64],
    prices: NDArray[np.float64],
    sizes: NDArray[np.float64],
    sides: NDArray[np.int8],
    bids: NDArray[np.float64],
    asks: NDArray[np.float64],
    out_ts: NDArray[np.int64],
    out_codes: NDArray[np.int64],
    out: NDArray[np.float64],
) -> int:
    """Fold ticks into bars, and write each bar at the tick that completes it.

    Args:
        given: PARAMS, shape (1,).
        clock: TICK_CLOCK, shape (1,), changed.
        state: TICK_STATE, shape (S,), changed.
        codes: Number of each tick's symbol, shape (n,).
        ts_event: Times, nanoseconds UTC, never decreasing, shape (n,).
        prices, sizes, sides, bids, asks: As in `TickBlock`, each of shape (n,).
        out_ts: Time of each bar, room for n + S. It never decreases; bars of one time are one row.
        out_codes: Number of each bar's symbol, likewise.
        out: Its columns, shape (n + S, 12).

    Returns:
        How many bars were written.
    """
    params, now = given[0], clock[0]
    is_time, quotes, begins = params["kind"] == TIME, params["quotes"] != 0, params["begins"] != 0
    count = 0
    for i in range(ts_event.shape[0]):
        ts = ts_event[i]
        if is_time and (ts > now["end"] or (begins and ts == now["end"])):
            if now["held"] != 0:
                count = write_time_bars(state, now["end"], quotes, out_ts, out_codes, out, count)
                now["held"] = 0
            now["end"] = end_of(ts, params["timeframe"], begins)
        part = state[codes[i]]
        price, volume = prices[i], sizes[i]
        quoted = bids[i] > 0.0 or asks[i] > 0.0
        if bids[i] > 0.0:
            part["bid"] = bids[i]
        if asks[i] > 0.0:
            part["ask"] = asks[i]
        if quotes:
            price = 0.5 * part["bid"] + 0.5 * part["ask"] if quoted else np.nan
            volume = np.nan
        if np.isnan(price):
            continue
        sign = sign_of(part, price, 0 if quotes else sides[i])
        add_tick(part, price, volume, sign)
        now["held"] = 1
        if closes_bar(part, params, price, volume, sign):
            # a row is one bar, and times of rows increase strictly: the next bar of one time is a nanosecond later
            now["last_ts"] = max(ts, now["last_ts"] + 1)
            write_bar(part, quotes, out, count)
            out_ts[count] = now["last_ts"]
            out_codes[count] = codes[i]
            count += 1
            begin_bar(part)
    now["ticks"] += ts_event.shape[0]
    return count
