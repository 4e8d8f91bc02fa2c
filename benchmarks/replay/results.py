"""What the replay benchmark found: agreement between the systems, conditions and tables."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.peers.serve import CAPITAL

OURS = "grandmodel"
TOLERANCE = 1e-6


@dataclass
class Measured:
    """One system on one number of bars.

    Attributes:
        seconds: CPU seconds of each round; shorter than the benchmark's rounds for slow systems.
        trades: Positions taken.
        profit: Final equity less initial capital; None for a system that sends no orders.
    """

    seconds: list[float] = field(default_factory=list)
    trades: int = 0
    profit: float | None = None


@dataclass
class Results:
    """Everything that was found.

    Attributes:
        conditions: Machine, versions, rounds.
        measured: By number of bars, then by system.
        notes: By system: what its accounting needed.
        absent: Systems that could not run, and why.
        disagreements: Sentences; empty if all agree.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    measured: dict[int, dict[str, Measured]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    def systems(self) -> list[str]:
        """Every system that ran, in order of running."""
        return list(dict.fromkeys(name for by_system in self.measured.values() for name in by_system))

    def rate(self, rows: int, system: str) -> float | None:
        """Bars per CPU second, by the median round; None if it did not run."""
        found = self.measured.get(rows, {}).get(system)
        return rows / median(found.seconds) if found else None

    def ratio(self, rows: int, system: str) -> float | None:
        """CPU time over GrandModel's, the median of the ratios of each round; None if it did not run."""
        found, ours = self.measured.get(rows, {}).get(system), self.measured.get(rows, {}).get(OURS)
        if not found or not ours:
            return None
        return median(theirs / own for theirs, own in zip(found.seconds, ours.seconds, strict=False))

    def as_json(self) -> dict[str, Any]:
        """Everything, with rates and ratios worked out."""
        tree = asdict(self)
        for rows, by_system in tree["measured"].items():
            for name, found in by_system.items():
                found["bars_per_cpu_second"] = self.rate(rows, name)
                found["cpu_time_over_grandmodel"] = self.ratio(rows, name)
        return tree


def disagreement(system: str, rows: int, found: Measured, trades: int, profit: float) -> str | None:
    """A sentence if a system differs from the plain loop in trades, equity and profit, else None."""
    if found.trades != trades:
        return f"{system}, {rows:,} bars: {found.trades} trades, the plain loop {trades}"
    if found.profit is None:
        return None
    equity, expected = CAPITAL + found.profit, CAPITAL + profit
    # profit is compared as well: capital must not hide a difference in fees or prices
    same = math.isclose(equity, expected, rel_tol=TOLERANCE) and math.isclose(found.profit, profit, rel_tol=TOLERANCE)
    return None if same else f"{system}, {rows:,} bars: final equity {equity:.9f}, the plain loop {expected:.9f}"


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def conditions(versions: Mapping[str, Mapping[str, str]], rounds: int, slow_rounds: int, block: int) -> dict[str, str]:
    """What the numbers depend on."""
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "rounds": f"median of {rounds} after three to warm up, systems taking turns; "
        f"slow systems {slow_rounds} after one",
        "block": f"{block} rows",
        **{peer: ", ".join(f"{name} {number}" for name, number in known.items()) for peer, known in versions.items()},
    }


def _cells(results: Results, system: str, sizes: Sequence[int]) -> list[str]:
    cells = []
    for rows in sizes:
        rate, ratio = results.rate(rows, system), results.ratio(rows, system)
        cells += ["-", "-"] if rate is None or ratio is None else [_millions(rate), f"{ratio:.2f}"]
    return cells


def _millions(rate: float) -> str:
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e6:.3f} M"


def _header(sizes: Sequence[int]) -> list[str]:
    titles = ["system"]
    for rows in sizes:
        titles += [f"bars/CPU s, {rows:,}", "time, ours = 1"]
    return [*titles, "remarks"]


def _rows(results: Results) -> list[list[str]]:
    sizes = list(results.measured)
    rows = [[name, *_cells(results, name, sizes), results.notes.get(name, "")] for name in results.systems()]
    blank = ["-"] * (2 * len(sizes))
    return rows + [[name, *blank, reason] for name, reason in results.absent.items()]


def as_table(results: Results) -> Table:
    """For the terminal."""
    table = Table(title="Replay: moving averages 10/30, always in the market")
    for number, title in enumerate(_header(list(results.measured))):
        remark = title == "remarks"
        table.add_column(title, justify="right" if number and not remark else "left", overflow="fold")
    for row in _rows(results):
        table.add_row(*row, style="bold" if row[0] == OURS else None)
    return table


def as_markdown(results: Results) -> str:
    """For the README."""
    header = _header(list(results.measured))
    rules = ["---", *["---:"] * (len(header) - 2), "---"]
    lines = [header, rules, *_rows(results)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
