"""Ticks per CPU second into bars of each kind: `python -m benchmarks.ticks`.

Made-up trades lie in an Arrow table: times in nanoseconds, prices and sizes as doubles, sides as -1, 0 and 1. What is
measured first is everything between that table and the bars, by the path that files take too: columns read, every tick
checked, bars made. Then bars alone, of ticks that are read and checked already; and the reading of the same trades from
a Parquet and a CSV file, without bars.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.command_line import Report, Sheet, guarded, machine, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

if TYPE_CHECKING:
    import pyarrow as pa

    from feeds.ticks.blocks import TickBlock
    from feeds.ticks.builder import BarBuilder
    from feeds.ticks.replay import TickReplay

KINDS = {
    "time:1min": 20.0,
    "tick:500": 20.0,
    "volume:2500": 20.0,
    "value:250000": 20.0,
    "imbalance:tick:500": 10.0,
    "imbalance:volume:500": 10.0,
    "renko:0.5": 0.0,
}
"""Aims, million ticks per CPU second from Arrow memory; 0 where there is none."""
START_NS = 1_700_000_000_000_000_000
BLOCK_ROWS = 4096


@dataclass
class TickResults(Report):
    """What was measured.

    Attributes:
        whole: Million ticks per CPU second from Arrow memory to bars, by kind, one number a round.
        bars: From ticks that are read and checked to bars, likewise.
        reading: From a file or Arrow memory to ticks that are read and checked, likewise.
        made: How many bars there are of each kind.
    """

    conditions: dict[str, str]
    ticks: int
    whole: dict[str, list[float]] = field(default_factory=dict)
    bars: dict[str, list[float]] = field(default_factory=dict)
    reading: dict[str, list[float]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        """Bars, and reading apart."""
        rows = [
            (kind, f"{self.made[kind]:,}", _median(self.whole[kind]), _median(self.bars[kind]), f"{KINDS[kind]:g}")
            for kind in self.whole
        ]
        title = f"Million ticks per CPU second, {self.ticks:,} ticks"
        header = ("bars", "made", "from Arrow memory", "of read ticks", "aim")
        read = [(name, _median(found)) for name, found in self.reading.items()]
        return [Sheet(title, header, rows), Sheet("Reading alone", ("from", "million ticks per CPU second"), read)]

    def missed(self) -> list[str]:
        """Kinds that are slower than their aim."""
        return [
            f"{kind}: {statistics.median(found):.1f} million ticks per CPU second, not {KINDS[kind]:g}"
            for kind, found in self.whole.items()
            if statistics.median(found) < KINDS[kind]
        ]

    def as_json(self) -> dict[str, Any]:
        """Every round."""
        names = ("conditions", "ticks", "whole", "bars", "reading", "made")
        return {name: getattr(self, name) for name in names}


def made_up(ticks: int, seed: int = 1) -> pa.Table:
    """Trades of a random walk on a grid of prices, one every 50 ms on average."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    times = START_NS + np.cumsum(rng.integers(0, 100_000_000, ticks))
    prices = 100.0 + 0.01 * np.abs(np.cumsum(rng.integers(-1, 2, ticks)))
    return pa.table(
        {
            "timestamp": pa.array(times).cast(pa.timestamp("ns", "UTC")),
            "price": prices,
            "size": rng.integers(1, 10, ticks).astype(np.float64),
            "side": rng.integers(-1, 2, ticks).astype(np.int8),
        }
    )


def measure(ticks: int, rounds: int, folder: Path) -> TickResults:
    """Run everything.

    Args:
        folder: For the files that are read.
    """
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    from feeds.ticks.builder import BarBuilder

    table = made_up(ticks)
    found = TickResults(machine("numpy", "numba", "pyarrow"), ticks)
    ready = list(_opened(table, "tick:500").tick_blocks())
    for kind in KINDS:
        _count(_opened(table.slice(0, 50_000), kind).blocks(BLOCK_ROWS))  # compiles

        for _ in range(rounds):
            replay = _opened(table, kind)
            seconds, found.made[kind] = _timed(partial(_bars_of, replay))
            found.whole.setdefault(kind, []).append(ticks / seconds / 1e6)
            builder = BarBuilder(replay.spec, replay.symbols)
            seconds, _ = _timed(partial(_built, builder, ready))
            found.bars.setdefault(kind, []).append(ticks / seconds / 1e6)
    pq.write_table(table, folder / "ticks.parquet")
    pa_csv.write_csv(table, folder / "ticks.csv")
    for name, source in {
        "Arrow memory": table,
        "Parquet": folder / "ticks.parquet",
        "CSV": folder / "ticks.csv",
    }.items():
        for _ in range(rounds):
            replay = _opened(source, "tick:500")
            seconds, _ = _timed(partial(_ticks_of, replay))
            found.reading.setdefault(name, []).append(ticks / seconds / 1e6)
    return found


def _opened(source: pa.Table | Path, kind: str) -> TickReplay:
    from engine.types.instruments import load_instrument
    from feeds.reading.files.frames import frame_files
    from feeds.replay import ReplayConfig
    from feeds.ticks.opening import open_replay
    from feeds.ticks.replay import TickReplay

    files = source if isinstance(source, Path) else frame_files(source, "X")
    replay = open_replay(files, load_instrument("GENERIC"), ReplayConfig(bars=kind))
    assert isinstance(replay, TickReplay)  # noqa: S101 - the columns are those of trades
    return replay


def _bars_of(replay: TickReplay) -> int:
    return _count(replay.blocks(BLOCK_ROWS))


def _ticks_of(replay: TickReplay) -> int:
    return _count(replay.tick_blocks())


def _built(builder: BarBuilder, ready: list[TickBlock]) -> int:
    return _count(builder.push(block) for block in ready)


def _count(blocks: Iterable[Any]) -> int:
    return sum(len(block) for block in blocks)


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    """CPU seconds of all threads, and what came out."""
    before = time.process_time()
    made = work()
    return time.process_time() - before, made


def _median(found: list[float]) -> str:
    return f"{statistics.median(found):.1f}"


def main() -> int:
    """Measure and print."""
    options_parser = parser("ticks", "Ticks per CPU second into bars of each kind.")
    options_parser.add_argument("--ticks", type=positive, default=5_000_000, metavar="N", help="How many trades.")
    options_parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="Rounds; the median counts.")
    options = options_parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="grandmodel-ticks-") as folder:
        return present(measure(options.ticks, options.rounds, Path(folder)), options)


if __name__ == "__main__":
    sys.exit(guarded(main))
