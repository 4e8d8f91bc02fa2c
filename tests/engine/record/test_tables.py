from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from engine.base.errors import GrandModelError
from engine.record.records import CLOSED_ORDER
from engine.record.tables import (
    DECISION_COLUMNS,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    ParquetFile,
    RecordTable,
    records_table,
)
from engine.types.records import COMMAND, FILL, CommandKind, OrderEventKind, OrderType, Reason, Role


def test_every_enum_value_reads_as_its_own_lower_case_name() -> None:
    fills = np.zeros(len(Reason), FILL)
    fills["reason"], fills["side"] = list(Reason), 1
    words = records_table(fills, FILL_COLUMNS, ["A"]).column("reason").to_pylist()
    assert words == [reason.name.lower() for reason in Reason]
    fills = np.zeros(len(Role), FILL)
    fills["role"], fills["side"] = list(Role), -1
    table = records_table(fills, FILL_COLUMNS, ["A"])
    roles = ["entry", "stop_loss", "take_profit", "kill_switch", "liquidation", "flatten"]
    assert table.column("role").to_pylist() == roles
    assert set(table.column("side").to_pylist()) == {"sell"}


def test_a_price_or_time_of_zero_is_null_and_a_quantity_of_zero_is_not() -> None:
    commands = np.zeros(1, COMMAND)
    commands["kind"], commands["symbol"], commands["ts_event"] = CommandKind.CANCEL_ALL, 1, 1_500_000_000
    row = records_table(commands, DECISION_COLUMNS, ["A<", "B&"]).to_pylist()[0]
    assert row["symbol"] == "B&" and row["kind"] == "cancel_all" and row["type"] is None
    assert row["limit"] is None and row["expires"] is None and row["quantity"] == 0.0
    assert row["ts_event"].isoformat() == "1970-01-01T00:00:01.500000+00:00"


def test_average_price_of_an_order() -> None:
    orders = np.zeros(2, CLOSED_ORDER)
    orders["id"], orders["side"], orders["type"] = [1, 2], 1, OrderType.LIMIT
    orders["status"] = [OrderEventKind.FILLED, OrderEventKind.SUBMITTED]
    orders["filled"], orders["value"] = [4, 0], [398, 0]
    rows = records_table(orders, ORDER_COLUMNS, ["A"]).to_pylist()
    assert [row["price"] for row in rows] == [99.5, None]
    assert [row["status"] for row in rows] == ["filled", "working"]


def test_records_survive_the_way_through_a_file_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.record.tables.BATCH", 3)
    table = RecordTable(tmp_path / "fills.parquet", FILL, FILL_COLUMNS, ["A", "B"])
    for k in range(10):
        fill = np.zeros(1, FILL)
        fill["side"], fill["symbol"], fill["seq"], fill["price"] = 1 if k % 2 else -1, k % 2, k, k / 8
        table.add(fill)
    table.close()
    frame = pl.read_parquet(tmp_path / "fills.parquet")
    assert frame["row"].to_list() == list(range(10))
    assert frame["price"].to_list() == [k / 8 for k in range(10)]
    assert frame["symbol"].cast(pl.String).to_list() == ["A", "B"] * 5
    assert pa.parquet.ParquetFile(tmp_path / "fills.parquet").num_row_groups == 4


def test_a_table_without_records_has_its_columns(tmp_path: Path) -> None:
    table = RecordTable(tmp_path / "fills.parquet", FILL, FILL_COLUMNS, ["A"])
    table.close()
    frame = pl.read_parquet(tmp_path / "fills.parquet")
    assert frame.columns == [column.name for column in FILL_COLUMNS] and frame.is_empty()


def test_a_disk_that_refuses_is_an_error_with_the_file_named(tmp_path: Path) -> None:
    file = ParquetFile(tmp_path / "absent" / "x.parquet")
    with pytest.raises(GrandModelError, match=r"x\.parquet"):
        file.write(pa.table({"a": [1.0]}))
