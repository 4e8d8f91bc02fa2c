"""Order books from tables, in files that are written here in the form of the vendors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import DataError
from engine.types.blocks import concat
from engine.types.instruments import Instrument
from feeds.books.book import OrderBook
from feeds.books.layout import NO_PRICE
from feeds.books.tables import TableBook
from feeds.reading.files.open_file import open_file
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from tests.feeds.books.plain_book import PlainBook
from tests.feeds.books.streams import TICK, Row, market

NAME = "AAPL_2012-06-21_34200000_57600000_{}_20.csv"
LEVELS = 20


def lobster_files(folder: Path, rows: list[Row]) -> tuple[Path, Path, list[list[int]]]:
    """Messages and states in LOBSTER's form, the states by the plain book; the first row comes after 200 orders."""
    plain, lines, states, at = PlainBook(), [], [], 0
    for action, side, price, size, order, flags in rows:
        plain.apply(action, side, price, size, order, flags)
        if action == "R" or flags & 32:
            continue
        code = {"A": 1, "C": 2}.get(action)
        if code is None:
            continue
        at += 1
        lines.append(f"{34200 + at * 0.25:.9f},{code},{order},{size},{price // 100_000},{1 if side == 'B' else -1}")
        asks, bids = plain.levels("A")[:LEVELS], plain.levels("B")[:LEVELS]
        state = []
        for level in range(LEVELS):
            ask = asks[level] if level < len(asks) else (9_999_999_999 * 100_000, 0)
            bid = bids[level] if level < len(bids) else (-9_999_999_999 * 100_000, 0)
            state += [ask[0] // 100_000, ask[1], bid[0] // 100_000, bid[1]]
        states.append(state)
    messages, book = folder / NAME.format("message"), folder / NAME.format("orderbook")
    messages.write_text("\n".join(lines) + "\n")
    book.write_text("\n".join(",".join(map(str, state)) for state in states) + "\n")
    return messages, book, states


def simple(seed: int, orders_first: int, narrow: int) -> list[Row]:
    """A market without changes of size, which LOBSTER has not, on few levels, so that all are among the states."""
    rows = [row for row in market(seed, 1200, orders_first) if row[0] in "RAC"]
    kept: list[Row] = []
    left: dict[int, int] = {}
    for action, side, price, size, order, flags in rows:
        if action == "A":
            if abs(price // TICK - 4000) > narrow:
                continue
            left[order] = size
        elif action == "C" and not left.get(order):
            continue
        part = min(size, left.get(order, size))
        if action == "C":
            left[order] -= part
        kept.append((action, side, price, part, order, flags if flags & 32 else flags | 128))
    return kept


@pytest.mark.parametrize("orders_first", [2, 200])
def test_messages_of_lobster_give_its_states_row_by_row(tmp_path: Path, orders_first: int) -> None:
    path, _, states = lobster_files(tmp_path, simple(3, orders_first, 9))
    book, found = OrderBook(), []
    whole = np.concatenate(list(TableBook(open_file(path)).messages()))
    reached = 0
    while reached < len(whole):
        reached = book.apply_event(whole, reached)
        levels = book.levels(LEVELS)
        state = []
        for level in range(LEVELS):
            ask, bid = int(levels.asks[level]), int(levels.bids[level])
            state += [
                9_999_999_999 if ask == NO_PRICE else ask // 100_000,
                int(levels.ask_sizes[level]),
                -9_999_999_999 if bid == -NO_PRICE else bid // 100_000,
                int(levels.bid_sizes[level]),
            ]
        found.append(state)
    assert found == states
    assert book.counts["unknown_orders"] == 0


def test_executions_of_lobster_are_trades_of_the_other_side(tmp_path: Path) -> None:
    path = tmp_path / NAME.format("message")
    path.write_text(
        "34200.1,1,1,10,1000000,1\n34200.2,1,2,10,1000100,-1\n34200.3,4,2,4,1000100,-1\n34200.4,5,0,7,1000050,1\n34201.5,3,1,10,1000000,1\n"
    )
    source = open_replay(
        path, Instrument(name="AAPL"), ReplayConfig.model_validate({"bars": "time:1s", "book": {"levels": 1}})
    )
    assert source.symbols == ("AAPL",)
    block = concat(list(source.blocks(10)))
    assert block.volume.tolist() == [[11.0]]
    assert block.extra["signed_volume"].tolist() == [[4.0 - 7.0]]
    assert block.extra["ask_size"].tolist() == [[6.0]]
    assert block.extra["bid"].tolist() == [[100.0]]


def tardis(path: Path, events: list[list[tuple[bool, str, float, float]]]) -> Path:
    lines = ["exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"]
    for at, rows in enumerate(events):
        ts = 1_585_699_200_000_000 + at * 400_000
        for snapshot, side, price, size in rows:
            lines.append(f"deribit,BTC-PERPETUAL,{ts},{ts + 5_000},{str(snapshot).lower()},{side},{price},{size}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_levels_of_tardis(tmp_path: Path) -> None:
    events = [
        [(True, "bid", 6421.5, 18640.0), (True, "bid", 6421.0, 2.5), (True, "ask", 6422.0, 0.125)],
        [(False, "ask", 6422.0, 0.0), (False, "ask", 6422.5, 3.0)],
        [(False, "bid", 6421.5, 7.0)],
        [(True, "bid", 6400.0, 1.0), (True, "ask", 6401.0, 2.0)],
        [(False, "bid", 6400.0, 1.5)],
    ]
    source = TableBook(open_file(tardis(tmp_path / "deribit_incremental_book_L2_2020-04-01_BTC.csv", events)))
    whole = np.concatenate(list(source.messages()))
    plain: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
    book, reached, before = OrderBook(), 0, False
    for rows in events:
        reached = book.apply_event(whole, reached)
        for snapshot, side, price, size in rows:
            if snapshot and not before:
                plain = {"bid": {}, "ask": {}}
            before = snapshot
            plain[side][price] = size
        plain = {side: {price: size for price, size in levels.items() if size} for side, levels in plain.items()}
        found = book.levels(3)
        for side, prices, sizes in (("bid", found.bids, found.bid_sizes), ("ask", found.asks, found.ask_sizes)):
            pairs = [(p / 1e9, s * source.size_unit) for p, s in zip(prices.tolist(), sizes.tolist(), strict=True) if s]
            expected = sorted(plain[side].items(), reverse=side == "bid")
            np.testing.assert_allclose(pairs, expected, rtol=1e-12)
    assert reached == len(whole)
    assert book.counts["snapshots"] == 2


def test_snapshots_in_columns(tmp_path: Path) -> None:
    head = ",".join(
        f"{side}s[{level}].{what}" for level in range(2) for side in ("ask", "bid") for what in ("price", "amount")
    )
    lines = [f"exchange,symbol,timestamp,local_timestamp,{head}"]
    rows = [[101.0, 3.0, 100.0, 2.0, 102.0, 1.0, 99.0, 4.5], [101.5, 2.0, 100.0, 5.0, "", "", 99.0, 4.5]]
    for at, row in enumerate([*rows, rows[1]]):
        ts = 1_585_699_200_100_000 + at * 700_000
        lines.append(f"binance,BTCUSDT,{ts},{ts},{','.join(map(str, row))}")
    path = tmp_path / "binance_book_snapshot_5_2020-04-01_BTCUSDT.csv"
    path.write_text("\n".join(lines) + "\n")
    source = open_replay(
        path, Instrument(name="BTC"), ReplayConfig.model_validate({"bars": "time:1s", "book": {"levels": 2}})
    )
    block = concat(list(source.blocks(10)))
    assert block.extra["bid"].tolist() == [[100.0]]
    assert block.extra["bid_size"][:, 0] == pytest.approx([5.0])
    assert block.extra["ask"].tolist() == [[101.5]]
    assert np.isnan(block.extra["ask_2"][0, 0])
    # the bid grew by 3; the ask rose, which took 3 away from it
    assert block.extra["order_flow_imbalance"][:, 0] == pytest.approx([3.0 + 3.0])


def test_states_without_messages_are_refused(tmp_path: Path) -> None:
    _, path, _ = lobster_files(tmp_path, simple(3, 200, 9))
    with pytest.raises(DataError, match="cannot be read as a book alone"):
        TableBook(open_file(path))
