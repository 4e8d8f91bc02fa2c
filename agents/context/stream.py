"""The bars that a strategy looks back at: their history, and the indicators over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.context.indicator import Indicator, column_indicator, is_column, make_indicator
from agents.context.rolling import Cursor, Rolling
from engine.base.errors import DataError, UsageError
from engine.base.nearest import did_you_mean
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BAR_COLUMNS, BarBlock, Floats

Column = Literal["open", "high", "low", "close", "volume"]
ALL = "*"
NO_TIME = np.iinfo(np.int64).min


class Stream:
    """Closed bars of all symbols, up to the row that the strategy is in.

    Args:
        symbols: S names.
        ticks: Tick sizes, by symbol.
        keep: Rows that can be looked back at.
        cursor: The row that the strategy is in.
    """

    def __init__(self, symbols: Sequence[str], ticks: Sequence[float], keep: int, cursor: Cursor) -> None:
        self.symbols, self.keep = tuple(symbols), keep
        self._index = {symbol: s for s, symbol in enumerate(symbols)}
        self._ticks, self.cursor = tuple(ticks), cursor
        self._set_columns(())
        self._times = Rolling(1, keep, NO_TIME)
        self._indicators: dict[tuple[Any, ...], Indicator] = {}
        self.rows = 0

    def append(self, block: BarBlock) -> None:
        """Take the next bars; all of a block at once, since what looks back never reaches beyond its row."""
        count, width = len(block), len(self.symbols)
        if not self.rows and block.extra:
            self._set_columns(tuple(block.extra))
        self._check_columns(block)
        room = self._bars.room(count)
        for name, place in self._places.items():
            values = block.extra[name] if place >= len(BAR_COLUMNS) else getattr(block, name)
            room[place * width : (place + 1) * width] = values.T
        self._times.room(count)[0] = block.ts_event
        self.rows += count
        for indicator in self._indicators.values():
            indicator.append(self._of(indicator.symbol, count))

    def offset(self) -> int:
        """Rows of the current block up to the one that the strategy is in, that one included."""
        return self.cursor.row + 1

    def by_row(self, values: Floats, start: int) -> list[float]:
        """Values of bars as they are seen in each row of the current block.

        Args:
            values: By place, shape (room,).
            start: Place of the value to be seen before the first bar of the block.
        """
        first = start + 1
        seen: list[float] = values[first : first + self._bars.end - self._bars.base].tolist()
        return seen

    def history(self, column: Column | str, length: int, symbol: str | None = None) -> Floats:
        """The last values of a column, oldest first, that of the present row last.

        Args:
            column: open, high, low, close, volume or an extra column of the bars.
            length: How many rows, at most as many as are kept.
            symbol: By default the first; "*" gives all of them side by side.

        Returns:
            A read-only view, shape (length,), or (length, S) for all symbols; NaN before the first row and where the
            symbol has no bar.

        Raises:
            UsageError: If there is no such column or symbol, or the length is out of range.
        """
        place, stop = self._places.get(column, -1), self._bars.base + self.offset()
        if place < 0 or not 0 < length <= self.keep:
            raise self._refused(column, length)
        values: Floats
        if symbol == ALL:
            width = len(self.symbols)
            values = self._bars.shown[place * width : (place + 1) * width, stop - length : stop].T
        else:
            s = 0 if symbol is None else self.number(symbol)
            values = self._bars.shown[place * len(self.symbols) + s, stop - length : stop]
        return values

    def times(self, length: int) -> NDArray[np.datetime64]:
        """Close times of the last rows, UTC, oldest first, that of the present row last; NaT before the first.

        Raises:
            UsageError: If the length is out of range.
        """
        if not 0 < length <= self.keep:
            raise self._refused("close", length)
        stop = self._times.base + self.offset()
        found: NDArray[np.datetime64] = self._times.shown[0, stop - length : stop].view("datetime64[ns]")
        return found

    def indicator(
        self, name: str, values: Sequence[float], symbol: str | None, of: Column | None, named: Mapping[str, Any]
    ) -> Indicator:
        """An indicator over one symbol, made now or found again; `Context.indicator` describes it."""
        key = (name, values, symbol, of, tuple(named.items()))
        found = self._indicators.get(key)
        return self._new(key) if found is None else found

    def number(self, symbol: str) -> int:
        """Number of a symbol.

        Raises:
            UsageError: If there is no such symbol.
        """
        if symbol not in self._index:
            raise UsageError(f"no symbol {symbol!r}", expected=", ".join(self.symbols))
        return self._index[symbol]

    def check_late(self, what: str) -> None:
        """Refuse what would have to see bars that are no longer kept.

        Raises:
            UsageError: If that is so.
        """
        seen = self.rows - (self._bars.end - self._bars.base) + self.offset()
        if self.rows and seen > self.keep:
            raise UsageError(
                f"{what} is asked for too late: its first bars are no longer kept",
                expected="on_start is the place to ask for it",
                found=f"after {seen:,} rows, of which {self.keep:,} are kept",
            )

    def before(self, seq: int) -> BarBlock | None:
        """All bars before the current block, whose first row has that number; None if there are none.

        Only of use as long as `check_late` allows it.
        """
        count, width = self.rows - (self._bars.end - self._bars.base), len(self.symbols)
        if not count:
            return None
        kept = self._bars.shown[:, self._bars.base - count : self._bars.base]
        columns = {name: kept[p * width : (p + 1) * width].T.copy() for name, p in self._places.items()}
        extra = {name: columns.pop(name) for name in self._extra}
        times = self._times.shown[0, self._times.base - count : self._times.base].copy()
        return BarBlock.from_columns(self.symbols, times, columns, seq=seq - count, extra=extra)

    def snapshot(self) -> State | None:
        """Rows and indicators; None if an indicator keeps all bars since the beginning."""
        states = [indicator.snapshot() for indicator in self._indicators.values()]
        if any(state is None for state in states):
            return None
        bars = snapshot_of(self._made(), self._kept())
        saved = {"rows": self.rows, "bars": bars, "keys": list(self._indicators), "indicators": states}
        return {**saved, "extra": list(self._extra)} if self._extra else saved

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of such a stream.
        """
        extra = ("extra",) if "extra" in state else ()
        parts = parts_of(state, ("rows", "bars", "keys", "indicators", *extra))
        self._set_columns(tuple(parts.get("extra", ())))
        found = arrays_of(parts["bars"], self._made(), self._kept())
        there = self._indicators  # those that on_start made, which the strategy may hold
        keys = keys_from(parts["keys"])
        self._indicators = {key: there[key] if key in there else self._made_from(key) for key in keys}
        self.rows = int(parts["rows"])
        self._bars.append(found["bars"])
        self._times.append(found["times"])
        for indicator, saved in zip(self._indicators.values(), parts["indicators"], strict=True):
            indicator.settle(self._extra)
            indicator.restore(saved)

    def _set_columns(self, extra: tuple[str, ...]) -> None:
        """Keep the columns of bars and these beside them; what was kept is forgotten."""
        self._extra = extra
        self._places = {name: place for place, name in enumerate((*BAR_COLUMNS, *extra))}
        self._bars = Rolling(len(self._places) * len(self.symbols), self.keep)

    def _check_columns(self, block: BarBlock) -> None:
        """Refuse bars without the columns that they had, or that indicators look at.

        Raises:
            UsageError: If a strategy asked for an indicator that is none over bars, and no column of them either.
            DataError: If the columns are others than those of the first bars.
        """
        if block.extra.keys() != set(self._extra):
            raise DataError(
                "the extra columns of a stream cannot change",
                where=f"row {block.seq}",
                expected=", ".join(self._extra) or "none",
                found=", ".join(block.extra) or "none",
            )
        if self.rows:
            return
        for indicator in self._indicators.values():
            indicator.settle(self._extra)

    def _kept(self) -> dict[str, NDArray[Any]]:
        return {"bars": self._bars.past(self.keep), "times": self._times.past(self.keep)}

    def _made(self) -> dict[str, Any]:
        return {"symbols": self.symbols, "keep": self.keep, "ticks": self._ticks}

    def _new(self, key: tuple[Any, ...]) -> Indicator:
        name, values, symbol, of, named = key
        key = (name, tuple(map(_plain, values)), symbol, of, tuple((k, _plain(v)) for k, v in named))
        indicator = self._made_from(key)
        self.check_late(f"the indicator {key[0]}")
        if self.rows:
            indicator.append(self._of(indicator.symbol, self.rows), self._bars.end - self._bars.base)
        self._indicators[key] = indicator
        return indicator

    def _made_from(self, key: tuple[Any, ...]) -> Indicator:
        name, values, symbol, of, named = key
        s = 0 if symbol is None else self.number(symbol)
        if is_column(name, values, named, of) and (name in self._extra or not self.rows):
            column = column_indicator(name, s, self.keep, self)
            if self._extra:
                column.settle(self._extra)
            return column
        return make_indicator(name, values, dict(named), of, s, self._ticks[s], self.keep, self)

    def _of(self, symbol: int, count: int) -> Floats:
        """The last bars of one symbol with their extra columns, shape (5 + K, count)."""
        values: Floats = self._bars.past(count)[symbol :: len(self.symbols)]
        return values

    def _refused(self, column: str, length: Any) -> UsageError:
        if column not in self._places:
            hint = did_you_mean(str(column), self._places)
            return UsageError(f"bars have no column {column!r}", expected=", ".join(self._places), hint=hint)
        return UsageError(
            f"a history of {length} rows cannot be had",
            expected=f"1 to {self.keep:,} rows",
            hint="set history_rows in the class of the strategy to keep more" if length > 0 else None,
        )


def keys_from(lists: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The keys of indicators as a state gives them back.

    Raises:
        DataError: If they are not such keys.
    """
    try:
        return [
            (name, tuple(values), symbol, of, tuple((key, value) for key, value in named))
            for name, values, symbol, of, named in lists
        ]
    except (TypeError, ValueError) as error:
        raise DataError("the snapshot is damaged", expected="the indicators of a strategy") from error


def _plain(value: Any) -> Any:
    """A number of Python where NumPy's was given."""
    return value.item() if isinstance(value, np.generic) else value
