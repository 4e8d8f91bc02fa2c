"""Are causes found that are known? `python -m benchmarks.divergence`.

Faults are injected into live sessions, none, each alone and in all pairs, and the causes of the difference to the
backtest of the same market without faults are asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.command_line import Report, Sheet, guarded, machine, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

if TYPE_CHECKING:
    from engine.app.divergence.divergence import Divergence

AIM = 0.95
KINDS = ("no fault", "one fault", "two faults")


@dataclass
class DivergenceResults(Report):
    """How often exactly the injected faults were found, and how often the one with the larger effect came first.

    Attributes:
        sessions: By number of faults.
        found: Where the causes were the faults, no more and no fewer.
        first: Where the first cause was the fault that changes more by itself.
        seconds: Of all explanations.
        missed_ones: Faults and causes where they were not the same.
    """

    conditions: dict[str, str]
    sessions: Counter[int] = field(default_factory=Counter)
    found: Counter[int] = field(default_factory=Counter)
    first: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    missed_ones: list[str] = field(default_factory=list)

    def add(self, faults: frozenset[str], told: Divergence) -> None:
        """Take in one session."""
        count, causes = len(faults), [cause.part.factor for cause in told.causes]
        self.sessions[count] += 1
        self.found[count] += set(causes) == faults
        alone = [abs(cause.alone) for cause in told.causes]
        self.first[count] += bool(alone) and alone[0] == max(alone)
        if set(causes) != faults:
            self.missed_ones.append(f"{', '.join(sorted(faults)) or 'nothing'}: found {', '.join(causes) or 'nothing'}")

    def share(self, of: Counter[int], count: int) -> float:
        """Of the sessions with so many faults."""
        return of[count] / self.sessions[count]

    def sheets(self) -> list[Sheet]:
        """One row for each number of faults."""
        rows = [
            [
                KINDS[count],
                f"{sessions:,}",
                f"{100 * self.share(self.found, count):.1f} %",
                f"{100 * self.share(self.first, count):.1f} %" if count else "",
            ]
            for count, sessions in sorted(self.sessions.items())
        ]
        header = ("session with", "sessions", "exactly the faults found", "larger effect alone first")
        return [Sheet("Causes of a difference in profit", header, rows)]

    def remarks(self) -> list[str]:
        """What it took."""
        return [f"{sum(self.sessions.values()):,} explanations in {self.seconds:.1f} s", *self.missed_ones]

    def missed(self) -> list[str]:
        """Numbers of faults with too few that were found."""
        aims = {0: 1.0, 1: 1.0, 2: AIM}
        return [
            f"{KINDS[count]}: found in {100 * self.share(self.found, count):.1f} %, aim at least {aims[count]:.0%}"
            for count in sorted(self.sessions)
            if self.share(self.found, count) < aims[count]
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        counts = {"sessions": self.sessions, "found": self.found, "larger_first": self.first}
        return {**{name: dict(count) for name, count in counts.items()}, "missed": self.missed_ones}


def run(options: argparse.Namespace) -> DivergenceResults:
    """Inject and explain as the command line asks."""
    from benchmarks.divergence.faults import FAULTS, backtest_folder, market, session_with
    from engine.app.divergence.divergence import diverge
    from engine.app.divergence.loading import read_run

    results = DivergenceResults({**machine("numpy"), "seeds": f"1 to {options.seeds}"})
    sets = [frozenset(chosen) for count in range(len(KINDS)) for chosen in combinations(FAULTS, count)]
    with tempfile.TemporaryDirectory() as name:
        for seed in range(1, options.seeds + 1):
            folder = Path(name) / str(seed)
            other = read_run(backtest_folder(folder / "backtest", market(seed)))
            for number, faults in enumerate(sets):
                session = session_with(faults, folder / str(number), seed)
                began = time.perf_counter()
                results.add(frozenset(faults), diverge(read_run(session), other))
                results.seconds += time.perf_counter() - began
    return results


def main() -> int:
    """Explain and print."""
    options = parser("divergence", "Whether the causes of a difference between session and backtest are found.")
    options.add_argument("--seeds", type=positive, default=12, help="Markets, each with 22 sessions.")
    chosen = options.parse_args()
    return present(run(chosen), chosen)


if __name__ == "__main__":
    sys.exit(guarded(main))
