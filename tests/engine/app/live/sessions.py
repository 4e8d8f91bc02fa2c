"""Short live sessions over messages in memory, and the backtest of the same bars."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.api.calls import backtest
from engine.app.live.config import PaperConfig
from engine.app.live.folder import SessionLock
from engine.app.live.paper import PaperRun, run_paper, trade
from engine.base.config import merge, parse
from engine.types.blocks import BarBlock
from feeds.memory import MemorySource
from tests.bars import random_bars
from tests.engine.app.live.feeding import ListSource, payloads_of

START = 1_704_067_260_000_000_000  # 2024-01-01 00:01, the first close
SMA: dict[str, Any] = {"agent": "sma_cross:fast=2,slow=5", "fee": 0.0002, "journal": {"durability": "process"}}


@dataclass(frozen=True)
class Case:
    """Bars, how they trade, and what the backtest of them comes to."""

    bars: BarBlock
    settings: dict[str, Any]
    payloads: list[bytes]

    @property
    def expected(self) -> str:
        shared = {
            key: value
            for key, value in self.settings.items()
            if key not in {"feed", "journal", "end", "standby", "monitor"}
        }
        return backtest(MemorySource(self.bars), **shared).ledger_sha256

    def config(self, **more: Any) -> PaperConfig:
        tree = merge({"feed": {"address": "stdin", "symbols": list(self.bars.symbols)}}, self.settings)
        return parse(PaperConfig, merge(tree, more), where="test")

    def run(
        self,
        folder: Path,
        cuts: Sequence[int] = (1,),
        trace: Callable[[str], object] | None = None,
        payloads: list[bytes] | None = None,
        **more: Any,
    ) -> PaperRun:
        source = ListSource(self.payloads if payloads is None else payloads, cuts)
        return run_paper(self.config(**more), folder, source=source, trace=trace)

    def traded(self, folder: Path, cuts: Sequence[int] = (1,), trace: Callable[[str], object] | None = None) -> str:
        """Run to the end without writing the run folder; returns the ledger's hash."""
        with SessionLock(folder):
            opened, _ = trade(self.config(), folder, (), ListSource(self.payloads, cuts), trace)
        return opened.driver.ledger_sha256

    def killed(self, folder: Path, at: int, cuts: Sequence[int] = (1,)) -> bool:
        """Run in a process of its own, which kills itself before its journal's SQL statement number `at`.

        Returns whether it came so far.
        """
        child = os.fork()
        if child == 0:
            seen = 0

            def trace(_: str) -> None:
                nonlocal seen
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

            try:
                # without writing the run folder: its libraries' threads do not survive a fork
                self.traded(folder, cuts, trace)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status in {signal.SIGKILL, 0}
        return status == signal.SIGKILL


def case(bars: BarBlock, per_message: int = 1, **settings: Any) -> Case:
    return Case(bars, merge(SMA, settings), payloads_of(bars, per_message))


def live_bars(rows: int, symbols: tuple[str, ...] = ("X",), absent: float = 0.0, seed: int = 1) -> BarBlock:
    return random_bars(rows, seed, symbols, absent=absent, first_ns=START)
