"""The charts of an evaluation: what the agents did, what they add, and how the episodes went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.spec import AGENT_NAMES, TACTICAL_AGENT
from engine.report.presentation import spaced
from engine.report.training.charts import Chart, ChartSeries, Panel
from engine.report.training.phrases import BASELINES, Evaluation

LEVELS = ("0", "0.25", "0.5", "0.75", "1")
AGENT_COLORS = dict(zip(AGENT_NAMES, range(3), strict=True))


def evaluation_panels(evaluation: Evaluation) -> list[Panel]:
    """Panels of an evaluation; those without data are left out."""
    found = [_episodes(evaluation), _contributions(evaluation), _terms(evaluation), _actions(evaluation)]
    return [panel for panel in found if panel is not None]


def _episodes(evaluation: Evaluation) -> Panel | None:
    each: Mapping[str, Sequence[Any]] = evaluation.get("per_episode") or {}
    own = each.get("total_return")
    if not own:
        return None
    order = sorted(range(len(own)), key=lambda k: each["start"][k])
    series = [
        ChartSeries(label, [each[f"total_return.{name}"][k] for k in order], color=5 if name == "flat" else 1)
        for name, label in BASELINES.items()
        if f"total_return.{name}" in each
    ]
    series.append(ChartSeries("Ensemble", [own[k] for k in order], color=0))
    x = [float(k + 1) for k in range(len(own))]
    chart = Chart("episodes", "Return by episode", "lines", x, series, "Episode, in order of time", percent=True)
    return Panel("Episodes", "The ensemble and the baselines over the same bars.", [chart])


def _bars(name: str, title: str, figures: Mapping[str, Mapping[str, Any]], *, percent: bool = False) -> Chart:
    """One bar for each figure, with its interval."""
    values = [figure.get("value") for figure in figures.values()]
    # a figure without an interval has an interval of no width
    low = [f.get("value") if f.get("low") is None else f["low"] for f in figures.values()]
    high = [f.get("value") if f.get("high") is None else f["high"] for f in figures.values()]
    return Chart(name, title, "bars", list(figures), [ChartSeries("", values, low, high)], percent=percent)


def _contributions(evaluation: Evaluation) -> Panel | None:
    given = evaluation.get("contributions") or {}
    if not given:
        return None
    named = {agent.capitalize(): given[agent] for agent in AGENT_NAMES if agent in given}
    charts = [
        _bars("contribution_reward", "Reward added", {name: item["mean"] for name, item in named.items()}),
        _bars(
            "contribution_return",
            "Return added",
            {name: item["total_return"] for name, item in named.items()},
            percent=True,
        ),
    ]
    note = "What the ensemble loses when the agent is replaced by its neutral stand-in; whiskers are 95 % intervals."
    return Panel("Contributions", note, charts)


def _terms(evaluation: Evaluation) -> Panel | None:
    terms = evaluation["summary"].get("terms") or {}
    if not terms:
        return None
    chart = _bars("reward_terms", "Reward by term", {spaced(name).capitalize(): item for name, item in terms.items()})
    return Panel("What the reward is made of", "Mean of an episode; whiskers are 95 % intervals.", [chart])


def _shares(counts: Sequence[int]) -> list[float | None]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _actions(evaluation: Evaluation) -> Panel | None:
    actions = evaluation["summary"].get("actions")
    if not actions:
        return None
    strategic, tactical = actions["strategic"], actions["tactical"]
    charts = [
        Chart(
            "actions_strategic",
            "Strategic: direction",
            "bars",
            [name.capitalize() for name in strategic],
            [ChartSeries("", _shares(list(strategic.values())), color=AGENT_COLORS["strategic"])],
            percent=True,
        )
    ]
    for component, counts in zip(TACTICAL_AGENT.components, tactical["histograms"], strict=True):
        width = (component.high - component.low) / len(counts)
        edges = [f"{component.low + (k + 0.5) * width:.3g}" for k in range(len(counts))]
        name = f"actions_{component.name.replace(' ', '_')}"
        series = [ChartSeries("", _shares(counts), color=AGENT_COLORS["tactical"])]
        charts.append(Chart(name, f"Tactical: {component.name}", "bars", edges, series, percent=True))
    risk = [ChartSeries("", _shares(actions["risk"]), color=AGENT_COLORS["risk"])]
    charts.append(Chart("actions_risk", "Risk: exposure level", "bars", list(LEVELS), risk, percent=True))
    return Panel("Actions", "Share of the decisions of all episodes, without exploration.", charts)
