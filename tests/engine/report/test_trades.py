from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.report.payload import contents
from engine.report.trades import Trades, breakdowns
from tests.engine.report.test_html import unpacked
from tests.engine.runs import run_folder

HOUR = 3_600_000_000_000
MONDAY = 1_704_067_200_000_000_000  # 2024-01-01 00:00 UTC


def test_trades_are_grouped_by_what_they_share() -> None:
    trades = Trades(
        symbol=np.array(["A", "B", "A", "A"]),
        side=np.array(["long", "long", "long", "short"]),
        closed_by=np.array(["order", "stop loss", "order", "still open"]),
        entry=MONDAY + HOUR * np.array([1, 25, 26, 48], dtype=np.int64),
        exit=MONDAY + HOUR * np.array([2, 26, 27, 49], dtype=np.int64),
        profit=np.array([10.0, -4.0, 0.0, 99.0]),
        open=np.array([False, False, False, True]),
    )
    tables = {table.title: [tuple(group) for group in table.groups] for table in breakdowns(trades)}
    assert tables == {  # by side there is nothing to compare: all closed trades are long
        "Symbol": [("A", 2, 0.5, 10.0, 5.0), ("B", 1, 0.0, -4.0, -4.0)],
        "Closed by": [("order", 2, 0.5, 10.0, 5.0), ("stop loss", 1, 0.0, -4.0, -4.0)],
        "Hour of entry (UTC)": [("01:00", 2, 0.5, 6.0, 3.0), ("02:00", 1, 0.0, 0.0, 0.0)],
        "Weekday of entry (UTC)": [("Monday", 1, 1.0, 10.0, 10.0), ("Tuesday", 2, 0.0, -4.0, -2.0)],
    }


@pytest.mark.parametrize("symbols", [1, 3])
def test_every_trade_knows_its_first_and_last_fill(tmp_path: Path, symbols: int) -> None:
    run_folder(tmp_path, rows=900, symbols=symbols, change=0.2)
    data = contents(tmp_path, {}, {}).data
    fills = pl.read_parquet(tmp_path / "fills.parquet").with_columns(pl.col(pl.Categorical).cast(pl.String))
    trades = pl.read_parquet(tmp_path / "trades.parquet").with_columns(pl.col(pl.Categorical).cast(pl.String))
    first, last = unpacked(data["trades"]["entry_fill"]), unpacked(data["trades"]["exit_fill"])
    assert len(first) == trades.height > 50 and (first > 0).all()
    for number, trade in enumerate(trades.iter_rows(named=True)):
        opened = fills.row(int(first[number]) - 1, named=True)
        assert (opened["symbol"], opened["ts_event"]) == (trade["symbol"], trade["entry_time"])
        assert opened["side"] == ("buy" if trade["side"] == "long" else "sell")
        assert (last[number] == 0) == trade["open"]
        if last[number]:
            closed = fills.row(int(last[number]) - 1, named=True)
            assert (closed["symbol"], closed["ts_event"]) == (trade["symbol"], trade["exit_time"])
            assert closed["side"] != opened["side"]
