"""Frames and files go through one reader: the same bars give the same ledger, the same faults the same quarantine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from engine.api.calls import BacktestResult, backtest
from engine.base.errors import DataError, UsageError

AGENT = "sma_cross:fast=3,slow=8"


def bars(rows: int = 400, price: float = 100.0, seed: int = 1, width: str = "1min") -> pd.DataFrame:
    steps = np.random.default_rng(seed).normal(0, 0.002, rows)
    close = price * np.exp(np.cumsum(steps))
    open_ = np.concatenate([[price], close[:-1]])
    times = pd.date_range("2024-03-04", periods=rows, freq=width)
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    columns = {"open": open_, "high": high, "low": low, "close": close, "volume": np.arange(rows) + 1.0}
    return pd.DataFrame({"timestamp": times} | columns)


def long_frame() -> pd.DataFrame:
    parts = [bars(seed=1).assign(symbol="A"), bars(price=2000.0, seed=2).assign(symbol="B")]
    return pd.concat(parts).sort_values(["timestamp", "symbol"]).reset_index(drop=True)


def run(data: Any, **settings: Any) -> BacktestResult:
    return backtest(data, agent=settings.pop("agent", AGENT), **settings)


FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "pandas, by index": lambda frame: frame.set_index("timestamp"),
    "pandas, index without a name": lambda frame: frame.set_index("timestamp").rename_axis(None),
    "pandas, zone": lambda frame: frame.assign(
        timestamp=frame.timestamp.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    ),
    "pandas, in seconds": lambda frame: frame.assign(timestamp=frame.timestamp.astype("datetime64[s]")),
    "pandas, text": lambda frame: frame.assign(timestamp=frame.timestamp.astype(str)),
    "epoch s": lambda frame: frame.assign(time=epochs(frame, 10**9)).drop(columns="timestamp"),
    "epoch ms": lambda frame: frame.assign(timestamp=epochs(frame, 10**6)),
    "epoch us": lambda frame: frame.assign(timestamp=epochs(frame, 10**3)),
    "epoch ns": lambda frame: frame.assign(timestamp=epochs(frame, 1)),
    "polars": pl.from_pandas,
    "polars, lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "Arrow table": pa.Table.from_pandas,
    "Arrow batch": pa.RecordBatch.from_pandas,
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "structured array": lambda frame: frame.to_records(index=False).view(np.ndarray),
    "by symbol": lambda frame: {"X": frame},
    "upper case": lambda frame: frame.rename(columns=str.title),
}


def epochs(frame: pd.DataFrame, scale: int) -> Any:
    return frame.timestamp.astype("datetime64[ns]").astype("int64") // scale


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("frames") / "X.csv"
    bars().to_csv(path, index=False)
    return run(path).ledger_sha256


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_gives_the_ledger_of_the_file(form: str, from_file: str) -> None:
    assert run(FORMS[form](bars())).ledger_sha256 == from_file


@pytest.mark.parametrize("write", ["to_parquet", "to_feather"])
def test_binary_files_give_the_same_ledger(write: str, from_file: str, tmp_path: Path) -> None:
    path = tmp_path / ("X.parquet" if write == "to_parquet" else "X.feather")
    getattr(bars(), write)(path)
    assert run(path).ledger_sha256 == from_file


def test_several_symbols_whatever_holds_them(tmp_path: Path) -> None:
    long = long_frame()
    path = tmp_path / "both.csv"
    long.to_csv(path, index=False)
    expected = run(path).ledger_sha256
    a, b = (long[long.symbol == name].drop(columns="symbol").set_index("timestamp") for name in "AB")
    wide = pd.concat({"A": a, "B": b}, axis=1)
    forms = [
        long,
        pl.from_pandas(long),
        pa.Table.from_pandas(long),
        {"A": a, "B": pl.from_pandas(b.reset_index())},
        {"A": long[long.symbol == "A"], "B": b},
        wide,
        wide.swaplevel(axis=1).rename_axis(columns=["Price", "Ticker"]),
        long.set_index(["symbol", "timestamp"]),
        long.set_index(["timestamp", "symbol"]).rename_axis([None, None]),
    ]
    assert [run(form).ledger_sha256 for form in forms] == [expected] * len(forms)


def test_a_symbol_that_is_absent_at_times_is_no_bad_row() -> None:
    a, b = (bars(seed=seed).set_index("timestamp").drop(columns="volume") for seed in (1, 2))
    result = run(pd.concat({"A": a, "B": b.iloc[100:300]}, axis=1))
    assert result.manifest["rows"] == 600
    assert result.manifest["quarantined"] == {}


@pytest.mark.parametrize(
    "column",
    [range(400), 1_709_510_400 + 60 * np.arange(400), ["2024-03-04"] * 400, [f"{at % 24:02}:00" for at in range(400)]],
    ids=["counter", "seconds", "dates", "times of day"],
)
@pytest.mark.parametrize("name", ["time", "timestamp", "date"])
def test_an_index_of_times_comes_before_any_column(name: str, column: Any, from_file: str) -> None:
    assert run(bars().set_index("timestamp").assign(**{name: column})).ledger_sha256 == from_file


def test_the_same_rows_are_quarantined_from_a_frame_as_from_a_file(tmp_path: Path) -> None:
    bad = bars()
    bad.loc[10, ["high", "low"]] = [90.0, 110.0]
    bad.loc[20, "open"] = 500.0
    bad.loc[30, "close"] = 1.0
    bad.loc[40, "volume"] = -5.0
    bad.loc[50, "timestamp"] = pd.NaT
    bad.loc[60, "low"] = -1.0
    bad.loc[70, "close"] = np.nan
    bad.loc[80, "timestamp"] = bad.loc[79, "timestamp"]
    path = tmp_path / "X.csv"
    bad.to_csv(path, index=False)
    file, frame, lazy = run(path), run(bad, out=tmp_path / "run"), run(pl.from_pandas(bad).lazy())
    assert file.ledger_sha256 == frame.ledger_sha256 == lazy.ledger_sha256
    assert file.manifest["quarantined"] == frame.manifest["quarantined"] == lazy.manifest["quarantined"]
    assert sum(file.manifest["quarantined"].values()) == 8
    kept = (tmp_path / "run" / "quarantine.jsonl").read_text().splitlines()
    assert len(kept) == 8
    assert '"source": "pandas frame", "line": 11' in kept[0]
    with pytest.raises(DataError, match="bad row: high below low"):
        run(bad, replay={"strict": True})


@pytest.mark.parametrize(
    "replay",
    [
        {"labels": "close"},
        {"timeframe": "5min"},
        {"start": "2024-03-04 01:00", "end": "2024-03-04 03:00"},
        {"timezone": "America/New_York"},
    ],
    ids=lambda replay: next(iter(replay)),
)
def test_settings_hold_for_frames_as_for_files(replay: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    bars().to_csv(path, index=False)
    frame = run(bars(), replay=replay)
    assert frame.ledger_sha256 == run(path, replay=replay).ledger_sha256 != run(path).ledger_sha256


def test_labels_are_found_as_in_a_file() -> None:
    by_name = run(bars().rename(columns={"timestamp": "close_time"}))
    assert by_name.manifest["labels"] == "close"
    assert by_name.manifest["labels_by_file"] == {"pandas frame": "close times, by the column name 'close_time'"}
    periods = bars(60, width="D").set_index("timestamp").to_period("D")
    assert run(periods).manifest["labels"] == "open"
    assert run(bars()).manifest["labels_reason"].startswith("open times, assumed")


def test_what_is_wrong_with_a_frame_is_said() -> None:
    frame = bars()
    with pytest.raises(DataError, match="no column for close"):
        run(frame.drop(columns="close"))
    with pytest.raises(DataError, match="no column for time"):
        run(frame.drop(columns="timestamp"))
    with pytest.raises(DataError, match="time column cannot be read"):
        run(frame.assign(timestamp=range(400)))
    with pytest.raises(DataError, match="holds no rows"):
        run(frame.iloc[:0])
    with pytest.raises(DataError, match="several symbols"):
        run({"A": long_frame()})
    with pytest.raises(DataError, match="different lengths"):
        run({**{name: frame[name].to_numpy() for name in frame}, "open": [1.0, 2.0]})
    with pytest.raises(UsageError, match="no data"):
        run(frame["close"])
