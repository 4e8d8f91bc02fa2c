"""lrvx: its indicators over whole arrays, then Engine.run over the orders of a SignalBuilder.

Its engine fills an order at the close of the bar whose time the order has, so it is given the next bar's time and, as
closes, the opens. It leaves the last position out of its result; that is added outside the measurement.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve


def prepare(bars: Bars) -> Callable[[], Run]:
    """Bars loaded into its engine, opens in the place of closes."""
    import lrvx

    opens, closes, times = bars.columns["open"], bars.columns["close"], bars.ts_event
    engine = lrvx.Engine(CAPITAL, FEE)
    engine.load_ohlcv({"ts": times, **bars.columns, "close": opens}, "")

    def run() -> Callable[[], PeerOutcome]:
        fast, slow = lrvx.sma(closes, FAST), lrvx.sma(closes, SLOW)
        up, down = fast[:-1] > slow[:-1], fast[:-1] < slow[:-1]  # false while a mean is NaN
        decided = np.flatnonzero(up | down)
        side = up[decided]
        turns = decided[np.concatenate([[True], side[1:] != side[:-1]])] if len(decided) else decided
        orders = lrvx.SignalBuilder()
        quantity = 1.0
        for ts, rising in zip(times[turns + 1].tolist(), up[turns].tolist(), strict=True):
            (orders.buy if rising else orders.sell)(ts, quantity)
            quantity = 2.0
        found = engine.run(orders)

        def finish() -> PeerOutcome:
            if not len(turns):
                return PeerOutcome(0, 0.0)
            sign = 1.0 if up[turns[-1]] else -1.0
            still_open = sign * float(closes[-1] - opens[turns[-1] + 1])
            return PeerOutcome(found.total_trades + 1, found.final_capital - CAPITAL + still_open)

        return finish

    return lambda: run


def connect() -> Peer:
    """Import it."""
    from importlib.metadata import version

    import lrvx  # noqa: F401 - whether it can be imported

    return Peer({"lrvx": version("lrvx")}, {"lrvx": System(prepare, "orders and final capital, no equity curve")})


if __name__ == "__main__":
    serve(connect)
