"""Steps for the tests of the dashboard: any numbers, told by a seed, that hang together as a simulator's do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from engine.types.blocks import BarBlock
from engine.types.records import ACCOUNT, COMMAND, FILL, LEDGER_COLUMNS, ORDER, ORDER_EVENT, POSITION
from engine.types.step import StepBlock
from tests.waiting import LIMIT_S

MINUTE = 60 * 10**9
START = 1_704_067_200 * 10**9  # 2024-01-01 00:00 UTC


def make_step(
    equity: Sequence[float],
    *,
    seq: int = 0,
    symbols: tuple[str, ...] = ("EURUSD",),
    seed: int = 0,
    fills: int = 0,
    events: int = 0,
    orders: int = 0,
    initial: float = 1000.0,
    peak: float | None = None,
    **account: float,
) -> StepBlock:
    """A step whose equity is given; records are random, the account agrees with the equity."""
    rng = np.random.default_rng(seed + seq)
    rows, count = len(equity), len(symbols)
    ts = START + (seq + 1 + np.arange(rows, dtype=np.int64)) * MINUTE
    close = rng.uniform(1.0, 2.0, (rows, count))
    bars = BarBlock.from_columns(symbols, ts, dict.fromkeys(("open", "high", "low", "close"), close), seq=seq)
    ledger = rng.normal(size=(rows, len(LEDGER_COLUMNS)))
    ledger[:, LEDGER_COLUMNS.index("equity")] = equity
    after = np.zeros(1, ACCOUNT)
    after["initial"], after["session_equity"] = initial, initial
    after["equity"], after["peak_equity"] = equity[-1], peak if peak is not None else max(initial, *equity)
    after["seq"], after["ts_event"], after["orders"] = seq + rows, ts[-1], orders
    for field, value in account.items():
        after[field] = value
    positions = np.zeros(count, POSITION)
    positions["quantity"] = np.round(rng.normal(0, 50, count))
    positions["mark"], positions["avg_price"] = close[-1], rng.uniform(1.0, 2.0, count)
    return StepBlock(
        bars=bars,
        ledger=ledger,
        positions=np.tile(positions["quantity"], (rows, 1)),
        fills=_fills(rng, fills, count, int(ts[-1])),
        events=_events(rng, events, count, int(ts[-1])),
        decisions=np.zeros(0, COMMAND),
        account=after,
        position_records=positions,
        orders=_orders(rng, orders, count, int(ts[0])),
    )


def _fills(rng, number, symbols, ts):
    records = np.zeros(number, FILL)
    records["symbol"], records["side"] = rng.integers(0, symbols, number), rng.choice([-1, 1], number)
    records["quantity"], records["price"] = rng.integers(1, 100, number), rng.uniform(1.0, 2.0, number)
    records["realized"], records["fee"] = rng.normal(0, 1e4, number), rng.uniform(0, 10, number)
    records["role"], records["ts_event"], records["order_id"] = rng.integers(0, 5, number), ts, np.arange(number)
    records["reason"] = rng.integers(0, 21, number)
    return records


def _events(rng, number, symbols, ts):
    records = np.zeros(number, ORDER_EVENT)
    records["symbol"], records["kind"] = rng.integers(0, symbols, number), rng.integers(1, 7, number)
    records["reason"], records["role"] = rng.integers(0, 21, number), rng.integers(0, 5, number)
    records["ts_event"] = ts
    return records


def _orders(rng, number, symbols, ts):
    records = np.zeros(number, ORDER)
    records["id"], records["symbol"] = rng.permutation(number) + 1, rng.integers(0, symbols, number)
    records["side"], records["type"] = rng.choice([-1, 1], number), rng.integers(1, 6, number)
    records["quantity"], records["role"] = rng.integers(1, 100, number), rng.integers(0, 5, number)
    records["limit"] = np.where(np.isin(records["type"], (2, 4)), rng.uniform(1.0, 2.0, number), 0.0)
    records["stop"] = np.where(np.isin(records["type"], (3, 4, 5)), rng.uniform(1.0, 2.0, number), 0.0)
    records["submitted_ts"] = ts
    return records


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screens give a slow machine time: to write their last words, to show an answer, to press a key again."""
    for name in ("live.CLOSE_S", "training.live.CLOSE_S", "keys.CONFIRM_S", "keys.ANSWER_S"):
        monkeypatch.setattr(f"engine.dashboard.{name}", LIMIT_S)


class Latest:
    """A subscription that keeps the latest step only, as the bus gives one to screens."""

    def __init__(self) -> None:
        self._step: StepBlock | None = None
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, step: StepBlock) -> None:
        self._step = step
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[StepBlock]:
        return self

    async def __anext__(self) -> StepBlock:
        while self._step is None:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        step, self._step = self._step, None
        return step
