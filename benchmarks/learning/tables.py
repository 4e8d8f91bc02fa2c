"""Tables of `python -m benchmarks.learning`, with 95 % intervals over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.learning.cases import RULES
from training.evaluation.statistics import mean_estimate

Results = Mapping[str, Any]


def show(results: Results) -> None:
    """Print what there is."""
    console = Console(width=None if Console().is_terminal else 110)
    for kind, tables in (("predictable", (_predictable, _fees)), ("random_walk", (_plain,)), ("leaked", (_plain,))):
        cases = [case for name, case in sorted(results.items()) if name.split("|")[0] == kind]
        for table in tables if cases else ():
            console.print(table(kind, cases))
    folds = {name: case for name, case in results.items() if name.startswith("months|")}
    if folds:
        console.print(_months(folds))


def interval(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """Mean and interval in words."""
    found = mean_estimate(values)
    if found.value is None:
        return "-"
    if found.low is None or found.high is None:
        return form.format(found.value)
    return f"{form.format(found.value)} ({form.format(found.low)} to {form.format(found.high)})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _predictable(_: str, cases: Sequence[Results]) -> Table:
    table = _table(f"Predictable market, {len(cases)} seeds, profit of an episode out of sample", "agent", "profit", "")
    shares = [interval([case[key] for case in cases], "{:.1%}") for key in ("share_of_full", "share_of_belief")]
    table.add_row("ensemble", interval([case["profit"] for case in cases]), f"{shares[0]} of the optimum")
    table.add_row("", "", f"{shares[1]} of the best that prices tell")
    table.add_row("optimum", interval([case["optimum"] for case in cases]), "knows the drift's sign")
    for rule in RULES:
        table.add_row(rule, interval([case["rules"][rule] for case in cases]), _beaten(cases, rule))
    return table


def _beaten(cases: Sequence[Results], rule: str) -> str:
    count = sum(case["profit"] > case["rules"][rule] for case in cases)
    return f"beaten by {count} of {len(cases)} seeds"


def _fees(_: str, cases: Sequence[Results]) -> Table:
    factors = sorted(cases[0]["fees"], key=float)
    table = _table("Profit of the same networks at multiples of the fee", "seed", *(f"x {f}" for f in factors), "falls")
    for number, case in enumerate(cases, 1):
        earned = [case["fees"][factor] for factor in factors]
        falls = all(before > after for before, after in itertools.pairwise(earned))
        table.add_row(str(number), *(f"{value:,.0f}" for value in earned), "always" if falls else "NOT always")
    means = [fmean(case["fees"][factor] for case in cases) for factor in factors]
    falls = all(before > after for before, after in itertools.pairwise(means))
    table.add_row("mean", *(f"{value:,.0f}" for value in means), "always" if falls else "NOT always")
    return table


def _plain(kind: str, cases: Sequence[Results]) -> Table:
    table = _table(f"{kind}, {len(cases)} seeds, profit of an episode out of sample", "seed", "profit", "trades", "")
    for number, case in enumerate(cases, 1):
        found = mean_estimate(case["by_episode"])
        significant = found.low is not None and found.low > 0
        words = ["significant profit" if significant else "no significant profit", *case["findings"]]
        table.add_row(str(number), interval(case["by_episode"]), f"{case['trades']:.1f}", ", ".join(words))
    table.add_row(
        "all", interval([case["profit"] for case in cases]), interval([case["trades"] for case in cases], "{:.1f}"), ""
    )
    return table


def _months(folds: Mapping[str, Results]) -> Table:
    table = _table(
        "Real months, walk-forward (profit of all test parts together, a run is one seed)",
        "month",
        "costs",
        "profit",
        "buy-and-hold",
        "trades",
        "runs above buy-and-hold, above flat",
    )
    groups: dict[tuple[str, str], dict[str, list[Results]]] = {}
    for name, case in folds.items():
        _, month, cost, _, seed = name.split("|")
        groups.setdefault((month, cost), {}).setdefault(seed, []).append(case)
    for (month, cost), seeds in sorted(groups.items()):
        sums = {
            key: [sum(case[key] for case in runs) for runs in seeds.values()]
            for key in ("profit", "buy_and_hold", "trades")
        }
        above = sum(own > held for own, held in zip(sums["profit"], sums["buy_and_hold"], strict=True))
        positive = sum(own > 0 for own in sums["profit"])
        table.add_row(
            month,
            cost,
            interval(sums["profit"]),
            f"{sums['buy_and_hold'][0]:,.0f}",
            interval(sums["trades"], "{:.0f}"),
            f"{above} and {positive} of {len(seeds)}",
        )
    return table
