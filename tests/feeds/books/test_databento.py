"""Files of Databento: the real one, and what is wrong with damaged ones."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.base.errors import DataError
from feeds.books.book import OrderBook
from feeds.books.layout import Side
from tests.feeds.books.plain_book import PlainBook
from tests.real import FOLDER

dbn = pytest.importorskip("databento_dbn")
from feeds.books.databento import DatabentoFile  # noqa: E402 - needs the package

ES = FOLDER / "esh4-glbx-mdp3-20231224.mbo.dbn.zst"
needs_book = pytest.mark.skipif(not ES.is_file(), reason="the folder of real market data is not here")


def record(action: str, side: str, price: int, size: int, order: int, flags: int, instrument: int = 7) -> bytes:
    return bytes(
        dbn.MBOMsg(
            publisher_id=1,
            instrument_id=instrument,
            ts_event=1_700_000_000_000_000_000,
            order_id=order,
            price=price,
            size=size,
            action=dbn.Action.from_str(action),
            side=dbn.Side.from_str(side),
            ts_recv=1_700_000_000_000_000_001,
            flags=flags,
        )
    )


def dbn_file(path: Path, records: list[bytes], symbols: dict[str, int], schema: str = "mbo") -> Path:
    days = {"start_date": date(2023, 11, 14), "end_date": date(2023, 11, 15)}
    mappings = [
        SimpleNamespace(raw_symbol=name, intervals=[SimpleNamespace(**days, symbol=str(number))])
        for name, number in symbols.items()
    ]
    metadata = dbn.Metadata(
        dataset="GLBX.MDP3",
        start=1_700_000_000_000_000_000,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.from_str(schema),
        symbols=list(symbols),
        mappings=mappings,
    )
    path.write_bytes(bytes(metadata) + b"".join(records))
    return path


@needs_book
def test_the_real_book_is_that_of_the_plain_one() -> None:
    """Read by the package's own objects and kept by the plain book, against our reader and the compiled one."""
    decoder = dbn.DBNDecoder(compression=dbn.Compression.ZSTD)
    decoder.write(ES.read_bytes())
    totals: dict[tuple[str, int], int] = {}
    queues: dict[tuple[str, int], list[tuple[int, int]]] = {}
    plain = PlainBook()
    for message in decoder.decode()[1:]:
        # a snapshot holds nothing but orders: with that, a dictionary is a plain book that is not quadratic
        assert str(message.action) == "A"
        key = (str(message.side), message.price)
        totals[key] = totals.get(key, 0) + message.size
        queues.setdefault(key, []).append((message.order_id, message.size))
    assert plain.orders == []
    file, book = DatabentoFile(ES), OrderBook()
    assert file.symbols == ("ESH4",)
    for part in file.messages("ESH4"):
        book.apply(part)
    found = book.levels(1000)
    for side, prices, sizes in (("B", found.bids, found.bid_sizes), ("A", found.asks, found.ask_sizes)):
        expected = sorted(((price, size) for (one, price), size in totals.items() if one == side), reverse=side == "B")
        assert [pair for pair in zip(prices.tolist(), sizes.tolist(), strict=True) if pair[1]] == expected
        for price, _ in expected:
            assert book.queue(Side(ord(side)), price) == queues[side, price]
    counts = book.counts
    assert (counts["messages"], counts["events"], counts["snapshots"], counts["bad_times"]) == (8725, 1, 1, 8725)
    assert (counts["crossed"], counts["unknown_orders"], counts["bad_flags"]) == (0, 0, 0)


@needs_book
def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.mbo.dbn.zst"
    cut.write_bytes(ES.read_bytes()[:30_000])
    with pytest.raises(DataError, match="damaged"):
        list(DatabentoFile(cut).messages())


def test_what_is_not_dbn_is_named(tmp_path: Path) -> None:
    path = tmp_path / "junk.dbn"
    path.write_bytes(b"timestamp,open,high,low,close\n" * 10)
    with pytest.raises(DataError, match="not DBN"):
        DatabentoFile(path)


def test_instruments_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    records = [
        record("A", "B", 100_000_000_000, 3, 1, 128, 7),
        record("A", "B", 200_000_000_000, 5, 1, 128, 8),
        record("A", "A", 101_000_000_000, 4, 2, 128, 7),
    ]
    file = DatabentoFile(dbn_file(tmp_path / "two.dbn", records, {"AAA": 7, "BBB": 8}))
    assert file.symbols == ("AAA", "BBB")
    for symbol, bid, sizes in (("AAA", 100_000_000_000, [3, 4]), ("BBB", 200_000_000_000, [5, 0])):
        book = OrderBook()
        for part in file.messages(symbol):
            book.apply(part)
        levels = book.levels(1)
        assert levels.bids.tolist() == [bid]
        assert [*levels.bid_sizes.tolist(), *levels.ask_sizes.tolist()] == sizes


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = dbn_file(tmp_path / "trades.dbn", [], {"AAA": 7}, "trades")
    with pytest.raises(DataError, match="another schema"):
        DatabentoFile(path)


def test_a_record_that_is_cut_is_an_error(tmp_path: Path) -> None:
    records = [record("A", "B", 100_000_000_000, 3, 1, 128)]
    path = dbn_file(tmp_path / "cut.dbn", records, {"AAA": 7})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="breaks off"):
        list(DatabentoFile(path).messages())
