"""The whole screen, for any size: which parts it has and where they stand.

Where things stand depends on the size of the terminal and only on the number of symbols, so that nothing
jumps during the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.cells import GAP, Line, fill_up, two_columns
from engine.dashboard.head import card_lines, header, progress_line
from engine.dashboard.keys import key_help
from engine.dashboard.learner_panel import learner_line, learner_panel
from engine.dashboard.market_panel import market_panel
from engine.dashboard.monitor_line import monitor_line
from engine.dashboard.panels import (
    alerts_panel,
    challengers_panel,
    equity_panel,
    fills_panel,
    orders_panel,
    positions_panel,
)
from engine.dashboard.state import DashboardState

WIDE = 120
WIDE_ROOM = 16
LEAST_CHALLENGERS = 4
MONITOR_FROM = 20
"""Lines from which on the monitor has one."""
LEARNER_FROM = 36
"""Lines from which on the learner has a panel; below it has one line where the monitor has one."""
LEARNER_ROWS = 6
MIN_ROWS = {"positions": 3, "chart": 4, "market": 3, "alerts": 2, "fills": 3, "orders": 3}
"""Lines that each panel needs at least, the most important first."""


@dataclass(frozen=True, slots=True)
class DashboardView:
    """The screen as something that rich can print, in the size of the console.

    Args:
        now: Wall time, seconds since 1970.
        foot: In place of the last line; an empty one leaves it to the panels.
    """

    state: DashboardState
    now: float
    note: str = ""
    foot: Line | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.size.height
        lines = frame(self.state, options.max_width, height, self.now, self.note, foot=self.foot)
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line


def frame(
    state: DashboardState,
    width: int,
    height: int,
    now: float,
    note: str = "",
    *,
    keys: bool = True,
    foot: Line | None = None,
) -> list[Line]:
    """The screen: exactly `height` lines of exactly `width` cells.

    Args:
        now: Wall time, seconds since 1970.
        foot: In place of the last line; an empty one leaves it to the panels.
    """
    last = key_help(width, note, keys=keys) if foot is None else foot
    head = [header(state, width), progress_line(state, width, now), *card_lines(state, width)]
    if state.monitor is not None and height >= MONITOR_FROM:
        head.append(monitor_line(state.monitor, width))
    if state.learner is not None and MONITOR_FROM <= height < LEARNER_FROM:
        head.append(learner_line(state.learner, width))
    below = [last] if last and height > len(head) + 1 else []
    room = max(0, height - len(head) - len(below))
    beside = _challengers(state, width, room)
    if state.learner is not None and height >= LEARNER_FROM:
        beside += learner_panel(state.learner, width, LEARNER_ROWS)
    room -= len(beside)
    body = _wide(state, width, room) if width >= WIDE and room >= WIDE_ROOM else _narrow(state, width, room)
    body += beside
    return fill_up([*fill_up([*head, *body], width, height - len(below)), *below], width, height)


def status_line(state: DashboardState, width: int | None = None) -> str:
    """The state in one line of plain text, for a log or a pipe.

    Args:
        width: Characters available; facts at the end are left out where they do not fit. None for no limit.
    """
    if not state.ready:
        return "no bars yet"
    rows = f"{text.count(state.rows)} rows"
    if state.progress is not None:
        total = text.count(state.info.total_rows or 0)
        rows = f"{text.count(state.rows)} / {total} rows ({int(100 * state.progress)} %)"
    lag = [f"lag {text.duration(state.pace.lag)}"] if state.pace.lag is not None else []
    facts = [
        f"{text.clock(state.last_ts)} UTC",
        f"equity {text.money(state.equity)} {text.clean(state.info.currency)}",
        f"total {text.money(state.total_profit, sign=True)}",
        rows,
        f"drawdown {text.percent(-state.drawdown)}",
        text.rate(state.pace.rate),
        *lag,
        f"today {text.money(state.day_profit, sign=True)}",
        f"{text.count(state.open_positions(0)[1])} open",
        f"{text.count(int(state.account['orders']))} orders",
        f"{text.count(state.fills_seen)} fills",
    ]
    while width is not None and len(facts) > 2 and len("  ".join(facts)) > width:
        facts.pop()
    return "  ".join(facts)


def _challengers(state: DashboardState, width: int, room: int) -> list[Line]:
    """Champion and challengers below all else, where there is room for one of them at least."""
    wanted = min(3 + state.info.challengers, room // 4)
    return challengers_panel(state, width, wanted) if state.info.challengers and wanted >= LEAST_CHALLENGERS else []


def _narrow(state: DashboardState, width: int, room: int) -> list[Line]:
    """Panels one below the other."""
    rows = _shares(room, len(state.info.symbols))
    lines: list[Line] = []
    for name, panel in (
        ("market", market_panel),
        ("chart", equity_panel),
        ("positions", positions_panel),
        ("orders", orders_panel),
        ("fills", fills_panel),
        ("alerts", alerts_panel),
    ):
        if name in rows:
            lines += panel(state, width, rows[name])
    return lines


def _shares(room: int, symbols: int) -> dict[str, int]:
    """Lines for each panel that has a place."""
    rows: dict[str, int] = {}
    for name, least in MIN_ROWS.items():
        if least <= room - sum(rows.values()):
            rows[name] = least
    wanted = {"positions": 2 + min(symbols, 8), "fills": 12, "orders": 7, "alerts": 6, "market": 8}
    spare = room - sum(rows.values())
    # the chart takes every second line that is left, the others share the rest in turn
    turn = 0
    names = [name for name in ("fills", "positions", "market", "alerts", "orders") if name in rows]
    while spare and "chart" in rows:
        needy = [name for name in names if rows[name] < wanted[name]]
        name = needy[(turn // 2) % len(needy)] if needy and turn % 2 else "chart"
        rows[name] += 1
        turn, spare = turn + 1, spare - 1
    return rows


def _wide(state: DashboardState, width: int, room: int) -> list[Line]:
    """Equity beside the market, positions beside orders, fills beside alerts."""
    left = (width - GAP) * 11 // 20
    right = width - GAP - left
    positions = min(2 + max(4, len(state.info.symbols)), room * 3 // 10)
    fills = max(4, room * 3 // 10)
    chart = room - positions - fills
    return [
        *two_columns(equity_panel(state, left, chart), market_panel(state, right, chart)),
        *two_columns(positions_panel(state, left, positions), orders_panel(state, right, positions)),
        *two_columns(fills_panel(state, left, fills), alerts_panel(state, right, fills)),
    ]
