"""What the live benchmark found: rates, latencies, memory and recovery, their aims, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np

from benchmarks.command_line import Report, Sheet, machine
from benchmarks.live.cases import LATENCIES, LONG_EACH, PACE, RATES, Recovery, Size
from benchmarks.live.child import Found

PERCENTILES = (50.0, 99.0, 99.9)
RECOVERY_AIM = 1.0
GROWTH_AIM = 1.1


@dataclass
class LiveResults(Report):
    """Everything that was found.

    Attributes:
        conditions: What the numbers depend on.
        rates: Rounds by title of the case.
        latencies: Likewise.
        memory: The long session; None if it was left out.
        recoveries: By kind of agent.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    rates: dict[str, list[Found]] = field(default_factory=dict)
    latencies: dict[str, list[Found]] = field(default_factory=dict)
    memory: Found | None = None
    recoveries: dict[str, Recovery] = field(default_factory=dict)

    def rate(self, title: str) -> float:
        """Bars a second of wall time, by the median round."""
        return median(found.bars / found.wall for found in self.rates[title])

    def milliseconds(self, title: str, percent: float) -> float:
        """Latency of all rounds together."""
        return _milliseconds([one for found in self.latencies[title] for one in found.latencies], percent)

    def missed(self) -> list[str]:
        """Rates, latencies, memory and recoveries that were not reached."""
        found = [
            f"{case.title}: {self.rate(case.title):,.0f} bars a second, aim {case.aim:,.0f}"
            for case in RATES
            if case.aim is not None and case.title in self.rates and self.rate(case.title) < case.aim
        ]
        for place in LATENCIES:
            for percent, aim in zip(PERCENTILES, place.aims, strict=False):
                took = self.milliseconds(place.title, percent) if place.title in self.latencies else 0.0
                if took > aim:
                    found.append(f"journal {place.title}: {percent:g} % took {took:.2f} ms, aim {aim:g}")
        if self.memory is not None and self.memory.memory[-1] > GROWTH_AIM * self.memory.memory[0]:
            found.append(
                "memory: " + " to ".join(f"{size / 1e6:,.0f}" for size in self.memory.memory) + " MB, aim flat"
            )
        for agent, recovery in self.recoveries.items():
            if median(recovery.opened) > RECOVERY_AIM:
                found.append(f"recovery, {agent}: {median(recovery.opened):.2f} s, aim {RECOVERY_AIM:g}")
        return found

    def sheets(self) -> list[Sheet]:
        """Rates, latencies, and the rest."""
        return [_rates(self), _latencies(self), _rest(self)]

    def as_json(self) -> dict[str, Any]:
        """Everything; latencies as percentiles."""
        return {
            "conditions": self.conditions,
            "rates": {title: [_plain(found) for found in rounds] for title, rounds in self.rates.items()},
            "bars_per_second": {title: self.rate(title) for title in self.rates},
            "latencies": {title: [_plain(found) for found in rounds] for title, rounds in self.latencies.items()},
            "latency_milliseconds": {
                title: {f"p{percent:g}": self.milliseconds(title, percent) for percent in PERCENTILES}
                for title in self.latencies
            },
            "memory": None if self.memory is None else _plain(self.memory),
            "recovery": {agent: asdict(recovery) for agent, recovery in self.recoveries.items()},
            "missed": self.missed(),
        }


def _milliseconds(seconds: Sequence[float], percent: float) -> float:
    return float(np.percentile(seconds, percent)) * 1e3


def _plain(found: Found) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name not in {"latencies", "sync"}}


def conditions(size: Size, seed: int, sync: Sequence[float]) -> dict[str, str]:
    """What the numbers depend on.

    Args:
        size: How much was measured.
        seed: Of the bars.
        sync: Seconds that fdatasync took by itself.
    """
    found = {
        **machine("aiokafka", "numba", "numpy", "onnxruntime"),
        "processes": "each session a separate one, numeric libraries on one thread",
        "bars": f"synthetic one-minute bars, seed {seed}; agents have seen {size.history:,} rows before",
        "sustained": f"many: {size.symbols} symbols, messages of a bar of each, {size.wide_rows:,} of them; "
        f"one: {size.narrow_rows:,} messages of one bar; JSON, published to the broker (in memory, same machine) "
        "before the session starts; wall and CPU time of it from the opening of the journal to the end, connecting "
        "included; journal on disk, durability power; the ledger is the backtest's; median of "
        f"{size.rounds} rounds",
        "latency": f"from the receipt of a delivery of one bar to the commit of bar, decisions, fills and offset; "
        f"ensemble, one symbol, {PACE:g} bars a second from memory, {size.rounds} rounds of {size.paced_rows:,}",
        "memory": f"ensemble, one symbol, {LONG_EACH} messages a transaction, {size.long_rows:,} bars; the journal "
        "keeps 5 days",
        "recovery": f"journal of {size.month_rows:,} transactions of one bar; median of {size.rounds}",
    }
    if sync:
        alone = " / ".join(f"{_milliseconds(sync, percent):.2f}" for percent in PERCENTILES)
        found["disk"] = f"16 kB and fdatasync by themselves take {alone} ms (50 / 99 / 99.9 %)"
    return found


def _rates(results: LiveResults) -> Sheet:
    header = ["live, sustained", "bars/s", "rounds", "aim", "bars/CPU s", "bars", "transactions", "fills"]
    rows = []
    for case in RATES:
        rounds = results.rates.get(case.title, [])
        if rounds:
            each = sorted(found.bars / found.wall for found in rounds)
            rates = [f"{results.rate(case.title):,.0f}", f"{each[0]:,.0f} - {each[-1]:,.0f}"]
            aim = "-" if case.aim is None else f"{case.aim:,.0f}"
            cpu = median(found.bars / found.cpu for found in rounds)
            last = rounds[-1]
            counts = [f"{count:,}" for count in (last.bars, last.transactions, last.fills)]
            rows.append([case.title, *rates, aim, f"{cpu:,.0f}", *counts])
    return Sheet("Sustained, from broker to journal", header, rows)


def _latencies(results: LiveResults) -> Sheet:
    header = ["journal, milliseconds", *(f"{percent:g} %" for percent in PERCENTILES), "aims", "50 % by round", "bars"]
    rows = []
    for case in LATENCIES:
        rounds = results.latencies.get(case.title, [])
        if rounds:
            took = [f"{results.milliseconds(case.title, percent):.2f}" for percent in PERCENTILES]
            each = sorted(_milliseconds(found.latencies, 50.0) for found in rounds)
            count = sum(len(found.latencies) for found in rounds)
            aims = " / ".join(f"{aim:g}" for aim in case.aims)
            rows.append([case.title, *took, aims, f"{each[0]:.2f} - {each[-1]:.2f}", f"{count:,}"])
    return Sheet("Bar received to orders committed", header, rows)


def _rest(results: LiveResults) -> Sheet:
    rows = []
    memory = results.memory
    if memory is not None:
        early, late = (f"{size / 1e6:,.0f} MB" for size in memory.memory)
        rows.append([f"memory after {memory.bars // 10:,} bars", early, "-"])
        rows.append([f"memory after {memory.bars:,} bars", late, f"at most {GROWTH_AIM:g} times that"])
        rows.append(["journal after them", f"{memory.journal / 1e6:,.1f} MB", "-"])
        rows.append(["bars a second meanwhile", f"{memory.bars / memory.wall:,.0f}", "-"])
    for agent, recovery in results.recoveries.items():
        rows.append([f"recovery, {agent}", f"{median(recovery.opened):.2f} s", f"{RECOVERY_AIM:g} s"])
        rows.append([f"whole restart of the process, {agent}", f"{median(recovery.restarted):.2f} s", "-"])
    return Sheet("Memory and recovery", ["live", "found", "aim"], rows)
