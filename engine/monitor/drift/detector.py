"""The drift detector: whether what a run sees and does still looks like its reference."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.monitor.drift.kernels import SUMS, watch_values
from engine.monitor.drift.reference import Reference
from engine.monitor.drift.streams import Observations, Streams, stream_names
from engine.types.moments import iso
from engine.types.step import StepBlock

MOST_ALARMS = 200
"""Alarms that are remembered."""
QUIET = 20.0
"""A stream has drifted until so many times the delay of its smallest shift have passed without its limit reached."""
SMALLEST_SHIFT = 0.25


class DriftAlarm(NamedTuple):
    """That a stream has begun not to look like its reference; while that lasts there is no other.

    Attributes:
        number: Counted from 1.
        ts_event: When, nanoseconds UTC.
        stream: Name of the stream.
        observation: Number of the observation, counted from 1.
        evidence: Logarithm of the mean of the exponentials of the cumulative sums then.
        limit: What it reached.
        level: Mean score of about the last hundred observations, in deviations of the reference; its sign is the
            direction.
        run_length: Mean number of observations between false alarms of a stream.
    """

    number: int
    ts_event: int
    stream: str
    observation: int
    evidence: float
    limit: float
    level: float
    run_length: float

    def tree(self) -> dict[str, Any]:
        """JSON-able."""
        tree = {"number": self.number, "time": iso(self.ts_event), **self._asdict()}
        del tree["ts_event"]
        return tree


class DriftDetector:
    """Watches the streams of a run.

    Args:
        reference: What is normal.
        symbols: S names.
        timeframe_ns: Length of the bars.

    Attributes:
        alarms: The latest, oldest first.
        raised: How many there were.

    Raises:
        UsageError: If the reference is of other symbols or bars of another length.
    """

    def __init__(self, reference: Reference, symbols: Iterable[str], timeframe_ns: int) -> None:
        symbols = tuple(symbols)
        if reference.names != stream_names(symbols) or reference.timeframe_ns != timeframe_ns:
            raise UsageError(
                "the reference of the drift detector is of another market",
                where="monitor.drift.reference",
                expected=f"bars of {timeframe_ns / 1e9:g} seconds of {', '.join(symbols)}",
                found=f"bars of {reference.timeframe_ns / 1e9:g} seconds of {', '.join(symbols_of(reference))}",
                hint="write one from a run of the same symbols: `grandmodel monitor RUN --write-reference FILE`",
            )
        self.reference = reference
        self._streams = Streams(symbols, timeframe_ns)
        k = len(reference.names)
        self.alarms: deque[DriftAlarm] = deque(maxlen=MOST_ALARMS)
        self.raised = 0
        self._sums, self._levels = np.ones((k, SUMS)), np.zeros((k, 2))
        self._counts, self._last = np.zeros(k, np.int64), np.zeros((k, 2), np.int64)
        self._quiet = QUIET * 2.0 * math.log(max(reference.run_length, 2.0)) / SMALLEST_SHIFT**2
        self._new: list[tuple[int, int, int, float, float]] = []
        self._room(64)

    def update(self, step: StepBlock) -> None:
        """Follow the rows of a step; how rows are cut into steps does not show."""
        for found in self._streams.observe(step):
            self._watch(found)
        self._report()

    def watch(self, found: Iterable[Observations]) -> None:
        """Take all observations of a run; those of one stream must be in order, and alarms then are."""
        for one in found:
            self._watch(one)
        self._report()

    def _watch(self, found: Observations) -> None:
        count = len(found.values)
        if len(self._alarm_room) < count:
            self._room(count)
        reference = self.reference
        alarms = watch_values(
            found.streams,
            found.times,
            found.values,
            count,
            reference.quantiles,
            reference.moments,
            reference.limits,
            self._sums,
            self._levels,
            self._counts,
            self._alarm_room,
            self._found_room,
        )
        for alarm in range(alarms):
            stream, ts_event, observation = self._alarm_room[alarm].tolist()
            before, number = self._last[stream].tolist()
            self._last[stream] = observation, number + 1
            if number and observation - before < self._quiet:
                continue  # it has drifted already
            evidence, level = self._found_room[alarm].tolist()
            self._new.append((ts_event, stream, observation, math.log(evidence), level))

    def _report(self) -> None:
        if not self._new:
            return
        reference = self.reference
        for ts_event, stream, observation, evidence, level in sorted(self._new):
            self.raised += 1
            name, limit = reference.names[stream], math.log(reference.limits[stream])
            one = DriftAlarm(self.raised, ts_event, name, observation, evidence, limit, level, reference.run_length)
            self.alarms.append(one)
        self._new.clear()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Streams that reached their limit not long ago."""
        recent = (self._last[:, 1] > 0) & (self._counts - self._last[:, 0] < self._quiet)
        return tuple(self.reference.names[stream] for stream in np.flatnonzero(recent))

    def rows(self) -> list[dict[str, Any]]:
        """The streams that are watched, JSON-able."""
        drifted, reference = set(self.drifted), self.reference
        return [
            {
                "stream": name,
                "observations": int(self._counts[k]),
                "level": float(self._levels[k, 1]),
                "evidence": math.log(self._sums[k].mean()),
                "limit": math.log(reference.limits[k]),
                "reached": int(self._last[k, 1]),
                "drifted": name in drifted,
            }
            for k, name in enumerate(reference.names)
            if math.isfinite(reference.limits[k])
        ]

    def tree(self) -> dict[str, Any]:
        """As it stands, JSON-able."""
        return {
            "run_length": self.reference.run_length,
            "drifted": list(self.drifted),
            "streams": self.rows(),
            "alarms": [alarm.tree() for alarm in self.alarms],
            "raised": self.raised,
        }

    def snapshot(self) -> State:
        """The carried state; the reference is no part of it, but of what it must be restored into."""
        arrays = snapshot_of(self._made(), self._carried())
        return {
            "arrays": arrays,
            "streams": self._streams.snapshot(),
            "alarms": [list(alarm) for alarm in self.alarms],
            "raised": self.raised,
        }

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a detector with this reference.
        """
        parts = parts_of(state, ("arrays", "streams", "alarms", "raised"))
        found = arrays_of(parts["arrays"], self._made(), self._carried())
        self._streams.restore(parts["streams"])
        self._sums, self._levels = found["sums"], found["levels"]
        self._counts, self._last = found["counts"], found["last"]
        try:
            self.alarms = deque((DriftAlarm(*alarm) for alarm in parts["alarms"]), MOST_ALARMS)
        except TypeError as error:
            raise DataError(f"the saved alarms cannot be used: {error}") from error
        self.raised = int(parts["raised"])

    def _made(self) -> dict[str, Any]:
        return {"reference": self.reference.sha256}

    def _carried(self) -> dict[str, Any]:
        return {"sums": self._sums, "levels": self._levels, "counts": self._counts, "last": self._last}

    def _room(self, size: int) -> None:
        self._alarm_room, self._found_room = np.empty((size, 3), np.int64), np.empty((size, 2))


def symbols_of(reference: Reference) -> list[str]:
    """The symbols that a reference is of."""
    return [name.removesuffix(".return") for name in reference.names if name.endswith(".return")]


def alarm_text(alarm: DriftAlarm) -> str:
    """One line on an alarm."""
    side = "above" if alarm.level > 0 else "below"
    return (
        f"DRIFT: {alarm.stream} is {abs(alarm.level):.2f} deviations {side} its reference after {alarm.observation:,} "
        f"observations (evidence {alarm.evidence:.1f}, {alarm.limit:.1f} needed; by chance once in "
        f"{alarm.run_length:,.0f} observations of a stream)"
    )
