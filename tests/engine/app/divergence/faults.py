"""Sessions with faults injected, through the feed, the configuration and the operator's commands as they happen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.app.backtest import run_backtest
from engine.app.config import BacktestConfig
from engine.app.live.commands import operate_stopped
from engine.base.config import parse
from engine.types.blocks import PRICE_COLUMNS, BarBlock
from engine.types.records import Operation
from feeds.export import write_bars
from tests.engine.app.live.feeding import payloads_of
from tests.engine.app.live.sessions import SMA, Case, live_bars

ROWS = 300
FAULTS = ("bars", "rows", "commands", "models", "configuration", "history")
CHALLENGED: dict[str, Any] = {
    "cuts": {"every_bars": 25},
    "challengers": {"agents": ("sma_cross:fast=3,slow=9",), "block_bars": 5},
}


def market(seed: int = 1) -> BarBlock:
    return live_bars(ROWS, seed=seed)


def backtest_folder(folder: Path, bars: BarBlock, **more: Any) -> Path:
    """The run folder of a backtest of these bars, as the command writes it."""
    folder.mkdir(parents=True)
    file = folder / f"{bars.symbols[0]}.parquet"
    write_bars(file, [bars])
    tree = {"agent": SMA["agent"], "fee": SMA["fee"], "data": (str(file),), "replay": {"bar_width": "1min"}, **more}
    run_backtest(parse(BacktestConfig, tree, where="test"), folder)
    return folder


def session_with(faults: frozenset[str], folder: Path, seed: int = 1) -> Path:
    """A session of the market's bars with these faults."""
    rng = np.random.default_rng(seed)
    bars = market(seed)
    columns = {name: getattr(bars, name).copy() for name in (*PRICE_COLUMNS, "volume")}
    if "bars" in faults:
        wrong = slice(at := int(rng.integers(110, 140)), at + 3)
        for name in PRICE_COLUMNS:
            columns[name][wrong] *= 1.004
    payloads = payloads_of(replace(bars, **columns))
    until = {"promote": int(rng.integers(80, 100)), "halt": int(rng.integers(180, 240)), "end": ROWS}
    if "rows" in faults:
        at = int(rng.integers(150, 170))
        payloads[290] = payloads[at]  # comes late, in place of another
        for row in range(at, at + 8):
            payloads[row] = b""
    if "history" in faults:
        payloads[:40] = [b""] * 40
    settings: dict[str, Any] = {
        **SMA,
        "monitor": {"enabled": False},
        **({"fee": 0.0008} if "configuration" in faults else {}),
    }
    settings |= CHALLENGED if "models" in faults else {}
    for name, row in until.items():
        sent = [payload for payload in payloads[:row] if payload]
        if (name, "models" in faults) == ("promote", False) or (name, "commands" in faults) == ("halt", False):
            continue
        Case(bars, settings, sent).traded(folder, (100,))
        if name != "end":
            operate_stopped(folder, Operation.PROMOTE if name == "promote" else Operation.HALT, "test")
    return folder
