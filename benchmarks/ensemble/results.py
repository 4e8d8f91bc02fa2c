"""What the ensemble benchmark found: rates, ratios, percentiles, aims, and tables of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from benchmarks.command_line import Report, Sheet, machine
from benchmarks.ensemble.runs import Live, Whole

RATE_AIMS = {"tactical": 1e6, "bar": 0.4e6}  # bars per CPU second
RATIO_AIM = 1.5
LATENCY_AIM = 1000.0  # microseconds, of the 99th percentile of all rows
PERCENTILES = (50.0, 99.0, 99.9)
CADENCE_TITLES = {"tactical": "risk on 5-minute closes", "bar": "risk on every bar"}
SEATS = ("strategic", "tactical", "risk")
KINDS = ("all rows", "no network acts", "tactical acts", "both act")


@dataclass
class Replays:
    """Rounds of one cadence: the whole loop, and right after it only the networks.

    Attributes:
        whole: Of each round.
        networks: CPU seconds of each round by seat.
    """

    whole: list[Whole] = field(default_factory=list)
    networks: list[dict[str, float]] = field(default_factory=list)

    def rate(self, rows: int) -> float:
        """Bars per CPU second of the median round."""
        return rows / median(run.seconds for run in self.whole)

    def ratio(self) -> float:
        """CPU time of the whole over that of its networks, the median of the ratios of each round."""
        pairs = zip(self.whole, self.networks, strict=True)
        return median(run.seconds / sum(alone.values()) for run, alone in pairs)

    def alone(self, seat: str) -> float:
        """CPU seconds of one network, median."""
        return median(seconds[seat] for seconds in self.networks)


@dataclass
class EnsembleResults(Report):
    """Everything that was found.

    Attributes:
        rows: Bars of the replays.
        conditions: What the numbers depend on.
        replays: By cadence.
        live: Microseconds by kind of row, then by percentile.
        counts: Rows of each kind.
    """

    rows: int
    conditions: dict[str, str] = field(default_factory=dict)
    replays: dict[str, Replays] = field(default_factory=dict)
    live: dict[str, dict[float, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def missed(self) -> list[str]:
        """Rates, ratios and a latency that were not reached."""
        found = []
        for cadence, replays in self.replays.items():
            title = CADENCE_TITLES[cadence]
            rate, aim = replays.rate(self.rows), RATE_AIMS[cadence]
            if rate < aim:
                found.append(f"{title}: {rate / 1e6:.2f} M bars per CPU second, aim {aim / 1e6:.1f} M")
            if replays.ratio() > RATIO_AIM:
                found.append(f"{title}: {replays.ratio():.2f} times its networks, aim {RATIO_AIM}")
        latency = self.live.get(KINDS[0], {}).get(99.0)
        if latency is not None and latency >= LATENCY_AIM:
            found.append(f"live: 99th percentile {latency:,.0f} us, aim {LATENCY_AIM:,.0f}")
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, with rates and ratios worked out."""
        return {
            "rows": self.rows,
            "conditions": self.conditions,
            "replay": {cadence: self._replay_json(replays) for cadence, replays in self.replays.items()},
            "live_microseconds": {
                kind: {"rows": self.counts[kind], **{f"p{percentile:g}": value for percentile, value in found.items()}}
                for kind, found in self.live.items()
            },
            "missed": self.missed(),
        }

    def sheets(self) -> list[Sheet]:
        """Replays by cadence, and live latencies by who acts."""
        replays = []
        for cadence, found in self.replays.items():
            alone = " + ".join(f"{found.alone(seat):.2f}" for seat in SEATS)
            cells = [CADENCE_TITLES[cadence].removeprefix("risk "), f"{found.rate(self.rows) / 1e6:.2f}"]
            replays.append([*cells, f"{RATE_AIMS[cadence] / 1e6:.1f}", alone, f"{found.ratio():.2f}", f"{RATIO_AIM}"])
        live = [
            [kind, f"{self.counts[kind]:,}", *(f"{value:,.0f}" for value in found.values())]
            for kind, found in self.live.items()
        ]
        header = ["risk agent", "M bars/CPU s", "aim", "networks, s", "whole/networks", "aim"]
        levels = ["live, microseconds", "rows", *(f"{level:g} %" for level in PERCENTILES)]
        return [
            Sheet(f"Ensemble: {self.rows:,} one-minute bars", header, replays),
            Sheet(f"Live: blocks of one row (aim: 99 % below {LATENCY_AIM:,.0f})", levels, live),
        ]

    def _replay_json(self, replays: Replays) -> dict[str, Any]:
        return {
            "bars_per_cpu_second": replays.rate(self.rows),
            "cpu_time_over_networks": replays.ratio(),
            "seconds": [run.seconds for run in replays.whole],
            "network_seconds": replays.networks,
            "acted": replays.whole[-1].acted,
            "fills": replays.whole[-1].fills,
        }


def percentiles(live: Live) -> tuple[dict[str, dict[float, float]], dict[str, int]]:
    """Microseconds by kind of row and percentile, and rows of each kind; a kind without rows is left out."""
    both = live.tactical & live.strategic
    one = live.tactical ^ live.strategic
    masks = dict(zip(KINDS, (np.ones_like(both), ~(both | one), one, both), strict=True))
    counts = {kind: int(mask.sum()) for kind, mask in masks.items() if mask.any()}
    found = {
        kind: {level: float(np.percentile(live.nanoseconds[masks[kind]], level)) / 1e3 for level in PERCENTILES}
        for kind in counts
    }
    return found, counts


def conditions(rounds: int, block: int, seed: int, live_rows: int) -> dict[str, str]:
    """What the numbers depend on."""
    return {
        **machine("numba", "numpy", "onnxruntime"),
        "threads": "one",
        "bars": f"synthetic one-minute bars of ES, one symbol, seed {seed}, in memory",
        "replay": f"CPU time of feed, bus, ensemble, simulator and recorder in memory, ledger and decisions kept; "
        f"blocks of {block:,} rows; median of {rounds} rounds after a warm-up",
        "networks": "CPU seconds of strategic + tactical (ONNX Runtime, batches of 256) + risk (Numba) network only, "
        "for as many observations, from ready arrays, right after each round; the ratio is the median of the rounds",
        "live": f"wall time of one block of one row, bar in to orders out, {live_rows:,} rows after warm-up",
    }
