"""The market that environments trade in: bars of all sources end to end, and what the agents see of them.

What depends on the market only is computed once, by the very stream that serves a live run. A window is then a
number, the end of its rows, so that a replay buffer keeps one integer for an observation of some hundred numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agents.features.stream import FeatureRows, FeatureStream
from agents.spec import AGENTS, AgentSpec, Specs
from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import YEAR_NS, Sessions, bars_per_year, sessions_between
from engine.types.instruments import Instrument
from engine.types.records import Bars
from engine.types.timeframe import MINUTE_NS, format_timeframe
from training.environment.kernels.layout import RISK_DUE, STRATEGIC_DUE, TACTICAL_DUE, MarketArrays

FeatureArray = NDArray[np.float32]
Cadence = Literal["tactical", "bar"]

NONE = -1
ALL_DUE = STRATEGIC_DUE | TACTICAL_DUE | RISK_DUE


class Segment(NamedTuple):
    """Rows of one source.

    Attributes:
        name: Of the source.
        start: First row.
        stop: Row after the last.
    """

    name: str
    start: int
    stop: int


class _Seat(NamedTuple):
    """What one agent sees of one source: ready rows, and for each source row the end of the window known then."""

    rows: FeatureArray
    end: Ints
    fresh: Ints
    known_at: Ints
    atr: Floats


@dataclass(frozen=True, eq=False)
class Market:
    """Bars of one instrument, with the features of the agents that see only the market. Arrays are read-only.

    Attributes:
        instrument: What is traded.
        bars: Bars of all sources one after the other, arrays of shape (R, 1).
        session_ends: Inclusive ends of sessions, nanoseconds UTC, ascending, over all sources.
        strategic_rows: Ready feature rows of all sources, float32, shape (Ks, 13), or more with declared features.
        tactical_rows: Likewise, shape (Kt, 7).
        strategic_end: The window seen at row r is `strategic_rows[end - 48 : end]`; -1 before the first complete
            window of the source, since windows never span sources. int64, shape (R,).
        tactical_end: Likewise with 60 rows.
        due: Bit 0: a strategic window became known in this row; bit 1: a tactical one; bit 2: the risk agent's clock,
            which ticks where a tactical bar was completed, or in every row. uint8, shape (R,).
        atr: Average true range of the tactical bar completed in this row, price units; 0 where there is none.
        segments: Rows of each source.
        risk_cadence: The risk agent's clock: tactical or bar.
        timeframe_ns: Length of a bar.
        bars_per_year: Bars that a year holds.
        agents: By name, what they see.
    """

    instrument: Instrument
    bars: Bars
    session_ends: Ints
    strategic_rows: FeatureArray
    tactical_rows: FeatureArray
    strategic_end: Ints
    tactical_end: Ints
    due: NDArray[np.uint8]
    atr: Floats
    segments: tuple[Segment, ...]
    risk_cadence: Cadence = "tactical"
    timeframe_ns: int = MINUTE_NS
    bars_per_year: float = 365.0 * 1440.0
    agents: Specs = field(default_factory=lambda: dict(AGENTS))

    @classmethod
    def build(
        cls,
        instrument: Instrument,
        blocks: Sequence[tuple[str, BarBlock]],
        risk_cadence: Cadence = "tactical",
        timeframe_ns: int = MINUTE_NS,
        agents: Specs = AGENTS,
    ) -> Market:
        """Compute what the agents see of some sources.

        Args:
            instrument: What the bars are of; its calendar decides the sessions.
            blocks: Name and whole history of each source, one symbol each.
            risk_cadence: When the risk agent decides: at tactical bars, or at every bar.
            timeframe_ns: Length of the bars; a whole number of them makes a tactical bar.
            agents: By name, with their declared features.

        Raises:
            UsageError: If bars do not make tactical bars.
            DataError: If there are no bars, a source has more than one symbol, or lacks a declared column.
        """
        if AGENTS["tactical"].timeframe_ns % timeframe_ns:
            raise UsageError(
                "the agents cannot see bars of this length",
                expected="bars whose length divides 5 minutes",
                found=format_timeframe(timeframe_ns),
            )
        _check(blocks)
        first = min(int(block.ts_event[0]) for _, block in blocks)
        last = max(int(block.ts_event[-1]) for _, block in blocks)
        # as far ahead as the average over the first years of sessions looks
        sessions = sessions_between(instrument, first, max(last, first + 5 * YEAR_NS))
        starts = np.cumsum([0] + [len(block) for _, block in blocks]).tolist()
        seats = {
            name: [_seat(agents[name], name_of, block, sessions) for name_of, block in blocks]
            for name in ("strategic", "tactical")
        }
        due, atr = _clock(starts, seats, risk_cadence)
        return cls(
            instrument,
            Bars(*(_joined([getattr(block, name) for _, block in blocks]) for name in Bars._fields)),
            _sealed(np.ascontiguousarray(sessions.closes)),
            _joined([seat.rows for seat in seats["strategic"]]),
            _joined([seat.rows for seat in seats["tactical"]]),
            _ends(seats["strategic"]),
            _ends(seats["tactical"]),
            due,
            atr,
            tuple(Segment(name, starts[k], starts[k + 1]) for k, (name, _) in enumerate(blocks)),
            risk_cadence,
            timeframe_ns,
            bars_per_year(sessions, timeframe_ns),
            dict(agents),
        )

    def __len__(self) -> int:
        return len(self.due)

    def strategic_windows(self, ends: Ints) -> FeatureArray:
        """Strategic observations by the ends of their rows, float32, shape (n, 48, 13).

        Raises:
            DataError: If there is no such window.
        """
        return _windows(self._strategic_flat, self.agents["strategic"].observation, ends)

    def tactical_windows(self, ends: Ints) -> FeatureArray:
        """Tactical observations by the ends of their rows, float32, shape (n, 60, 7).

        Raises:
            DataError: If there is no such window.
        """
        return _windows(self._tactical_flat, self.agents["tactical"].observation, ends)

    def row_in_source(self, row: int) -> int:
        """Number of a row counted from the first one of its source."""
        return row - max(segment.start for segment in self.segments if segment.start <= row)

    def starts(self, rows: tuple[int, ...], length: int) -> Ints:
        """Rows at which episodes may begin: the agents all decide there, and the episode stays in its source.

        The first such row of each source, then every `length // 2` rows (episodes overlap by half), each moved on to
        the next such row.

        Args:
            rows: First row and the row after the last that episodes may touch.
            length: Bars of an episode; it touches one row more, the one that it begins at.

        Returns:
            Rows in ascending order, int64, shape (n,).
        """
        found = [np.empty(0, np.int64)]
        for segment in self.segments:
            start, stop = max(rows[0], segment.start), min(rows[1], segment.stop)
            possible = self.decision_rows(start, max(start, stop))
            found.append(half_overlapping(possible, stop, length))
        return np.concatenate(found)

    def decision_rows(self, start: int, stop: int) -> Ints:
        """Rows from `start` to before `stop` in which all agents decide and every window is complete, shape (n,)."""
        decides = (self.due[start:stop] & ALL_DUE) == ALL_DUE
        decides &= (self.strategic_end[start:stop] >= 0) & (self.tactical_end[start:stop] >= 0)
        return (start + np.flatnonzero(decides)).astype(np.int64)

    def block(self, start: int, stop: int) -> BarBlock:
        """The bars of rows from `start` to before `stop` as the simulator takes them, numbered from 0."""
        columns: Any = (column[start:stop] for column in self.bars)
        return BarBlock((self.instrument.name,), 0, *columns)

    @cached_property
    def digest(self) -> str:
        """Hash of everything that an episode depends on, so that a saved state is not continued in another market."""
        found = hashlib.sha256(self.instrument.model_dump_json().encode())
        arrays = (*self.bars, self.session_ends, self.strategic_rows, self.tactical_rows, self.due, self.atr)
        for array in (*arrays, self.strategic_end, self.tactical_end):
            found.update(np.ascontiguousarray(array).view(np.uint8).data)
        return found.hexdigest()

    @cached_property
    def view(self) -> MarketArrays:
        """The arrays as kernels take them."""
        return MarketArrays(
            self.bars,
            self.session_ends.copy(),  # writable, as the simulator has it: then kernels are compiled once for both
            self.due,
            self.atr,
            self.strategic_end,
            self.tactical_end,
            self.strategic_rows.reshape(-1),
            self.tactical_rows.reshape(-1),
        )

    @cached_property
    def _strategic_flat(self) -> FeatureArray:
        return _flat_windows(self.strategic_rows, self.agents["strategic"].observation)

    @cached_property
    def _tactical_flat(self) -> FeatureArray:
        return _flat_windows(self.tactical_rows, self.agents["tactical"].observation)


def half_overlapping(possible: Ints, stop: int, length: int) -> Ints:
    """Rows at which episodes that overlap by half begin, shape (n,).

    Args:
        possible: Where they may, ascending; the first one is taken, then the next one after every `length // 2` rows.
        stop: Row before which they end.
        length: Bars of an episode; it touches one row more, the one that it begins at.
    """
    if not len(possible):
        return possible
    wanted = np.arange(possible[0], stop - length, max(length // 2, 1))
    at = np.searchsorted(possible, wanted)
    chosen = np.unique(possible[at[at < len(possible)]])
    return np.asarray(chosen[chosen + length < stop], np.int64)


def _check(blocks: Sequence[tuple[str, BarBlock]]) -> None:
    if not blocks:
        raise DataError("a market needs bars", expected="at least one source", found="none")
    for name, block in blocks:
        if not len(block):
            raise DataError("a source has no bars", where=name)
        if len(block.symbols) != 1:
            raise DataError(
                "an environment trades one symbol", where=name, expected="1 symbol", found=", ".join(block.symbols)
            )


def _seat(agent: AgentSpec, source: str, block: BarBlock, sessions: Sessions) -> _Seat:
    """Features of one source, and when each window became known."""
    try:
        rows: FeatureRows = FeatureStream(agent, block.symbols, sessions).push(_from_zero(block))
    except DataError as error:
        error.where = f"{source}, {error.where}" if error.where else source
        raise
    ready, atr, known_at = rows.ready[:, 0], rows.atr[:, 0], rows.known_at
    kept = np.ascontiguousarray(rows.features[ready, 0])
    length = agent.observation[0]
    fresh = known_at[ready][length - 1 :]
    end = np.full(len(block), NONE, np.int64)
    # of two windows that one row completes the later one counts, as in the ensemble
    end[fresh] = np.arange(length, len(kept) + 1)
    end = np.maximum.accumulate(end)
    ranges = np.zeros(len(block))
    finite = np.isfinite(atr)
    ranges[known_at[finite]] = atr[finite]
    return _Seat(kept, end, fresh, known_at, ranges)


def _from_zero(block: BarBlock) -> BarBlock:
    """The block as the beginning of a stream, so that rows are numbered within it."""
    return replace(block, seq=0)


def _clock(starts: list[int], seats: dict[str, list[_Seat]], cadence: Cadence) -> tuple[NDArray[np.uint8], Floats]:
    """Who is due in each row, and the tactical agent's average true range there."""
    due = np.zeros(starts[-1], np.uint8)
    for start, strategic, tactical in zip(starts[:-1], seats["strategic"], seats["tactical"], strict=True):
        due[start + strategic.fresh] |= STRATEGIC_DUE
        due[start + tactical.fresh] |= TACTICAL_DUE
        due[start + tactical.known_at] |= RISK_DUE
    if cadence == "bar":
        due |= RISK_DUE
    return _sealed(due), _joined([seat.atr for seat in seats["tactical"]])


def _ends(seats: list[_Seat]) -> Ints:
    """Ends of windows, counted in the rows of all sources together."""
    parts, before = [], 0
    for seat in seats:
        parts.append(np.where(seat.end >= 0, seat.end + before, NONE))
        before += len(seat.rows)
    return _joined(parts)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return _sealed(np.ascontiguousarray(parts[0]).view() if len(parts) == 1 else np.concatenate(parts))


def _sealed(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _flat_windows(rows: FeatureArray, shape: tuple[int, ...]) -> FeatureArray:
    """Every window of consecutive rows laid flat, without copying; empty if there are too few rows."""
    length, features = shape
    if len(rows) < length:
        return np.empty((0, length * features), np.float32)
    return sliding_window_view(rows.reshape(-1), length * features)[::features]


def _windows(flat: FeatureArray, shape: tuple[int, ...], ends: Ints) -> FeatureArray:
    at = np.asarray(ends, dtype=np.int64) - shape[0]
    if len(at) and not (at.min() >= 0 and at.max() < len(flat)):
        raise DataError(
            "there is no such window",
            expected=f"ends from {shape[0]} to {len(flat) + shape[0] - 1}",
            found=f"{int(ends.min())} to {int(ends.max())}",
        )
    return flat[at].reshape(len(at), *shape)
