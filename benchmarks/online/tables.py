"""What the runs come to: returns, shares of the gap to the optimum, promotions, and the aims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from benchmarks.command_line import Report, Sheet, machine
from engine.types.blocks import Floats

OURS = "ours"
STATIONARY, RECOVERED, AS_FAST, PROMOTED = 0.01, 0.7, 0.95, 0.16
"""Aims: loss against frozen; share of the gap; the last regimes against the first; false promotions a job."""

Run = Mapping[str, Any]


@dataclass
class OnlineResults(Report):
    """Runs by market, arm and seed."""

    runs: dict[tuple[str, str, int], Run]
    conditions: dict[str, str]

    @classmethod
    def of(cls, found: Mapping[str, Run], sizes: Mapping[str, str]) -> Self:
        """From results by key."""
        runs = {(one["market"], one["arm"], one["seed"]): one for one in found.values()}
        seeds = sorted({seed for _, _, seed in runs})
        seconds = sum(one["seconds"] for one in runs.values())
        told = ", ".join(f"{name} {value}" for name, value in sizes.items())
        return cls(runs, {**machine("numpy", "torch"), "sizes": told, "seeds": str(seeds), "cpu": f"{seconds:,.0f} s"})

    def sheets(self) -> list[Sheet]:
        """One table a market."""
        return [self._stationary(), self._shift(), self._alternating(), self._walk()]

    def missed(self) -> list[str]:
        """Aims that our arm does not reach, by their means over seeds."""
        found = []
        loss = -self._beside_frozen(OURS)
        if loss > STATIONARY:
            found.append(f"stationary: {loss:.1%} less than frozen, aim at most {STATIONARY:.0%}")
        share = self._recovered(OURS, whole=True)
        if share < RECOVERED:
            found.append(f"shift: {share:.0%} of the gap recovered after it, aim {RECOVERED:.0%}")
        pace = self._pace(OURS)
        if pace < AS_FAST:
            found.append(f"alternating: the last regimes recover {pace:.0%} of what the first do, aim {AS_FAST:.0%}")
        worse, jobs = self._walked(OURS)
        if jobs and worse / jobs > PROMOTED:
            found.append(f"random walk: {worse} of {jobs} jobs promoted a worse version, aim {PROMOTED:.0%}")
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {"|".join(map(str, key)): dict(one) for key, one in self.runs.items()}

    def _arms(self, market: str) -> list[str]:
        return list(dict.fromkeys(arm for found, arm, _ in self.runs if found == market))

    def _of(self, market: str, arm: str) -> list[Run]:
        return [one for (found, name, _), one in sorted(self.runs.items()) if (found, name) == (market, arm)]

    def _returns(self, market: str, arm: str) -> Floats:
        """Of the stretches, shape (seeds, stretches)."""
        return np.array([one["returns"] for one in self._of(market, arm)])

    def _mean(self, market: str, arm: str) -> str:
        return f"{self._returns(market, arm).mean():+.3f}"

    def _promoted(self, market: str, arm: str) -> str:
        runs = self._of(market, arm)
        if arm in {"optimum", "frozen"}:
            return ""
        return f"{sum(one['promotions'] for one in runs)} of {sum(len(one['jobs']) for one in runs)}"

    def _beside_frozen(self, arm: str) -> float:
        if not self._of("stationary", arm) or not self._of("stationary", "frozen"):
            return 0.0
        frozen = self._returns("stationary", "frozen").mean()
        return float((self._returns("stationary", arm).mean() - frozen) / abs(frozen))

    def _stationary(self) -> Sheet:
        rows = [
            [arm, self._mean("stationary", arm), f"{self._beside_frozen(arm):+.1%}", self._promoted("stationary", arm)]
            for arm in self._arms("stationary")
        ]
        header = ("arm", "return a stretch, %", "beside frozen", "promoted, of jobs")
        return Sheet("Stationary", header, rows, bold=OURS)

    def _gap(self, market: str, arm: str) -> tuple[Floats, Floats]:
        """Of each stretch, over frozen: what the arm earns, and what the optimum does; shape (seeds, stretches)."""
        frozen = self._returns(market, "frozen")
        return self._returns(market, arm) - frozen, self._returns(market, "optimum") - frozen

    def _recovered(self, arm: str, *, whole: bool) -> float:
        """Share of the gap after the shift, over all of it or over its last third."""
        if not self._of("shift", arm) or not self._of("shift", "frozen"):
            return 1.0
        ours, best = self._gap("shift", arm)
        after = np.flatnonzero(np.array(self._of("shift", arm)[0]["pieces"]) == 1)
        after = after if whole else after[-(len(after) // 3) :]
        return float(ours[:, after].sum() / best[:, after].sum())

    def _shift(self) -> Sheet:
        rows = []
        for arm in self._arms("shift"):
            after = np.array(self._of("shift", arm)[0]["pieces"]) == 1
            mean = f"{self._returns('shift', arm)[:, after].mean():+.3f}"
            shares = [f"{self._recovered(arm, whole=whole):.0%}" for whole in (True, False)]
            rows.append([arm, mean, *shares, self._promoted("shift", arm)])
        header = ("arm", "return after it, %", "gap recovered", "in the last third", "promoted, of jobs")
        return Sheet("One shift", header, rows, bold=OURS)

    def _by_regime(self, arm: str) -> Floats:
        """Share of the gap recovered in each regime that the parent does not know, all seeds together."""
        ours, best = self._gap("alternating", arm)
        pieces = np.array(self._of("alternating", arm)[0]["pieces"])
        unknown = range(1, int(pieces.max()) + 1, 2)
        return np.array([ours[:, pieces == one].sum() / best[:, pieces == one].sum() for one in unknown])

    def _pace(self, arm: str) -> float:
        """Share recovered in the last half of those regimes, over that in the first half."""
        if not self._of("alternating", arm) or not self._of("alternating", "frozen"):
            return 1.0
        shares = self._by_regime(arm)
        half = max(len(shares) // 2, 1)
        first, last = float(shares[:half].mean()), float(shares[-half:].mean())
        return last / first if first > 0.0 else float(last > 0.0)

    def _alternating(self) -> Sheet:
        rows = []
        for arm in self._arms("alternating"):
            shares = self._by_regime(arm)
            half = max(len(shares) // 2, 1)
            told = [f"{shares[:half].mean():.0%}", f"{shares[-half:].mean():.0%}"]
            rows.append([arm, self._mean("alternating", arm), *told, self._promoted("alternating", arm)])
        header = ("arm", "return a stretch, %", "gap, first half", "gap, last half", "promoted, of jobs")
        return Sheet("Alternating: gap recovered in the regimes that the parent does not know", header, rows, bold=OURS)

    def _walked(self, arm: str) -> tuple[int, int]:
        runs = self._of("random_walk", arm)
        return sum(one.get("worse", 0) for one in runs), sum(len(one["jobs"]) for one in runs)

    def _walk(self) -> Sheet:
        rows = []
        for arm in self._arms("random_walk"):
            worse = "" if arm in {"optimum", "frozen"} else f"{self._walked(arm)[0]}"
            rows.append([arm, self._mean("random_walk", arm), self._promoted("random_walk", arm), worse])
        header = ("arm", "return a stretch, %", "promoted, of jobs", "of them to a worse version")
        return Sheet("Random walk", header, rows, bold=OURS)
