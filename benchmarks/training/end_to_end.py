"""Training end to end: decisions a second beside Stable-Baselines3, and the whole training of three agents."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.command_line import Report, Sheet, machine
from benchmarks.learners.ppo import BATCH
from benchmarks.training.environment import build_market, set_up
from benchmarks.training.sb3 import DECISIONS, ENVS, EPISODE, EPOCHS, MINIBATCHES, Ours, peer, products
from benchmarks.training.whole import Whole, training_setup

AIM = 3.0  # times Stable-Baselines3
ROLLOUTS = 4  # in a measured round
BARS = 40_000
PEER, PRODUCTS = "Stable-Baselines3", "matrix products alone"
CONDITIONS = (
    f"strategic PPO alone: {ENVS} environments, episodes of {EPISODE} bars, {EPOCHS} epochs of minibatches of {BATCH} "
    f"over {DECISIONS} decisions, networks 624-256-128 and two heads of 64-32, no dropout; whole training: default "
    "configuration, monte_carlo market; CPU time of one core, median of rounds that take turns; compiled before"
)


@dataclass
class EndToEndResults(Report):
    """What was found.

    Attributes:
        seconds: CPU seconds of each round of training the strategic agent, by system.
        sections: Shares of CPU time in percent, by our modes: `eager`, `compiled`.
        whole: Bars per CPU second of each round of the whole training, by mode.
        whole_sections: As `sections`, of the whole training.
        absent: Systems that could not be measured, and why.
        conditions: What the numbers depend on.
        rollouts: In a round.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    sections: dict[str, dict[str, float]] = field(default_factory=dict)
    whole: dict[str, list[float]] = field(default_factory=dict)
    whole_sections: dict[str, dict[str, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    rollouts: int = 1

    def rate(self, system: str) -> float:
        """Decisions per CPU second, by the median round."""
        return self.rollouts * DECISIONS / median(self.seconds[system])

    def ratio(self, system: str, other: str) -> float | None:
        """How many times as fast as another, by the median of rounds of the same turn; None if that was not run."""
        if other not in self.seconds:
            return None
        pairs = zip(self.seconds[system], self.seconds[other], strict=True)
        return median(theirs / own for own, theirs in pairs)

    def missed(self) -> list[str]:
        """Sentences about aims that were not reached."""
        ratios = [(system, self.ratio(system, PEER)) for system in self.seconds if system.startswith("ours")]
        slow = [(system, ratio) for system, ratio in ratios if ratio is not None and ratio < AIM]
        return [f"{system}: {ratio:.2f} times {PEER}, aim {AIM:.0f}" for system, ratio in slow]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "decisions": self.rollouts * DECISIONS,
            "seconds": self.seconds,
            "sections": self.sections,
            "whole_bars_a_second": self.whole,
            "whole_sections": self.whole_sections,
            "absent": self.absent,
            "conditions": self.conditions,
        }

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """System, decisions and gradient updates a second, times the peer, share of the products in its time."""
        found = []
        for system in self.seconds:
            rate, ratio = self.rate(system), self.ratio(system, PEER)
            share = self.ratio(PRODUCTS, system)
            times = "" if ratio is None else f"{ratio:.2f}"
            products_share = "" if share is None else f"{100.0 / share:.0f} %"
            found.append((system, f"{rate:,.0f}", f"{rate * MINIBATCHES / DECISIONS:,.0f}", times, products_share))
        return found + [(name, why, "", "", "") for name, why in self.absent.items()]

    def sheets(self) -> list[Sheet]:
        """The strategic agent, ours and others'."""
        return [Sheet("The strategic agent, trained end to end", HEADER, self.rows())]

    def remarks(self) -> list[str]:
        """Whole training and breakdowns, a sentence each."""
        found = [f"Whole training, {mode}: {median(rates):,.0f} bars a second." for mode, rates in self.whole.items()]
        for what, by_mode in (("Strategic alone", self.sections), ("Whole training", self.whole_sections)):
            for mode, shares in by_mode.items():
                parts = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
                found.append(f"{what}, {mode}: {parts}.")
        return found


HEADER = ("system", "decisions a second", "gradient updates a second", f"times {PEER}", "of it matrix products")


def measure(rounds: int, seed: int, *, compiled: bool, peers: bool) -> EndToEndResults:
    """Everything, in rounds in which the systems take turns, after one that is not counted.

    Args:
        rounds: How many.
        seed: Of bars, weights and episodes.
        compiled: Measure compiled updates too.
        peers: Measure Stable-Baselines3 too.
    """
    versions = machine("torch", "stable-baselines3")
    found = {**versions, "rounds": f"median of {rounds}", "conditions": CONDITIONS}
    results = EndToEndResults(conditions=found, rollouts=ROLLOUTS)
    modes = {"eager": False} | ({"compiled": True} if compiled else {})
    _alone(results, modes, rounds, seed, peers=peers)
    with tempfile.TemporaryDirectory() as folder:
        _whole(results, modes, rounds, seed, Path(folder))
    return results


def _alone(results: EndToEndResults, modes: dict[str, bool], rounds: int, seed: int, *, peers: bool) -> None:
    market, _ = build_market(set_up(BARS, seed))
    systems: dict[str, Callable[[], object]] = {}
    for mode, compiled in modes.items():
        ours = Ours(market, seed, compiled=compiled)
        systems[f"ours, {mode}"] = lambda ours=ours: ours.train(ROLLOUTS)  # type: ignore[misc] # bound now, and untyped
    theirs = peer(market, seed) if peers else None
    if theirs is not None:
        systems[PEER] = lambda: theirs(ROLLOUTS)
    else:
        results.absent[PEER] = "not installed" if peers else "left out"
    systems[PRODUCTS] = products(ROLLOUTS)
    for number in range(rounds + 1):
        for name, run in systems.items():
            seconds = _timed(run)
            if number:
                results.seconds.setdefault(name, []).append(seconds)
    for mode, compiled in modes.items():
        ours = Ours(market, seed, compiled=compiled)
        ours.train(1)
        sections = ours.watched(compiled=compiled)
        results.sections[mode] = sections.shares(_timed(lambda ours=ours: ours.train(ROLLOUTS)))  # type: ignore[misc] # bound now, and untyped


def _whole(results: EndToEndResults, modes: dict[str, bool], rounds: int, seed: int, folder: Path) -> None:
    prepared = training_setup(seed)
    trainings = {mode: Whole(prepared, folder / mode, compiled=compiled) for mode, compiled in modes.items()}
    for number in range(rounds + 1):
        for mode, training in trainings.items():
            gc.collect()
            bars, seconds = training.run(ENVS)
            if number:
                results.whole.setdefault(mode, []).append(bars / seconds)
    for mode, training in trainings.items():
        sections = training.watched()
        results.whole_sections[mode] = sections.shares(training.run(ENVS)[1])


def _timed(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start
