"""A strategy to begin with: with the trend of the larger bars, in at a crossing, out at a stop or a target."""

from __future__ import annotations

import grandmodel as gm


class Trend(gm.Strategy):
    """Buys where a fast mean crosses above a slow one while the 30-minute trend is up, and sells the mirror image.

    Args:
        fast: Bars in the fast mean.
        slow: Bars in the slow mean.
        stop: Distance of the stop, a fraction of the entry price.
    """

    def __init__(self, fast: int = 20, slow: int = 60, stop: float = 0.004) -> None:
        self.fast, self.slow, self.stop = fast, slow, stop

    def on_start(self, context: gm.Context) -> None:
        """Request each indicator once; it is NaN until there are enough bars."""
        self.quick = context.indicator("ema", self.fast)
        self.calm = context.indicator("ema", self.slow)
        self.trend = context.bars("30min").indicator("ema", 10)

    def on_bar(self, context: gm.Context) -> None:
        """Decide at the close of a bar; orders fill at the open of the next one at the earliest."""
        bar = context.bar()
        if bar is None:
            return
        context.plot("fast", self.quick.value)
        context.plot("slow", self.calm.value)
        if context.position().quantity or context.orders():
            return
        if self.quick.crossed_above(self.calm) and bar.close > self.trend.value:
            context.buy(1, stop_distance=self.stop, target_distance=2 * self.stop)
        elif self.quick.crossed_below(self.calm) and bar.close < self.trend.value:
            context.sell(1, stop_distance=self.stop, target_distance=2 * self.stop)
