"""What the seeds of a family say together."""

from __future__ import annotations

from typing import Any

from training.suite.summary import summary_cells, summary_header


def row(family: str, seed: int, earned: float, rule: float | None = 5.0) -> dict[str, Any]:
    found = {"family": family, "seed": seed, "return": earned, "optimum_prices": 10.0, "trades": 3.0}
    return found if rule is None else found | {"rule": rule}


def of(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [dict(zip(summary_header(), cells, strict=True)) for cells in summary_cells(rows)]


def test_seeds_are_counted_averaged_and_held_against_the_rule() -> None:
    rows = [row("trending", seed, 8.85 + 0.1 * seed) for seed in range(10)]
    (found,) = of([*rows, row("random_walk", 1, 0.0)])
    assert (found["family"], found["seeds"], found["from 90%"]) == ("trending", "10", "8")
    assert found["of prices"].startswith("93% (")
    assert (found["rule"], found["above it"], found["verdict"]) == ("50%", "10 of 10", "better")
    assert found["P(better)"].startswith("100%")


def test_few_seeds_show_nothing() -> None:
    (found,) = of([row("trending", 1, 9.0), row("trending", 2, 9.5)])
    assert found["verdict"] == "not shown"


def test_without_rules_their_columns_are_empty() -> None:
    (found,) = of([row("trending", 1, 9.0, rule=None)])
    assert [found[name] for name in ("rule", "above it", "P(better)", "verdict")] == ["-"] * 4
