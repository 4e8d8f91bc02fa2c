"""The verdict on trials of the suite, and their table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.suite.families import FAMILIES

LEAST_SHARE = 0.9
"""Of what prices allow to earn."""

SEEDS_THAT_MAY_FAIL = 0.1
"""Share of the seeds of a family."""

MOST_TRADES = 0.5
"""An episode, where nothing can be earned."""

Row = Mapping[str, Any]


def share(row: Row) -> float | None:
    """Of what prices allow to earn; None where that is nothing, or not known."""
    best = row.get("optimum_prices")
    return row["return"] / best if FAMILIES[row["family"]].earns and best else None


def failures(rows: Sequence[Row]) -> list[str]:
    """Sentences about families that fail: fewer than 9 of 10 seeds earn enough, or trade nothing where nothing pays."""
    found = []
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        bad = [row for row in own if not _good(row)]
        if len(bad) > math.floor(SEEDS_THAT_MAY_FAIL * len(own)):
            found.append(f"{family}: {'; '.join(map(_words, bad))}")
    return found


def _good(row: Row) -> bool:
    if not FAMILIES[row["family"]].earns:
        return bool(row["trades"] < MOST_TRADES)
    reached = share(row)
    return reached is None or reached >= LEAST_SHARE


def _words(row: Row) -> str:
    if not FAMILIES[row["family"]].earns:
        return f"seed {row['seed']} trades {row['trades']:.1f} times an episode where nothing can be earned"
    return (
        f"seed {row['seed']} earns {row['return']:.2f} % an episode, {share(row):.0%} of the "
        f"{row['optimum_prices']:.2f} that prices allow (at least {LEAST_SHARE:.0%} wanted)"
    )


COLUMNS = {
    "random": "random",
    "buy_and_hold": "hold",
    "best_constant": "const",
    "linear": "linear",
    "quadratic": "quadratic",
    "rule": "rule",
    "rule_held": "rule held",
    "optimum_prices": "prices",
    "optimum_full": "full",
}
"""Figures beside the result, and what they are called in the table."""


def header() -> list[str]:
    """Of the table."""
    return ["family", "seed", "return", "of prices", "seats", "trades", *COLUMNS.values(), "CPU s", "bars/CPU s"]


def cells(row: Row) -> list[str]:
    """A row of the table."""
    reached = share(row)
    return [
        str(row["family"]),
        str(row["seed"]),
        f"{row['return']:.2f} ± {row['error']:.2f}",
        "-" if reached is None else f"{reached:.0%}",
        str(row["seats"]),
        f"{row['trades']:.0f}",
        *(f"{row[name]:.2f}" if name in row else "-" for name in COLUMNS),
        f"{row['cpu']:.0f}",
        f"{row['bars'] / row['cpu']:,.0f}",
    ]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """By family and seed."""
    return sorted(rows, key=lambda row: (row["family"], row["seed"]))
