"""Speed of live paper trading: `python -m benchmarks.live`.

Sustained bars a second from a broker through bus, agents and journal; the time from a bar's receipt to the commit of
what was decided; memory over a million bars; and how soon a session is back. Takes some minutes, `--quick` half of one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # set before NumPy is imported, for the sessions as well
    for library in ("OPENBLAS", "OMP", "MKL", "NUMBA", "RAYON"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

if TYPE_CHECKING:
    from benchmarks.live.cases import Size
    from benchmarks.live.results import LiveResults

PARTS = ("rate", "latency", "memory", "recovery")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description="Speed of live paper trading.")
    parser.add_argument("--only", choices=PARTS, action="append", help="Leave the rest out; repeatable.")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="One round of everything, and less of it.")
    sizes.add_argument("--tiny", action="store_true", help="Only to see that it runs; the numbers mean nothing.")
    parser.add_argument(
        "--folder", type=Path, help="Where sessions keep their journals (default: the temporary folder)."
    )
    parser.add_argument("--seed", type=int, default=1, help="Of the synthetic bars.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    parser.add_argument("--markdown", action="store_true", help="Print the tables as Markdown.")
    parser.add_argument("--check", action="store_true", help="End with 1 if an aim is missed.")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> LiveResults:
    """Measure as the command line asks; cases take turns within each round."""
    from benchmarks.live import cases
    from benchmarks.live.results import LiveResults, conditions
    from engine.app.warmup import warm_up

    for kind in ("rules", "strategy", "ensemble", "live"):
        warm_up(kind)
    size, where, seed = _size(options), options.folder, options.seed
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


def _size(options: argparse.Namespace) -> Size:
    from benchmarks.live.cases import QUICK, TINY, Size

    if options.tiny:
        return TINY
    return QUICK if options.quick else Size()


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 if it cannot measure, or with --check if an aim is missed."""
    from rich.console import Console

    from benchmarks.live.results import as_markdown, as_tables
    from engine.base.errors import GrandModelError

    options = arguments(given)
    errors = Console(stderr=True)
    try:
        results = run(options)
    except GrandModelError as error:
        errors.print(str(error), style="red", markup=False)
        return 1
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    if options.markdown:
        print(as_markdown(results))
    else:
        for table in as_tables(results):
            Console().print(table)
        for name, text in results.conditions.items():
            errors.print(f"{name}: {text}", style="dim", markup=False, highlight=False)
    missed = results.missed()
    for sentence in missed:
        errors.print(f"missed: {sentence}", style="yellow", markup=False)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
