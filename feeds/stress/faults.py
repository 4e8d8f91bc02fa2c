"""Operators on what the agent sees: bars that are missing, repeated, stuck, late or out of order.

A row keeps its time and number; what it shows may be the bar of an earlier row, or none, never that of a later one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engine.types.blocks import BAR_COLUMNS, BarBlock, Ints
from feeds.stress.prices import repriced
from feeds.stress.strike import FeedOperator, Rows, Share, Strike

NOTHING = -1


def shown(block: BarBlock, source: Ints) -> BarBlock:
    """The block whose rows show the bars of others.

    Args:
        source: The row whose bar each row shows, not after itself, or NOTHING, shape (rows,).
    """
    gone = source == NOTHING
    columns = {name: getattr(block, name)[source] for name in BAR_COLUMNS}
    extra = {name: values[source] for name, values in block.extra.items()}
    for values in (*columns.values(), *extra.values()):
        values[gone] = np.nan
    present = block.present[source]
    present[gone] = False
    return replace(block, **columns, present=present, extra=extra)


class _Sourced(FeedOperator):
    """Shows the bars of other rows for some time.

    Attributes:
        rows: Length.
    """

    rows: Rows = 240

    def _window(self, block: BarBlock, strike: Strike) -> tuple[Ints, int, int]:
        """Every row as its own source, and the first row and the end of the fault."""
        row = strike.of(block, self.after)
        return np.arange(len(block)), row, min(row + self.rows, len(block))


class Missing(_Sourced):
    """Single bars do not arrive.

    Attributes:
        share: Of the bars.
    """

    operator: Literal["missing"]
    share: Share = 0.2

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        gone = strike.random.random(self.rows)[: stop - row] < self.share
        source[row:stop][gone] = NOTHING
        return shown(block, source)


class Halt(_Sourced):
    """Nothing arrives."""

    operator: Literal["halt"]

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        source[row:stop] = NOTHING
        return shown(block, source)


class Duplicate(_Sourced):
    """The bar before arrives once more, in place of that of the row.

    Attributes:
        share: Of the bars that are replaced.
    """

    operator: Literal["duplicate"]
    share: Share = 0.2

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        again = strike.random.random(self.rows)[: stop - row] < self.share
        source[row:stop][again] = np.maximum(source[row:stop][again] - 1, 0)
        return shown(block, source)


class Late(_Sourced):
    """Every bar arrives some rows later; when that ends, those on the way are lost.

    Attributes:
        delay: Rows.
    """

    operator: Literal["late"]
    delay: Rows = 5

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        delayed = source[row:stop] - self.delay
        source[row:stop] = np.where(delayed >= row, delayed, NOTHING)
        return shown(block, source)


class Disordered(_Sourced):
    """Bars wait until a group of them is complete, and arrive during the next group in a random order.

    Attributes:
        group: Bars of a group.
    """

    operator: Literal["disordered"]
    group: Annotated[int, Field(ge=2, le=10_000)] = 5

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        random = strike.random
        source[row : min(row + self.group, stop)] = NOTHING
        for start in range(row + self.group, stop, self.group):
            order = start - self.group + random.permutation(self.group)
            source[start : min(start + self.group, stop)] = order[: stop - start]
        return shown(block, source)


class Stuck(_Sourced):
    """Bars repeat the last price, without volume."""

    operator: Literal["stuck"]

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        source[row:stop] = row - 1 if row else NOTHING
        seen = shown(block, source)
        if row:
            for name in ("open", "high", "low"):
                getattr(seen, name)[row:stop] = seen.close[row:stop]
            seen.volume[row:stop] = np.where(seen.present[row:stop], 0.0, np.nan)
        return seen


class Spikes(_Sourced):
    """Single bars show a price that nobody traded at.

    Attributes:
        share: Of the bars.
        size: Of the error, as a fraction of the price; up or down by chance.
    """

    operator: Literal["spikes"]
    share: Share = 0.05
    size: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def apply(self, block: BarBlock, strike: Strike) -> BarBlock:
        """What is seen."""
        source, row, stop = self._window(block, strike)
        draws = strike.random.random((2, self.rows))[:, : stop - row]
        wrong = np.zeros(len(source) - row)
        wrong[: stop - row] = np.where(draws[0] < self.share, np.where(draws[1] < 0.5, -self.size, self.size), 0.0)
        prices = {name: getattr(block, name)[row:] * (1.0 + wrong[:, None]) for name in BAR_COLUMNS[:4]}
        touched = np.broadcast_to((wrong != 0.0)[:, None], prices["open"].shape)
        return repriced(block, row, prices, touched, strike.ticks)
