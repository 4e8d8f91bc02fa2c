"""What an account that stands idle carries from bar to bar."""

from __future__ import annotations

from engine.base.compiled import kernel
from engine.types.blocks import Floats, Ints
from engine.types.records import Bars, Records
from portfolio.kernels.row import update_variance


@kernel
def idle_variances(bars: Bars, firsts: Ints, decay: float, position: Records, out: Floats) -> None:
    """Mark and variance with which a position arrives at every row of sources that lie end to end.

    Args:
        bars: The Bars of all sources.
        firsts: First row of each, ascending, int64.
        decay: Of the variance.
        position: POSITION, shape (1,); scratch.
        out: Mark and variance before the row, shape (R, 2).
    """
    record, source = position[0], 0
    for i in range(out.shape[0]):
        if source < firsts.shape[0] and i == firsts[source]:
            record.mark = record.variance = 0.0
            record.seen = 0
            source += 1
        out[i, 0], out[i, 1] = record.mark, record.variance
        if bars.present[i, 0]:
            update_variance(record, bars.close[i, 0], decay)
            record.mark = bars.close[i, 0]
            record.seen += 1
