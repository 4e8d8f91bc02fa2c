"""Sentences and tables of an evaluation, for the terminal, the Markdown file and the page alike.

An evaluation is what `evaluation.json` holds; figures there have a `value` and a 95 % interval `low` to `high`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.spec import AGENT_NAMES
from engine.report.presentation import UNDEFINED, Kind, Row, spaced, write

Evaluation = Mapping[str, Any]
STAND_INS = {
    "strategic": "always neutral, so nothing is traded",
    "tactical": "enters at once, with a stop of 5 % and scale 1",
    "risk": "always full exposure",
}
BASELINES = {"buy_and_hold": "Buy and hold", "flat": "Flat"}


ITEMS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Performance",
        (
            Row("mean_reward", "Mean reward", "ratio"),
            Row("deviation", "Deviation", "ratio"),
            Row("median", "Median", "ratio"),
            Row("minimum", "Minimum", "ratio"),
            Row("maximum", "Maximum", "ratio"),
            Row("skewness", "Skewness", "ratio"),
            Row("kurtosis", "Excess kurtosis", "ratio"),
            Row("total_return", "Mean return of an episode", "percent"),
        ),
    ),
    (
        "Risk",
        (
            Row("sharpe", "Mean Sharpe (annualised)", "ratio"),
            Row("max_drawdown", "Mean maximum drawdown", "percent"),
            Row("worst_drawdown", "Worst drawdown", "percent"),
            Row("var_95", "VaR 95 % (episode)", "percent"),
            Row("cvar_95", "CVaR 95 % (episode)", "percent"),
            Row("volatility", "Volatility p.a.", "percent"),
        ),
    ),
    (
        "Trading",
        (
            Row("trades", "Trades an episode", "ratio"),
            Row("win_rate", "Win rate", "percent"),
            Row("profit_factor", "Profit factor", "ratio"),
            Row("average_win", "Average win", "money"),
            Row("average_loss", "Average loss", "money"),
            Row("largest_win", "Largest win", "money"),
            Row("largest_loss", "Largest loss", "money"),
            Row("exposure", "In the market", "percent"),
            Row("fees", "Fees of an episode", "percent"),
        ),
    ),
)


class Table(NamedTuple):
    """A table as text: its title, a note, the heads of its columns, and rows whose first cell is a label."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(figure: Any, kind: Kind) -> str:
    """The value of a figure, without its name."""
    return write(figure.get("value") if isinstance(figure, Mapping) else figure, kind)


def estimate(figure: Any, kind: Kind) -> str:
    """A figure and its interval, such as `1.20 (0.80 to 1.60)`; without one that is no wider than the writing."""
    text = number(figure, kind)
    if not isinstance(figure, Mapping) or figure.get("low") is None or figure.get("high") is None:
        return text
    low, high = (write(figure[end], kind).removesuffix(" %") for end in ("low", "high"))
    return text if low == high else f"{text} ({low} to {high})"


def title(evaluation: Evaluation) -> str:
    """One line that names the evaluation."""
    about = evaluation.get("about") or {}
    parts = ["Evaluation", about.get("model"), f"{about['part']} data" if about.get("part") else None]
    return " · ".join(str(part) for part in parts if part)


def span(evaluation: Evaluation) -> str:
    """One line that says what was seen."""
    summary, about = evaluation["summary"], evaluation.get("about") or {}
    count = f"{summary['episodes']:,} episodes"
    length = about.get("episode_length")
    count += f" of {length:,} bars" if length else f", {summary['bars']:,} bars"
    dates = f"{about['first'][:10]} to {about['last'][:10]}" if about.get("first") and about.get("last") else ""
    return " · ".join(part for part in (count, dates, about.get("instrument")) if part)


def verdicts(evaluation: Evaluation) -> list[tuple[bool, str]]:
    """Whether the ensemble beats each baseline beyond chance, and a sentence that says so."""
    own = evaluation["summary"]["performance"]["total_return"]
    if never_traded(evaluation):
        episodes = evaluation["summary"]["episodes"]
        return [(False, f"Never traded: no position was opened in {episodes:,} episodes, so there is nothing to judge")]
    found = []
    for name, compared in (evaluation.get("comparisons") or {}).items():
        held = evaluation["baselines"][name]["performance"]["total_return"]
        difference = compared["total_return"]
        figures = f"{_signed(own)} an episode against {_signed(held)}"
        apart = f"difference {estimate(difference, 'percent')}"
        label = BASELINES.get(name, spaced(name)).lower()
        found.append(_verdict(label, difference, f"{figures}; {apart}"))
    return found


def never_traded(evaluation: Evaluation) -> bool:
    """Whether the ensemble opened no position in any episode."""
    trading = evaluation["summary"]["trading"]
    return all((trading.get(key) or {}).get("value") == 0 for key in ("trades", "exposure"))


def idle(evaluation: Evaluation) -> list[str]:
    """The agents whose stand-in ends every episode alike, so that nothing they learned shows."""
    given = evaluation.get("contributions") or {}
    found = {agent: given[agent] for agent in AGENT_NAMES if agent in given}
    return [agent for agent, one in found.items() if one["mean"].get("value") == 0 and one["deviation"] in (0, None)]


def _verdict(label: str, difference: Mapping[str, Any], figures: str) -> tuple[bool, str]:
    value, low, high = difference.get("value"), difference.get("low"), difference.get("high")
    if value is None:
        return False, f"Cannot be compared with {label}: {figures}"
    if value <= 0:
        surely = high is not None and high < 0
        return False, f"Does not beat {label}{': it does worse' if surely else ''}. {figures}"
    if low is not None and low > 0:
        return True, f"Beats {label}: {figures}"
    return False, f"Ahead of {label}, but that may be chance: {figures}"


def _signed(figure: Mapping[str, Any]) -> str:
    value = figure.get("value")
    return UNDEFINED if value is None else f"{100 * value:+,.2f} %"


def remarks(evaluation: Evaluation) -> list[str]:
    """What a reader should know before trusting the figures, a sentence each."""
    about, summary = evaluation.get("about") or {}, evaluation["summary"]
    lines = []
    if about.get("untrained"):
        lines.append("The networks are untrained: what they decide means nothing.")
    if about.get("part") == "training":
        lines.append("These are the data that were learned from: the figures say nothing about others.")
    if unused := idle(evaluation):
        agents, verb = " and ".join(unused), "agents change" if len(unused) > 1 else "agent changes"
        lines.append(f"The {agents} {verb} nothing: every episode ends as it does with the neutral stand-in.")
    asked, count, effective = about.get("episodes_asked"), summary["episodes"], summary["effective_episodes"]
    if asked and count < asked:
        lines.append(f"{asked:,} episodes were asked for; the data hold {count:,} different ones.")
    if effective < 0.95 * count:
        lines.append(
            f"Episodes overlap: {count:,} of them count for {effective:.1f} independent ones, "
            "on which the intervals rest."
        )
    lines += [str(line) + ("" if str(line).endswith(".") else ".") for line in about.get("remarks") or ()]
    if effective < 2:
        lines.append("Too few independent episodes for intervals: the figures are single observations.")
    return lines


def tables(evaluation: Evaluation) -> list[Table]:
    """Everything that an evaluation says in figures."""
    found = [*_metric_tables(evaluation), _contributions(evaluation), _terms(evaluation)]
    return [table for table in found if table is not None]


def _metric_tables(evaluation: Evaluation) -> list[Table]:
    baselines = evaluation.get("baselines") or {}
    head = ("", "Ensemble", *(BASELINES.get(name, spaced(name)) for name in baselines))
    found = []
    for name, items in ITEMS:
        columns = [column[name.lower()] for column in (evaluation["summary"], *baselines.values())]
        rows = [(item.label, *(estimate(column.get(item.key), item.kind) for column in columns)) for item in items]
        found.append(Table(name, "", head, tuple(rows)))
    return found


def _contributions(evaluation: Evaluation) -> Table | None:
    given = evaluation.get("contributions") or {}
    if not given:
        return None
    rows = []
    for agent in AGENT_NAMES:
        if agent in given:
            item = given[agent]
            rows.append(
                (
                    agent.capitalize(),
                    STAND_INS[agent],
                    estimate(item["mean"], "ratio"),
                    write(item["deviation"], "ratio"),
                    estimate(item["correlation"], "ratio"),
                    estimate(item["total_return"], "percent"),
                )
            )
    head = ("Agent", "Neutral stand-in", "Reward added", "Deviation", "Correlation with total", "Return added")
    note = (
        "What the ensemble loses when one agent is replaced by a neutral stand-in, on the same episodes. An interval "
        "that holds 0 means that the contribution may be chance; a negative figure means that the agent harms."
    )
    return Table("What each agent adds", note, head, tuple(rows))


def _terms(evaluation: Evaluation) -> Table | None:
    terms = evaluation["summary"].get("terms") or {}
    if not terms:
        return None
    rows = tuple((spaced(name).capitalize(), estimate(figure, "ratio")) for name, figure in terms.items())
    note = "Mean of an episode, percent of the initial capital; the terms add up to the mean reward."
    return Table("What the reward is made of", note, ("Term", "Ensemble"), rows)


def findings(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Names and messages of what went wrong."""
    return [(str(item["name"]), str(item["message"])) for item in evaluation.get("findings") or ()]


def short(evaluation: Evaluation, keys: Sequence[str]) -> list[tuple[str, str]]:
    """Labels and values of some figures, for a line of cards."""
    summary = evaluation["summary"]
    items = {item.key: (item, summary[name.lower()].get(item.key)) for name, group in ITEMS for item in group}
    return [(item.label, number(figure, item.kind)) for item, figure in map(items.__getitem__, keys)]
