"""Bars of ticks made the slow way: one list of ticks for each bar, everything worked out anew from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from feeds.ticks.blocks import TickBlock
from feeds.ticks.spec import BarSpec

NAN = float("nan")


@dataclass
class Tick:
    ts: int
    price: float
    size: float
    side: int
    bid: float
    ask: float


@dataclass
class Symbol:
    ticks: list[Tick] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)
    bid: float = NAN
    ask: float = NAN
    prices: list[float] = field(default_factory=list)
    signed: list[float] = field(default_factory=list)  # of all ticks so far
    threshold: float | None = None
    expected: float = NAN
    anchor: float | None = None
    level: int = 0
    trend: int = 0


def tick_rule(prices: list[float]) -> int:
    """The direction of the last change of price, from all prices so far."""
    for at in range(len(prices) - 1, 0, -1):
        if prices[at] != prices[at - 1]:
            return 1 if prices[at] > prices[at - 1] else -1
    return 0


def slow_bars(spec: BarSpec, block: TickBlock, quotes: bool) -> list[tuple[int, int, tuple[float, ...]]]:
    """Time, number of the symbol and columns of every bar, in order."""
    state = [Symbol(expected=spec.size) for _ in block.symbols]
    done: list[tuple[int, int, tuple[float, ...]]] = []
    end: int | None = None
    for at in range(len(block)):
        ts, code = int(block.ts_event[at]), int(block.codes[at])
        if spec.kind == "time":
            over = end is not None and (ts > end or (spec.boundary == "begins" and ts == end))
            if over:
                assert end is not None
                for number, symbol in enumerate(state):
                    if symbol.ticks:
                        done.append((end, number, columns(symbol, quotes)))
                        symbol.ticks, symbol.signs = [], []
            if over or end is None:
                width = spec.timeframe_ns
                end = (ts // width) * width + width
                if spec.boundary == "ends" and ts % width == 0:
                    end = ts
        one = state[code]
        values = (float(getattr(block, name)[at]) for name in ("price", "size", "bid", "ask"))
        price, size, bid, ask = values
        one.bid = bid if bid > 0 else one.bid
        one.ask = ask if ask > 0 else one.ask
        if quotes:
            if not (bid > 0 or ask > 0):
                continue
            price, size = 0.5 * one.bid + 0.5 * one.ask, NAN
        if math.isnan(price):
            continue
        one.prices.append(price)
        sign = 0 if quotes else int(block.side[at])
        mid = 0.5 * one.bid + 0.5 * one.ask
        if sign == 0 and not quotes and price != mid and not math.isnan(mid):
            sign = 1 if price > mid else -1
        sign = sign or tick_rule(one.prices)
        one.ticks.append(Tick(ts, price, size, sign, one.bid, one.ask))
        one.signs.append(sign)
        if closes(spec, one):
            stamp = max(ts, done[-1][0] + 1) if done else ts
            done.append((stamp, code, columns(one, quotes)))
            one.ticks, one.signs = [], []
    return done


def closes(spec: BarSpec, one: Symbol) -> bool:
    volume, value = 0.0, 0.0
    for tick in one.ticks:
        volume += tick.size
        value += tick.price * tick.size
    if spec.kind == "tick":
        return len(one.ticks) == spec.size
    if spec.kind == "volume":
        return volume >= spec.size
    if spec.kind == "value":
        return value >= spec.size
    if spec.kind == "imbalance":
        return imbalance(spec, one)
    if spec.kind == "renko":
        return renko(spec, one)
    return False


def weighed(spec: BarSpec, tick: Tick) -> float:
    return {
        "tick": float(tick.side),
        "volume": tick.side * tick.size,
        "value": tick.side * (tick.price * tick.size),
    }[spec.measure]


def average(values: list[float], span: float) -> float:
    mean = 0.0
    for number, value in enumerate(values, 1):
        mean += max(2 / (span + 1), 1 / number) * (value - mean)
    return mean


def imbalance(spec: BarSpec, one: Symbol) -> bool:
    one.signed.append(weighed(spec, one.ticks[-1]))
    theta = 0.0
    for tick in one.ticks:
        theta += weighed(spec, tick)
    count = len(one.ticks)
    if one.threshold is None:
        over = count >= spec.size
    else:
        over = count >= spec.cap or (count >= spec.floor and abs(theta) >= one.threshold)
    if not over:
        return False
    if one.threshold is not None:
        one.expected += 2 / (spec.span + 1) * (count - one.expected)
        one.expected = min(max(one.expected, spec.floor), spec.cap)
    if len(one.signed) >= spec.warm_up:
        span = spec.span * spec.size
        mean = average(one.signed, span)
        square = average([value * value for value in one.signed], span)
        one.threshold = max(one.expected * abs(mean), math.sqrt(one.expected * square))
    return True


def renko(spec: BarSpec, one: Symbol) -> bool:
    """Brick by brick: one further in the direction of the last one, or two against it."""
    price, brick = one.ticks[-1].price, spec.size
    if one.anchor is None:
        one.anchor = price
        return False
    before = (one.level, one.trend)
    while one.trend >= 0 and price >= one.anchor + (one.level + 1) * brick:
        one.level, one.trend = one.level + 1, 1
    while one.trend <= 0 and price <= one.anchor + (one.level - 1) * brick:
        one.level, one.trend = one.level - 1, -1
    if (one.level, one.trend) != before:
        return True
    if one.trend > 0 and price <= one.anchor + (one.level - 2) * brick:
        one.level, one.trend = one.level - 2, -1
    elif one.trend < 0 and price >= one.anchor + (one.level + 2) * brick:
        one.level, one.trend = one.level + 2, 1
    else:
        return False
    while one.trend > 0 and price >= one.anchor + (one.level + 1) * brick:
        one.level += 1
    while one.trend < 0 and price <= one.anchor + (one.level - 1) * brick:
        one.level -= 1
    return True


def columns(one: Symbol, quotes: bool) -> tuple[float, ...]:
    prices = [tick.price for tick in one.ticks]
    volume, value, signed = 0.0, 0.0, NAN
    for tick in one.ticks:
        volume += tick.size
        value += tick.price * tick.size
        if tick.side:
            signed = tick.side * tick.size if math.isnan(signed) else signed + tick.side * tick.size
    tops = (one.bid, one.ask, one.ask - one.bid)
    bar = (prices[0], max(prices), min(prices), prices[-1])
    if quotes:
        return (*bar, NAN, NAN, NAN, NAN, NAN, *tops)
    vwap = value / volume if volume > 0 else NAN
    return (*bar, volume, float(len(prices)), signed, value, vwap, *tops)


def random_ticks(seed: int, count: int, symbols: int = 1, *, quotes: bool = False) -> TickBlock:
    """Ticks on a coarse grid of times and prices, so that times repeat and boundaries are hit."""
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(0, max(count // 2, 1), count)) * 1_000_000_000
    mid = 100 + np.round(np.cumsum(rng.integers(-2, 3, count) * 0.25), 2)
    spread = rng.integers(1, 4, count) * 0.25
    bid, ask = mid - spread, mid + spread
    unknown = rng.random(count) < 0.4
    bid, ask = np.where(unknown, np.nan, bid), np.where(unknown, np.nan, ask)
    price = mid + rng.integers(-2, 3, count) * 0.25
    is_quote = np.ones(count, np.bool_) if quotes else rng.random(count) < 0.2
    if quotes:
        bid, ask = mid - spread, mid + spread
    price = np.where(is_quote, np.nan, price)
    size = np.where(is_quote, np.nan, rng.integers(0, 40, count) / 4)
    side = np.where(is_quote, 0, rng.integers(-1, 2, count)).astype(np.int8)
    names = tuple(f"S{number}" for number in range(symbols))
    return TickBlock(names, rng.integers(0, symbols, count), ts, price, size, side, bid, ask)
