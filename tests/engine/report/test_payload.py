from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from engine.record.reading import read_table
from engine.report.payload import contents
from engine.report.tables import packed
from tests.engine.runs import run_folder


def test_numbers_are_packed_as_little_endian_bytes() -> None:
    column = packed([1.5, np.nan], "f8")
    values = np.frombuffer(base64.b64decode(column["bytes"]), "<f8")
    assert column["type"] == "f8" and values[0] == 1.5 and np.isnan(values[1])
    assert np.frombuffer(base64.b64decode(packed([-1, 2], "i4")["bytes"]), "<i4").tolist() == [-1, 2]


def test_long_lists_are_cut_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(tmp_path, rows=500, change=0.3)
    monkeypatch.setattr("engine.report.payload.MOST_FILLS", 10)
    monkeypatch.setattr("engine.report.payload.MOST_TRADES", 4)
    data = contents(tmp_path, {}, {}).data
    assert len(base64.b64decode(data["fills"]["price"]["bytes"])) == 80
    assert "first 10 of" in data["fills_note"]
    assert len(data["trades"]["symbol"]) == len(data["trades"]["closed_by"]) == 4


def test_a_trade_says_how_it_was_closed(tmp_path: Path) -> None:
    run_folder(tmp_path, rows=300, change=0.2)
    data = contents(tmp_path, {}, {}).data
    assert set(data["trades"]["closed_by"]) == {"order", "still open"}
    assert data["trades"]["closed_by"][-1] == "still open"


def test_rows_from_which_others_decided_have_a_place_on_the_charts(tmp_path: Path) -> None:
    run_folder(tmp_path, rows=300, change=0.2)
    manifest = {
        "roles": [
            {"seq": 120, "name": "learned-60", "role": "champion", "by": "test"},
            {"seq": 120, "name": "first", "role": "shadow", "by": "test"},
            {"seq": 9_000, "name": "nobody", "role": "champion", "by": "test"},
        ],
        "activations": [{"seq": 0, "version": "first"}, {"seq": 30, "version": "<second>"}, {"seq": 120}],
    }
    chart = contents(tmp_path, manifest, {}).data
    times = np.frombuffer(base64.b64decode(chart["chart"]["ts"]["bytes"]), "<f8")
    found = {one["name"]: times[one["at"]] for one in chart["takeovers"]}
    ledger = read_table(tmp_path / "ledger.parquet", ["ts_event"])["ts_event"].cast("int64").to_numpy()
    assert set(found) == {"<second>", "learned-60"}
    assert found["<second>"] >= ledger[30] / 1e6 and found["learned-60"] >= ledger[120] / 1e6
    assert contents(tmp_path, {**manifest, "first_row": 100}, {}).data["takeovers"][0]["name"] == "learned-60"
    assert contents(tmp_path, {"roles": "x"}, {}).data["takeovers"] == []
