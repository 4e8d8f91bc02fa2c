"""A backtest of more rows than fit in memory: `python -m benchmarks.replay.large [--rows 100000000]`.

Writes a Parquet file of synthetic one-minute bars in constant memory, runs `grandmodel backtest` on it as a child,
prints its speed and peak memory, and fails if that exceeds the limit. Everything is deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.command_line import PARTS, guarded, run_python

MINUTE_NS = 60_000_000_000
START_NS = 946_684_800_000_000_000  # 2000-01-01 UTC; 100 million minutes end in 2190
CHUNK = 1_000_000
SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("ns", "UTC")),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
    ]
)


def chunk(rng: np.random.Generator, start: int, rows: int, level: float) -> tuple[pa.Table, float]:
    """Bars of a mean-reverting walk.

    Args:
        rng: Carried from chunk to chunk.
        start: Number of the first bar.
        rows: How many bars.
        level: Log price at the end of the chunk before.

    Returns:
        The bars, labelled by close, and the log price at their end.
    """
    logs = 0.9 * level + np.cumsum(1e-4 * rng.standard_normal(rows))
    close = np.round(100.0 * np.exp(logs), 4)
    open_ = np.round(np.concatenate([[100.0 * np.exp(0.9 * level)], close[:-1]]), 4)
    high, low = np.maximum(open_, close) + 0.01, np.minimum(open_, close) - 0.01
    times = START_NS + (np.arange(start, start + rows, dtype=np.int64) + 1) * MINUTE_NS
    columns = [pa.array(times).cast(SCHEMA.field(0).type)]
    columns += [pa.array(values) for values in (open_, high, low, close, np.floor(1000.0 * rng.random(rows)))]
    return pa.Table.from_arrays(columns, schema=SCHEMA), float(logs[-1])


def write_bars(path: Path, rows: int, seed: int) -> None:
    """Write a Parquet file of so many bars, a chunk at a time."""
    rng, level = np.random.Generator(np.random.PCG64(seed)), 0.0
    # no compression and no dictionaries: what is measured is the backtest
    with pq.ParquetWriter(path, SCHEMA, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, CHUNK):
            table, level = chunk(rng, start, min(CHUNK, rows - start), level)
            writer.write_table(table)


def backtest(data: Path, out: Path, report: bool) -> dict[str, float | str | None]:
    """Run the command as a child; returns what it printed.

    Raises:
        CheckFailed: If it fails.
    """
    command = ["-m", "engine.cli.main", "backtest", "--data", str(data), "--out", str(out), "--overwrite"]
    # capital enough for the fees of millions of trades
    command += ["--agent", "sma_cross:fast=10,slow=30", "--initial-capital", "1e9", "--labels", "close", "--json"]
    done = run_python(*command, *(() if report else ("--no-report",)))
    printed: dict[str, float | str | None] = json.loads(done.stdout)
    return printed


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Backtest a file that does not fit in memory.")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--limit-mb", type=int, default=1000, help="Peak memory allowed, MB of 1e6 bytes.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="Write the report as well.")
    parser.add_argument("--folder", type=Path, help="Where to put the temporary folder (needs about 150 bytes a row).")
    return parser.parse_args()


def main() -> int:
    """Generate, run, print; returns 1 if memory exceeds the limit."""
    options = arguments()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        data, out = Path(folder) / "bars.parquet", Path(folder) / "run"
        write_bars(data, options.rows, options.seed)
        print(f"data           {options.rows:,} rows, {data.stat().st_size / 1e6:,.0f} MB")
        before = time.perf_counter()
        printed = backtest(data, out, options.report)
        wall = time.perf_counter() - before
        kept = sum(file.stat().st_size for file in out.iterdir())
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = usage.ru_maxrss * unit / 1e6
    for name in ("bars", "fills", "trades", "final_equity", "quarantined"):
        print(f"{name:<14} {printed[name]}")
    parts = ", ".join(f"{part} {printed[key]} s" for part, key in {**PARTS, "total": "total_seconds"}.items())
    print(f"where          {parts}")
    print(f"run folder     {kept / 1e6:,.0f} MB")
    cpu = usage.ru_utime + usage.ru_stime
    print(f"command        {wall:.1f} s, {options.rows / wall / 1e6:.2f} M bars/s; CPU {cpu:.1f} s")
    print(f"peak memory    {peak:,.0f} MB (limit {options.limit_mb:,})")
    return int(peak > options.limit_mb)


if __name__ == "__main__":
    sys.exit(guarded(main))
