"""What the replay benchmark found: agreement between the systems, conditions and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, ClassVar

from benchmarks.command_line import Report, Sheet, machine
from benchmarks.peers.serve import CAPITAL

OURS = "grandmodel"
TOLERANCE = 1e-6
CONDITIONS = (
    "one contract, fills at the next open, 0.1 % of notional a fill; CPU time of the run only: conversion, "
    "compilation and closing statistics are not counted for anybody"
)


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
class Results(Report):
    """Everything that was found.

    Attributes:
        conditions: Machine, versions, rounds.
        measured: By number of bars, then by system.
        notes: By system: what its accounting needed.
        absent: Systems that could not run, and why.
        disagreements: Sentences; empty if all agree.
    """

    verdict: ClassVar[str] = "disagreement"
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

    def missed(self) -> list[str]:
        """Every system must come to the same result."""
        return self.disagreements

    def sheets(self) -> list[Sheet]:
        """A row for each system, two columns for each number of bars."""
        header = ["system"]
        for rows in self.measured:
            header += [f"bars/CPU s, {rows:,}", "time, ours = 1"]
        lines = []
        for system in self.systems():
            line = [system]
            for rows in self.measured:
                rate, ratio = self.rate(rows, system), self.ratio(rows, system)
                line += ["-", "-"] if rate is None or ratio is None else [_millions(rate), f"{ratio:.2f}"]
            lines.append([*line, self.notes.get(system, "")])
        blank = ["-"] * (2 * len(self.measured))
        lines += [[name, *blank, reason] for name, reason in self.absent.items()]
        title = "Replay: moving averages 10/30, always in the market"
        return [Sheet(title, [*header, "remarks"], lines, (0, len(header)), bold=OURS)]

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


def conditions(versions: Mapping[str, Mapping[str, str]], rounds: int, slow_rounds: int, block: int) -> dict[str, str]:
    """What the numbers depend on."""
    return {
        "conditions": CONDITIONS,
        "processor": machine()["processor"],
        "rounds": f"median of {rounds} after three to warm up, systems taking turns; "
        f"slow systems {slow_rounds} after one",
        "block": f"{block} rows",
        **{peer: ", ".join(f"{name} {number}" for name, number in known.items()) for peer, known in versions.items()},
    }


def _millions(rate: float) -> str:
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e6:.3f} M"
