"""How often the monitor is wrong, and how soon it is right: `python -m benchmarks.monitor`.

Strategies and streams are made whose truth is known.

    figures     the guide's rule on the latest value beside the proof: how often each is wrong, and how soon right
    drift       run lengths and delays of the drift detector, and of limits that assume independent normal numbers
    cost        microseconds a row of one symbol

A detector that fires on every row and one that never fires stand beside it. The command fails where an aim is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import guarded
from benchmarks.peers.serve import Bars
from engine.monitor.drift.detector import DriftDetector
from engine.monitor.drift.kernels import SUMS, watch_values
from engine.monitor.drift.reference import Reference, build_reference, limit_for
from engine.monitor.drift.streams import Observations, Streams, joined, stream_names
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.figures import (
    CONFIDENCE,
    CONSISTENCY,
    INCONSISTENT_DECISIONS,
    LOW_MODEL_CONFIDENCE,
    LOW_SHARPE_RATIO,
    LOW_WIN_RATE,
    SHARPE,
    WIN_RATE,
)
from engine.monitor.performance.following import StepMonitor
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.types.blocks import BarBlock, Floats
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from engine.types.records import ACCOUNT, COMMAND, FILL, ORDER, ORDER_EVENT, POSITION, SeatName
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS
from portfolio.trades import TradeBook

Draw = Callable[[np.random.Generator, int], Floats]
Play = Callable[[PerformanceMonitor], Iterator[None]]
TRADES, DAYS, DECISIONS = 450, 504, 5000
YEAR, CAPITAL, ALPHA = 252, 100_000.0, 0.01
RUN_LENGTH, SHIFTS = 10_000.0, (0.25, 0.5, 1.0)
BEST_DELAYS = {0.25: 153.0, 0.5: 49.0, 1.0: 15.0}
"""Mean delays of the CUSUM that is best for each shift, at this run length."""
PARTS = ("figures", "drift", "cost")
RUN_LENGTH_AIM, DELAY_AIM, COST_AIM = 0.2, 1.5, 20.0
REFERENCE_ROWS, QUIET_ROWS = 50_000, 500


def judged_figure(name: str, code: str, below: float, play: Play, count: int) -> dict[str, float]:
    """Play strategies of which everything is known; what the monitor says of one figure, after every observation.

    Args:
        name: Of the figure.
        code: Of its alert.
        below: Its threshold.
        play: One strategy, a step for each observation.
        count: Strategies.

    Returns:
        Share of looks at a full window with a value below the threshold, share of strategies that were ever below,
        share ever proved, and the median number of observations to the proof.
    """
    looks = low = ever = proved = 0
    proofs = []
    for _ in range(count):
        monitor = PerformanceMonitor(MonitorConfig(), YEAR, CAPITAL)
        figure = next(one for one in monitor.figures if one.name == name)
        first = 0
        for at, _ in enumerate(play(monitor), 1):
            if figure.held == figure.last:
                looks += 1
                low += figure.value is not None and figure.value < below
            if not first and code in monitor.alerts("proved"):
                first = at
        ever += any(one.change.code == code and one.change.level == "below" for one in monitor.alarms)
        proved += bool(first)
        proofs.append(first or math.inf)
    median = float(np.median(proofs))
    return {"looks_below": low / looks, "ever_below": ever / count, "ever_proved": proved / count, "median": median}


def trading(monitor: PerformanceMonitor, rng: np.random.Generator, rate: float, count: int = TRADES) -> Iterator[None]:
    """Trades that win with a chance of `rate`."""
    for at, won in enumerate((rng.random(count) < rate).tolist()):
        monitor.trade(at, 1.0 if won else -1.0)
        yield


def passing_days(monitor: PerformanceMonitor, rng: np.random.Generator, sharpe: float) -> Iterator[None]:
    """Days whose returns have this Sharpe ratio, and a volatility that comes in clusters."""
    equity = CAPITAL
    volatility = np.exp(autoregressive(rng, DAYS, 0.95) * 0.1) * 0.01
    for at, change in enumerate((volatility * (rng.normal(size=DAYS) + sharpe / math.sqrt(YEAR))).tolist()):
        equity *= 1.0 + change
        monitor.day(at, equity)
        yield


def deciding(monitor: PerformanceMonitor, rng: np.random.Generator, kept: float, confidence: float) -> Iterator[None]:
    """Decisions that change sides by chance, a share `kept` of which holds; confidence wanders around its mean."""
    changes = rng.random(DECISIONS) > kept ** (1.0 / MonitorConfig().consistency.bars)
    sides = np.cumprod(np.where(changes, -1.0, 1.0)).tolist()
    sure = np.clip(confidence + 0.12 * math.sqrt(1.0 - 0.97**2) * autoregressive(rng, DECISIONS, 0.97), 0.0, 1.0)
    for at, (side, one) in enumerate(zip(sides, sure.tolist(), strict=True)):
        monitor.decision(at, int(SeatName.STRATEGIC), 0, side, one)
        yield


def autoregressive(rng: np.random.Generator, count: int, tied: float) -> Floats:
    """Each number is `tied` times the one before, and something new that is normal."""
    terms = max(1, math.ceil(math.log(1e-9) / math.log(tied)))  # what is older has no weight that counts
    found: Floats = np.convolve(rng.normal(size=count + terms - 1), tied ** np.arange(terms), mode="valid")
    return found


def streams() -> dict[str, tuple[Draw, float]]:
    """Kinds of numbers, with their deviation."""
    found: dict[str, tuple[Draw, float]] = {
        "normal": (lambda rng, n: rng.normal(size=n), 1.0),
        "t, 3 degrees": (lambda rng, n: rng.standard_t(3, n), math.sqrt(3.0)),
    }
    for tied in (0.1, 0.2, 0.3):
        deviation = 1.0 / math.sqrt(1.0 - tied * tied)
        found[f"AR({tied:g})"] = (partial(autoregressive, tied=tied), deviation)
    shape = np.cos(np.arange(24 * 60) / (24 * 60) * 2.0 * math.pi)

    def daily(rng: np.random.Generator, n: int) -> Floats:
        day = np.resize(shape, n)
        return day + (1.0 + 0.5 * day) * autoregressive(rng, n, 0.2)

    return {**found, "AR(0.2) with a shape of the day": (daily, 1.0 / math.sqrt(0.96))}


def observed(values: Floats) -> Observations:
    """A number a minute, all of one stream."""
    count = len(values)
    return Observations(np.zeros(count, np.int64), np.arange(count, dtype=np.int64) * MINUTE_NS, values)


def alarms_in(reference: Reference, values: Floats) -> list[int]:
    """Numbers of the observations, from 1 on, at which the first stream has an alarm."""
    count, k = len(values), len(reference.names)
    found, room = np.empty((count, 3), np.int64), np.empty((count, 2))
    state = np.ones((k, SUMS)), np.zeros((k, 2)), np.zeros(k, np.int64)
    number = watch_values(
        *observed(values), count, reference.quantiles, reference.moments, reference.limits, *state, found, room
    )
    rows: list[int] = found[:number, 2].tolist()
    return rows


def judged(
    references: Iterable[Reference], draw: Draw, deviation: float, rng: np.random.Generator, rows: int, paths: int
) -> dict[str, Any]:
    """Mean rows between false alarms, and mean delay of each shift, which comes after 500 rows without one."""
    quiet = alarms = 0
    delays: dict[float, list[int]] = {shift: [] for shift in SHIFTS}
    for reference in references:
        alarms += len(alarms_in(reference, draw(rng, rows)))
        quiet += rows
        for shift in SHIFTS:
            for _ in range(paths):
                values = draw(rng, QUIET_ROWS + 6000)
                values[QUIET_ROWS:] += shift * deviation
                first = next((one for one in alarms_in(reference, values) if one > QUIET_ROWS), len(values))
                delays[shift].append(first - QUIET_ROWS)
    never = alarms == 0
    return {
        "run_length": math.inf if never else quiet / alarms,
        "delays": {f"{shift:g}": math.inf if never else float(np.mean(found)) for shift, found in delays.items()},
    }


def drift(rng: np.random.Generator, repeats: int, rows: int, paths: int) -> dict[str, dict[str, Any]]:
    """Run lengths and delays by kind of numbers and detector."""
    independent = limit_for(rng.normal(size=200_000), 1, RUN_LENGTH, rng)
    found: dict[str, dict[str, Any]] = {}
    for name, (draw, deviation) in streams().items():
        references = [
            build_reference(
                stream_names(("X",)), MINUTE_NS, observed(draw(rng, REFERENCE_ROWS)), RUN_LENGTH, seed=number
            )
            for number in range(repeats)
        ]
        found[name] = judged(references, draw, deviation, rng, rows, paths)
        if name.startswith("AR"):
            plain = [with_limit(one, independent, tied=False) for one in references]
            found[f"{name}, normal limits"] = judged(plain, draw, deviation, rng, rows, 1)
        if name == "normal":
            always, never = with_limit(references[0], 0.0), with_limit(references[0], math.inf)
            found["always fires"] = judged([always], draw, deviation, rng, 1000, 1)
            found["never fires"] = judged([never], draw, deviation, rng, 1000, 1)
    return found


def with_limit(reference: Reference, limit: float, *, tied: bool = True) -> Reference:
    """A reference with another limit, and if wanted without regard to the score before."""
    moments = reference.moments.copy()
    if not tied:
        moments[:, 2] = 0.0
    return replace(reference, limits=np.full(len(reference.names), limit), moments=moments)


def steps_of(bars: Bars, sizes: Sequence[int]) -> dict[int, list[StepBlock]]:
    """Steps without trades over bars of one symbol, by the rows of a block."""
    block = BarBlock.from_columns(["X"], bars.ts_event, dict(bars.columns))
    fills, events, decisions, orders = (np.empty(0, kind) for kind in (FILL, ORDER_EVENT, COMMAND, ORDER))
    account, position = np.zeros(1, ACCOUNT), np.zeros(1, POSITION)

    def step(part: BarBlock) -> StepBlock:
        ledger, held = np.ones((len(part), 8)), np.zeros((len(part), 1))
        return StepBlock(part, ledger, held, fills, events, decisions, account, position, orders)

    return {size: [step(part) for part in block.split(list(range(size, len(bars), size)))] for size in sizes}


def cost(rows: int, rounds: int = 3) -> dict[str, float]:
    """CPU microseconds a row of one symbol with four streams, the best of some rounds: the detector, and everything."""
    from benchmarks.replay.bars import benchmark_bars

    steps = steps_of(benchmark_bars(rows), (1, 4096))
    streams = Streams(["X"], MINUTE_NS)
    reference = build_reference(streams.names, MINUTE_NS, joined([streams.bars(one.bars) for one in steps[4096]]), 1e6)
    sessions = sessions_for([load_instrument("BTC-PERP")], int(steps[1][0].bars.ts_event[0]))

    def monitor() -> StepMonitor:
        watched = PerformanceMonitor(MonitorConfig(), YEAR, CAPITAL)
        return StepMonitor(watched, TradeBook([1.0]), sessions, 1, DriftDetector(reference, ["X"], MINUTE_NS))

    found = {}
    for size, every in steps.items():
        made: dict[str, Callable[[], StepMonitor | DriftDetector]] = {
            "drift": lambda: DriftDetector(reference, ["X"], MINUTE_NS),
            "all of the monitor": monitor,
        }
        for name, make in made.items():
            spent = []
            for _ in range(rounds):
                follower = make()
                before = time.thread_time()
                for one in every:
                    follower.update(one)
                spent.append((time.thread_time() - before) / rows * 1e6)
            found[f"{name}, blocks of {size:,}"] = min(spent)
    return found


def show(name: str, text: str, met: bool | None = None) -> bool:
    """Print a line, with whether its aim is met."""
    print(f"{name:<46} {text}{'' if met is None else ', aim met' if met else ', AIM MISSED'}")
    return met is not False


def main(words: Sequence[str] | None = None) -> int:
    """Run it; returns 1 where an aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitor", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part (repeatable)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strategies", type=int, default=1000, help="of each kind")
    parser.add_argument("--references", type=int, default=40, help="of each kind of numbers")
    parser.add_argument("--rows", type=int, default=400_000, help="watched by each reference")
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
    options = parser.parse_args(words)
    found: dict[str, Any] = {}
    met: list[bool] = []
    for part in options.part or PARTS:
        rng = np.random.default_rng([options.seed, PARTS.index(part)])
        if part == "figures":
            met += show_figures(found, rng, options.strategies)
        elif part == "drift":
            met += show_drift(found, rng, options.references, options.rows)
        else:
            found["microseconds a row"] = cost(50_000)
            for name, spent in found["microseconds a row"].items():
                met.append(show(name, f"{spent:.2f} CPU microseconds a row", spent <= COST_AIM))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))
    return int(not all(met))


def show_figures(found: dict[str, Any], rng: np.random.Generator, count: int) -> list[bool]:
    """Judge both levels of every figure; returns whether each aim is met."""
    few = max(1, count // 5)
    kinds: tuple[tuple[str, str, str, float, int, str, Callable[[float], Play], tuple[float, ...]], ...] = (
        (
            f"win rates, {count} strategies each, {TRADES} trades",
            WIN_RATE,
            LOW_WIN_RATE,
            0.45,
            count,
            "trades",
            lambda truth: lambda monitor: trading(monitor, rng, truth),
            (0.5, 0.45, 0.35, 0.25),
        ),
        (
            f"Sharpe ratios, {count} strategies each, {DAYS} days",
            SHARPE,
            LOW_SHARPE_RATIO,
            0.5,
            count,
            "days",
            lambda truth: lambda monitor: passing_days(monitor, rng, truth),
            (1.5, 0.5, -2.0, -4.0),
        ),
        (
            f"decision consistency, {few} strategies each, {DECISIONS} decisions",
            CONSISTENCY,
            INCONSISTENT_DECISIONS,
            0.7,
            few,
            "decisions",
            lambda truth: lambda monitor: deciding(monitor, rng, truth, 0.9),
            (0.75, 0.7, 0.5),
        ),
        (
            f"confidence that wanders, {few} strategies each, {DECISIONS} decisions",
            f"{CONFIDENCE}.strategic",
            LOW_MODEL_CONFIDENCE,
            0.6,
            few,
            "decisions",
            lambda truth: lambda monitor: deciding(monitor, rng, 0.9, truth),
            (0.65, 0.6, 0.5),
        ),
    )
    met = []
    for title, name, code, below, strategies, unit, play, truths in kinds:
        print(f"{title}, a look after each")
        for truth in truths:
            one = found[f"{name} {truth:g}"] = judged_figure(name, code, below, play(truth), strategies)
            most = None if truth < below else ALPHA + 3.0 * math.sqrt(ALPHA / strategies)
            met.append(show_figure(f"  true value {truth:g}", one, unit, most))
    return met


def show_figure(name: str, one: dict[str, float], unit: str, most: float | None) -> bool:
    """Print what became of strategies; `most` is the largest share of them that may be called bad, if they are good."""
    after = "" if math.isinf(one["median"]) else f", half of them after {one['median']:.0f} {unit}"
    looks = f"below in {one['looks_below']:.1%} of looks, ever in {one['ever_below']:.1%}"
    text = f"{looks}; proved in {one['ever_proved']:.1%}{after}"
    return show(name, text, None if most is None else one["ever_proved"] <= most)


def show_drift(found: dict[str, Any], rng: np.random.Generator, references: int, rows: int) -> list[bool]:
    """Judge the drift detector; returns whether each aim is met."""
    print(f"drift, run length {RUN_LENGTH:,.0f}, {references} references of {REFERENCE_ROWS:,} rows each")
    found["drift"] = drift(rng, references, rows, 10)
    met = []
    for name, one in found["drift"].items():
        delays = {shift: one["delays"][f"{shift:g}"] for shift in SHIFTS}
        text = ", ".join(f"{delay:,.1f} ({shift:g})" for shift, delay in delays.items())
        fine = None
        if "fires" not in name and "limits" not in name:
            fine = abs(one["run_length"] / RUN_LENGTH - 1.0) <= RUN_LENGTH_AIM
        if name == "normal":
            fine = fine and all(delays[shift] <= DELAY_AIM * best for shift, best in BEST_DELAYS.items())
        met.append(show(f"  {name}", f"run length {one['run_length']:,.0f}; delays {text}", fine))
    return met


if __name__ == "__main__":
    sys.exit(guarded(main))
