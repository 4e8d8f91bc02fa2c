"""What the live benchmark measures, each in sessions that run as separate processes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.command_line import ONE_THREAD, run_python
from benchmarks.live.child import Found, Work
from benchmarks.live.feeding import TOPIC, live_bars, publish_bars
from benchmarks.live.recovery import restart_seconds
from feeds.live.broker import EmbeddedBroker

# the networks that ship untrained trade a lot more than the trained ones, and cost the same
ENSEMBLE, CROSS = "ensemble:untrained-2", "sma_cross:fast=10,slow=30"
UNSAVED = f"{Path(__file__).with_name('strategy.py')}:Channel"
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - only where it exists
MONTH_ROWS = 43_200


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: Of everything but the memory.
        symbols: Where many are traded.
        history: Rows that agents have seen before.
        wide_rows: Rows of many symbols.
        narrow_rows: Rows of one symbol.
        paced_rows: Rows that come one by one at a pace.
        long_rows: Rows over which the memory is watched.
        month_rows: Rows of the journal that is recovered.
    """

    rounds: int = 3
    symbols: int = 500
    history: int = 3000  # the strategic agent decides for the first time after 2,880 minutes
    wide_rows: int = 600
    narrow_rows: int = 40_000
    paced_rows: int = 1500
    long_rows: int = 1_000_000
    month_rows: int = MONTH_ROWS


QUICK = Size(1, 500, 3000, 200, 10_000, 1000, 200_000, 10_000)
TINY = Size(1, 3, 3000, 50, 300, 50, 3000, 500)


@dataclass(frozen=True)
class RateCase:
    """Bars from a broker as fast as they are taken.

    Attributes:
        title: For tables.
        agent: Who trades.
        wide: Whether it trades many symbols, and a message holds a bar of each; else one symbol, a bar a message.
        aim: Bars a second; None is no aim.
    """

    title: str
    agent: str
    wide: bool
    aim: float | None = None


RATES = (
    RateCase("ensemble, many symbols", ENSEMBLE, True, 20_000.0),
    RateCase("sma_cross, many symbols", CROSS, True),
    RateCase("ensemble, one symbol", ENSEMBLE, False),
    RateCase("sma_cross, one symbol", CROSS, False),
)


@dataclass(frozen=True)
class LatencyCase:
    """Bars that come one by one.

    Attributes:
        title: For tables.
        durability: Of the journal.
        on_disk: Whether the journal is.
        aims: Milliseconds that 50 % and 99 % shall stay below.
    """

    title: str
    durability: str
    on_disk: bool
    aims: tuple[float, float]


LATENCIES = (
    LatencyCase("on disk, durability power", "power", True, (1.0, 3.0)),
    LatencyCase("on disk, durability process", "process", True, (1.0, 3.0)),
    LatencyCase("in memory (tmpfs)", "process", False, (0.3, 1.0)),
)
PACE = 250.0
LONG_EACH = 100


def latency_cases() -> list[LatencyCase]:
    """Those that this machine has the place for."""
    return [case for case in LATENCIES if case.on_disk or IN_MEMORY.is_dir()]


def measured(work: Work) -> Found:
    """Run one session in a separate process.

    Raises:
        CheckFailed: If it fails.
    """
    return Found(**json.loads(_child("benchmarks.live.child", given=json.dumps(asdict(work)))))


def rate(case: RateCase, size: Size, where: Path | None, seed: int, check: bool) -> Found:
    """Publish first, then trade what was published."""
    symbols, rows = (size.symbols, size.wide_rows) if case.wide else (1, size.narrow_rows)
    bars = live_bars(size.history + rows, symbols, seed)
    with _folder(where) as folder, EmbeddedBroker() as broker:
        address = f"kafka://{broker.address}/{TOPIC}"
        publish_bars(bars.slice(size.history, len(bars)), address, symbols)
        return measured(Work(str(folder), case.agent, symbols, size.history, rows, seed, address, check=check))


def latency(case: LatencyCase, size: Size, where: Path | None, seed: int, check: bool) -> Found:
    """One bar a delivery, at an even pace."""
    with _folder(where if case.on_disk else IN_MEMORY) as folder:
        rows = size.history, size.paced_rows
        return measured(Work(str(folder), ENSEMBLE, 1, *rows, seed, "", 1, PACE, case.durability, check=check))


def memory(size: Size, where: Path | None, seed: int) -> Found:
    """A long session whose journal forgets what is older than some days."""
    marks = (size.long_rows // 10, size.long_rows)
    with _folder(where) as folder:
        work = Work(str(folder), ENSEMBLE, 1, 0, size.long_rows, seed, each=LONG_EACH, marks=marks)
        return measured(replace(work, durability="process", keep_days=5.0))


@dataclass
class Recovery:
    """Seconds until a session was back, by round.

    Attributes:
        opened: From the opening of the journal to readiness.
        restarted: From the start of `grandmodel paper` until it trades.
    """

    opened: list[float]
    restarted: list[float]


def recovery(agent: str, size: Size, where: Path | None, seed: int) -> Recovery:
    """A journal of a month of minutes, one a transaction, opened again and again."""
    with _folder(where) as folder:
        measured(Work(str(folder), agent, 1, 0, size.month_rows, seed, durability="process"))
        opened = [float(_child("benchmarks.live.recovery", str(folder))) for _ in range(size.rounds)]
        return Recovery(opened, [restart_seconds(folder) for _ in range(size.rounds)])


@contextmanager
def _folder(where: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="grandmodel-live-", dir=where) as name:
        yield Path(name) / "session"


def _child(module: str, *arguments: str, given: str = "") -> str:
    return run_python("-m", module, *arguments, given=given, **ONE_THREAD).stdout
