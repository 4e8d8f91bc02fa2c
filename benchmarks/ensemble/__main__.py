"""Speed of the bundled ensemble inside the loop: `python -m benchmarks.ensemble`.

Bars per CPU second through its three networks with ledger and decisions kept, beside the networks' own time in the
same run; and live, from one bar in to its orders out, the percentiles of latency.
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
    # set before NumPy is imported: worker threads that spin would count as CPU time of the loop
    for library in ("OPENBLAS", "OMP", "MKL", "NUMBA", "RAYON"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

if TYPE_CHECKING:
    from benchmarks.ensemble.results import EnsembleResults
    from benchmarks.ensemble.runs import EnsembleSetup

LEAST_ROWS = 5_000  # below it the strategic agent hardly decides


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ensemble", description="Speed of the ensemble in the loop."
    )
    parser.add_argument("--bars", type=_bars, default=1_000_000, help=f"One-minute bars, from {LEAST_ROWS:,} up.")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--live-rows", type=_positive, default=20_000, help="Rows that come one by one.")
    parser.add_argument("--block", type=_positive, default=None, help="Rows of a block (default: the backtest's).")
    parser.add_argument("--seed", type=_positive, default=1, help="Of the synthetic bars.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    parser.add_argument("--markdown", action="store_true", help="Print the tables as Markdown.")
    parser.add_argument("--check", action="store_true", help="End with 1 if an aim is missed.")
    return parser.parse_args(given)


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return number


def _bars(text: str) -> int:
    number = _positive(text)
    if number < LEAST_ROWS:
        raise argparse.ArgumentTypeError(f"expected a whole number from {LEAST_ROWS} up, found {text}")
    return number


def measure_replays(setup: EnsembleSetup, results: EnsembleResults, rounds: int, block: int) -> None:
    """Rounds in which the cadences take turns, each followed by its networks only."""
    from benchmarks.ensemble.results import Replays
    from benchmarks.ensemble.runs import CADENCES, run_networks, run_whole

    for number in range(rounds + 1):
        for cadence in CADENCES:
            whole = run_whole(setup, cadence, block)
            alone = run_networks(setup, whole.acted)
            if number:
                replays = results.replays.setdefault(cadence, Replays())
                replays.whole.append(whole)
                replays.networks.append(alone)


def run(options: argparse.Namespace) -> EnsembleResults:
    """Measure as the command line asks."""
    from benchmarks.ensemble.results import EnsembleResults, conditions, percentiles
    from benchmarks.ensemble.runs import SINGLE_WARM_ROWS, WARM_ROWS, run_live, set_up
    from engine.app.config import DEFAULT_BLOCK
    from engine.app.warmup import warm_up

    warm_up("ensemble")
    block = options.block or DEFAULT_BLOCK
    # a longer series begins with the shorter one, so the live rows may need more bars than the replays
    needed = WARM_ROWS + SINGLE_WARM_ROWS + options.live_rows
    live_setup = set_up(needed, options.seed)
    results = EnsembleResults(options.bars, conditions(options.rounds, block, options.seed, options.live_rows))
    measure_replays(set_up(options.bars, options.seed), results, options.rounds, block)
    results.live, results.counts = percentiles(run_live(live_setup, options.live_rows, "tactical"))
    return results


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 if it cannot measure, or with --check if an aim is missed."""
    from rich.console import Console

    from benchmarks.ensemble.results import as_markdown, as_tables
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
