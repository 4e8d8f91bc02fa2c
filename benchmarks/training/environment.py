"""Speed of the training environments, beside environments of other projects."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from agents.ensemble.config import EnsembleConfig
from agents.spec import TACTICAL_AGENT
from benchmarks.command_line import Report, Sheet, machine
from benchmarks.peers.children import Child
from benchmarks.peers.environments import EPISODE, STEPS
from benchmarks.replay.bars import save, walk
from engine.base.errors import CheckFailed
from engine.types.blocks import BarBlock
from engine.types.instruments import load_instrument
from portfolio.config import PortfolioConfig
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

AIM, AIM_ENVS = 2e6, 256  # single bars a second on one core
BUILD_AIM = 1.0  # seconds for a million bars
BARS_A_RUN = 400_000
POOL = 64
CONDITIONS = (
    f"episodes of {EPISODE} bars with their resets; random actions, drawn before; CPU time of one core, median of "
    "the rounds; compiled before. Ours: three agents, windows 48 x 13 and 60 x 7 and ten risk metrics, fills at the "
    "next open, fees 0.1 % of notional, limit orders, protective stops, margin; five reward terms"
)


@dataclass
class EnvironmentResults(Report):
    """What was found.

    Attributes:
        rates: Bars per CPU second of each round by (method, environments).
        peers: Likewise by system.
        notes: What a peer observes.
        absent: Peers that could not be measured, and why.
        build: CPU seconds for the market of each round.
        rows: Bars of that market.
        conditions: What the numbers depend on.
    """

    rates: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    peers: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    build: list[float] = field(default_factory=list)
    rows: int = 0
    conditions: dict[str, str] = field(default_factory=dict)

    def missed(self) -> list[str]:
        """Sentences about aims that were not reached."""
        found = []
        rate = median(self.rates.get(("step", AIM_ENVS), [AIM]))
        if rate < AIM:
            found.append(f"{AIM_ENVS} environments: {rate / 1e6:.2f} M steps a second, aim {AIM / 1e6:.0f} M")
        seconds = median(self.build) * 1e6 / self.rows if self.rows else 0.0
        if seconds > BUILD_AIM:
            found.append(f"a market of a million bars: {seconds:.2f} s, aim {BUILD_AIM:.0f} s")
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "rates": {f"{method} {envs}": values for (method, envs), values in self.rates.items()},
            "peers": self.peers,
            "absent": self.absent,
            "build_seconds": self.build,
            "rows": self.rows,
            "conditions": self.conditions,
        }

    def sheets(self) -> list[Sheet]:
        """System, environments, bars a second, what it observes."""
        found = [
            (f"VectorEnv.{method}", str(envs), f"{median(values):,.0f}", "three agents")
            for (method, envs), values in self.rates.items()
        ]
        found += [(name, "1", f"{median(values):,.0f}", self.notes[name]) for name, values in self.peers.items()]
        found += [(name, "", "", why) for name, why in self.absent.items()]
        return [Sheet("Environments", ("system", "environments", "bars a second", ""), found, (0, 3))]

    def remarks(self) -> list[str]:
        """How long the market took."""
        return [f"A market of {self.rows:,} bars is built in {median(self.build):.2f} s."]


def set_up(rows: int, seed: int) -> BarBlock:
    """Bars of a random walk."""
    bars = walk(rows, seed)
    return BarBlock.from_columns(("GENERIC",), bars.ts_event, dict(bars.columns))


def instrument() -> Any:
    """What ships as GENERIC, with the fees of the peers."""
    generic = load_instrument("GENERIC")
    return generic.model_copy(update={"fees": generic.fees.model_copy(update={"per_contract": 0.0, "rate": 0.001})})


def build_market(block: BarBlock) -> tuple[Market, float]:
    """The market, and the CPU seconds that it took."""
    before = time.process_time()
    market = Market.build(instrument(), [("walk", block)])
    return market, time.process_time() - before


class RandomRollout:
    """Environments that act at random."""

    def __init__(self, market: Market, envs: int, seed: int) -> None:
        self._env = VectorEnv(market, PortfolioConfig(), Rewards(), EnsembleConfig(), envs)
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._starts = market.starts((0, len(market)), EPISODE)
        low, width = np.array(TACTICAL_AGENT.low), np.array(TACTICAL_AGENT.high) - np.array(TACTICAL_AGENT.low)
        self._pool = [
            Actions(
                self._random.integers(0, 3, envs),
                (low + width * self._random.random((envs, 3))).astype(np.float32),
                self._random.integers(0, 5, envs),
            )
            for _ in range(POOL)
        ]
        # environments end at different times, as they do after a while
        self._lengths = self._random.integers(EPISODE // 2, EPISODE + 1, envs)
        self._begin(np.arange(envs))

    def run(self, method: str, bars: int) -> float:
        """Bars per CPU second over at least so many bars."""
        env, move = self._env, getattr(self._env, method)
        gc.collect()
        taken, k = 0, 0
        at = int(env.steps.sum())
        before = time.process_time()
        while taken < bars:
            move(self._pool[k % POOL])
            k += 1
            now = int(env.steps.sum())
            taken += now - at
            at = now
            over = np.flatnonzero(env.terminated | env.truncated)
            if len(over):
                self._lengths[over] = EPISODE
                self._begin(over)
                at = int(env.steps.sum())
        return taken / (time.process_time() - before)

    def _begin(self, which: np.ndarray[Any, Any]) -> None:
        self._env.reset(which, self._random.choice(self._starts, len(which)), self._lengths[which])


def measure_peers(block_rows: int, seed: int, rounds: int, results: EnvironmentResults) -> None:
    """Other projects' environments, in a process of their own; none of them is needed."""
    child = Child("environments")
    try:
        results.notes, results.absent = child.hello["systems"], child.hello["absent"]
        results.conditions |= child.hello["versions"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bars.npz"
            save(walk(block_rows, seed), path)
            child.ask(load=str(path))
        for number in range(rounds + 1):
            for name in results.notes:
                seconds = child.ask(run=name)["seconds"]
                if number:
                    results.peers.setdefault(name, []).append(STEPS / seconds)
    except CheckFailed as error:
        results.absent["peers"] = str(error)
    finally:
        child.close()


def measure(rows: int, envs: Sequence[int], rounds: int, seed: int, *, peers: bool) -> EnvironmentResults:
    """Rounds in which the numbers of environments take turns, after one that is not counted."""
    results = EnvironmentResults(
        rows=rows, conditions={**machine(), "rounds": f"median of {rounds}", "conditions": CONDITIONS}
    )
    block = set_up(rows, seed)
    market, _ = build_market(block)
    rollouts = {count: RandomRollout(market, count, seed) for count in envs}
    for number in range(rounds + 1):
        _, seconds = build_market(block)
        if number:
            results.build.append(seconds)
        for count, rollout in rollouts.items():
            for method in ("step", "advance"):
                rate = rollout.run(method, min(BARS_A_RUN, 20_000 * count))
                if number:
                    results.rates.setdefault((method, count), []).append(rate)
    if peers:
        measure_peers(10 * EPISODE, seed, rounds, results)
    return results
