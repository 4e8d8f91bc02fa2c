"""Indicators as a strategy holds them: computed for a whole block, read in the row that the strategy is in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.context.rolling import Rolling, Seen
from agents.indicators.kernels import CLOSE, hold_rows
from agents.indicators.kinds import KINDS, Kind, kind_of, parameters_of
from agents.indicators.talib import PREFIX, TalibFunction
from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BAR_COLUMNS, Floats

Number = float | int


class Indicator:
    """One indicator over the bars of one symbol; NaN until there are enough bars.

    Values are those of the row that the strategy is in. Where the symbol has no bar the last value stands.

    Args:
        name: For messages.
        symbol: Number of the symbol.
        outputs: Names of its values, the main one first.
        compute: Writes the values of the next bars, given as an array (5, n), into an array (outputs, n).
        keep: Rows that can be looked back at.
        seen: Which bars the strategy sees.
    """

    def __init__(
        self,
        name: str,
        symbol: int,
        outputs: tuple[str, ...],
        compute: Computation,
        keep: int,
        seen: Seen,
    ) -> None:
        self.name, self.symbol, self.outputs = name, symbol, outputs
        self._compute, self._seen, self._cursor = compute, seen, seen.cursor
        self._now: list[float] | None = None
        self._before: list[float] | None = None
        self._place = {output: place for place, output in enumerate(outputs)}
        self._values = Rolling(len(outputs), keep)
        self._last = np.full(len(outputs), np.nan)

    @property
    def value(self) -> float:
        """The main value in this row; NaN until there are enough bars."""
        now = self._now
        if now is None:
            now = self._now = self._by_row(1)
        return now[self._cursor.row]

    @property
    def ready(self) -> bool:
        """Whether there are enough bars."""
        return self.value == self.value

    def __float__(self) -> float:
        return self.value

    def __getitem__(self, output: str) -> float:
        values = self._values
        return float(values.shown.item(self._row(output), values.base + self._seen.offset() - 1))

    def ago(self, rows: int, output: str | None = None) -> float:
        """The value so many rows ago; 0 is the present row.

        Raises:
            UsageError: If so many rows are not kept, or there is no such output.
        """
        return float(self.history(rows + 1, output)[0])

    def history(self, length: int, output: str | None = None) -> Floats:
        """The last values, oldest first, that of the present row last: a read-only view, shape (length,).

        Raises:
            UsageError: If so many rows are not kept, or there is no such output.
        """
        if not 0 < length <= self._values.keep:
            raise UsageError(
                f"{self.name} has no {length} values",
                expected=f"1 to {self._values.keep:,} rows",
                hint="set history_rows in the class of the strategy to keep more" if length > 0 else None,
            )
        stop = self._values.base + self._seen.offset()
        values: Floats = self._values.shown[self._row(output), stop - length : stop]
        return values

    def crossed_above(self, other: Indicator | Number) -> bool:
        """Whether it is above the other now and was not in the row before; false while one of them is NaN."""
        before, now = self.last_two()
        their_before, their_now = _last_two(other)
        return before <= their_before and now > their_now

    def crossed_below(self, other: Indicator | Number) -> bool:
        """Whether it is below the other now and was not in the row before; false while one of them is NaN."""
        before, now = self.last_two()
        their_before, their_now = _last_two(other)
        return before >= their_before and now < their_now

    def last_two(self) -> tuple[float, float]:
        """The main value in the row before and in this one."""
        if self._before is None:
            self._before = self._by_row(2)
        return self._before[self._cursor.row], self.value

    def append(self, bars: Floats, block: int | None = None) -> None:
        """Take the next bars, shape (5, n).

        Args:
            bars: open, high, low, close, volume.
            block: How many of them, at the end, belong to the current block; by default all.
        """
        self._now = self._before = None
        count = bars.shape[1]
        out = self._values.room(count)
        if count:
            self._compute.rows(bars, out)
            if self._compute.holds:
                hold_rows(bars[: len(BAR_COLUMNS)], self._last, out)
        if block is not None:
            self._values.base = self._values.end - block

    def settle(self, extra: Sequence[str]) -> None:
        """Find the column that it shows, now that the columns of the bars are known.

        Raises:
            UsageError: If it is no indicator over bars, and they have no such column either.
        """
        if isinstance(self._compute, ExtraColumnValues):
            self._compute.settle(extra)

    def snapshot(self) -> State | None:
        """The carried state; None if it is all bars since the beginning."""
        carried = self._carried()
        return None if carried is None else snapshot_of({"indicator": self.name}, carried)

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of such an indicator.
        """
        carried = self._carried() or {}
        found = arrays_of(state, {"indicator": self.name}, carried)
        for name in ("state", "last"):
            carried[name][:] = found[name]
        self._values.append(found["values"])
        self._now = self._before = None

    def _carried(self) -> dict[str, NDArray[Any]] | None:
        state = self._compute.state
        if state is None:
            return None
        return {"state": state, "last": self._last, "values": self._values.past(self._values.keep)}

    def _by_row(self, ago: int) -> list[float]:
        """The main value so many bars before the next, by row of the block: numbers of Python are picked out fast."""
        values = self._values
        return self._seen.by_row(values.shown[0], values.base - ago)

    def _row(self, output: str | None) -> int:
        if output is None:
            return 0
        if output not in self._place:
            raise UsageError(f"{self.name} has no output {output!r}", expected=", ".join(self.outputs))
        return self._place[output]

    def __repr__(self) -> str:
        return f"Indicator({self.name}, {self.value})"


class Computation(ABC):
    """What computes the values of the next bars, with its carried state."""

    state: Floats | None
    holds = True
    """Whether its last value stands in rows without a bar."""

    @abstractmethod
    def rows(self, bars: Floats, out: Floats) -> None:
        """Write the values of the next bars."""


class Compiled(Computation):
    """One of the compiled indicators."""

    def __init__(self, kind: Kind, parameters: Sequence[float], column: str, tick: float) -> None:
        place = BAR_COLUMNS.index(column)
        self._kind = kind
        self._params = np.array([place, 0.0 if column == "volume" else tick, *parameters], np.float64)
        self.state: Floats = np.zeros(kind.state(*parameters))

    def rows(self, bars: Floats, out: Floats) -> None:
        """Run the kernel."""
        self._kind.rows(bars, self._params, self.state, out)


class Foreign(Computation):
    """A function of TA-Lib, over all bars since the beginning: some of them look back without end."""

    state = None

    def __init__(self, function: TalibFunction) -> None:
        self._function = function
        self._bars: Floats = np.empty((len(BAR_COLUMNS), 0))
        self._count = 0

    def rows(self, bars: Floats, out: Floats) -> None:
        """Compute over all bars; rows without a bar are left out of them."""
        there = np.flatnonzero(~np.isnan(bars[CLOSE]))
        count = self._count + len(there)
        if count > self._bars.shape[1]:
            grown = np.empty((len(BAR_COLUMNS), 2 * count))
            grown[:, : self._count] = self._bars[:, : self._count]
            self._bars = grown
        self._bars[:, self._count : count] = bars[:, there]
        self._count = count
        if len(there):
            out[:, there] = self._function.values(self._bars[:, :count])[:, count - len(there) :]


class ExtraColumnValues(Computation):
    """An extra column of the bars as it is, such as an economic indicator.

    Where the symbol has no bar and the column no value, the last value stands.
    """

    holds = False

    def __init__(self, name: str) -> None:
        self._name, self._place = name, -1
        self.state: Floats = np.full(1, np.nan)

    def settle(self, extra: Sequence[str]) -> None:
        """Find the column among those of the bars."""
        if self._name not in extra:
            raise _no_such_indicator(self._name, extra)
        self._place = len(BAR_COLUMNS) + list(extra).index(self._name)

    def rows(self, bars: Floats, out: Floats) -> None:
        """Copy the column."""
        out[0] = bars[self._place]
        for row in np.flatnonzero(np.isnan(out[0]) & np.isnan(bars[CLOSE])):
            out[0, row] = out[0, row - 1] if row else self.state[0]
        self.state[0] = out[0, -1]


def is_column(name: str, values: Sequence[float], named: Sequence[Any], of: str | None) -> bool:
    """Whether a strategy may mean an extra column: no indicator over bars is called so, and there are no parameters."""
    return name not in KINDS and not name.startswith(PREFIX) and not values and not named and of is None


def column_indicator(name: str, symbol: int, keep: int, seen: Seen) -> Indicator:
    """An extra column of the bars as an indicator; `settle` finds the column."""
    return Indicator(name, symbol, (name,), ExtraColumnValues(name), keep, seen)


def _no_such_indicator(name: str, extra: Sequence[str]) -> UsageError:
    columns = f"; or a column of the bars: {', '.join(extra)}" if extra else ""
    return UsageError(
        f"no indicator is called {name!r}",
        expected=f"one of {', '.join(KINDS)}, or talib.NAME where TA-Lib is installed{columns}",
        hint=did_you_mean(name, [*KINDS, *extra]),
    )


def make_indicator(
    name: str,
    values: Sequence[float],
    named: Mapping[str, Any],
    of: str | None,
    symbol: int,
    tick: float,
    keep: int,
    seen: Seen,
) -> Indicator:
    """An indicator by its name; `Context.indicator` describes the arguments.

    Raises:
        UsageError: If there is no such indicator, or its parameters do not fit.
    """
    if of is not None and of not in BAR_COLUMNS:
        raise UsageError(f"bars have no column {of!r}", expected=", ".join(BAR_COLUMNS))
    if name.startswith(PREFIX):
        function = TalibFunction(name.removeprefix(PREFIX), values, named, of)
        return Indicator(name, symbol, function.outputs, Foreign(function), keep, seen)
    kind = kind_of(name)
    if of is not None and kind.column is None:
        raise UsageError(f"{name} always looks at high, low and close", found=f"of={of!r}")
    parameters = parameters_of(name, kind, values, named)
    column = of or kind.column or "close"
    shown = f"{name}({', '.join(f'{value:g}' for value in parameters.values())})"
    compute = Compiled(kind, list(parameters.values()), column, tick)
    return Indicator(shown, symbol, kind.outputs, compute, keep, seen)


def _last_two(other: Indicator | Number) -> tuple[float, float]:
    return other.last_two() if isinstance(other, Indicator) else (float(other), float(other))
