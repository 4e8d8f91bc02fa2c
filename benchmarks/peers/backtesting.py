"""backtesting.py: a strategy class, exclusive orders, fills at the next open."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Floats, Peer, PeerOutcome, Run, System, serve


def mean(values: Floats, length: int) -> Floats:
    """Simple moving average; 0 before it exists, since the library would skip those bars and one more."""
    total = np.cumsum(np.asarray(values, dtype=np.float64))
    out = np.zeros(len(total))
    out[length - 1 :] = (total[length - 1 :] - np.concatenate([[0.0], total[:-length]])) / length
    return out


def strategy() -> Any:
    """The strategy class."""
    from backtesting import Strategy

    class SmaCross(Strategy):  # type: ignore[misc] # the library has no types
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, FAST)
            self.slow = self.I(mean, self.data.Close, SLOW)
            self.side = 0

        def next(self) -> None:
            fast, slow = self.fast[-1], self.slow[-1]
            if slow == 0.0:
                return
            if fast > slow and self.side <= 0:
                self.buy(size=1)
                self.side = 1
            elif fast < slow and self.side >= 0:
                self.sell(size=1)
                self.side = -1

    return SmaCross


def prepare(bars: Bars) -> Callable[[], Run]:
    """Bars as a frame; its final statistics are timed apart and taken off."""
    import backtesting.backtesting as library
    import pandas as pd

    index = pd.DatetimeIndex(bars.ts_event.astype("datetime64[ns]"))
    frame = pd.DataFrame({name.capitalize(): values for name, values in bars.columns.items()}, index=index)
    chosen = strategy()
    statistics = library.compute_stats
    spent = [0.0]

    def timed_statistics(*args: Any, **kwargs: Any) -> Any:
        before = time.process_time()
        result = statistics(*args, **kwargs)
        spent[0] = time.process_time() - before
        return result

    def run() -> Callable[[], PeerOutcome]:
        test = library.Backtest(
            frame, chosen, cash=CAPITAL, commission=FEE, trade_on_close=False, hedging=False, exclusive_orders=True
        )
        library.compute_stats = timed_statistics
        result = test.run()
        library.compute_stats = statistics

        def finish() -> PeerOutcome:
            ended = result["_strategy"]
            trades = len(ended.closed_trades) + len(ended.trades)
            return PeerOutcome(trades, float(result["_equity_curve"]["Equity"].iloc[-1]) - CAPITAL, spent[0])

        return finish

    return lambda: run


def connect() -> Peer:
    """Import it."""
    import backtesting

    versions = {"backtesting": backtesting.__version__, **{name: version(name) for name in ("numpy", "pandas")}}
    return Peer(
        versions,
        {"backtesting.py": System(prepare, "a class in plain Python, called bar by bar; its statistics taken off")},
    )


if __name__ == "__main__":
    serve(connect)
