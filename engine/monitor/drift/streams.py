"""What the drift detector observes: bars, decisions and limit orders of a run, as streams of numbers with times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.monitor.drift.kernels import FEATURES, observe_bars
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.records import OrderEventKind, OrderType, Records, Role, SeatName
from engine.types.step import StepBlock

FEATURE_NAMES = ("return", "range", "volume", "gap")
SEATS = tuple(SeatName)
ENDS = (OrderEventKind.FILLED, OrderEventKind.CANCELLED, OrderEventKind.EXPIRED)


class Observations(NamedTuple):
    """Observations of several streams; those of one stream are in order.

    Attributes:
        streams: Number of the stream, shape (n,).
        times: When, nanoseconds UTC, shape (n,).
        values: Shape (n,).
    """

    streams: Ints
    times: Ints
    values: Floats

    def first(self, count: int) -> Observations:
        """The first ones, as views."""
        return Observations(self.streams[:count], self.times[:count], self.values[:count])

    def copied(self) -> Observations:
        """In memory of their own."""
        return Observations(self.streams.copy(), self.times.copy(), self.values.copy())


def joined(parts: Sequence[Observations]) -> Observations:
    """Several one after the other."""
    return Observations(
        np.concatenate([one.streams for one in parts]),
        np.concatenate([one.times for one in parts]),
        np.concatenate([one.values for one in parts]),
    )


def stream_names(symbols: Sequence[str]) -> tuple[str, ...]:
    """Names of all streams of a run of these symbols, by number.

    Of every symbol `return` (logarithmic, from bar to bar), `range` (high less low over close), `volume`, `gap` (bars
    that are missing before this one) and `side` (of a strategic decision); of every seat its `confidence`; and
    `limit_fills`, 1 for a limit order of the agent's that was filled, 0 for one that ended otherwise.
    """
    market = [f"{symbol}.{feature}" for symbol in symbols for feature in FEATURE_NAMES]
    sides = [f"{symbol}.side" for symbol in symbols]
    return (*market, *sides, *(f"confidence.{seat.name.lower()}" for seat in SEATS), "limit_fills")


class Streams:
    """Observes the steps of a run.

    Args:
        symbols: S names.
        timeframe_ns: Length of a bar.

    Attributes:
        names: Of the streams, by number.
        symbols, timeframe_ns: As given.
    """

    def __init__(self, symbols: Sequence[str], timeframe_ns: int) -> None:
        self.names = stream_names(symbols)
        self.symbols, self.timeframe_ns = tuple(symbols), timeframe_ns
        self._last_ts, self._last_close = np.zeros(len(symbols), np.int64), np.zeros(len(symbols))
        self._room = self._made_room(64)

    def observe(self, step: StepBlock) -> list[Observations]:
        """What a step says; the arrays hold until the next call."""
        found = [self.bars(step.bars)]
        if len(step.outputs):
            found.append(self.decisions(step.outputs))
        if len(step.events):
            found.append(self.order_ends(step.events))
        return found

    def bars(self, bars: BarBlock) -> Observations:
        """What the bars of a block say."""
        most = FEATURES * bars.close.size
        if len(self._room.values) < most:
            self._room = self._made_room(most)
        room = self._room
        view = bars.kernel_view()
        count = observe_bars(
            view.ts_event,
            view.high,
            view.low,
            view.close,
            view.volume,
            view.present,
            self.timeframe_ns,
            self._last_ts,
            self._last_close,
            *room,
        )
        return room.first(count)

    def decisions(self, outputs: Records) -> Observations:
        """What AGENT_OUTPUT records say: the side of the strategic seat, and the confidence of every seat."""
        count = len(self.symbols)
        strategic = outputs[outputs["seat"] == SeatName.STRATEGIC]
        first = FEATURES * count
        streams = [first + strategic["symbol"], first + count + outputs["seat"] - min(SEATS)]
        times = [strategic["ts_event"], outputs["ts_event"]]
        values = [strategic["action_0"], outputs["confidence"]]
        return Observations(np.concatenate(streams), np.concatenate(times), np.concatenate(values))

    def order_ends(self, events: Records) -> Observations:
        """What ORDER_EVENT records say: whether an agent's limit order that ends here was filled, wholly."""
        limit = (events["type"] == OrderType.LIMIT) & (events["role"] == Role.ENTRY) & np.isin(events["kind"], ENDS)
        ended = events[limit & ((events["kind"] != OrderEventKind.FILLED) | (events["remaining"] <= 0.0))]
        filled = (ended["kind"] == OrderEventKind.FILLED).astype(np.float64)
        number = np.full(len(ended), len(self.names) - 1, np.int64)
        return Observations(number, np.ascontiguousarray(ended["ts_event"]), filled)

    def snapshot(self) -> State:
        """The carried state."""
        return snapshot_of(self._made(), self._carried())

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of these symbols and this length of bars.
        """
        found = arrays_of(state, self._made(), self._carried())
        self._last_ts, self._last_close = found["last_ts"], found["last_close"]

    def _made(self) -> dict[str, Any]:
        return {"symbols": self.symbols, "timeframe_ns": self.timeframe_ns}

    def _carried(self) -> dict[str, Any]:
        return {"last_ts": self._last_ts, "last_close": self._last_close}

    @staticmethod
    def _made_room(size: int) -> Observations:
        return Observations(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size))
