"""The three learners on public tasks and beside Stable-Baselines3: `python -m benchmarks.learners`.

References: a task with a published result, several seeds, judged without exploration. Speed: updates per CPU second on
the shapes of each seat, eager and compiled, in turns with Stable-Baselines3 on the same networks and batches. Ways: the
time of an update beside that of other ways to make it. The modules `ppo`, `sac`, `dqn` and `ways` know how; this one
drives and prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.command_line import Report, Sheet, guarded, machine, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()  # before torch is imported too: CPU time of one thread is what is compared

if TYPE_CHECKING:
    from benchmarks.learners.timing import Reference, Speed

LEARNERS = ("ppo", "sac", "dqn")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    options = parser("learners", "The learners, judged and timed.")
    options.add_argument("--learner", choices=(*LEARNERS, "all"), default="all")
    options.add_argument("--references", action="store_true", help="Learn the public tasks (minutes a seed).")
    options.add_argument("--seeds", type=positive, default=5, help="Of each reference.")
    options.add_argument("--speed", action="store_true", help="Updates per second beside Stable-Baselines3.")
    options.add_argument(
        "--compiled", action="store_true", help="Speed of compiled updates too (compiles for a while)."
    )
    options.add_argument(
        "--ways", action="store_true", help="Time of an update made in other ways; with --compiled, compiled ones too."
    )
    found = options.parse_args(given)
    if not (found.references or found.speed or found.compiled or found.ways):
        found.references = found.speed = True
    return found


@dataclass
class LearnerResults(Report):
    """What was found.

    Attributes:
        conditions: Machine and versions.
        references: By learner, one of each seed.
        speeds: By learner, then by mode: `eager`, `compiled`.
        ways: Microseconds of CPU time an update, by learner and batch, then by way.
    """

    conditions: dict[str, str]
    references: dict[str, list[Reference]] = field(default_factory=dict)
    speeds: dict[str, dict[str, Speed]] = field(default_factory=dict)
    ways: dict[str, dict[str, float]] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        """References with the score of each seed; updates of ours and Stable-Baselines3 by mode; ways."""
        references = [
            (
                learner,
                seeds[0]["task"],
                f"{seeds[0]['steps']:,}",
                f"{fmean(seed['score'] for seed in seeds):.1f}",
                " ".join(f"{seed['score']:.1f}" for seed in seeds),
                f"{seeds[0]['wanted']:.0f}",
                f"{sum(seed['score'] >= seed['wanted'] for seed in seeds)} of {len(seeds)}",
                f"{fmean(seed['seconds'] for seed in seeds):.0f}",
            )
            for learner, seeds in self.references.items()
        ]
        speeds = []
        for learner, modes in self.speeds.items():
            for mode, speed in modes.items():
                peer = speed["sb3"]
                shown = ("-", "-") if peer is None else (f"{peer:,.0f}", f"{speed['ours'] / peer:.2f}")
                speeds.append((learner, speed["work"], mode, f"{speed['ours']:,.0f}", *shown))
        ways = [
            (name, *(f"{times[name]:,.0f}" for times in self.ways.values()))
            for name in next(iter(self.ways.values()), {})
        ]
        header = ("learner", "task", "steps", "mean", "each seed", "wanted", "reached", "CPU s")
        return [
            Sheet("References", header, references, (0, 1, 4)),
            Sheet("Updates per CPU second", ("learner", "work", "mode", "ours", "SB3", "ratio"), speeds, (0, 1, 2)),
            Sheet("Microseconds of CPU time an update, medians", ("way", *self.ways), ways),
        ]

    def missed(self) -> list[str]:
        """References not reached by the mean of the seeds, and updates slower than the peer's."""
        found = []
        for learner, seeds in self.references.items():
            mean, wanted = fmean(seed["score"] for seed in seeds), seeds[0]["wanted"]
            if mean < wanted:
                found.append(f"{learner} reached {mean:.1f} on {seeds[0]['task']}, wanted {wanted}")
        for learner, modes in self.speeds.items():
            for mode, speed in modes.items():
                if speed["sb3"] is not None and speed["ours"] < speed["sb3"]:
                    found.append(f"{learner} {mode} is slower than Stable-Baselines3")
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {"conditions": self.conditions, "references": self.references, "speeds": self.speeds, "ways": self.ways}


def main(given: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print it, write it; 1 if `--check` finds something missed."""
    wanted = arguments(given)
    import torch

    torch.set_num_threads(1)
    versions = machine("torch", "numpy", "gymnasium", "stable-baselines3")
    results = LearnerResults({**versions, "threads": "one"})
    for learner in LEARNERS if wanted.learner == "all" else (wanted.learner,):
        part: Any = import_module(f"benchmarks.learners.{learner}")
        for seed in range(wanted.seeds) if wanted.references else ():
            found = part.reference(seed)
            results.references.setdefault(learner, []).append(found)
            print(f"{learner} seed {seed}: {found['score']:.1f} ({found.get('note', found['task'])})", flush=True)
        if wanted.ways:
            from benchmarks.learners.ways import BATCHES, measure

            for batch in BATCHES[learner]:
                results.ways[f"{learner} {batch}"] = measure(learner, batch, compiled=wanted.compiled)
            continue
        for mode, asked in (("eager", wanted.speed), ("compiled", wanted.compiled)):
            if asked:
                results.speeds.setdefault(learner, {})[mode] = part.speed(compiled=mode == "compiled")
    return present(results, wanted)


if __name__ == "__main__":
    sys.exit(guarded(main))
