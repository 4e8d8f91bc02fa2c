"""How long a person waits: `python benchmarks/command.py`.

Median wall time, with warm caches, of the whole `grandmodel backtest` command (report included) on a file of 30,000
bars and of `grandmodel --help`, and where the time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND_AIM, HELP_AIM = 2.0, 0.3
IMPORTS_SHOWN = 8


def timed(*words: str, options: tuple[str, ...] = ()) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Wall seconds of one `grandmodel` command, start of Python included.

    Raises:
        SystemExit: If it fails; with its message.
    """
    command = [sys.executable, *options, "-m", "engine.cli.main", *words]
    before = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(done.stderr.strip() or f"the command ended with {done.returncode}")
    return seconds, done


def write_bars(path: Path, rows: int) -> None:
    """A CSV file of synthetic minutes."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.bars import benchmark_bars

    bars = benchmark_bars(rows)
    names = list(bars.columns)
    times = bars.ts_event.astype("datetime64[ns]").astype("datetime64[s]").astype(str)
    values = zip(times, *(bars.columns[name].tolist() for name in names), strict=True)
    lines = [",".join(["timestamp", *names]), *(",".join(map(str, row)) for row in values)]
    path.write_text("\n".join(lines) + "\n")


def slow_imports(*words: str) -> list[tuple[float, str]]:
    """Seconds that a command spends in each package it imports, by the interpreter's own count, largest first."""
    _, done = timed(*words, options=("-X", "importtime"))
    spent: dict[str, float] = {}
    for line in done.stderr.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(parts) == 3 and parts[0].strip().isdigit():
            package = parts[2].strip().partition(".")[0]
            spent[package] = spent.get(package, 0.0) + int(parts[0]) * 1e-6
    return sorted(((seconds, name) for name, seconds in spent.items()), reverse=True)


def backtests(data: Path, folder: Path, rounds: int) -> tuple[float, dict[str, Any]]:
    """Median wall seconds of the command, and the medians of what it says of itself."""
    words = (
        "backtest",
        "--data",
        str(data),
        "--labels",
        "close",
        "--out",
        str(folder / "run"),
        "--overwrite",
        "--json",
    )
    timed(*words)  # compiles, if need be
    walls, reports = [], []
    for _ in range(rounds):
        seconds, done = timed(*words)
        walls.append(seconds)
        reports.append(json.loads(done.stdout))
    keys = [key for key in reports[0] if key == "seconds" or key.endswith("_seconds")]
    return median(walls), {key: median(report[key] for report in reports) for key in keys}


def show(title: str, seconds: float, aim: float) -> None:
    """One result beside its aim."""
    print(f"{title:<24} {seconds:6.3f} s   aim {aim} s{'' if seconds < aim else '   MISSED'}")


def main() -> int:
    """Measure and print; returns 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description="Wall time of the command line.")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "bars.csv"
        write_bars(data, options.rows)
        wall, parts = backtests(data, Path(name), options.rounds)
        words = (
            "backtest",
            "--data",
            str(data),
            "--labels",
            "close",
            "--out",
            str(Path(name) / "run"),
            "--overwrite",
            "--json",
        )
        imports = slow_imports(*words)
    show(f"backtest, {options.rows:,} bars", wall, COMMAND_AIM)
    # what lies between the process and the command's own clock is Python, typer and the first imports
    print(f"  before and after       {wall - parts['total_seconds']:6.3f} s")
    labels = {"reading": "reading_seconds", "loop": "seconds", "recording": "recording_seconds"}
    for label, key in {**labels, "report": "report_seconds"}.items():
        print(f"  {label:<22} {parts[key]:6.3f} s")
    inside = parts["total_seconds"] - sum(parts[key] for key in labels.values()) - parts["report_seconds"]
    print(f"  imports, wiring, rest  {inside:6.3f} s")
    print(
        f"  imports by package     {', '.join(f'{n} {s:.2f}' for s, n in imports[:IMPORTS_SHOWN])} (with -X importtime)"
    )
    helping = median(timed("--help")[0] for _ in range(options.rounds))
    show("--help", helping, HELP_AIM)
    return int(wall >= COMMAND_AIM or helping >= HELP_AIM)


if __name__ == "__main__":
    sys.exit(main())
