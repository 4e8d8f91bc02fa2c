"""Speed of the training's parts: `python -m benchmarks.training`.

The environments, beside those of other projects where they are installed (`.venvs/environments`, or this Python). With
`--end-to-end` training itself: the strategic agent beside Stable-Baselines3, and all three agents.
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
    # set before NumPy is imported: worker threads that spin would count as CPU time
    for library in ("OPENBLAS", "OMP", "MKL", "NUMBA", "RAYON"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

if TYPE_CHECKING:
    from benchmarks.training.end_to_end import EndToEndResults
    from benchmarks.training.environment import EnvironmentResults

LEAST_BARS = 10_000  # some episodes after the agents' warm-up


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Speed of the training's parts.")
    parser.add_argument("--bars", type=_bars, default=1_000_000, help=f"Of the market, from {LEAST_BARS:,} up.")
    parser.add_argument("--envs", type=_counts, default=[1, 4, 64, 256], help="Numbers of environments, with commas.")
    parser.add_argument("--end-to-end", action="store_true", help="Speed of training instead of the environments.")
    parser.add_argument("--compiled", action="store_true", help="End to end with compiled updates too.")
    parser.add_argument("--rounds", type=_positive, default=7)
    parser.add_argument("--seed", type=_positive, default=1, help="Of bars, starts and actions.")
    parser.add_argument("--no-peers", action="store_true", help="Leave other projects out.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    parser.add_argument("--markdown", action="store_true", help="Print the table as Markdown.")
    parser.add_argument("--check", action="store_true", help="End with 1 if an aim is missed.")
    return parser.parse_args(given)


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return number


def _bars(text: str) -> int:
    number = _positive(text)
    if number < LEAST_BARS:
        raise argparse.ArgumentTypeError(f"expected a whole number from {LEAST_BARS} up, found {text}")
    return number


def _counts(text: str) -> list[int]:
    return sorted({_positive(part) for part in text.split(",")})


def _measured(options: argparse.Namespace) -> EnvironmentResults | EndToEndResults:
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
    from rich.console import Console

    from benchmarks.replay.results import processor

    options = arguments(given)
    errors = Console(stderr=True)
    results = _measured(options)
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    if options.markdown:
        print(results.as_markdown())
    else:
        Console().print(results.as_table())
    told = {"processor": processor(), "Python": sys.version.split()[0], "rounds": options.rounds, **results.versions}
    for name, text in told.items():
        errors.print(f"{name}: {text}", style="dim", markup=False, highlight=False)
    missed = results.missed()
    for sentence in missed:
        errors.print(f"missed: {sentence}", style="yellow", markup=False)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
