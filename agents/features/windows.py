"""Windows over feature rows: what a network observes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agents.features.stream import FeatureRows
from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import Bools, Ints

Observations = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class WindowBatch:
    """Complete windows, ordered by row and, within a row, by symbol.

    Attributes:
        observations: float32, shape (m, length, F), oldest row first; of one symbol a read-only view, in which windows
            that overlap share their rows.
        symbol: Number of the symbol of each, shape (m,).
        known_at: Number of the source row at which each became known, shape (m,).
        first_ts: Close time of the oldest row of each, nanoseconds UTC, shape (m,).
        last_ts: Close time of the newest row, shape (m,).
    """

    observations: Observations
    symbol: Ints
    known_at: Ints
    first_ts: Ints
    last_ts: Ints

    def __len__(self) -> int:
        return len(self.symbol)


class Windows:
    """The last `length` ready rows of each symbol, at every ready row that has so many.

    A row without the symbol is no row of the symbol: its window reaches further back over such rows. A symbol that was
    ready once is ready at every later bar of the symbol, so these rows are consecutive bars of the symbol. Any
    blocking of the same rows gives the same windows.

    Args:
        length: Rows in a window.
        features: F, features in a row.
        symbols: S, how many symbols.

    Raises:
        UsageError: If one of these is not positive.
    """

    def __init__(self, length: int, features: int, symbols: int) -> None:
        if min(length, features, symbols) < 1:
            raise UsageError(
                "windows need a length, features and symbols",
                expected="at least 1 of each",
                found=f"length {length}, {features} features, {symbols} symbols",
            )
        self.length = length
        # the newest rows lie at the end; what is not filled yet stays 0
        self._history = np.zeros((symbols, length - 1, features), np.float32)
        self._times = np.zeros((symbols, length - 1), np.int64)
        self._held = np.zeros(symbols, np.int64)
        none = np.empty(0, np.int64)
        self._nothing = WindowBatch(np.empty((0, length, features), np.float32), none, none, none, none)

    def push(self, rows: FeatureRows) -> WindowBatch:
        """Take the next rows; give the windows that end at one of them.

        Raises:
            DataError: If the rows are of other symbols or features.
        """
        symbols, _, features = self._history.shape
        if rows.features.shape[1:] != (symbols, features):
            raise DataError(
                "the feature rows do not fit the windows",
                expected=f"{symbols} symbols of {features} features",
                found=f"{rows.features.shape[1]} symbols of {rows.features.shape[2]} features",
            )
        if not len(rows):
            return self._nothing
        if len(rows) == 1 and self.length > 1:
            # the slices below cost more than the row where only one came
            return self._push_row(rows)
        if symbols == 1:
            return self._push_only(rows)
        # where a window ends, shape (n, S)
        complete: Bools = rows.ready & (np.cumsum(rows.ready, axis=0) + self._held >= self.length)
        row, symbol = np.nonzero(complete)
        place = np.cumsum(complete.ravel()).reshape(complete.shape) - 1
        observations = np.empty((len(row), self.length, features), np.float32)
        first_ts = np.empty(len(row), np.int64)
        for s in range(symbols):
            self._push_symbol(rows, s, place[complete[:, s], s], observations, first_ts)
        return WindowBatch(
            observations, symbol.astype(np.int64), rows.known_at[row], first_ts, last_ts=rows.ts_event[row]
        )

    def snapshot(self) -> State:
        """The carried state; `restore` of windows made alike continues from here with the same windows."""
        return snapshot_of({"windows": self._history.shape}, self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If the snapshot is not one of windows of this shape.
        """
        carried = self._carried()
        found = arrays_of(state, {"windows": self._history.shape}, carried)
        for name, array in carried.items():
            array[:] = found[name]

    def _carried(self) -> dict[str, NDArray[Any]]:
        return {"held": self._held, "times": self._times, "history": self._history}

    def _push_row(self, rows: FeatureRows) -> WindowBatch:
        """The same for a single row, as a live stream brings it: all symbols at once."""
        ready = np.flatnonzero(rows.ready[0])
        newest = rows.features[0]
        full = ready[self._held[ready] == self.length - 1]
        observations = np.empty((len(full), *self._nothing.observations.shape[1:]), np.float32)
        observations[:, :-1] = self._history[full]
        observations[:, -1] = newest[full]
        first_ts = self._times[full, 0]
        self._history[ready, :-1] = self._history[ready, 1:]
        self._history[ready, -1] = newest[ready]
        self._times[ready, :-1] = self._times[ready, 1:]
        self._times[ready, -1] = rows.ts_event[0]
        self._held[ready] = np.minimum(self._held[ready] + 1, self.length - 1)
        once = np.zeros(len(full), np.int64)
        return WindowBatch(observations, full, rows.known_at[once], first_ts, rows.ts_event[once])

    def _push_only(self, rows: FeatureRows) -> WindowBatch:
        """The same for a single symbol, whose windows follow each other: they need not be copied."""
        features, times = self._lengthened(rows, 0)
        count = max(len(features) - self.length + 1, 0)
        ready = np.flatnonzero(rows.ready[:, 0])
        ends = ready[len(ready) - count :]
        self._keep(0, features, times)
        if not count:
            return self._nothing
        return WindowBatch(
            sliding_window_view(features, self.length, axis=0).transpose(0, 2, 1),
            np.zeros(count, np.int64),
            rows.known_at[ends],
            times[:count],
            rows.ts_event[ends],
        )

    def _push_symbol(self, rows: FeatureRows, s: int, place: Ints, observations: Observations, first_ts: Ints) -> None:
        """Put the windows of one symbol into their places, and keep its last rows."""
        features, times = self._lengthened(rows, s)
        if len(place):
            flat = sliding_window_view(features.ravel(), self.length * features.shape[1])[:: features.shape[1]]
            observations[place] = flat.reshape(len(place), self.length, features.shape[1])
            first_ts[place] = times[: len(place)]
        self._keep(s, features, times)

    def _lengthened(self, rows: FeatureRows, s: int) -> tuple[Observations, Ints]:
        """The rows of a symbol that are kept, and its new ones, with their times."""
        ready = rows.ready[:, s]
        old = self.length - 1 - int(self._held[s])
        features = np.concatenate([self._history[s, old:], rows.features[ready, s]])
        return features, np.concatenate([self._times[s, old:], rows.ts_event[ready]])

    def _keep(self, s: int, features: Observations, times: Ints) -> None:
        """Keep the last rows of a symbol."""
        kept = min(len(features), self.length - 1)
        if kept:
            self._history[s, -kept:] = features[-kept:]
            self._times[s, -kept:] = times[-kept:]
        self._held[s] = kept
