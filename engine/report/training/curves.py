"""Learning curves from the histories of one or several trainings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES
from engine.report.presentation import spaced
from engine.report.training.charts import Chart, ChartSeries, Panel
from engine.report.training.history import (
    SMOOTHED,
    History,
    Pick,
    Record,
    across,
    grid,
    listed,
    of_kind,
    points,
    smoothed,
)
from engine.types.blocks import Floats

LEARNERS = (("ppo", "Strategic (PPO)"), ("sac", "Tactical (SAC)"), ("dqn", "Risk (DQN)"))
TEAM = "reward of the team"


def learning_curves(histories: Mapping[str, History]) -> list[Panel]:
    """What a training's history shows; panels without data are left out.

    Args:
        histories: Records by name of the run.
    """
    runs = [history for history in histories.values() if history]
    if not runs:
        return []
    found = [_evaluations(histories), _rewards(runs), _terms(runs), *_losses(runs)]
    return [panel for panel in found if panel is not None]


def _curves(
    runs: Sequence[Sequence[Record]], picks: Mapping[str, Pick], window: int = 1
) -> tuple[Floats, list[ChartSeries]]:
    """Lines of several picks over the same episodes; each the mean over the runs."""
    found = {name: [points(records, pick) for records in runs] for name, pick in picks.items()}
    found = {name: curves for name, curves in found.items() if any(len(x) for x, _ in curves)}
    at = grid([curve for curves in found.values() for curve in curves])
    lines = [
        across([(x, smoothed(y, window)) for x, y in curves], at, name, color)
        for color, (name, curves) in enumerate(found.items())
    ]
    return at, lines


def _band_note(runs: int) -> str:
    return f" Lines are means over {runs} trainings, bands reach from the lowest to the highest." if runs > 1 else ""


def _evaluations(histories: Mapping[str, History]) -> Panel | None:
    named = {name: of_kind(history, "evaluation") for name, history in histories.items()}
    runs = [records for records in named.values() if records]
    if not runs:
        return None
    charts = [
        _evaluated(named, "mean_reward", "Mean reward"),
        _evaluated(named, "sharpe", "Sharpe ratio"),
        _evaluated(named, "max_drawdown", "Maximum drawdown", percent=True),
    ]
    note = "Episodes without exploration on data that were not learned from."
    note += _band_note(len(runs)) or " The band is one deviation of the episodes to either side."
    return Panel("Evaluations", note, [chart for chart in charts if chart is not None])


def _evaluated(named: Mapping[str, list[Record]], key: str, title: str, *, percent: bool = False) -> Chart | None:
    runs = {name: records for name, records in named.items() if records}
    at, lines = _curves(list(runs.values()), {title: lambda record: record.get(key)})
    if not lines:
        return None
    if len(runs) > 1:
        each = [across([points(records, lambda r: r.get(key))], at, name, 5) for name, records in runs.items()]
        thin = [ChartSeries(series.name, series.y, color=5, thin=True) for series in each]
        lines = [*thin, *lines]
    elif key == "mean_reward":
        lines = [_with_deviation(next(iter(runs.values())), at, lines[0])]
    return Chart(f"evaluation_{key}", title, "lines", at.tolist(), lines, "Episodes", percent=percent)


def _with_deviation(records: Sequence[Record], at: Floats, line: ChartSeries) -> ChartSeries:
    x, deviation = points(records, lambda record: record.get("deviation"))
    if not len(x):
        return line
    spread = np.interp(at, x, deviation)
    middle = np.array([np.nan if value is None else value for value in line.y])
    return ChartSeries(line.name, line.y, listed(middle - spread), listed(middle + spread), line.color)


def _window(runs: Sequence[Sequence[Record]]) -> int:
    return max(1, max(map(len, runs)) // SMOOTHED)


def _inner(record: Record, group: str, key: str) -> Any:
    inner = record.get(group)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _picks(group: str, keys: Sequence[str]) -> dict[str, Pick]:
    def pick(key: str) -> Pick:
        return lambda record: _inner(record, group, key)

    return {spaced(key): pick(key) for key in keys}


def _keys(runs: Sequence[Sequence[Record]], group: str) -> list[str]:
    """Names that a group of some record holds, in order of appearance."""
    found: dict[str, None] = {}
    for records in runs:
        for record in records:
            inner = record.get(group)
            if isinstance(inner, Mapping):
                found |= dict.fromkeys(map(str, inner))
    return list(found)


def _episodes(runs: Sequence[History]) -> list[list[Record]]:
    return [records for history in runs if (records := of_kind(history, "episode"))]


def _rewards(runs: Sequence[History]) -> Panel | None:
    episodes = _episodes(runs)
    if not episodes:
        return None
    window = _window(episodes)
    names = [agent for agent in AGENT_NAMES if agent in _keys(episodes, "rewards")]
    at, lines = _curves(episodes, _picks("rewards", names), window)
    if not lines:
        return None
    charts = [Chart("rewards", "Reward by agent", "lines", at.tolist(), lines, "Episodes")]
    explored, epsilon = _curves(episodes, {"epsilon": lambda record: record.get("epsilon")})
    if epsilon:
        label = "Share of random risk actions"
        charts.append(Chart("epsilon", label, "lines", explored.tolist(), epsilon, "Episodes"))
    note = "Training episodes, with exploration; percent of the initial capital, shaped by the reward's terms."
    note += f" Means over the last {window:,} episodes." if window > 1 else ""
    return Panel("Rewards in training", note + _band_note(len(episodes)), charts)


def _terms(runs: Sequence[History]) -> Panel | None:
    episodes = _episodes(runs)
    if not episodes:
        return None
    at, lines = _curves(episodes, _picks("terms", _keys(episodes, "terms")), _window(episodes))
    if not lines:
        return None
    chart = Chart("terms", "Reward by term", "lines", at.tolist(), lines, "Episodes")
    return Panel("Reward terms in training", f"The terms add up to the {TEAM}." + _band_note(len(episodes)), [chart])


def _losses(runs: Sequence[History]) -> list[Panel]:
    records = [found for history in runs if (found := of_kind(history, "losses"))]
    drawn: list[Panel] = []
    for learner, title in LEARNERS:
        charts = []
        for number, key in enumerate(_keys(records, learner)):
            at, lines = _curves(records, _picks(learner, [key]))
            if lines:
                label = spaced(key).capitalize()
                # an element's id: nothing but plain words may get there
                name = key if re.fullmatch(r"[a-z][a-z0-9_]*", key) else f"loss_{number}"
                charts.append(Chart(f"{learner}_{name}", label, "lines", at.tolist(), lines, "Episodes"))
        if charts:
            drawn.append(Panel(title, "As the updates report them." + _band_note(len(records)), charts))
    return drawn
