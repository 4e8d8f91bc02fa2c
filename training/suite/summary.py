"""What the seeds of a family say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from training.evaluation.seeds import better, interquartile_mean, probability_of_improvement
from training.evaluation.statistics import Estimate
from training.suite.scores import LEAST_SHARE, Row, share


def summary_header() -> list[str]:
    """Of the table."""
    return ["family", "seeds", f"from {LEAST_SHARE:.0%}", "of prices", "rule", "above it", "P(better)", "verdict"]


def summary_cells(rows: Sequence[Row]) -> Iterator[list[str]]:
    """A row for each family in which something can be earned.

    Seeds, how many reach what is wanted, interquartile mean of the shares of what prices allow with its 95 % interval,
    that of the best rule, seeds in which the ensemble earns more than the rule, the probability that it does in another
    one, and whether that is shown (`training.evaluation.seeds.better`). Of markets that differ by seed, shares are
    compared.
    """
    for family in sorted({row["family"] for row in rows if share(row) is not None}):
        own = [row for row in rows if row["family"] == family]
        shares = np.array([share(row) for row in own], np.float64)
        cells = [family, str(len(own)), str(int((shares >= LEAST_SHARE).sum())), _text(interquartile_mean(shares))]
        if all("rule" in row for row in own):
            rule = np.array([row["rule"] / row["optimum_prices"] for row in own])
            wins = probability_of_improvement(shares, rule)
            above = f"{int((shares > rule).sum())} of {len(own)}"
            cells += [f"{interquartile_mean(rule).value:.0%}", above, _text(wins), better(shares, rule)]
        else:
            cells += ["-"] * 4
        yield cells


def _text(found: Estimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "-" if found.value is None else f"{found.value:.0%}"
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"
