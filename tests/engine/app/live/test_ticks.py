"""Real quotes and trades, folded to bars on the way: the session's bars are those of a plain aggregation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.api.calls import backtest
from engine.journal.reading import JournalReader
from engine.types.blocks import BarBlock, concat
from engine.types.extras import TICK_COLUMNS
from engine.types.instruments import load_instrument
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from tests.engine.app.live.sessions import SMA, Case
from tests.real import FOLDER as DATA

needs_ticks = pytest.mark.skipif(not (DATA / "quote_tick_data.csv").is_file(), reason="no shared market data here")
EMPTY = BarBlock.from_columns(
    ("T",), np.empty(0, np.int64), dict.fromkeys(("open", "high", "low", "close"), np.empty(0))
)


def _traded(folder: Path, payloads: list[bytes], timeframe: str) -> pl.DataFrame:
    settings = {
        "agent": "sma_cross:fast=2,slow=5",
        "feed": {"timeframe": timeframe},
        "journal": {"durability": "process"},
    }
    run = Case(EMPTY, settings, payloads).run(folder, (7,))
    assert run.exported is not None
    with JournalReader(folder) as reader:
        blocks = [step.bars for step in reader.steps()]
    names = ("open", "high", "low", "close", "volume")
    columns = {name: np.concatenate([getattr(block, name)[:, 0] for block in blocks]) for name in names}
    return pl.DataFrame({"ts": np.concatenate([block.ts_event for block in blocks]), **columns})


def _bars(ticks: pl.DataFrame, width_ns: int, volume: pl.Expr) -> pl.DataFrame:
    """Bars by their close, without the last one, which nothing completes."""
    bucket = ((pl.col("ts") - 1) // width_ns + 1) * width_ns
    price = pl.col("price")
    bars = ticks.group_by(bucket.alias("ts"), maintain_order=True).agg(
        open=price.first(), high=price.max(), low=price.min(), close=price.last(), volume=volume
    )
    return bars.sort("ts").head(-1)


@needs_ticks
def test_quotes_become_bars_of_their_middle(tmp_path: Path) -> None:
    raw = pl.read_csv(DATA / "quote_tick_data.csv", has_header=False, new_columns=["at", "bid", "ask", "size"])
    at = pl.col("at").str.to_datetime("%Y%m%d %H%M%S%3f").dt.epoch("ns")
    ticks = raw.select(ts=at, bid="bid", ask="ask", price=(pl.col("bid") + pl.col("ask")) / 2)
    payloads = [
        json.dumps({"type": "quote", "symbol": "T", "timestamp": ts, "bid": bid, "ask": ask}).encode()
        for ts, bid, ask in ticks.select("ts", "bid", "ask").iter_rows()
    ]
    found = _traded(tmp_path, payloads, "1min")
    expected = _bars(ticks, 60_000_000_000, pl.lit(float("nan")).first())
    assert len(expected) > 20
    assert found.drop("volume").equals(expected.drop("volume"))
    assert found["volume"].is_nan().all()


@needs_ticks
def test_trades_become_bars_of_their_prices(tmp_path: Path) -> None:
    raw = pl.read_parquet(DATA / "btcusdt-trades.parquet")
    ticks = raw.select(pl.col("timestamp").dt.epoch("ns").alias("ts"), "price", "quantity", "trade_id")
    payloads = [
        json.dumps({"type": "trade", "timestamp": ts, "price": price, "size": size, "id": number}).encode()
        for ts, price, size, number in ticks.iter_rows()
    ]
    # what is redelivered is known by its id, and counts once
    found = _traded(tmp_path, [payload for payload in payloads for _ in range(2)], "1s")
    expected = _bars(ticks, 1_000_000_000, pl.col("quantity").sum())
    assert len(expected) > 40
    assert found.drop("volume").equals(expected.drop("volume"))
    assert np.allclose(found["volume"], expected["volume"], rtol=1e-12)


@needs_ticks
def test_the_journal_and_its_export_hold_the_bars_of_a_replay_of_the_file(tmp_path: Path) -> None:
    """Extra columns included, whatever was restarted; and the ledger is that of the backtest of the file."""
    file = DATA / "btcusdt-trades.parquet"
    table = pl.read_parquet(file)
    payloads = [
        json.dumps(
            {"type": "trade", "timestamp": ts, "price": price, "size": size, "side": "sell" if maker else "buy"}
        ).encode()
        for ts, price, size, maker in table.select(
            pl.col("timestamp").dt.epoch("ns"), "price", "quantity", pl.col("buyer_maker") == "True"
        ).iter_rows()
    ]
    settings = {**SMA, "feed": {"timeframe": "1s"}}
    folder, case = tmp_path / "session", Case(EMPTY, settings, payloads)
    case.traded(folder, (50,))
    run = case.run(folder, (50,))
    assert run.exported is not None
    with JournalReader(folder) as reader:
        journaled = concat([step.bars for step in reader.steps()])
    replayed = open_replay(file, load_instrument("GENERIC"), ReplayConfig(bars="time:1s"))
    exported = open_replay(folder / "bars.parquet", load_instrument("GENERIC"), ReplayConfig(labels="close"))
    expected = concat(list(replayed.blocks(1000)))
    for found in (journaled, concat(list(exported.blocks(1000)))):
        for name in ("ts_event", "open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert list(found.extra) == list(TICK_COLUMNS)
        for name in TICK_COLUMNS:
            np.testing.assert_array_equal(found.extra[name], expected.extra[name])
    shared = {name: value for name, value in settings.items() if name not in {"feed", "journal"}}
    frame = table.with_columns(symbol=pl.lit("T"))
    same = backtest(frame, replay={"bars": "time:1s"}, **shared)
    assert same.ledger_sha256 == run.exported.manifest["ledger_sha256"]
