"""How long users wait for the command line: `python -m benchmarks.command`.

CPU seconds (user and system, start of Python included) of whole commands with warm caches, medians over rounds in which
the commands take turns:

    grandmodel --help           beside `python -c pass`
    a backtest of 60 bars       beside the import of numba and polars
    a backtest of 30,000 bars   from CSV, with its report, and where its wall time goes
    a backtest of a million     from Parquet, with its report
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.command_line import PARTS, guarded, run_python

HELP_AIM, SMALL_AIM = 4.0, 1.5  # times what they are compared with
COMMAND_AIM, MILLION_AIM = 2.0, 1.5  # CPU seconds
IMPORTS_SHOWN = 8


def spent(*words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """CPU seconds of a Python process with these arguments.

    Raises:
        CheckFailed: If it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_python(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done


def command(*words: str) -> tuple[str, ...]:
    """Arguments of Python that run `grandmodel`."""
    return ("-m", "engine.cli.main", *words)


def backtest(data: Path) -> tuple[str, ...]:
    """Arguments of Python that backtest a file."""
    out = data.with_suffix(".run")
    return command("backtest", "--data", str(data), "--labels", "close", "--out", str(out), "--overwrite", "--json")


def write_bars(path: Path, rows: int) -> Path:
    """A file of synthetic minutes, CSV or Parquet by its name."""
    import polars as pl

    from benchmarks.replay.bars import benchmark_bars

    bars = benchmark_bars(rows)
    times = pl.Series("timestamp", bars.ts_event).cast(pl.Datetime("ns"))
    frame = pl.DataFrame({"timestamp": times, **dict(bars.columns)})
    if path.suffix == ".csv":
        frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S")
    else:
        frame.write_parquet(path)
    return path


def slow_imports(words: Sequence[str]) -> list[tuple[float, str]]:
    """Seconds that a command spends in each package it imports, by the interpreter's own count, largest first."""
    _, done = spent("-X", "importtime", *words)
    found: dict[str, float] = {}
    for line in done.stderr.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(parts) == 3 and parts[0].strip().isdigit():
            package = parts[2].strip().partition(".")[0]
            found[package] = found.get(package, 0.0) + int(parts[0]) * 1e-6
    return sorted(((seconds, name) for name, seconds in found.items()), reverse=True)


def show(title: str, value: float, unit: str, aim: float) -> bool:
    """Print one result beside its aim; returns whether it is met."""
    print(f"{title:<42} {value:6.2f} {unit}   aim {aim:g}{'' if value < aim else '   MISSED'}")
    return value < aim


def main() -> int:
    """Measure and print; returns 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description="CPU time of the command line.")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, usual, large = (
            backtest(write_bars(folder / file, rows))
            for file, rows in (("small.csv", 60), ("usual.csv", 30_000), ("large.parquet", 1_000_000))
        )
        cases = {
            "pass": ("-c", "pass"),
            "help": command("--help"),
            "imports": ("-c", "import numba, polars"),
            "small": small,
            "usual": usual,
            "large": large,
        }
        for words in cases.values():
            spent(*words)  # compiles, and fills the caches of files
        rounds = [{case: spent(*words) for case, words in cases.items()} for _ in range(options.rounds)]
        by_package = slow_imports(small)
    cpu = {case: median(one[case][0] for one in rounds) for case in cases}
    wall = {key: median(json.loads(one["usual"][1].stdout)[key] for one in rounds) for key in PARTS.values()}
    print(f"CPU seconds, medians of {options.rounds} rounds: " + ", ".join(f"{c} {s:.3f}" for c, s in cpu.items()))
    met = [
        show("--help / python -c pass", cpu["help"] / cpu["pass"], "times", HELP_AIM),
        show("60 bars / import of numba and polars", cpu["small"] / cpu["imports"], "times", SMALL_AIM),
        show("30,000 bars from CSV, with report", cpu["usual"], "s", COMMAND_AIM),
        show("1,000,000 bars from Parquet, with report", cpu["large"], "s", MILLION_AIM),
    ]
    print("wall seconds of 30,000 bars: " + ", ".join(f"{part} {wall[key]:.3f}" for part, key in PARTS.items()))
    print("imports of 60 bars: " + ", ".join(f"{n} {s:.2f}" for s, n in by_package[:IMPORTS_SHOWN]))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(guarded(main))
