"""Does a fit find what is there? `python -m benchmarks.fitting`.

Bars of markets whose parameters are known are fitted as `grandmodel data fit` does, from the bars on: season, jumps and
volatility. Counted is how often the true value lies in the interval of 1.96 standard errors around the fitted one.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, field
from statistics import mean, median, pstdev
from typing import Any, NamedTuple

from benchmarks.command_line import Report, Sheet, guarded, machine, one_thread, parser, positive, present

if __name__ == "__main__":
    one_thread()

INSIDE = 1.96
NOMINAL = 0.95
CPU_AIM = 1.0


class Found(NamedTuple):
    """One fitted parameter."""

    value: float
    error: float | None


@dataclass
class Fits:
    """Fits of one market.

    Attributes:
        truth: By parameter.
        found: By parameter, one a fit.
        seconds: CPU time of each fit.
        agreed: Share of searches that ended at the best maximum, of each fit.
    """

    truth: dict[str, float]
    found: dict[str, list[Found]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    agreed: list[float] = field(default_factory=list)

    def add(self, name: str, value: float, error: float | None) -> None:
        """Take up a fitted parameter."""
        self.found.setdefault(name, []).append(Found(value, error))

    def inside(self, name: str) -> float:
        """Share of intervals that hold the truth; a fit without a standard error has none that does."""
        ones = self.found[name]
        known = [one.error is not None and abs(one.value - self.truth[name]) <= INSIDE * one.error for one in ones]
        return sum(known) / len(known)


@dataclass
class FittingResults(Report):
    """What was found in every market."""

    fits: int
    bars: int
    conditions: dict[str, str]
    markets: dict[str, Fits] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        """A row a parameter, and a row a market."""
        rows = [
            [market, name, f"{one.truth[name]:.4g}", f"{mean(f.value for f in ones):.4g}",
             f"{pstdev(f.value for f in ones):.3g}", f"{_mean_error(ones):.3g}", f"{100 * one.inside(name):.1f} %"]
            for market, one in self.markets.items()
            for name, ones in one.found.items()
        ]  # fmt: skip
        header = ("market", "parameter", "truth", "mean of fits", "deviation of fits", "mean standard error",
                  "truth inside 95 %")  # fmt: skip
        times = [
            [market, f"{median(one.seconds):.2f} s", f"{max(one.seconds):.2f} s", f"{100 * mean(one.agreed):.1f} %"]
            for market, one in self.markets.items()
        ]
        title = f"Parameters found again: {self.fits:,} fits of {self.bars:,} bars each"
        return [
            Sheet(title, header, rows, texts=(0, 1)),
            Sheet("CPU time of one fit", ("market", "median", "longest", "searches at the best maximum"), times),
        ]

    def least(self) -> float:
        """Share below which it is not chance: three deviations of the share of 95 % intervals."""
        return float(NOMINAL - 3.0 * math.sqrt(NOMINAL * (1.0 - NOMINAL) / self.fits))

    def missed(self) -> list[str]:
        """Parameters whose intervals hold the truth too seldom, and fits that take too long."""
        few = [
            f"{market}: {name} inside in {100 * one.inside(name):.1f} %, aim {100 * self.least():.1f} % and more"
            for market, one in self.markets.items()
            for name in one.found
            if one.inside(name) < self.least()
        ]
        slow = [
            f"{market}: a fit takes {median(one.seconds):.2f} s of CPU time, aim {CPU_AIM:g} s"
            for market, one in self.markets.items()
            if median(one.seconds) > CPU_AIM
        ]
        return few + slow

    def remarks(self) -> list[str]:
        """Over all."""
        shares = [one.inside(name) for one in self.markets.values() for name in one.found]
        return [f"Inside on average: {100 * mean(shares):.1f} % of {len(shares) * self.fits:,} intervals."]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "fits": self.fits,
            "bars": self.bars,
            "markets": {
                market: {"truth": one.truth, "found": one.found, "seconds": one.seconds, "agreed": one.agreed}
                for market, one in self.markets.items()
            },
        }


def _mean_error(ones: list[Found]) -> float:
    errors = [one.error for one in ones if one.error is not None]
    return mean(errors) if errors else float("nan")


def fit_truth(name: str, fits: int, bars: int, seed: int) -> Fits:
    """Fit one market again and again.

    Args:
        name: Of a truth.
        fits: How many.
        bars: Of each.
        seed: Of the first one's bars.
    """
    from benchmarks.fitting.truths import TRUTHS, bars_of, model_of
    from feeds.fitting.fit_garch_model import fit_symbols

    truth = TRUTHS[name]
    model = model_of(truth)
    known = dict(truth.parameters)
    if truth.correlation is not None:
        known["correlation"] = truth.correlation
    results = Fits(known)
    for number in range(fits):
        block = bars_of(model, bars, seed + number)
        began = time.process_time()
        fitted, joint = fit_symbols(block, model.instruments, 4, 0)
        results.seconds.append((time.process_time() - began) / len(fitted))
        one = fitted[0].model
        results.agreed.append(one.agreed / one.starts)
        for parameter, found in one.parameters.items():
            results.add(parameter, found.value, found.error)
        if truth.correlation is not None:
            results.add("correlation", joint.correlation[0][1], joint.errors[0][1])
    return results


def run(options: argparse.Namespace) -> FittingResults:
    """Measure as the command line asks."""
    from benchmarks.fitting.truths import TRUTHS

    results = FittingResults(options.fits, options.bars, {**machine("numpy", "numba"), "seed": str(options.seed)})
    fit_truth(next(iter(TRUTHS)), 1, 5000, 0)  # compiles
    for name in options.market or TRUTHS:
        results.markets[name] = fit_truth(name, options.fits, options.bars, options.seed)
    return results


def main() -> int:
    """Measure and print."""
    from benchmarks.fitting.truths import TRUTHS

    options = parser("fitting", "Parameters of fitted markets found again.")
    options.add_argument("--fits", type=positive, default=200, help="Of each market.")
    options.add_argument("--bars", type=positive, default=20_000, help="Of each fit.")
    options.add_argument("--market", action="append", help="One of them alone (repeatable), by its name in the table.")
    options.add_argument("--seed", type=int, default=1, help="Of the first market's bars.")
    given = options.parse_args()
    if unknown := set(given.market or ()) - set(TRUTHS):
        options.error(f"no market is called {', '.join(sorted(unknown))}; there are {', '.join(TRUTHS)}")
    return present(run(given), given)


if __name__ == "__main__":
    sys.exit(guarded(main))
