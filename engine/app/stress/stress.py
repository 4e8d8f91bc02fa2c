"""A stress test: scenarios at several strikes beside the undisturbed run, and whether declared bounds held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from engine.app.config import BacktestConfig, CutsConfig
from engine.app.manifest import config_sha256
from engine.app.preparing import Prepared
from engine.app.stress.running import Course, Outcome, outcome, run_course
from engine.base.errors import UsageError
from engine.challengers.config import ChallengersConfig
from engine.types.blocks import BarBlock, Ints, concat
from feeds.stress.scenarios import Scenario, Struck
from training.evaluation.statistics import Estimate

ALL_ROWS = 1 << 20
EDGE = 0.1
"""Share of the rows at either end in which nothing strikes: agents warm up, and the consequences need room."""
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % points of Student's t with 1 to 9 degrees of freedom; 1.96 to 2.23 beyond, 2.23 is taken."""


@dataclass(frozen=True)
class Plan:
    """How to stress.

    Attributes:
        scenarios: Which.
        seeds: Strikes of each.
        horizon: Rows from a strike that count.
        max_loss: Largest loss allowed at any strike, as a fraction of the equity before it; None allows all.
    """

    scenarios: tuple[Scenario, ...]
    seeds: int = 5
    horizon: int = 1440
    max_loss: float | None = None


def alone(config: BacktestConfig) -> BacktestConfig:
    """The configuration of the agent alone, with the models that it has now."""
    quiet = {"challengers": ChallengersConfig(), "learning": None, "cuts": CutsConfig()}
    return config.model_copy(update=quiet)


def read_bars(prepared: Prepared) -> BarBlock:
    """All bars of a run in one block.

    Raises:
        DataError: If there are none.
    """
    return concat(list(prepared.source.blocks(ALL_ROWS)))


def strikes(course: Course, count: int, seed: int) -> Ints:
    """Rows at which scenarios strike, ascending, the same for all, shape (count,).

    They are drawn from the rows in which the undisturbed run holds a position, one from each of `count` parts of equal
    size; where it never does, from all rows. The first and the last tenth are left out.
    """
    rows = len(course.equity)
    first, last = int(rows * EDGE), max(int(rows * (1.0 - EDGE)), int(rows * EDGE) + 1)
    held = first + np.flatnonzero(course.positions[first:last].any(axis=1))
    among = held if len(held) >= count else np.arange(first, last)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, rows))))
    places = (np.arange(count) + random.random(count)) / count * len(among)
    return np.asarray(among[np.minimum(places.astype(np.int64), len(among) - 1)])


def run_stress(
    prepared: Prepared, plan: Plan, block: BarBlock | None = None, watch: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Run every scenario at every strike.

    Args:
        block: All bars, if the caller has read them.
        watch: Called with the name of each scenario before it runs.

    Returns:
        What stress.json holds.

    Raises:
        UsageError: If the number of strikes or the horizon makes no sense.
        GrandModelError: As a backtest.
    """
    if plan.seeds < 1 or plan.horizon < 1:
        raise UsageError(
            "a stress test needs at least one strike and one row", found=f"{plan.seeds} strikes, {plan.horizon} rows"
        )
    prepared = replace(prepared, config=alone(prepared.config))
    config, bars = prepared.config, read_bars(prepared) if block is None else block
    base = run_course(config, prepared.instruments, prepared.timeframe_ns, Struck(bars, bars))
    drawn = strikes(base, plan.seeds, config.seed)
    rows = []
    for scenario in plan.scenarios:
        if watch is not None:
            watch(scenario.name)
        rows.append(_scenario_row(prepared, plan, bars, base, scenario, drawn))
    found = [f"{row['name']}: {line}" for row in rows for line in row["broken"]]
    found += [f"undisturbed: {line}" for line in base.broken]
    return {
        "format": 1,
        "agent": config.agent,
        "models": base.models,
        "config_sha256": config_sha256(config),
        "ledger_sha256": base.ledger_sha256,
        "symbols": list(bars.symbols),
        "rows": len(bars),
        "timeframe_ns": prepared.timeframe_ns,
        "strikes": drawn.tolist(),
        "horizon": plan.horizon,
        "max_loss": plan.max_loss,
        "limits": config.limits.model_dump(mode="json"),
        "undisturbed": _figures([outcome(base, row, plan.horizon, config.initial_capital) for row in drawn.tolist()]),
        "scenarios": rows,
        "broken": found,
    }


def _scenario_row(
    prepared: Prepared, plan: Plan, bars: BarBlock, base: Course, scenario: Scenario, drawn: Ints
) -> dict[str, Any]:
    config = prepared.config
    ticks = [item.tick_size for item in prepared.instruments.values()]
    at = drawn.tolist() if scenario.at is None else [min(int(scenario.at * len(bars)), len(bars) - 1)] * len(drawn)
    pairs: list[tuple[Outcome, Outcome]] = []
    broken: list[str] = []
    for number, row in enumerate(at):
        # bars beyond the horizon cannot change what counts; operators that remove rows need some more
        block = bars.slice(0, min(len(bars), row + 2 * plan.horizon))
        struck = scenario.struck(block, row, config.seed + number, ticks)
        course = run_course(config, prepared.instruments, prepared.timeframe_ns, struck, scenario)
        pair = tuple(outcome(one, row, plan.horizon, config.initial_capital) for one in (course, base))
        pairs.append((pair[0], pair[1]))
        broken += [f"strike at row {row}: {line}" for line in course.broken]
        if plan.max_loss is not None and pair[0].loss > plan.max_loss:
            broken.append(f"strike at row {row}: a loss of {pair[0].loss:.2%}, more than {plan.max_loss:.2%}")
    hit, calm = [one for one, _ in pairs], [one for _, one in pairs]
    return {
        "name": scenario.name,
        "about": scenario.about,
        "kinds": scenario.kinds,
        "rows": at,
        **_figures(hit),
        "extra_loss": interval([one.loss - other.loss for one, other in pairs]).tree(),
        "undisturbed": _figures(calm),
        "outcomes": [asdict(one) for one in hit],
        "broken": broken,
    }


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What outcomes came to over the strikes."""
    flat = [one.flat_rows for one in outcomes if one.flat_rows is not None]
    limits = [one.limit for one in outcomes if one.limit]
    return {
        "loss": interval([one.loss for one in outcomes]).tree(),
        "worst_loss": max(one.loss for one in outcomes),
        "drawdown": interval([one.drawdown for one in outcomes]).tree(),
        "fills": float(np.mean([one.fills for one in outcomes])),
        "halts": len(limits),
        "limits": sorted(set(limits)),
        "rows_to_flat": max(flat) if flat else None,
    }


def interval(values: Sequence[float]) -> Estimate:
    """Mean and its 95 % interval by Student's t over strikes; no interval for a single one.

    Strikes are few and their losses skewed, so that the interval is rough; the worst loss stands beside it.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    quantile = T_95[len(values) - 2] if len(values) - 2 < len(T_95) else 2.23
    half = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(mean, mean - half, mean + half)
