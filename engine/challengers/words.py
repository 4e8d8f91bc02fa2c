"""Champion and challengers in words, for every screen alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.challengers.standing import Standing
from engine.monitor.numbers import e_value_text

TITLES = ("agent", "role", "equity", "E", "needed", "blocks", "wait", "drawdown")
"""Of the columns; the wait is in blocks, as it would be if all went on as so far."""


class StandingRow(NamedTuple):
    """One of those who trade, as a row of a table.

    Attributes:
        cells: As TITLES name them.
        role: Its role, for colours.
        because: Why it is retired or only watched; empty otherwise.
    """

    cells: tuple[str, ...]
    role: str
    because: str


def standing_rows(standings: Sequence[Standing]) -> list[StandingRow]:
    """A row for each, in their order."""
    return [StandingRow(_cells(one), one.role, one.because) for one in standings]


def _cells(one: Standing) -> tuple[str, ...]:
    fallen = "" if one.drawdown is None else f"{100 * one.drawdown:.1f} %"
    money = f"{one.equity:,.2f}"
    if one.e_value is None or one.threshold is None:
        return (one.name, one.role, money, "", "", "", "", fallen)
    evidence = e_value_text(one.e_value)
    return (one.name, one.role, money, evidence, e_value_text(one.threshold), f"{one.blocks:,}", _wait(one), fallen)


def _wait(one: Standing) -> str:
    if one.role == "retired":
        return ""
    if one.wait is None:
        return "-"
    return "enough" if one.wait == 0 else f"{one.wait:,}"
