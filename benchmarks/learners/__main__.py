"""The three learners on public tasks and beside Stable-Baselines3: `python -m benchmarks.learners`.

References: a task with a published result, several seeds, judged without exploration. Speed: updates per CPU second on
the shapes of each seat, eager and compiled, in turns with Stable-Baselines3 on the same networks and batches. The parts
the modules `ppo`, `sac` and `dqn` know how; this module drives and prints.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # set before NumPy and torch are imported: CPU time of one thread is what is compared
    for library in ("OPENBLAS", "OMP", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.learners.timing import Reference, Speed

LEARNERS = ("ppo", "sac", "dqn")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learners", description="The learners, judged and timed."
    )
    parser.add_argument("--learner", choices=(*LEARNERS, "all"), default="all")
    parser.add_argument("--references", action="store_true", help="Learn the public tasks (minutes a seed).")
    parser.add_argument("--seeds", type=_positive, default=5, help="Of each reference.")
    parser.add_argument("--speed", action="store_true", help="Updates per second beside Stable-Baselines3.")
    parser.add_argument("--compiled", action="store_true", help="Speed of compiled updates too (compiles for a while).")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write everything that was measured.")
    parser.add_argument(
        "--check", action="store_true", help="End with 1 if a reference is missed or a ratio is below 1."
    )
    found = parser.parse_args(given)
    if not (found.references or found.speed or found.compiled):
        found.references = found.speed = True
    return found


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, found {text}")
    return number


def conditions() -> dict[str, str]:
    """Machine and versions."""
    names = ("torch", "numpy", "gymnasium", "stable-baselines3")
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "python": platform.python_version(),
    }
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def references_table(references: dict[str, list[Reference]]) -> Table:
    """One row a learner: mean over the seeds, each seed, and whether all reached what is wanted."""
    table = Table("learner", "task", "steps", "mean", "each seed", "wanted", "reached", "CPU s", title="References")
    for learner, seeds in references.items():
        first = seeds[0]
        table.add_row(
            learner,
            first["task"],
            f"{first['steps']:,}",
            f"{fmean(seed['score'] for seed in seeds):.1f}",
            " ".join(f"{seed['score']:.1f}" for seed in seeds),
            f"{first['wanted']:.0f}",
            f"{sum(seed['score'] >= seed['wanted'] for seed in seeds)} of {len(seeds)}",
            f"{fmean(seed['seconds'] for seed in seeds):.0f}",
        )
    return table


def speed_table(speeds: dict[str, dict[str, Speed]]) -> Table:
    """One row a learner and mode: ours, Stable-Baselines3, their ratio."""
    table = Table("learner", "work", "mode", "ours", "SB3", "ratio", title="Updates per CPU second")
    for learner, modes in speeds.items():
        for mode, speed in modes.items():
            peer = speed["sb3"]
            shown = ("-", "-") if peer is None else (f"{peer:,.0f}", f"{speed['ours'] / peer:.2f}")
            table.add_row(learner, speed["work"], mode, f"{speed['ours']:,.0f}", *shown)
    return table


def missed(references: dict[str, list[Reference]], speeds: dict[str, dict[str, Speed]]) -> list[str]:
    """Sentences: references not reached by the mean of the seeds, and updates slower than the peer's."""
    found = []
    for learner, seeds in references.items():
        mean, wanted = fmean(seed["score"] for seed in seeds), seeds[0]["wanted"]
        if mean < wanted:
            found.append(f"{learner} reached {mean:.1f} on {seeds[0]['task']}, wanted {wanted}")
    for learner, modes in speeds.items():
        for mode, speed in modes.items():
            if speed["sb3"] is not None and speed["ours"] < speed["sb3"]:
                found.append(f"{learner} {mode} is slower than Stable-Baselines3")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print it, write it; 1 if `--check` finds something missed."""
    wanted = arguments(given)
    import torch

    torch.set_num_threads(1)
    # a file or a pipe has no width of its own
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(", ".join(f"{name} {value}" for name, value in conditions().items()))
    references: dict[str, list[Reference]] = {}
    speeds: dict[str, dict[str, Speed]] = {}
    for learner in LEARNERS if wanted.learner == "all" else (wanted.learner,):
        part: Any = import_module(f"benchmarks.learners_{learner}")
        if wanted.references:
            references[learner] = []
            for seed in range(wanted.seeds):
                references[learner].append(part.reference(seed))
                found = references[learner][-1]
                console.print(f"{learner} seed {seed}: {found['score']:.1f} ({found.get('note', found['task'])})")
        if wanted.speed:
            speeds.setdefault(learner, {})["eager"] = part.speed(compiled=False)
        if wanted.compiled:
            speeds.setdefault(learner, {})["compiled"] = part.speed(compiled=True)
    if references:
        console.print(references_table(references))
    if speeds:
        console.print(speed_table(speeds))
    if wanted.json:
        everything = {"conditions": conditions(), "references": references, "speeds": speeds}
        wanted.json.write_text(json.dumps(everything, indent=2), encoding="utf-8")
    sentences = missed(references, speeds)
    for sentence in sentences:
        console.print(sentence)
    return 1 if wanted.check and sentences else 0


if __name__ == "__main__":
    sys.exit(main())
