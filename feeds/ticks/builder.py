"""Ticks into bars, streaming: what a tick completes comes out at that tick, and the state is carried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BAR_COLUMNS, BarBlock, Floats, Ints
from engine.types.extras import TICK_COLUMNS
from engine.types.records import Records
from feeds.ticks.blocks import TickBlock
from feeds.ticks.kernels import NOTHING, PARAMS, TICK, TICK_CLOCK, TICK_STATE, VALUE, VOLUME, fold_ticks
from feeds.ticks.spec import KINDS, BarSpec

_MEASURES: Final = {"tick": TICK, "volume": VOLUME, "value": VALUE}
_WIDTH: Final = len(BAR_COLUMNS) + len(TICK_COLUMNS)


class BarBuilder:
    """Streaming bars of one kind; any cut of the same ticks into blocks gives the same bits.

    Time bars of all symbols that traded in them are one row, at the end of the bar; the row is complete when any symbol
    has a tick after it. Every other bar is a row of its own, at the time of the tick that completes it, or a nanosecond
    after the row before it where that is later: the times of rows increase strictly. A bar that is not complete when
    the ticks end is not given.

    Args:
        spec: What bars.
        symbols: S names.
        quotes: Whether bars are made of the mid prices of quotes; otherwise of trades, and quotes only tell what the
            best prices are.

    Raises:
        UsageError: If quotes, which have no sizes, are to fill bars of volume or value.
    """

    def __init__(self, spec: BarSpec, symbols: Sequence[str], *, quotes: bool = False) -> None:
        if quotes and spec.needs_sizes:
            raise UsageError(
                f"quotes cannot make {spec.described}",
                expected="bars that need no sizes of trades: time:1min, tick:500, imbalance:tick:500 or renko:10",
                found="quotes",
            )
        self.spec, self.symbols, self.quotes = spec, tuple(symbols), quotes
        self._params = _params(spec, quotes)
        self._clock: Records = np.zeros(1, TICK_CLOCK)
        self._clock["end"], self._clock["last_ts"] = NOTHING, NOTHING
        self._state = _blank(spec, len(self.symbols))
        self._rows = 0
        self._room(0)

    @property
    def ticks(self) -> int:
        """Ticks so far."""
        return int(self._clock["ticks"][0])

    def push(self, block: TickBlock) -> BarBlock:
        """Take the next ticks of the stream; give the bars that they complete.

        Raises:
            DataError: If the symbols are not those of the stream.
        """
        if block.symbols != self.symbols:
            raise DataError(
                "these are not the symbols of the stream",
                expected=", ".join(self.symbols),
                found=", ".join(block.symbols),
            )
        if len(self._ts) < len(block) + len(self.symbols):
            self._room(len(block))
        count = fold_ticks(
            self._params,
            self._clock,
            self._state,
            _read_only(block.codes),
            _read_only(block.ts_event),
            _read_only(block.price),
            _read_only(block.size),
            _read_only(block.side),
            _read_only(block.bid),
            _read_only(block.ask),
            self._ts,
            self._codes,
            self._out,
        )
        made = self._block(count)
        self._rows += len(made)
        return made

    def snapshot(self) -> State:
        """The carried state; `restore` of one made alike continues from here with the same bars."""
        return snapshot_of(self._made(), self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of these bars and symbols.
        """
        found = arrays_of(state, self._made(), self._carried())
        self._clock, self._state, self._rows = found["clock"], found["state"], int(found["rows"][0])

    def _made(self) -> dict[str, Any]:
        return {"bars": repr(self.spec), "symbols": list(self.symbols), "quotes": self.quotes}

    def _carried(self) -> dict[str, Records]:
        return {"clock": self._clock, "state": self._state, "rows": np.array([self._rows], np.int64)}

    def _room(self, ticks: int) -> None:
        most = ticks + len(self.symbols)
        self._ts, self._codes, self._out = np.empty(most, np.int64), np.empty(most, np.int64), np.empty((most, _WIDTH))

    def _block(self, count: int) -> BarBlock:
        """The bars that were written, as rows across the symbols."""
        ts_event, codes = self._ts[:count], self._codes[:count]
        new = np.ones(count, np.bool_)
        new[1:] = ts_event[1:] != ts_event[:-1]
        shape = (int(new.sum()), len(self.symbols))
        present = np.zeros(shape, np.bool_)
        at = (np.cumsum(new) - 1, codes)
        present[at] = True
        columns: dict[str, Floats] = {}
        for number, name in enumerate((*BAR_COLUMNS, *TICK_COLUMNS)):
            columns[name] = np.full(shape, np.nan)
            columns[name][at] = self._out[:count, number]
        extra = {name: columns.pop(name) for name in TICK_COLUMNS}
        times: Ints = ts_event[new]
        return BarBlock(self.symbols, self._rows, times, present=present, extra=extra, **columns)


def _params(spec: BarSpec, quotes: bool) -> Records:
    params = np.zeros(1, PARAMS)
    params["kind"], params["timeframe"], params["size"] = KINDS.index(spec.kind), spec.timeframe_ns, spec.size
    params["begins"], params["quotes"], params["measure"] = spec.boundary == "begins", quotes, _MEASURES[spec.measure]
    params["floor"], params["cap"], params["warm_up"] = spec.floor, spec.cap, spec.warm_up
    # of an exponentially weighted average: 2 / (span + 1)
    params["bar_weight"], params["tick_weight"] = 2.0 / (spec.span + 1.0), 2.0 / (spec.span * spec.size + 1.0)
    return params


def _blank(spec: BarSpec, symbols: int) -> Records:
    state = np.zeros(symbols, TICK_STATE)
    for name in ("signed", "bid", "ask"):
        state[name] = np.nan
    state["threshold"], state["expected"] = -1.0, spec.size
    return state


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """One type for arrays that own their memory and those in Arrow buffers."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
