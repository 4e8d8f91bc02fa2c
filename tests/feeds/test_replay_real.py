"""The replay on real files of three markets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, concat
from engine.types.instruments import load_instrument
from feeds.quarantine import Quarantine
from feeds.replay import HistoricalReplay, ReplayConfig

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EURO = DATA / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
BITCOIN = DATA / "btc-perp-20211231-20220201_1m.csv"
POUND = DATA / "gbpusd-m1-bid-2012.csv"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real market data is not there")


def replay(path: Path, instrument: str, quarantine: Quarantine | None = None, **config: Any) -> HistoricalReplay:
    return HistoricalReplay(path, load_instrument(instrument), ReplayConfig(**config), quarantine or Quarantine())


def ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def test_the_euro_future_is_labelled_by_close() -> None:
    quarantine = Quarantine()
    source = replay(EURO, "6E", quarantine)
    block = concat(list(source.blocks(4096)))
    assert source.labels == "close"
    assert "22:00 UTC" in source.labels_reason
    assert len(block) == 29_996
    assert (block.ts_event[0], block.ts_event[-1]) == (ns("2024-01-01T23:01"), ns("2024-01-31T23:59"))
    assert quarantine.total == 0
    assert 300 <= quarantine.gaps <= quarantine.missing <= 500


def test_half_hours_never_span_the_halt() -> None:
    block = concat(list(replay(EURO, "6E", timeframe="30min").blocks(100)))
    minute_of_day = block.ts_event // 60_000_000_000 % 1440
    assert set(np.unique(minute_of_day % 30)) == {0}
    assert not np.isin(minute_of_day, [22 * 60 + 30, 23 * 60]).any()
    minutes = concat(list(replay(EURO, "6E").blocks(5000)))
    complete = minutes.ts_event <= block.ts_event[-1]
    assert block.volume.sum() == minutes.volume[complete].sum()
    assert block.high.max() == minutes.high.max()


def test_bitcoin_never_closes_so_open_labels_are_assumed() -> None:
    quarantine = Quarantine()
    source = replay(BITCOIN, "BTC-PERP", quarantine)
    block = concat(list(source.blocks(1000)))
    assert len(block) == 45_031
    assert "assumed" in source.labels_reason
    assert block.ts_event[0] == ns("2021-12-31T23:02")
    assert (quarantine.total, quarantine.gaps) == (0, 0)


def test_the_pound_has_no_volume_and_two_files_lie_side_by_side() -> None:
    ask = DATA / "gbpusd-m1-ask-2012.csv"
    source = HistoricalReplay([POUND, ask], load_instrument("GENERIC"))
    block = concat(list(source.blocks(777)))
    assert block.symbols == ("gbpusd-m1-bid-2012", "gbpusd-m1-ask-2012")
    assert len(block) == 30_117
    assert block.present.all()
    assert np.isnan(block.volume).all()
    assert (block.close[:, 1] >= block.close[:, 0]).mean() > 0.95  # the two were sampled apart, so a few cross


@pytest.mark.parametrize("rows", [1, 997, 100_000])
def test_any_block_size_gives_the_same_bytes(rows: int) -> None:
    period = {"start": "2024-01-11", "end": "2024-01-17", "timeframe": "5min"}
    one = concat(list(replay(EURO, "6E", **period).blocks(4096)))
    other = concat(list(replay(EURO, "6E", **period).blocks(rows)))
    assert all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("ts_event", *BAR_COLUMNS))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("quote_tick_data.csv", "holds quotes, not bars"),
        ("btcusdt-trades.parquet", "no column for open, high, low, close"),
        ("short-term-interest.csv", "no column for open, high, low, close"),
        ("esh4-glbx-mdp3-20231224.mbo.dbn.zst", "holds an order book, not bars"),
    ],
)
def test_what_holds_no_bars_is_said(file: str, message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        replay(DATA / file, "GENERIC")
