from __future__ import annotations

import pytest

from engine.base.errors import DataError
from feeds.reading.columns.names import match_columns

PRICES = ["open", "high", "low", "close"]


def test_names_go_before_positions() -> None:
    found = match_columns(["Volume", "CLOSE", " low ", "<HIGH>", "Open", "Adj Close", "Date"], "X")
    assert found.by_role == {
        "timestamp": "Date",
        "open": "Open",
        "high": "<HIGH>",
        "low": " low ",
        "close": "CLOSE",
        "volume": "Volume",
    }


@pytest.mark.parametrize(
    ("times", "chosen", "labels", "utc"),
    [
        (["", "date"], "date", None, False),
        (["Unnamed: 0", "date"], "date", None, False),
        (["Date", "Time"], "Date + Time", None, False),
        (["date", "timestamp"], "timestamp", None, False),
        (["ts_event", "ts_init"], "ts_event", None, False),
        (["close_time", "open_time"], "open_time", "open", False),
        (["Close Time"], "Close Time", "close", False),
        (["timestamp_utc"], "timestamp_utc", None, True),
        (["Gmt time"], "Gmt time", None, True),
        (["__index_level_0__"], "__index_level_0__", None, False),
        (["index"], "index", None, False),
    ],
)
def test_which_column_is_the_time(times: list[str], chosen: str, labels: str | None, utc: bool) -> None:
    found = match_columns([*times, *PRICES], "X")
    assert found.by_role["timestamp"] == chosen
    assert (found.labels, found.utc) == (labels, utc)


def test_what_is_missing_is_listed_with_what_is_accepted() -> None:
    with pytest.raises(DataError) as caught:
        match_columns(["when", "Open", "Max", "Low"], "X.csv")
    assert caught.value.what == "there is no column for close, time"
    assert "close (close, c, close_price, last)" in str(caught.value.expected)
    assert "ts_event" in str(caught.value.expected)
    assert caught.value.found == "columns 'when', 'Open', 'Max', 'Low'"


def test_a_column_there_twice_is_ambiguous_unless_it_is_not_needed() -> None:
    assert match_columns(["date", *PRICES, "note", "note"], "X").symbol is None
    with pytest.raises(DataError, match="'close' is there 2 times"):
        match_columns(["date", *PRICES, "Close"], "X")


def test_trades_and_quotes_are_recognised() -> None:
    with pytest.raises(DataError, match="trades or quotes"):
        match_columns(["timestamp", "bid", "ask"], "X")
