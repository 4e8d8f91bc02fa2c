"""Speed of the bundled ensemble inside the loop: `python -m benchmarks.ensemble`.

Bars per CPU second through its three networks with ledger and decisions kept, beside the networks' own time in the
same run; and live, from one bar in to its orders out, the percentiles of latency.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks.command_line import from_up, guarded, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

if TYPE_CHECKING:
    from benchmarks.ensemble.results import EnsembleResults
    from benchmarks.ensemble.runs import EnsembleSetup

LEAST_ROWS = 5_000  # below it the strategic agent hardly decides


def arguments() -> argparse.Namespace:
    """Read the command line."""
    options = parser("ensemble", "Speed of the ensemble in the loop.")
    options.add_argument(
        "--bars", type=from_up(LEAST_ROWS), default=1_000_000, help=f"One-minute bars, from {LEAST_ROWS:,} up."
    )
    options.add_argument("--rounds", type=positive, default=5)
    options.add_argument("--live-rows", type=positive, default=20_000, help="Rows that come one by one.")
    options.add_argument("--block", type=positive, default=None, help="Rows of a block (default: the backtest's).")
    options.add_argument("--seed", type=positive, default=1, help="Of the synthetic bars.")
    return options.parse_args()


def measure_replays(setup: EnsembleSetup, results: EnsembleResults, rounds: int, block: int) -> None:
    """Rounds in which the cadences take turns, each followed by its networks only."""
    from benchmarks.ensemble.results import Replays
    from benchmarks.ensemble.runs import CADENCES, run_networks, run_whole

    for number in range(rounds + 1):
        for cadence in CADENCES:
            whole = run_whole(setup, cadence, block)
            alone = run_networks(setup, whole.acted)
            if number:  # the first round warms up
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


def main() -> int:
    """Run the benchmark; returns 1 with --check if an aim is missed."""
    options = arguments()
    return present(run(options), options)


if __name__ == "__main__":
    sys.exit(guarded(main))
