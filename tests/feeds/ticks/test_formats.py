"""Trades and quotes as vendors write them: a few made-up rows in each of their formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.types.blocks import concat
from engine.types.instruments import load_instrument
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from feeds.ticks.replay import TickReplay

T = 1_700_000_000
MBP = (
    *("ts_event", "rtype", "publisher_id", "instrument_id", "action", "side"),
    *("depth", "price", "size", "flags", "sequence"),
)

TRADES = {
    "BTCUSDT-trades-2023-11.csv": [
        f"{at},{100 + at % 3},{1 + at},{100},{(T + at) * 1000},{'True' if at % 2 else 'False'},True" for at in range(8)
    ],
    "BTCUSDT-aggTrades-2023-11.csv": [
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        *(
            f"{at},{100 + at % 3},{1 + at},{at},{at},{(T + at) * 1000},{'true' if at % 2 else 'false'}"
            for at in range(8)
        ),
    ],
    "tardis.csv": [
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        *(
            f"x,X,{(T + at) * 10**6},{(T + at) * 10**6},a{at},{'sell' if at % 2 else 'buy'},{100 + at % 3},{1 + at}"
            for at in range(8)
        ),
    ],
    "bybit.csv": [
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID",
        *(f"{T + at}.5,BTC,{'Sell' if at % 2 else 'Buy'},{1 + at},{100 + at % 3},ZeroPlusTick,x" for at in range(8)),
    ],
    "databento.csv": [
        "ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,sequence",
        *(
            f"{(T + at) * 10**9},0,1,5,T,{'A' if at % 2 else 'B'},0,{(100 + at % 3) * 10**9},{1 + at},0,{at}"
            for at in range(8)
        ),
    ],
}
QUOTES = {
    "truefx.csv": [f"EUR/USD,20231114 22:13:{20 + at}.123,1.1{at},1.2{at}" for at in range(8)],
    "dukascopy.csv": [
        "Gmt time,Ask,Bid,AskVolume,BidVolume",
        *(f"14.11.2023 22:13:{20 + at}.123,1.2{at},1.1{at},0.75,1.5" for at in range(8)),
    ],
    "EURUSD_202311140000_202311142359.csv": [
        "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>",
        *(f"2023.11.14\t22:13:{20 + at}.123\t1.1{at}\t1.2{at}\t\t" for at in range(8)),
    ],
    "polygon.csv": [
        "ticker,ask_price,ask_size,bid_price,bid_size,sip_timestamp",
        *(f"AAPL,1.2{at},5,1.1{at},7,{(T + at) * 10**9}" for at in range(8)),
    ],
}


def opened(folder: Path, name: str, lines: list[str]) -> TickReplay:
    (folder / name).write_text("\n".join(lines) + "\n")
    replay = open_replay(folder / name, load_instrument("GENERIC"), ReplayConfig(bars="tick:4"))
    assert isinstance(replay, TickReplay)
    return replay


@pytest.mark.parametrize("name", TRADES)
def test_trades(tmp_path: Path, name: str) -> None:
    replay = opened(tmp_path, name, TRADES[name])
    block = concat(list(replay.blocks(10)))
    assert not replay.quarantine.total
    assert block.open[:, 0].tolist() == [100.0, 101.0]
    assert block.high[:, 0].tolist() == [102.0, 102.0]
    assert block.volume[:, 0].tolist() == [10.0, 26.0]
    assert block.extra["signed_volume"][:, 0].tolist() == [1.0 - 2 + 3 - 4, 5.0 - 6 + 7 - 8]
    assert (block.ts_event // 10**9).tolist() == [T + 3, T + 7]


@pytest.mark.parametrize("name", QUOTES)
def test_quotes(tmp_path: Path, name: str) -> None:
    replay = opened(tmp_path, name, QUOTES[name])
    block = concat(list(replay.blocks(10)))
    assert not replay.quarantine.total
    np.testing.assert_allclose(block.open[:, 0], [1.15, 1.19])
    np.testing.assert_allclose(block.extra["spread"], 0.1)
    assert (block.ts_event // 10**9).tolist() == [T + 3, T + 7]


def test_only_events_that_trade_are_trades(tmp_path: Path) -> None:
    """Databento's MBP-1 has a price in every row; bids and asks of the others are known to the bar."""
    lines = [
        ",".join((*MBP, "bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00")),
        *(
            f"{(T + at) * 10**9},1,1,5,{'T' if at % 2 else 'A'},N,0,{100.5 + at},{1 + at},0,0,{99 + at},{101 + at},1,1"
            for at in range(8)
        ),
    ]
    block = concat(list(opened(tmp_path, "mbp.csv", lines).blocks(10)))
    assert block.volume[:, 0].tolist() == [2.0 + 4 + 6 + 8]
    assert (block.open[0, 0], block.close[0, 0]) == (101.5, 107.5)
    assert (block.extra["bid"][0, 0], block.extra["ask"][0, 0]) == (106.0, 108.0)


def test_ticks_of_ninjatrader_have_the_quote_beside_them(tmp_path: Path) -> None:
    lines = [f"20231114 2213{20 + at} 1234567;{100 + at % 2};100;101;{1 + at}" for at in range(8)]
    block = concat(list(opened(tmp_path, "ES 12-23.Last.txt", lines).blocks(10)))
    # below the mid of 100.5 and above it, in turn
    assert block.extra["signed_volume"][:, 0].tolist() == [-1.0 + 2 - 3 + 4, -5.0 + 6 - 7 + 8]
    assert block.extra["spread"][:, 0].tolist() == [1.0, 1.0]
