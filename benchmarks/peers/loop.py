"""The loop that everybody writes first: plain Python over lists."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars, Peer, PeerOutcome, Run, System, serve


def replay(opens: list[float], closes: list[float]) -> tuple[list[float], list[tuple[int, int, float]]]:
    """Running sums, a position and cash.

    Returns:
        Equity after each bar, and the fills as (bar, side, price).
    """
    cash, position, wanted = CAPITAL, 0, 0
    fast_sum = slow_sum = 0.0
    equity: list[float] = []
    fills: list[tuple[int, int, float]] = []
    for i, close in enumerate(closes):
        if wanted != position:
            price = opens[i]
            change = wanted - position
            cash -= change * price + abs(change) * price * FEE
            position = wanted
            fills.append((i, change, price))
        fast_sum += close
        slow_sum += close
        if i >= FAST:
            fast_sum -= closes[i - FAST]
        if i >= SLOW:
            slow_sum -= closes[i - SLOW]
        if i >= SLOW - 1:
            fast, slow = fast_sum / FAST, slow_sum / SLOW
            if fast > slow:
                wanted = 1
            elif fast < slow:
                wanted = -1
        equity.append(cash + position * close)
    return equity, fills


def prepare(bars: Bars) -> Callable[[], Run]:
    """Bars as lists of Python numbers."""
    opens, closes = bars.columns["open"].tolist(), bars.columns["close"].tolist()

    def run() -> Callable[[], PeerOutcome]:
        equity, fills = replay(opens, closes)
        return lambda: PeerOutcome(len(fills), equity[-1] - CAPITAL)

    return lambda: run


def connect() -> Peer:
    """Nothing to import."""
    return Peer({}, {"python-loop": System(prepare)})


if __name__ == "__main__":
    serve(connect)
