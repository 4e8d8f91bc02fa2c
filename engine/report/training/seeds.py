"""Trainings over several seeds as one table and a few sentences, for the terminal and the Markdown file alike.

The trainings are what `seeds.json` holds; figures there have a `value` and a 95 % interval `low` to `high`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from engine.report.presentation import UNDEFINED, spaced
from engine.report.training.markdown import plain, table_blocks
from engine.report.training.phrases import BASELINES, Table, estimate, number
from engine.report.training.terminal import grid

Seeds = Mapping[str, Any]
HEAD = ("Seed", "Reward", "Return", "Over buy and hold", "Seats taken by networks")
FEW = 5
"""Seeds below which an interval over them says little."""


def render_seeds(tree: Seeds) -> RenderableType:
    """The figures of all seeds, for a terminal."""
    parts: list[RenderableType] = [grid(table(tree)), Text()]
    parts += [Text(sentence) for sentence in sentences(tree)]
    parts += [Text(f"! {remark}", style="yellow") for remark in remarks(tree)]
    return Group(*parts)


def markdown(tree: Seeds) -> str:
    """The same as a file."""
    blocks = [*table_blocks(table(tree)), *(plain(sentence) for sentence in sentences(tree))]
    if lines := remarks(tree):
        blocks.append("\n".join(f"- {plain(line)}" for line in lines))
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(tree: Seeds) -> Table:
    """A row for each seed, and one for their interquartile mean."""
    part, rows = _part(tree), [_row(run) for run in tree["runs"]]
    total = tree["summary"]
    if total is not None:
        rows.append(("interquartile mean", *_figures(total), ""))
    note = f"Means of an episode of the {part} part, with 95 % intervals over its episodes; in the last row over seeds."
    return Table("Trainings by seed", note, HEAD, tuple(rows))


def _row(run: Mapping[str, Any]) -> tuple[str, ...]:
    if run["status"] != "finished":
        return (str(run["seed"]), run["status"], UNDEFINED, UNDEFINED, UNDEFINED)
    return (str(run["seed"]), *_figures(run), ", ".join(run["seats"]) or "none")


def _figures(found: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        estimate(found["reward"], "ratio"),
        estimate(found["total_return"], "percent"),
        estimate(found["over"].get("buy_and_hold"), "percent"),
    )


def outcome_line(run: Mapping[str, Any]) -> str:
    """One line for a seed that has ended."""
    seed = f"seed {run['seed']}"
    if run["status"] == "failed":
        return f"{seed} failed: {str(run['error']).splitlines()[0]}"
    if run["status"] != "finished":
        return f"{seed} {run['status']}"
    figures = f"reward {estimate(run['reward'], 'ratio')}, return {estimate(run['total_return'], 'percent')}"
    return f"{seed} finished: {figures}; {run['episodes']:,} episodes, {run['seconds']:,.0f} s"


def sentences(tree: Seeds) -> list[str]:
    """What all seeds say together, and what the best of them is worth."""
    total = tree["summary"]
    return [] if total is None else list(_sentences(total))


def _sentences(total: Mapping[str, Any]) -> Iterator[str]:
    count = total["seeds"]
    above = [
        f"{BASELINES.get(name, spaced(name)).lower()}: {found['seeds']} of {count} seeds ({found['beyond_chance']} "
        "beyond chance)"
        for name, found in sorted(total["above"].items())
    ]
    if above:
        yield f"Return above {'; above '.join(above)}."
    if total["trials"] > 1:
        best = total["best"]
        yield (
            f"Seed {best['seed']} has the best reward, {number(best['reward'], 'ratio')}, and is one trial of "
            f"{total['trials']}: picked by this table, its figures are too good. Expect the interquartile mean, and "
            "judge it on data that no seed was picked by."
        )


def remarks(tree: Seeds) -> list[str]:
    """What limits the figures."""
    total, runs = tree["summary"], tree["runs"]
    found = []
    missing = [str(run["seed"]) for run in runs if run["status"] != "finished"]
    if missing:
        found.append(f"not in the figures, since not finished: seeds {', '.join(missing)}")
    if total is not None and total["seeds"] < FEW:
        found.append(f"{total['seeds']} seeds are few: an interval over fewer than {FEW} says little")
    kinds = {source["type"] for source in tree["config"]["data"]["sources"]}
    if "synthetic" in kinds:
        found.append("every seed draws its own synthetic scenarios, so that seeds differ by their markets too")
    if "historical" in kinds:
        found.append(
            "seeds share the bars of files: what they earn by the luck of these bars is not in the interval over seeds"
        )
    return found


def _part(tree: Seeds) -> str:
    return str((tree["summary"] or {}).get("part") or "test")
