"""Operators that change the truth: shocks of price, volatility and liquidity, and odd markets.

Moves are fractions of the price (-0.05 is down 5 %), lengths are rows, which are bars.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.types.blocks import PRICE_COLUMNS, BarBlock, Bools, Floats
from engine.types.timeframe import MINUTE_NS
from feeds.stress.prices import chosen, last_close, repriced, scaled, with_volume, without
from feeds.stress.strike import Depth, MarketOperator, Move, Rows, Share, Strike

HOUR_NS = 60 * MINUTE_NS
PAUSE_NS = 15 * MINUTE_NS
"""A longer time without a bar is taken as the end of a session."""
STEEPNESS = 4.0
"""Of a squeeze: its last tenth brings a third of the move."""
Factor = Annotated[float, Field(gt=0, le=100)]


class _Path(MarketOperator):
    """Multiplies prices by a path that begins at 1 and stays where it ends."""

    def _along(
        self, block: BarBlock, strike: Strike, path: Floats, *, jumps: bool = False, rows: int = 0, volume: float = 1.0
    ) -> BarBlock:
        """Prices times exp(path), whose value belongs to the close of each row from the strike on.

        Args:
            path: Shape (rows,) or (rows, S); beyond its end the last value holds.
            jumps: Whether the first open has moved already.
            rows: For so many rows the volume is multiplied too.
        """
        row, columns = strike.of(block, self.after), chosen(block, self.symbol)
        left = len(block) - row
        if left == 0:
            return block
        levels = path if path.ndim == 2 else np.repeat(path[:, None], len(columns), axis=1)
        after = levels[np.minimum(np.arange(left), len(levels) - 1)] * columns
        before = np.vstack([after[:1] if jumps else np.zeros_like(after[:1]), after[:-1]])
        moved = scaled(block, row, before, after, strike.ticks)
        return with_volume(moved, row, row + rows, volume, columns)


class FlashCrash(_Path):
    """A fall in a few rows, most of which is recovered.

    Attributes:
        depth: Of the fall; negative is a spike upwards.
        fall, recovery: Lengths.
        recovered: Share of the fall, in log prices, that comes back.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["flash_crash"]
    depth: Annotated[float, Field(gt=-1, lt=1)] = 0.08
    fall: Rows = 5
    recovery: Rows = 20
    recovered: Share = 0.9
    volume: Factor = 10.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        bottom, length = np.log1p(-self.depth), self.fall + self.recovery
        knots = ([0, self.fall, length], [0.0, bottom, bottom * (1.0 - self.recovered)])
        path = np.interp(np.arange(1, length + 1), *knots)
        return self._along(block, strike, path, rows=length, volume=self.volume)


class Gap(_Path):
    """The open of the strike's row jumps, and everything after it stays there.

    Attributes:
        move: Of the jump.
    """

    operator: Literal["gap"]
    move: Move = -0.05

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        return self._along(block, strike, np.array([np.log1p(self.move)]), jumps=True)


class TrendDay(_Path):
    """A steady move in one direction, on top of what happens anyway.

    Attributes:
        move: In all.
        rows: Length.
    """

    operator: Literal["trend_day"]
    move: Move = -0.04
    rows: Rows = 390

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        return self._along(block, strike, np.log1p(self.move) * np.arange(1, self.rows + 1) / self.rows)


class Squeeze(_Path):
    """A move that feeds on itself, faster and faster, and then gives part of it back.

    Attributes:
        move: At the peak; positive squeezes those who are short.
        rows, fade: Lengths of the move and of what follows it.
        given_back: Share of the move, in log prices, that is lost again.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["squeeze"]
    move: Move = 0.08
    rows: Rows = 120
    fade: Rows = 30
    given_back: Share = 0.5
    volume: Factor = 5.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        rise = np.expm1(STEEPNESS * np.arange(1, self.rows + 1) / self.rows) / np.expm1(STEEPNESS)
        fall = 1.0 - self.given_back * np.arange(1, self.fade + 1) / self.fade
        path = np.log1p(self.move) * np.concatenate([rise, fall])
        return self._along(block, strike, path, rows=len(path), volume=self.volume)


class SellOff(MarketOperator):
    """All symbols fall together, and hardly anything else moves them.

    The log price of a symbol becomes its own move since the strike times (1 - correlation), plus beta times the common
    fall; the betas are drawn around 1.

    Attributes:
        depth: Of the common fall.
        rows: Length.
        correlation: Share of the own moves that gives way to the common one.
        dispersion: Deviation of the betas.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["sell_off"]
    depth: Depth = 0.07
    rows: Rows = 240
    correlation: Share = 0.8
    dispersion: Annotated[float, Field(ge=0, le=1)] = 0.2
    volume: Factor = 3.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        betas = np.maximum(1.0 + self.dispersion * strike.random.standard_normal(len(block.symbols)), 0.0)
        row = strike.of(block, self.after)
        passed = np.minimum(np.arange(len(block) - row + 1), self.rows)[:, None] / self.rows
        common = np.log1p(-self.depth) * betas * passed
        stretched = _stretched(self, block, row, row + self.rows, 1.0 - self.correlation, strike)
        columns = chosen(block, self.symbol)
        moved = scaled(stretched, row, common[:-1] * columns, common[1:] * columns, strike.ticks)
        return with_volume(moved, row, row + self.rows, self.volume, columns)


class VolatilityShock(MarketOperator):
    """Every log move within the rows is multiplied; what comes after continues from where they end.

    Attributes:
        factor: Of the moves.
        rows: Length.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["volatility_shock"]
    factor: Annotated[float, Field(gt=0, le=20)] = 4.0
    rows: Rows = 390
    volume: Factor = 2.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row = strike.of(block, self.after)
        made = _stretched(self, block, row, row + self.rows, self.factor, strike)
        return with_volume(made, row, row + self.rows, self.volume, chosen(block, self.symbol))


class LimitDown(MarketOperator):
    """The price falls to the daily limit and is locked there; nearly nothing trades.

    Attributes:
        limit: Below the close before.
        rows: For which it is locked.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["limit_down"]
    limit: Depth = 0.05
    rows: Rows = 60
    volume: Annotated[float, Field(ge=0, le=1)] = 0.01

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row, columns = strike.of(block, self.after), chosen(block, self.symbol)
        stop = min(row + self.rows, len(block))
        if row == stop:
            return block
        level = last_close(block, row) * (1.0 - self.limit)
        prices = {name: getattr(block, name)[row:].copy() for name in PRICE_COLUMNS}
        resumed = level / last_close(block, stop)
        for name, values in prices.items():
            values[: stop - row] = np.where(block.present[row:stop], level, np.nan)
            values[stop - row :] *= resumed
            if name in {"open", "high"}:
                values[0] = np.maximum(block.open[row], values[0])
        touched = np.broadcast_to(columns, prices["open"].shape)
        made = repriced(block, row, prices, touched, strike.ticks)
        return with_volume(made, row, stop, self.volume, columns)


class Drought(MarketOperator):
    """Little trades, and prices jump about within each bar.

    Attributes:
        rows: Length.
        volume: Factor of the volume.
        wicks: Factor of what high and low stand out beyond open and close.
    """

    operator: Literal["drought"]
    rows: Rows = 390
    volume: Annotated[float, Field(ge=0, le=1)] = 0.02
    wicks: Annotated[float, Field(ge=1, le=20)] = 3.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row, columns = strike.of(block, self.after), chosen(block, self.symbol)
        prices = {name: getattr(block, name)[row:].copy() for name in PRICE_COLUMNS}
        top, bottom = np.maximum(prices["open"], prices["close"]), np.minimum(prices["open"], prices["close"])
        prices["high"] = top + self.wicks * (prices["high"] - top)
        prices["low"] = bottom - self.wicks * (bottom - prices["low"])
        touched = _within(len(block) - row, self.rows, columns)
        return with_volume(
            repriced(block, row, prices, touched, strike.ticks), row, row + self.rows, self.volume, columns
        )


class Flat(MarketOperator):
    """The price stands still, or moves by one tick up and down.

    Attributes:
        rows: Length.
        ticks: Between which it moves: 0 stands still, 1 alternates between the last close and the tick above it.
        volume: Factor of the volume meanwhile.
    """

    operator: Literal["flat"]
    rows: Rows = 240
    ticks: Annotated[int, Field(ge=0, le=1)] = 0
    volume: Annotated[float, Field(ge=0, le=100)] = 1.0

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row, columns = strike.of(block, self.after), chosen(block, self.symbol)
        left, still = len(block) - row, last_close(block, row)
        up = (np.arange(left) % 2)[:, None] * self.ticks * np.array(strike.ticks)
        close = still + up
        before = np.vstack([np.broadcast_to(still, close[:1].shape), close[:-1]])
        prices = {"open": before, "close": close, "high": np.maximum(before, close), "low": np.minimum(before, close)}
        touched = _within(left, self.rows, columns) & block.present[row:]
        made = repriced(block, row, prices, touched, strike.ticks)
        return with_volume(made, row, row + self.rows, self.volume, columns)


class ZeroVolume(MarketOperator):
    """Bars without volume.

    Attributes:
        rows: Length.
    """

    operator: Literal["zero_volume"]
    rows: Rows = 390

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row = strike.of(block, self.after)
        return with_volume(block, row, row + self.rows, 0.0, chosen(block, self.symbol))


class EarlyClose(MarketOperator):
    """The session of the strike ends early: its last rows do not exist, for any symbol.

    Where no session ends after the strike (a time of more than 15 minutes without bars), the rows are those from the
    strike on, as in a halt of trading.

    Attributes:
        rows: How many are missing; not more than follow the strike.
    """

    operator: Literal["early_close"]
    rows: Rows = 210

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row = strike.of(block, self.after)
        ends = np.flatnonzero(np.diff(block.ts_event[row:]) > PAUSE_NS) + row + 1
        if not len(ends):
            return without(block, row, min(row + self.rows, len(block) - 1))
        return without(block, max(row, int(ends[0]) - self.rows), int(ends[0]))


class DaylightSaving(MarketOperator):
    """From the strike on everything happens an hour later or earlier by UTC, as after clocks have changed.

    Rows that would lie before one that was there already do not exist.

    Attributes:
        hours: 1 is later, as in autumn; -1 is earlier, as in spring.
    """

    operator: Literal["daylight_saving"]
    hours: Literal[-1, 1] = 1

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """The changed block."""
        row = strike.of(block, self.after)
        ts = block.ts_event.copy()
        ts[row:] += self.hours * HOUR_NS
        shifted = replace(block, ts_event=ts)
        if row == 0:
            return shifted
        return without(shifted, row, row + int(np.searchsorted(ts[row:], ts[row - 1], side="right")))


def _within(rows: int, length: int, columns: Bools) -> Bools:
    """Mask of the first rows of the chosen columns, shape (rows, S)."""
    return np.asarray((np.arange(rows) < length)[:, None] & columns)


def _stretched(
    operator: MarketOperator, block: BarBlock, row: int, stop: int, factor: float, strike: Strike
) -> BarBlock:
    """Log moves since the close before a row, up to another, times a factor; later prices follow on."""
    stop = min(stop, len(block))
    if row == stop:
        return block
    columns, start = chosen(block, operator.symbol), last_close(block, row)
    end = np.log(last_close(block, stop) / start) * (factor - 1.0)
    prices = {}
    for name in PRICE_COLUMNS:
        values = np.log(getattr(block, name)[row:] / start)
        values[: stop - row] *= factor
        values[stop - row :] += end
        prices[name] = start * np.exp(values)
    return repriced(block, row, prices, np.broadcast_to(columns, prices["open"].shape), strike.ticks)
