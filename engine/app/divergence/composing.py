"""A run put together from the parts of two: bars of the one, commands of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from engine.app.divergence.parts import Factor, Recorded
from engine.base.errors import UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, Bools, Ints, concat
from engine.types.moments import written
from engine.types.timeframe import format_timeframe


class Period(NamedTuple):
    """What is compared: the closes of its first and its last row, nanoseconds UTC, both included."""

    first_ns: int
    last_ns: int

    def of(self, times: Ints) -> slice:
        """The rows of the period, among increasing times."""
        first, last = np.searchsorted(times, self.first_ns), np.searchsorted(times, self.last_ns, side="right")
        return slice(int(first), int(last))


def common_period(run: Recorded, other: Recorded) -> Period:
    """From the later beginning to the earlier end.

    Raises:
        UsageError: If the two cannot be compared: other symbols, another length of bars or currency, no time in
            common.
    """
    if run.symbols != other.symbols:
        raise UsageError(
            "the two trade different symbols, or the same in another order",
            where=other.name,
            expected=", ".join(run.symbols),
            found=", ".join(other.symbols),
            hint="compare runs of the same symbols; replay.symbols sets the order of a backtest",
        )
    if run.timeframe_ns != other.timeframe_ns:
        raise UsageError(
            "the two have bars of different lengths",
            where=other.name,
            expected=format_timeframe(run.timeframe_ns),
            found=format_timeframe(other.timeframe_ns),
        )
    if run.config.currency != other.config.currency:
        raise UsageError(
            "profits in different currencies cannot be compared",
            where=other.name,
            expected=run.config.currency,
            found=other.config.currency,
        )
    times, others = run.bars.ts_event, other.bars.ts_event
    period = Period(int(max(times[0], others[0])), int(min(times[-1], others[-1])))
    if period.first_ns > period.last_ns:
        raise UsageError(
            "the two have no time in common",
            where=other.name,
            expected=f"bars from {written(int(times[0]))} to {written(int(times[-1]))} UTC",
            found=f"bars from {written(int(others[0]))} to {written(int(others[-1]))} UTC",
        )
    return period


def shared_rows(times: Ints, others: Ints) -> tuple[Ints, Ints]:
    """Places of the times that both have, in each of them; both increase."""
    _, here, there = np.intersect1d(times, others, assume_unique=True, return_indices=True)
    return here.astype(np.int64), there.astype(np.int64)


def changed_rows(bars: BarBlock, others: BarBlock) -> dict[str, Bools]:
    """By column, which rows differ between blocks of the same times, each of shape (rows,); no column that does not.

    A value counts where both have the bar, and `present` where one of them lacks it.
    """
    both = bars.present & others.present
    found = {"present": (bars.present != others.present).any(axis=1)}
    for name in BAR_COLUMNS:
        one, two = getattr(bars, name), getattr(others, name)
        found[name] = (both & (one != two) & ~(np.isnan(one) & np.isnan(two))).any(axis=1)
    return {name: rows for name, rows in found.items() if rows.any()}


def taken_rows(block: BarBlock, rows: Ints | slice) -> BarBlock:
    """Some rows of a block, copied, as one that begins a stream."""
    names = ("ts_event", *BAR_COLUMNS, "present")
    columns: dict[str, Any] = {name: np.array(getattr(block, name)[rows], order="C") for name in names}
    extra = {name: np.array(values[rows], order="C") for name, values in block.extra.items()}
    return replace(block, seq=0, extra=extra, **columns)


def composed_bars(history: BarBlock, rows: BarBlock, values: BarBlock, period: Period) -> BarBlock:
    """Rows before the period of one run, the times in it of another, and the values of a third where it has them."""
    before = taken_rows(history, slice(0, period.of(history.ts_event).start))
    inside = taken_rows(rows, period.of(rows.ts_event))
    if values is not rows:
        here, there = shared_rows(inside.ts_event, values.ts_event)
        for name in (*BAR_COLUMNS, "present"):
            getattr(inside, name)[here] = getattr(values, name)[there]
        for name in inside.extra.keys() & values.extra.keys():
            inside.extra[name][here] = values.extra[name][there]
    return replace(concat([before, inside]), seq=0) if len(before) else inside


def composed(
    run: Recorded, other: Recorded, taken: frozenset[Factor], differing: frozenset[Factor], period: Period
) -> Recorded:
    """A run with some parts of `run`, the others of `other`.

    Args:
        taken: What comes from `run`.
        differing: What differs at all. Commands and models that do not differ come with the rows, whose times they
            are tied to.
    """

    def of(factor: Factor) -> Recorded:
        return run if factor in taken else other

    rows = of("rows")
    commands, models, settings = (
        of(factor) if factor in differing else rows for factor in ("commands", "models", "configuration")
    )
    chosen = models.models
    if chosen.folder is None:  # models of a run without any: the agent keeps its own
        chosen = replace(chosen, folder=settings.models.folder, sha256=settings.models.sha256)
    orders = sorted((*commands.trading_orders, *models.role_orders), key=lambda one: one.after_ns)
    return Recorded(
        "a counterfactual run",
        composed_bars(of("history").bars, rows.bars, of("bars").bars, period),
        tuple(orders),
        chosen,
        settings.config,
        settings.instruments,
        settings.timeframe_ns,
    )
