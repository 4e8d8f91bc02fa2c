"""A live session in a separate process: reads what to run as JSON from standard input, prints what it measured.

Its memory, its CPU time and its latencies are those of a session and of nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.live.feeding import MessagesFeed, RowsFeed, live_bars
from engine.api.calls import backtest
from engine.app.live.config import PaperConfig
from engine.app.live.folder import SessionLock
from engine.app.live.paper import PaperRun, trade
from engine.app.live.session import Session
from engine.app.live.watching import Committed
from engine.base.config import parse
from engine.base.errors import CheckFailed
from engine.monitor.alerts import Severity
from engine.types.blocks import BarBlock
from engine.types.step import StepBlock
from feeds.live.source import LiveSource
from feeds.memory import MemorySource

CAPITAL = 1e9  # enough that no margin call ever stops the trading
SYNC_BYTES, SYNC_TIMES, SYNC_PAUSE_S = 16_384, 300, 0.003


@dataclass(frozen=True)
class Work:
    """One session to measure.

    Attributes:
        folder: Of the session.
        agent: Its specification.
        symbols: How many.
        history: Rows that come before, fast and not measured.
        rows: Rows that are measured.
        seed: Of the bars.
        address: Of a broker that holds the measured rows; empty for a feed in memory.
        each: Messages of a delivery from memory.
        pace: Deliveries from memory a second; 0 does not wait.
        durability: Of the journal.
        keep_days: Of bars in the journal; None keeps all.
        marks: Numbers of bars after which the memory is measured.
        check: Whether the ledger is compared with that of a backtest.
    """

    folder: str
    agent: str
    symbols: int
    history: int
    rows: int
    seed: int = 1
    address: str = ""
    each: int = 1
    pace: float = 0.0
    durability: str = "power"
    keep_days: float | None = None
    marks: tuple[int, ...] = ()
    check: bool = False

    @property
    def decides(self) -> dict[str, Any]:
        """What decides the ledger."""
        # as many orders as symbols may work at once
        return {"agent": self.agent, "initial_capital": CAPITAL, "execution": {"max_open_orders": 4096}}

    def config(self, bars: BarBlock, address: str) -> PaperConfig:
        """Of the session."""
        journal = {"durability": self.durability, "keep_days": self.keep_days, "archive": False}
        feed = {"address": address or "stdin", "symbols": list(bars.symbols)}
        end = {"bars": (self.history + self.rows) * self.symbols} if address else {}
        return parse(PaperConfig, {**self.decides, "feed": feed, "journal": journal, "end": end}, where="benchmark")


@dataclass
class Found:
    """What was measured, in seconds and bytes; of the measured rows only.

    Attributes:
        wall, cpu: Of the session, opening the journal included, and of this process meanwhile.
        recovery: From the opening of the journal to readiness.
        bars, transactions: How many.
        latencies: From the receipt of each delivery to its commit.
        memory: Resident bytes at each mark.
        journal: Bytes on disk at the end.
        fills: In the whole session.
        sync: What it takes to write a separate file safely to the same folder.
    """

    wall: float = 0.0
    cpu: float = 0.0
    recovery: float = 0.0
    bars: int = 0
    transactions: int = 0
    latencies: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    journal: int = 0
    fills: int = 0
    sync: list[float] = field(default_factory=list)


class Watch:
    """Observes a session: how long transactions took, and memory at marks.

    Args:
        marks: Numbers of bars.
    """

    def __init__(self, marks: tuple[int, ...]) -> None:
        self.latencies: list[float] = []
        self.memory: list[int] = []
        self._marks, self._bars = list(marks), 0

    def committed(self, committed: Committed) -> None:
        """A transaction has happened."""
        if committed.steps:
            self._bars += sum(int(step.bars.present.sum()) for step in committed.steps)
            if not self._marks:
                self.latencies.append(committed.seconds)
        while self._marks and self._bars >= self._marks[0]:
            self._marks.pop(0)
            self.memory.append(resident_bytes())

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        """Notices are not measured."""

    def screen(self, session: Session) -> Callable[[AsyncIterator[StepBlock]], Awaitable[None]]:
        """Join the session in place of a screen."""
        session.observe(self)

        async def nothing(_: AsyncIterator[StepBlock]) -> None:
            return

        return nothing


def resident_bytes() -> int:
    """Memory of this process; where the system does not tell, the most it ever was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def sync_seconds(folder: Path) -> list[float]:
    """What the disk takes to make some kilobytes safe in a file that does not grow, which no journal can beat."""
    path, took = folder / "probe", []
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(descriptor, bytes(SYNC_BYTES * SYNC_TIMES), 0)
        os.fsync(descriptor)
        for turn in range(SYNC_TIMES):
            time.sleep(SYNC_PAUSE_S)
            before = time.perf_counter()
            os.pwrite(descriptor, os.urandom(SYNC_BYTES), SYNC_BYTES * turn)
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - before)
    finally:
        os.close(descriptor)
        path.unlink()
    return took


def run(work: Work) -> Found:
    """Give the session its history, then measure it.

    Raises:
        CheckFailed: If trading stopped, or the ledger is not that of the backtest.
    """
    folder = Path(work.folder)
    bars = live_bars(work.history + work.rows, work.symbols, work.seed)
    if work.history:
        _session(work, folder, bars, RowsFeed(bars.slice(0, work.history)), Watch(()))
    measured = bars.slice(work.history, len(bars))
    feed = None if work.address else MessagesFeed(measured, work.each, work.pace)
    watch = Watch(work.marks)
    wall, cpu = time.perf_counter(), time.process_time()
    paper, ledger = _session(work, folder, bars, feed, watch)
    found = Found(time.perf_counter() - wall, time.process_time() - cpu, paper.recovery_seconds)
    found.bars, found.transactions = paper.ended.bars, paper.ended.latencies.count
    found.latencies, found.memory = watch.latencies, watch.memory
    found.journal = sum(file.stat().st_size for file in folder.glob("journal.sqlite*"))
    found.fills = paper.counters["fills"]
    if work.pace and work.durability == "power":
        found.sync = sync_seconds(folder)
    if work.check and ledger != backtest(MemorySource(bars), **work.decides).ledger_sha256:
        raise CheckFailed("the ledger of the session is not that of a backtest of the same bars")
    return found


def _session(work: Work, folder: Path, bars: BarBlock, feed: LiveSource | None, watch: Watch) -> tuple[PaperRun, str]:
    """One run of the session, and its ledger's hash."""
    config = work.config(bars, "" if feed is not None else work.address)
    with SessionLock(folder):
        opened, paper = trade(config, folder, (watch.screen,), feed, None)
    if opened.driver.flags[1]:
        raise CheckFailed("trading stopped during the benchmark", expected="an account that trades to the end")
    return paper, opened.driver.ledger_sha256


def main() -> None:
    """Obey one request."""
    work = Work(**json.loads(sys.stdin.read()))
    print(json.dumps(asdict(run(work))))


if __name__ == "__main__":
    main()
