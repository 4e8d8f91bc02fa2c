"""Average true range of the bars of a seat that is a rule agent; feature streams have their own."""

from __future__ import annotations

import numpy as np

from agents.features.kernels.indicators import smoothed, true_range
from engine.base.compiled import kernel
from engine.types.blocks import Floats
from engine.types.records import Bars, Records

ATR_BARS = 14

RANGE_STATE = np.dtype([("seen", np.int64)] + [(name, np.float64) for name in ("close", "average", "last")])
"""Bars seen, the close before, Wilder's average (the sum of the ranges until there are 14), the last range given."""


@kernel
def average_ranges(bars: Bars, state: Records, out: Floats) -> None:
    """Average true ranges of consecutive bars, from the first bar of a symbol on.

    Args:
        bars: Arrays of shape (n, S).
        state: RANGE_STATE, shape (S,), changed; `last` is NaN before the first bar.
        out: Price units, shape (n, S); where a symbol has no bar, the one before.
    """
    for s in range(state.shape[0]):
        record = state[s]
        for i in range(bars.ts_event.shape[0]):
            if bars.present[i, s]:
                high, low, n = bars.high[i, s], bars.low[i, s], record.seen
                if n == 0:
                    record.last = high - low  # stands in until there is a close before
                else:
                    sample = true_range(high, low, record.close)
                    record.average = smoothed(record.average, n, ATR_BARS, 1.0 / ATR_BARS, sample)
                    # rule agents decide from the first bar on: a young average is the mean of the ranges so far
                    record.last = record.average if n >= ATR_BARS else record.average / n
                record.close = bars.close[i, s]
                record.seen = n + 1
            out[i, s] = record.last
