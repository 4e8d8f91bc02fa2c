"""The whole screen of a training, for any size; and the same in a line for a log.

Where things stand depends on the size of the terminal only, so that nothing jumps during the training.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

from agents.spec import AGENT_NAMES
from engine.dashboard import text
from engine.dashboard.cells import BOLD, DIM, GAP, PLAIN, TITLE, Line, fill_up, spread, two_columns, width_of
from engine.dashboard.head import Card, bar_line, side_by_side
from engine.dashboard.panels import signed
from engine.dashboard.training.panels import (
    alerts_panel,
    checkpoints_panel,
    curve_panel,
    evaluations_panel,
    figure,
    losses_panel,
    rewards_panel,
    terms_panel,
    value_of,
)
from engine.dashboard.training.state import TERMS, Record, TrainingState, file_name

WIDE = 120
WIDE_ROOM = 20
MIN_ROWS = {"rewards": 5, "losses": 4, "evaluations": 4, "alerts": 2, "terms": 3, "curve": 5, "checkpoints": 3}
"""Lines that each panel needs at least, the most important first."""
WANTED = {"evaluations": 9, "alerts": 5, "checkpoints": 4}
ORDER = ("rewards", "terms", "curve", "losses", "evaluations", "checkpoints", "alerts")


def frame(state: TrainingState, width: int, height: int, now: float) -> list[Line]:
    """The screen: exactly `height` lines of exactly `width` cells.

    Args:
        now: Wall time, seconds since 1970.
    """
    head = [_header(state, width, now), _progress(state, width), *side_by_side(_cards(state, now), width)]
    foot = [_foot(state, width)] if height > len(head) + 1 else []
    room = max(0, height - len(head) - len(foot))
    body = _wide(state, width, room, now) if width >= WIDE and room >= WIDE_ROOM else _narrow(state, width, room, now)
    return fill_up([*fill_up([*head, *body], width, height - len(foot)), *foot], width, height)


def episode_line(state: TrainingState) -> str:
    """How the training stands, in one line of plain text."""
    rewards = ", ".join(f"{agent} {figure(state.rewards[agent].mean, sign=True)}" for agent in AGENT_NAMES)
    terms = " ".join(f"{term} {figure(state.terms[term].mean, sign=True)}" for term in TERMS)
    left = state.seconds_left()
    facts = [
        f"episode {text.count(state.episode)}/{text.count(state.info.total_episodes)} ({int(100 * state.progress)} %)",
        f"reward {figure(state.team.mean, sign=True)} ({rewards})",
        f"terms {terms}",
        f"epsilon {figure(state.epsilon)}",
        _speed(state),
        *([f"{text.duration(left)} left"] if left else []),
    ]
    return "  ".join(facts)


def evaluation_line(record: Record) -> str:
    """An evaluation in one line of plain text."""
    number = {
        name: value_of(record, name) for name in ("episode", "mean_reward", "deviation", "sharpe", "max_drawdown")
    }
    best = ", the best so far" if record.get("best") else ""
    return (
        f"evaluation after episode {text.count(number['episode'])}: "
        f"reward {figure(number['mean_reward'], sign=True)}, deviation {figure(number['deviation'])}, "
        f"Sharpe {text.money(number['sharpe'], sign=True)}, drawdown {text.percent(number['max_drawdown'])}{best}"
    )


def _header(state: TrainingState, width: int, now: float) -> Line:
    badge, colour = ("ENDED", "cyan") if state.ended else ("TRAINING", "green")
    if not state.ended and not state.version:
        badge, colour = "STARTING", "yellow"
    style = Style(bold=True, color="black", bgcolor=colour)
    left = [Segment(" "), Segment("GrandModel", TITLE), Segment("  "), Segment(f" {badge} ", style)]
    right = [Segment(f"{text.duration(state.elapsed(now))} ", BOLD)]
    info = state.info
    resumed = f"resumed at {text.count(info.resumed)}" if info.resumed else ""
    parts = (info.name, info.data, f"{info.envs} environments", f"seed {info.seed}", info.device, resumed)
    for part in parts:
        words = Segment(f"  {text.clean(part)}" if part else "")
        if width_of(left) + words.cell_length + width_of(right) >= width:
            break
        left.append(words)
    return spread(left, right, width)


def _progress(state: TrainingState, width: int) -> Line:
    left = state.seconds_left()
    facts = [
        # rounded down: 100 % means that the end is reached
        Segment(f"{int(100 * state.progress)} %", BOLD),
        Segment(f"{text.count(state.episode)} / {text.count(state.info.total_episodes)} episodes"),
        Segment(_speed(state)),
        *([Segment(f"{text.duration(left)} left")] if left else []),
    ]
    return bar_line(facts, state.progress, width)


def _cards(state: TrainingState, now: float) -> list[Card]:
    best, last = state.best, state.evaluations[0] if state.evaluations else None
    reward, team = value_of(best, "mean_reward"), state.team.mean
    made = state.checkpoints[0] if state.checkpoints else None
    age = f"{text.duration(max(0.0, now - made[1]))} ago" if made else ""
    return [
        Card("team reward", figure(team, sign=True), signed(team), f"last {figure(state.team.last, sign=True)}"),
        Card("best reward", figure(reward, sign=True), signed(reward), _at(best)),
        Card("Sharpe", text.money(value_of(last, "sharpe"), sign=True), PLAIN, _at(last)),
        Card("drawdown", text.percent(value_of(last, "max_drawdown")), PLAIN, _at(last)),
        Card("epsilon", figure(state.epsilon), PLAIN, "random risk"),
        Card("checkpoint", f"ep {text.count(value_of(made[0], 'episode'))}" if made else text.NONE, PLAIN, age),
        Card(
            "steps",
            text.money_within(state.env_steps, 12).removesuffix(".00"),
            PLAIN,
            _speed(state).replace(" steps", ""),
        ),
    ]


def _foot(state: TrainingState, width: int) -> Line:
    words = " close" if state.ended else " save and stop"
    left = [Segment(" "), Segment("Ctrl-C", BOLD), Segment(words, DIM)]
    note = text.clean(file_name(state.checkpoints[0][0])) if state.checkpoints else ""
    return spread(left, [Segment(f"{note} ", DIM)], width)


def _narrow(state: TrainingState, width: int, room: int, now: float) -> list[Line]:
    """Panels one below the other."""
    rows = _shares(room)
    lines: list[Line] = []
    for name in ORDER:
        if name in rows:
            lines += _panel(state, name, width, rows[name], now)
    return lines


def _shares(room: int) -> dict[str, int]:
    """Lines for each panel that has a place."""
    rows: dict[str, int] = {}
    for name, least in MIN_ROWS.items():
        if least <= room - sum(rows.values()):
            rows[name] = least
    spare = room - sum(rows.values())
    # the curve takes every second line that is left, the others share the rest in turn
    turn = 0
    while spare and rows:
        needy = [name for name, most in WANTED.items() if name in rows and rows[name] < most]
        other = "curve" if "curve" in rows else "alerts" if "alerts" in rows else next(iter(rows))
        name = needy[(turn // 2) % len(needy)] if needy and (turn % 2 or "curve" not in rows) else other
        rows[name] += 1
        turn, spare = turn + 1, spare - 1
    return rows


def _wide(state: TrainingState, width: int, room: int, now: float) -> list[Line]:
    """Rewards beside learners, the curve across, evaluations beside alerts."""
    left = (width - GAP) // 2
    right = width - GAP - left
    low = max(5, room * 3 // 10)

    def panel(name: str, cells: int, height: int) -> list[Line]:
        return _panel(state, name, cells, height, now)

    return [
        *two_columns(
            [*panel("rewards", left, 5), *panel("terms", left, 3)],
            [*panel("losses", right, 4), *panel("checkpoints", right, 4)],
        ),
        *panel("curve", width, room - low - 8),
        *two_columns(panel("evaluations", left, low), panel("alerts", right, low)),
    ]


def _panel(state: TrainingState, name: str, width: int, height: int, now: float) -> list[Line]:
    if name == "checkpoints":
        return checkpoints_panel(state, width, height, now)
    panels = {
        "rewards": rewards_panel,
        "terms": terms_panel,
        "curve": curve_panel,
        "losses": losses_panel,
        "evaluations": evaluations_panel,
        "alerts": alerts_panel,
    }
    return panels[name](state, width, height)


def _speed(state: TrainingState) -> str:
    return f"{text.count(state.speed)} steps/s"


def _at(record: Record | None) -> str:
    return f"ep {text.count(value_of(record, 'episode'))}" if record else ""
