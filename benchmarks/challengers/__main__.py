"""How often is a challenger promoted that is no better? `python -m benchmarks.challengers`.

Pairs of traders whose mean difference is 0, in four distributions, and rules that are read after every block; then how
many blocks the rule of this project needs where the challenger is better. Pure simulation on arrays.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.command_line import Report, Sheet, guarded, machine, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

ALPHA = 0.05
OURS = "paired test of this project"


@dataclass
class ChallengerResults(Report):
    """Shares of false promotions by rule and distribution, and blocks until a promotion by effect."""

    sessions: int
    blocks: int
    conditions: dict[str, str]
    false: dict[str, dict[str, float]] = field(default_factory=dict)
    power: dict[float, tuple[float, float, int | None]] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        """Both tables."""
        names = list(next(iter(self.false.values())))
        rows = [[rule, *(f"{100 * shares[name]:.1f} %" for name in names)] for rule, shares in self.false.items()]
        title = f"Promoted though no better: {self.sessions:,} sessions, {self.blocks:,} looks, nominal {ALPHA:.0%}"
        power = [
            [f"{effect:g}", f"{median:,.0f}", f"{100 * share:.1f} %", "" if told is None else f"{told:,}"]
            for effect, (median, share, told) in self.power.items()
        ]
        header = ("mean difference, sd", "median blocks", "promoted at all", "wait that is printed")
        return [
            Sheet(title, ("rule", *names), rows, bold=OURS),
            Sheet("Better challengers, the first ever started, bound 10 sd", header, power),
        ]

    def missed(self) -> list[str]:
        """Distributions in which too many were promoted."""
        return [
            f"{name}: {100 * share:.1f} % promoted, aim at most {ALPHA:.0%}"
            for name, share in self.false[OURS].items()
            if share > ALPHA
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        power = {str(effect): found for effect, found in self.power.items()}
        return {"sessions": self.sessions, "blocks": self.blocks, "false_promotions": self.false, "power": power}


def run(options: argparse.Namespace) -> ChallengerResults:
    """Measure as the command line asks."""
    import numpy as np

    from benchmarks.challengers.draws import DRAWS, normal
    from benchmarks.challengers.rules import RULES, paired_test
    from engine.challengers.paired import threshold
    from engine.challengers.waiting import EFFECTS, wait_before

    results = ChallengerResults(options.sessions, options.blocks, {**machine("numpy"), "seed": str(options.seed)})
    random = np.random.default_rng(options.seed)
    drawn = {name: draw(random, options.sessions, options.blocks) for name, draw in DRAWS.items()}
    for rule, promotes in RULES.items():
        results.false[rule] = {name: float((promotes(sample, ALPHA) > 0).mean()) for name, sample in drawn.items()}
    first = threshold(ALPHA, 1)
    for effect in EFFECTS:
        took = paired_test(normal(random, options.power_sessions, options.longest) + effect, 1.0 / first)
        median = float(np.median(np.where(took == 0, options.longest, took)))
        results.power[effect] = (median, float((took > 0).mean()), wait_before(first, effect))
    return results


def main() -> int:
    """Simulate and print."""
    options = parser("challengers", "False promotions and power of rules that promote a challenger.")
    options.add_argument("--sessions", type=positive, default=1_000)
    options.add_argument("--blocks", type=positive, default=1_000, help="Looks of a session.")
    options.add_argument("--power-sessions", type=positive, default=200)
    options.add_argument("--longest", type=positive, default=4_000, help="Blocks of a session that measures power.")
    options.add_argument("--seed", type=positive, default=1)
    chosen = options.parse_args()
    return present(run(chosen), chosen)


if __name__ == "__main__":
    sys.exit(guarded(main))
