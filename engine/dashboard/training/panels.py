"""The parts of a training's screen: each takes the state and a size, and returns that many lines of that width."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.segment import Segment

from agents.spec import AGENT_NAMES
from engine.dashboard import text
from engine.dashboard.cells import BOLD, DIM, GAP, GOOD, Line, TableColumn, fill_up, rule, table, width_of
from engine.dashboard.chart import BRAILLE, dots, equity_chart, resample
from engine.dashboard.history import EquityHistory
from engine.dashboard.panels import alert_list, signed
from engine.dashboard.training.state import LEARNERS, SMOOTHED, TERMS, WINDOW, TrainingState, file_name

NUMBER = 10
SHORT = {
    "policy_loss": "policy",
    "value_loss": "value",
    "approx_kl": "KL",
    "clip_fraction": "clipped",
    "gradient_norm": "gradient",
    "critic_loss": "critic",
    "actor_loss": "actor",
}
REWARD_COLUMNS = (
    TableColumn("agent", least=9),
    TableColumn("last", right=True, rank=2, least=NUMBER),
    TableColumn(f"mean of {WINDOW}", right=True, rank=1, least=NUMBER + 1),
    TableColumn("course", rank=3),
)
EVALUATION_COLUMNS = (
    TableColumn("episode", right=True, least=8),
    TableColumn("mean reward", right=True, rank=1, least=NUMBER + 1),
    TableColumn("deviation", right=True, rank=4, least=NUMBER),
    TableColumn("Sharpe", right=True, rank=3, least=7),
    TableColumn("drawdown", right=True, rank=5, least=8),
    TableColumn("trades", right=True, rank=6, least=6),
    TableColumn("", rank=2, least=4),
)
TERM_COLUMNS = tuple(TableColumn(name, right=True, rank=at, least=8) for at, name in enumerate((*TERMS, "= team")))


def figure(value: float, *, sign: bool = False) -> str:
    """A number of unknown size in at most ten cells, with three or four digits that count."""
    size = abs(value)
    if not math.isfinite(value):
        return text.NONE
    if value != 0 and not 1e-3 <= size < 1e6:
        return f"{value:+.1e}" if sign else f"{value:.1e}"
    decimals = next(places for limit, places in ((1e3, 0), (1e2, 1), (1, 2), (0.1, 3), (0, 4)) if size >= limit)
    return text.quantity(0.0) if value == 0 else f"{value:{'+' if sign else ''},.{decimals}f}"


def spark(curve: EquityHistory, width: int) -> str:
    """A curve on one line."""
    if width < 1 or not len(curve):
        return ""
    low, high, last = resample(curve, 2 * width)
    codes = dots(low, high, last, float(low.min()), float(high.max()), 1)[0]
    return "".join(chr(BRAILLE + code) for code in codes.tolist())


def rewards_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """Rewards of an episode by agent."""
    taken = sum(column.least + 2 for column in REWARD_COLUMNS)
    rows = [
        [
            Segment(agent, BOLD),
            Segment(figure(series.last, sign=True), signed(series.last)),
            Segment(figure(series.mean, sign=True), signed(series.mean)),
            Segment(spark(series.curve, width - taken)),
        ]
        for agent, series in ((agent, state.rewards[agent]) for agent in AGENT_NAMES)
    ]
    note = f"of an episode; {text.count(len(state.team))} seen"
    return fill_up([rule("Rewards", note, width), *table(REWARD_COLUMNS, rows, width)], width, height)


def terms_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """What the team's reward is made of."""
    means = [*(state.terms[name].mean for name in TERMS), state.team.mean]
    row = [Segment(figure(value, sign=True), signed(value)) for value in means]
    head = rule("Reward terms", f"mean of {WINDOW} episodes", width)
    return fill_up([head, *table(TERM_COLUMNS, [row], width)], width, height)


def losses_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """Figures of the last updates, a line for each learner."""
    lines = [rule("Learners", "last update", width)]
    for learner in LEARNERS:
        figures = state.losses.get(learner)
        name = Segment(f"{learner.upper():<5}", BOLD)
        if figures is None:
            lines.append([name, Segment("has not learned yet", DIM)])
        else:
            named = {SHORT.get(key, key): value for key, value in figures.items()}
            lines.append([name, *_pairs(named, width - name.cell_length)])
    return fill_up(lines, width, height)


def evaluations_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """Evaluations without exploration, the newest first."""
    rows = []
    for record in list(state.evaluations)[: max(0, height - 2)]:
        reward = value_of(record, "mean_reward")
        best = bool(record.get("best"))
        rows.append(
            [
                Segment(text.count(value_of(record, "episode"))),
                Segment(figure(reward, sign=True), signed(reward)),
                Segment(figure(value_of(record, "deviation"))),
                Segment(text.money(value_of(record, "sharpe"), sign=True)),
                Segment(text.percent(value_of(record, "max_drawdown"))),
                Segment(figure(value_of(record, "trades"))),
                Segment("best" if best and record is state.best else "", GOOD),
            ]
        )
    total = len(state.evaluations)
    note = f"best at episode {text.count(value_of(state.best, 'episode'))}" if state.best else ""
    body = table(EVALUATION_COLUMNS, rows, width) if total else [[Segment("none yet", DIM)]]
    return fill_up([rule("Evaluations", note, width), *body], width, height)


def curve_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """The team's reward over the episodes, smoothed."""
    lines = [rule("Team reward of an episode", f"mean of {SMOOTHED}", width)]
    if not len(state.team):
        return fill_up([*lines, [Segment("no episode is over yet", DIM)]], width, height)
    return fill_up([*lines, *equity_chart(state.team.curve, 0.0, width, height - 1)], width, height)


def checkpoints_panel(state: TrainingState, width: int, height: int, now: float) -> list[Line]:
    """Checkpoints, the newest first."""
    lines = [rule("Checkpoints", "", width)]
    for record, written in list(state.checkpoints)[: max(0, height - 1)]:
        ago = f"  {text.duration(max(0.0, now - written))} ago"
        lines.append([Segment(text.clean(file_name(record))), Segment(ago, DIM)])
    if not state.checkpoints:
        lines.append([Segment("none yet", DIM)])
    return fill_up(lines, width, height)


def alerts_panel(state: TrainingState, width: int, height: int) -> list[Line]:
    """Warnings and findings, the newest first, with their episodes."""
    return alert_list(list(state.alerts), text.count, width, height)


def _pairs(figures: Mapping[str, float], width: int) -> Line:
    """Names and numbers, each in a place of its own so that nothing jumps; those that do not fit are left out."""
    line: Line = []
    gap = 0
    for name, value in figures.items():
        words = [Segment(f"{text.clean(name)} ", DIM), Segment(figure(value))]
        if width_of(line) + gap + width_of(words) > width:
            break
        line += [Segment(" " * gap), *words]
        gap = GAP + max(0, NUMBER - 3 - words[1].cell_length)
    return line


def value_of(record: Mapping[str, Any] | None, name: str) -> float:
    """A number of a record; NaN if it has none of that name."""
    value = (record or {}).get(name)
    return float(value) if isinstance(value, int | float) else math.nan
