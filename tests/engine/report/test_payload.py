from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

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
