"""Compiled loops of the engine itself: bars into larger bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.base.compiled import kernel
from engine.types.extras import Fold
from engine.types.records import Bars, Records

CLOCK = np.dtype([(name, np.int64) for name in ("end", "last_ts", "last_seq", "bars", "held")])
"""Where an aggregation stands: end of the current bucket, time and number of the last source row, number of
bars completed, and whether any symbol traded in the current bucket."""

PARTIAL = np.dtype([(name, np.float64) for name in ("open", "high", "low", "close", "volume")] + [("rows", np.int64)])
"""The unfinished bar of one symbol; `rows` counts the source bars in it."""


_SUM, _MEAN, _LARGEST, _SMALLEST = (int(fold) for fold in (Fold.SUM, Fold.MEAN, Fold.LARGEST, Fold.SMALLEST))


@kernel
def bucket_end(timeframe: int, open_ns: int, close_ns: int, ts: int) -> int:
    """End of the bucket (start, end] that holds `ts`, counted from the open and cut at the close."""
    # bars before the open (outside every session) fall into buckets counted backwards from it
    end = open_ns + ((ts - open_ns - 1) // timeframe + 1) * timeframe
    return min(end, close_ns)


@kernel
def write_partial(partial: Records, end: int, out: Bars, at: int) -> None:
    """Write the unfinished bars of all symbols as row `at` of `out`; `partial` stays as it is."""
    out.ts_event[at] = end
    for s in range(partial.shape[0]):
        part = partial[s]
        present = part["rows"] > 0
        out.present[at, s] = present
        out.open[at, s] = part["open"] if present else np.nan
        out.high[at, s] = part["high"] if present else np.nan
        out.low[at, s] = part["low"] if present else np.nan
        out.close[at, s] = part["close"] if present else np.nan
        out.volume[at, s] = part["volume"] if present else np.nan


@kernel
def fold(part: np.void, open_: float, high: float, low: float, close: float, volume: float) -> None:
    """Add one source bar to the unfinished bar of its symbol."""
    if part["rows"] == 0:
        part["open"] = open_
        part["high"] = high
        part["low"] = low
        part["volume"] = volume
    else:
        part["high"] = max(part["high"], high)
        part["low"] = min(part["low"], low)
        if np.isnan(part["volume"]):
            part["volume"] = volume
        elif not np.isnan(volume):
            part["volume"] += volume
    part["close"] = close
    part["rows"] += 1


@kernel
def aggregate_rows(
    timeframe: int,
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    clock: Records,
    partial: Records,
    seq: int,
    bars: Bars,
    known_at: NDArray[np.int64],
    out: Bars,
) -> int:
    """Fold source rows into buckets and write each bucket out at the row that completes it.

    Args:
        timeframe: Length of a bucket, nanoseconds.
        opens: Exclusive starts of the sessions, nanoseconds UTC.
        closes: Their inclusive ends; the last one is not before the last row.
        clock: CLOCK, shape (1,), changed.
        partial: PARTIAL, shape (S,), changed.
        seq: Number of the first source row.
        bars: Source rows, at least one.
        known_at: Number of the source row at which each bar became known, room for rows + 1.
        out: Completed bars, room for rows + 1.

    Returns:
        How many bars were completed.
    """
    count = 0
    end, held = clock[0]["end"], clock[0]["held"]
    session = np.searchsorted(closes, bars.ts_event[0])
    for row in range(bars.ts_event.shape[0]):
        ts = bars.ts_event[row]
        if ts > end:
            if held:  # the row that would have completed the bucket is missing: this one tells
                write_partial(partial, end, out, count)
                known_at[count] = seq + row
                count += 1
                held = 0
            partial["rows"][:] = 0
            while closes[session] < ts:
                session += 1
            end = bucket_end(timeframe, opens[session], closes[session], ts)
        for s in range(partial.shape[0]):
            if bars.present[row, s]:
                held = 1
                volume = bars.volume[row, s]
                fold(
                    partial[s],
                    bars.open[row, s],
                    bars.high[row, s],
                    bars.low[row, s],
                    bars.close[row, s],
                    volume,
                )
        if ts == end and held:
            write_partial(partial, end, out, count)
            known_at[count] = seq + row
            count += 1
            held = 0
    clock[0]["end"], clock[0]["held"] = end, held
    clock[0]["last_ts"], clock[0]["last_seq"] = ts, seq + row
    clock[0]["bars"] += count
    return count


@kernel
def fold_extra(kind: int, value: float, volume: float, partial: NDArray[np.float64], s: int, k: int) -> None:
    """Add the value of one source bar to that of the unfinished bar.

    Args:
        kind: A Fold.
        value: Of the source bar; NaN changes nothing.
        volume: Of the source bar, the weight of a mean.
        partial: Value so far (NaN for none) and, of a mean, sum and weight so far, shape (S, K, 3), changed.
        s: Number of the symbol.
        k: Number of the column.
    """
    if np.isnan(value):
        return
    before = partial[s, k, 0]
    if kind == _MEAN:
        if volume > 0.0:
            partial[s, k, 1] += value * volume
            partial[s, k, 2] += volume
            partial[s, k, 0] = partial[s, k, 1] / partial[s, k, 2]
    elif np.isnan(before):
        partial[s, k, 0] = value
    elif kind == _SUM:
        partial[s, k, 0] = before + value
    elif kind == _LARGEST:
        partial[s, k, 0] = max(before, value)
    elif kind == _SMALLEST:
        partial[s, k, 0] = min(before, value)
    else:
        partial[s, k, 0] = value


@kernel
def write_extra(partial: NDArray[np.float64], out: NDArray[np.float64], at: int) -> None:
    """Write the unfinished values of all symbols as row `at` of `out`; `partial` stays as it is."""
    for s in range(partial.shape[0]):
        for k in range(partial.shape[1]):
            out[at, s, k] = partial[s, k, 0]


@kernel
def clear_extra(partial: NDArray[np.float64]) -> None:
    """Begin an empty bar."""
    for s in range(partial.shape[0]):
        for k in range(partial.shape[1]):
            partial[s, k, 0] = np.nan
            partial[s, k, 1] = 0.0
            partial[s, k, 2] = 0.0


@kernel
def aggregate_extra(
    timeframe: int,
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    end: int,
    held: int,
    bars: Bars,
    kinds: NDArray[np.int64],
    extra: NDArray[np.float64],
    partial: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Fold the extra columns of source rows into the buckets of `aggregate_rows`, which runs after it.

    Args:
        timeframe: Length of a bucket, nanoseconds.
        opens: Exclusive starts of the sessions, nanoseconds UTC.
        closes: Their inclusive ends.
        end: End of the bucket before the first row.
        held: Whether any symbol traded in it.
        bars: Source rows, at least one.
        kinds: A Fold for each column, shape (K,).
        extra: Values, shape (rows, S, K).
        partial: Of the unfinished bar, shape (S, K, 3), changed.
        out: Completed values, room for rows + 1, shape (rows + 1, S, K).

    Returns:
        How many bars were completed.
    """
    count = 0
    session = np.searchsorted(closes, bars.ts_event[0])
    for row in range(bars.ts_event.shape[0]):
        ts = bars.ts_event[row]
        if ts > end:
            if held:
                write_extra(partial, out, count)
                count += 1
                held = 0
            clear_extra(partial)
            while closes[session] < ts:
                session += 1
            end = bucket_end(timeframe, opens[session], closes[session], ts)
        for s in range(extra.shape[1]):
            if bars.present[row, s]:
                held = 1
                for k in range(extra.shape[2]):
                    fold_extra(kinds[k], extra[row, s, k], bars.volume[row, s], partial, s, k)
        if ts == end and held:
            write_extra(partial, out, count)
            count += 1
            held = 0
    return count
