"""Speed of the training's parts: `python -m benchmarks.training`.

The environments, beside those of other projects where they are installed (`.venvs/environments`, or this Python). With
`--end-to-end` training itself: the strategic agent beside Stable-Baselines3, and all three agents.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.command_line import Report, from_up, guarded, one_thread, parser, positive, positives, present

if __name__ == "__main__":
    one_thread()

LEAST_BARS = 10_000  # some episodes after the agents' warm-up


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    options = parser("training", "Speed of the training's parts.")
    options.add_argument(
        "--bars", type=from_up(LEAST_BARS), default=1_000_000, help=f"Of the market, from {LEAST_BARS:,} up."
    )
    options.add_argument(
        "--envs", type=positives, default=[1, 4, 64, 256], help="Numbers of environments, with commas."
    )
    options.add_argument("--end-to-end", action="store_true", help="Speed of training instead of the environments.")
    options.add_argument("--compiled", action="store_true", help="End to end with compiled updates too.")
    options.add_argument("--rounds", type=positive, default=7)
    options.add_argument("--seed", type=positive, default=1, help="Of bars, starts and actions.")
    options.add_argument("--no-peers", action="store_true", help="Leave other projects out.")
    return options.parse_args(given)


def _measured(options: argparse.Namespace) -> Report:
    peers = not options.no_peers
    if options.end_to_end:
        import torch

        from benchmarks.training import end_to_end as training_end_to_end

        torch.set_num_threads(1)
        return training_end_to_end.measure(options.rounds, options.seed, compiled=options.compiled, peers=peers)
    from benchmarks.training import environment as training_environment

    return training_environment.measure(options.bars, options.envs, options.rounds, options.seed, peers=peers)


def main(given: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 with --check if an aim is missed."""
    options = arguments(given)
    return present(_measured(options), options)


if __name__ == "__main__":
    sys.exit(guarded(main))
