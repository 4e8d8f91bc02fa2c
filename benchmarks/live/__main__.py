"""Speed of live paper trading: `python -m benchmarks.live`.

Sustained bars a second from a broker through bus, agents and journal; the time from a bar's receipt to the commit of
what was decided; memory over a million bars; and how soon a session is back. Takes some minutes, `--quick` half of one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.command_line import guarded, one_thread, parser, present

if __name__ == "__main__":
    one_thread()

if TYPE_CHECKING:
    from benchmarks.live.results import LiveResults

PARTS = ("rate", "latency", "memory", "recovery")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    options = parser("live", "Speed of live paper trading.")
    options.add_argument("--only", choices=PARTS, action="append", help="Leave the rest out; repeatable.")
    sizes = options.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="One round of everything, and less of it.")
    sizes.add_argument("--tiny", action="store_true", help="Only to see that it runs; the numbers mean nothing.")
    options.add_argument(
        "--folder", type=Path, help="Where sessions keep their journals (default: the temporary folder)."
    )
    options.add_argument("--seed", type=int, default=1, help="Of the synthetic bars.")
    return options.parse_args()


def run(options: argparse.Namespace) -> LiveResults:
    """Measure as the command line asks; cases take turns within each round."""
    from benchmarks.live import cases
    from benchmarks.live.results import LiveResults, conditions
    from engine.app.warmup import warm_up

    for kind in ("rules", "strategy", "ensemble", "live"):
        warm_up(kind)
    size = cases.TINY if options.tiny else cases.QUICK if options.quick else cases.Size()
    where, seed = options.folder, options.seed
    parts, results = options.only or PARTS, LiveResults()
    for number in range(size.rounds):
        check = number == 0  # every round trades the same bars
        for case in cases.RATES if "rate" in parts else ():
            results.rates.setdefault(case.title, []).append(cases.rate(case, size, where, seed, check))
        for place in cases.latency_cases() if "latency" in parts else ():
            results.latencies.setdefault(place.title, []).append(cases.latency(place, size, where, seed, check))
    if "memory" in parts:
        results.memory = cases.memory(size, where, seed)
    if "recovery" in parts:
        for agent, specification in (("ensemble", cases.ENSEMBLE), ("a plain Python strategy", cases.UNSAVED)):
            results.recoveries[agent] = cases.recovery(specification, size, where, seed)
    sync = [one for rounds in results.latencies.values() for found in rounds for one in found.sync]
    results.conditions = conditions(size, seed, sync)
    return results


def main() -> int:
    """Run the benchmark; returns 1 with --check if an aim is missed."""
    options = arguments()
    return present(run(options), options)


if __name__ == "__main__":
    sys.exit(guarded(main))
