"""Sessions with faults injected as they happen: through the feed, the configuration and the operator's commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.live.feeding import PARTITION, MemoryFeed, live_bars
from engine.app.backtest import run_backtest
from engine.app.config import BacktestConfig
from engine.app.divergence.parts import FACTORS, Factor
from engine.app.live.commands import operate_stopped
from engine.app.live.config import PaperConfig
from engine.app.live.folder import SessionLock
from engine.app.live.paper import trade
from engine.base.config import parse
from engine.types.blocks import PRICE_COLUMNS, BarBlock
from engine.types.records import Operation
from feeds.export import write_bars
from feeds.live.messages import encode_bars
from feeds.live.source import Delivery, Record

ROWS: Final = 300
FAULTS: Final[tuple[Factor, ...]] = FACTORS
"""Each is a fault of the part that it is named after."""
EACH: Final = 100
"""Messages of a delivery."""
DECIDES: Final[dict[str, Any]] = {"agent": "sma_cross:fast=2,slow=5", "fee": 0.0002}
CHALLENGED: Final[dict[str, Any]] = {
    "cuts": {"every_bars": 25},
    "challengers": {"agents": ("sma_cross:fast=3,slow=9",), "block_bars": 5},
}


class PayloadsFeed(MemoryFeed):
    """Delivers payloads in order from the position that was committed, as a broker does.

    Args:
        payloads: One of them is a message.
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver what comes after the position."""
        at, partitions = int(positions.get(PARTITION, "0")), frozenset({PARTITION})
        while at < len(self._payloads):
            part = self._payloads[at : at + EACH]
            records = [Record(PARTITION, at + place, payload) for place, payload in enumerate(part)]
            at += len(part)
            yield Delivery(records, positions={PARTITION: str(at)}, partitions=partitions)
        yield Delivery(partitions=partitions, ended=True)


def market(seed: int = 1) -> BarBlock:
    """Bars of one symbol."""
    return live_bars(ROWS, 1, seed)


def backtest_folder(folder: Path, bars: BarBlock, **more: Any) -> Path:
    """The run folder of a backtest of bars of one symbol.

    Args:
        more: Further keys of the configuration.
    """
    folder.mkdir(parents=True)
    file = folder / f"{bars.symbols[0]}.parquet"
    write_bars(file, [bars])
    tree = {**DECIDES, "data": (str(file),), "replay": {"bar_width": "1min"}, **more}
    run_backtest(parse(BacktestConfig, tree, where="the backtest"), folder)
    return folder


def session_with(faults: frozenset[Factor], folder: Path, seed: int = 1) -> Path:
    """A session of the market's bars with these faults, where the seed places them; returns its folder.

    Its feed changes the prices of three bars, loses eight rows and brings a ninth too late, or begins 40 rows later;
    its operator promotes a challenger, or halts it; its fee is four times as high.
    """
    random, bars = np.random.default_rng(seed), market(seed)
    wrong, lost = int(random.integers(110, 140)), int(random.integers(150, 170))
    promoted, halted = int(random.integers(80, 100)), int(random.integers(180, 240))
    columns: dict[str, Any] = {name: getattr(bars, name).copy() for name in PRICE_COLUMNS}
    if "bars" in faults:
        for column in columns.values():
            column[wrong : wrong + 3] *= 1.004
    messages = encode_bars(replace(bars, **columns), format="json", per_message=1)
    payloads: list[bytes | None] = [payload for _, payload in messages]
    if "rows" in faults:
        payloads[-10] = payloads[lost]  # in place of another, which is lost as well
        payloads[lost : lost + 8] = [None] * 8
    if "history" in faults:
        payloads[:40] = [None] * 40
    tree: dict[str, Any] = {
        **DECIDES,
        "feed": {"address": "stdin", "symbols": bars.symbols},
        "journal": {"durability": "process"},
        "monitor": {"enabled": False},
    }
    tree |= {"fee": 4 * DECIDES["fee"]} if "configuration" in faults else {}
    tree |= CHALLENGED if "models" in faults else {}
    config = parse(PaperConfig, tree, where="the session")
    if "models" in faults:
        _traded(config, folder, payloads[:promoted])
        operate_stopped(folder, Operation.PROMOTE, "benchmark")
    if "commands" in faults:
        _traded(config, folder, payloads[:halted])
        operate_stopped(folder, Operation.HALT, "benchmark")
    _traded(config, folder, payloads)
    return folder


def _traded(config: PaperConfig, folder: Path, payloads: Sequence[bytes | None]) -> None:
    """Begin the session, or go on with it, to the end of the feed."""
    with SessionLock(folder):
        trade(config, folder, (), PayloadsFeed([payload for payload in payloads if payload is not None]), None)
