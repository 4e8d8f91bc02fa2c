"""Features of a stream of bars: aggregated to a seat's timeframe, then computed with carried state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.features.declared import check_columns, declared_values
from agents.features.kernels.strategic import STRATEGIC_STATE, STRATEGIC_WARMUP, strategic_rows
from agents.features.kernels.tactical import TACTICAL_STATE, TACTICAL_WARMUP, tactical_rows
from agents.features.schema import schema_hash
from agents.spec import AGENTS, AgentSpec, spec_of
from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.loop.aggregate import Aggregated, Aggregator
from engine.types.blocks import BarBlock, Bools, Floats, Ints
from engine.types.calendar import Sessions
from engine.types.records import Records
from engine.types.timeframe import parse_timeframe

WARMUP = {"strategic": STRATEGIC_WARMUP, "tactical": TACTICAL_WARMUP}
"""Bars of a symbol, in the seat's timeframe, of which the last has the first ready row."""

_STATES = {"strategic": STRATEGIC_STATE, "tactical": TACTICAL_STATE}


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """Features of n consecutive bars of a seat's timeframe.

    Attributes:
        features: float32, shape (n, S, F), C-contiguous; 0 where not ready.
        ready: Whether the symbol has this bar and was warm, shape (n, S).
        atr: Average true range of 14 bars in price units, shape (n, S); NaN without a bar and before it exists.
        ts_event: Close times, nanoseconds UTC, shape (n,).
        known_at: Number of the source row at which each became known, shape (n,).
    """

    features: NDArray[np.float32]
    ready: Bools
    atr: Floats
    ts_event: Ints
    known_at: Ints

    def __len__(self) -> int:
        return len(self.ts_event)


class FeatureStream:
    """Market features of one seat; any blocking of the same bars gives the same bits.

    A symbol without a bar in a row, or with one whose prices are not positive, is not ready there, and its state
    stays as it is.

    Args:
        seat: strategic or tactical; with declared features, the agent itself.
        symbols: S names, as in every block that will come.
        sessions: Sessions that reach at least to the last bar that will come.

    Raises:
        UsageError: If the seat sees no market features, or there is no session.
    """

    def __init__(self, seat: str | AgentSpec, symbols: Sequence[str], sessions: Sessions) -> None:
        name = seat if isinstance(seat, str) else seat.name
        if name not in WARMUP:
            raise UsageError(f"no market features are defined for the seat {name!r}", expected=", ".join(WARMUP))
        self._spec, self.seat = spec_of(seat), name
        self.symbols = tuple(symbols)
        features = AGENTS[name].features
        self._declared = self._spec.declared
        self._lowest = np.array([feature.low for feature in features], np.float64)
        self._highest = np.array([feature.high for feature in features], np.float64)
        self._aggregator = Aggregator(parse_timeframe(AGENTS[name].timeframe or ""), sessions)
        self._sessions = sessions
        self._state: Records = np.zeros(len(self.symbols), _STATES[name])
        empty, none = (0, len(self.symbols)), np.empty(0, np.int64)
        no_features = np.empty((*empty, len(self._spec.features)), np.float32)
        self._nothing = FeatureRows(no_features, np.empty(empty, np.bool_), np.empty(empty), none, none)

    @property
    def horizon_ns(self) -> int:
        """Close of the last known session, nanoseconds UTC; later bars are refused until `extend`."""
        return self._aggregator.horizon_ns

    def push(self, block: BarBlock) -> FeatureRows:
        """Take the next rows of the stream; give the features of the bars that they complete.

        Raises:
            DataError: If symbols are not those of the stream, a declared column is missing, time runs backwards or the
                rows lie beyond the last session.
        """
        if block.symbols != self.symbols:
            raise DataError(
                "these are not the symbols of the stream",
                where=f"row {block.seq}",
                expected=", ".join(self.symbols),
                found=", ".join(block.symbols),
            )
        check_columns(self.seat, self._declared, block)
        return self._rows(self._aggregator.push(block))

    def extend(self, sessions: Sessions) -> None:
        """Go on with sessions that reach further; those of the bars seen so far must be the same.

        Raises:
            UsageError: If there is no session.
        """
        self._aggregator.extend(sessions)
        self._sessions = sessions

    def snapshot(self) -> State:
        """The carried state; `restore` of a stream made alike continues from here with the same features."""
        return {"features": snapshot_of(self._made(), {"rows": self._state}), "bars": self._aggregator.snapshot()}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If the snapshot is not one of this seat, these symbols and these formulas.
        """
        parts = parts_of(state, ("features", "bars"))
        found = arrays_of(parts["features"], self._made(), {"rows": self._state})
        self._aggregator.restore(parts["bars"])
        self._state = found["rows"]

    def _made(self) -> dict[str, Any]:
        return {"seat": self.seat, "symbols": self.symbols, "formulas": schema_hash(self._spec)}

    def _rows(self, done: Aggregated) -> FeatureRows:
        if not len(done):
            return self._nothing
        shape = (len(done), len(self.symbols))
        ts_event = done.bars.ts_event
        features = np.empty((*shape, len(self._lowest)), np.float32)
        ready, atr = np.empty(shape, np.bool_), np.empty(shape)
        ranges, bars = (self._lowest, self._highest), done.bars.kernel_view()
        if self.seat == "strategic":
            elapsed = elapsed_fraction(self._sessions, ts_event)
            spread = _column(done.bars, "spread") / done.bars.close
            strategic_rows(*ranges, self._state, bars, elapsed, spread, features, ready, atr)
        else:
            signed = _column(done.bars, "signed_volume")
            tactical_rows(*ranges, self._state, bars, signed, features, ready, atr)
        if self._declared:
            more = declared_values(self._declared, done.bars)
            more[~ready] = 0.0
            features = np.concatenate([features, more], axis=2)
        return FeatureRows(features, ready, atr, ts_event, done.known_at)


def _column(bars: BarBlock, name: str) -> Floats:
    """An extra column of the bars, shape (n, S); NaN where they do not have it: the feature is then estimated."""
    found = bars.extra.get(name)
    return np.full(bars.close.shape, np.nan) if found is None else found


def elapsed_fraction(sessions: Sessions, ts_event: Ints) -> Floats:
    """How much of its session has passed at each close time, 0 to 1; 0 for a time between sessions.

    Args:
        sessions: Sessions that reach at least to the last time.
        ts_event: Close times, nanoseconds UTC, shape (n,).
    """
    at = np.minimum(sessions.index(ts_event), len(sessions.closes) - 1)
    opens = sessions.opens[at]
    elapsed: Floats = np.clip((ts_event - opens) / (sessions.closes[at] - opens), 0.0, 1.0)
    return elapsed
