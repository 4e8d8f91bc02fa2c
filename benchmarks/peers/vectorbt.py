"""vectorbt: rolling means and crossings over whole arrays, then Portfolio.from_signals, by both of its engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np

from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve


def prepare(bars: Bars, engine: str, with_equity: bool) -> Callable[[], Run]:
    """Closes and opens as pandas series with an index of times without a zone."""
    import pandas as pd
    import vectorbt as vbt
    from vectorbt.generic import dispatch

    index = pd.DatetimeIndex(bars.ts_event.astype("datetime64[ns]"))
    close, open_ = (pd.Series(bars.columns[name], index=index) for name in ("close", "open"))
    closes = bars.columns["close"]

    def run() -> Callable[[], PeerOutcome]:
        fast = dispatch.rolling_mean_1d(closes, FAST, engine=engine)
        slow = dispatch.rolling_mean_1d(closes, SLOW, engine=engine)
        # decided at a close, filled at the next open: the signals move one row on
        up, down = np.zeros(len(closes), np.bool_), np.zeros(len(closes), np.bool_)
        np.greater(fast[:-1], slow[:-1], out=up[1:])
        np.less(fast[:-1], slow[:-1], out=down[1:])
        portfolio = vbt.Portfolio.from_signals(
            close,
            up,
            down,
            direction="both",
            price=open_,
            size=1.0,
            fees=FEE,
            init_cash=CAPITAL,
            freq="1min",
            engine=engine,
        )
        equity = portfolio.value() if with_equity else None

        def finish() -> PeerOutcome:
            final = portfolio.value() if equity is None else equity
            return PeerOutcome(int(portfolio.orders.count()), float(final.iloc[-1]) - CAPITAL)

        return finish

    return lambda: run


def connect() -> Peer:
    """Import it, and see whether its Rust engine is there."""
    import vectorbt
    from vectorbt._engine import is_rust_available

    versions = {"vectorbt": vectorbt.__version__, **{name: version(name) for name in ("numba", "numpy", "pandas")}}
    systems, absent = {}, {}
    for engine in ("numba", "rust"):
        for with_equity in (False, True):
            name = f"vectorbt-{engine}" + ("-equity" if with_equity else "")
            if engine == "rust" and not is_rust_available():
                absent[name] = "its Rust engine is not installed (vectorbt-rust)"
                continue
            note = "orders and equity curve" if with_equity else "orders only, no equity curve"
            systems[name] = System(partial(prepare, engine=engine, with_equity=with_equity), note)
    return Peer(versions, systems, absent)


if __name__ == "__main__":
    serve(connect)
