"""What stands above and below the panels: what runs, how far and how fast, the main figures, the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style

from engine.dashboard import text
from engine.dashboard.cells import BAD, BOLD, DIM, GOOD, PLAIN, TITLE, WARN, Line, fit, spread, width_of
from engine.dashboard.panels import signed
from engine.dashboard.state import DashboardState

CARD_WIDTH = 13
CARD_WIDTH_MAX = 20
# one cell stays free, so that neighbours are apart
CARD_ROOM = CARD_WIDTH - 1
CARD_TITLES = (
    "equity", "today", "total", "drawdown", "exposure", "margin", "realized", "fees", "session ends"
)  # fmt: skip
MIN_BAR = 10
ALARM_BADGE = Style(bold=True, color="white", bgcolor="red")
ENDED_BADGE = Style(bold=True, color="black", bgcolor="cyan")
WAITING_BADGE = Style(bold=True, color="black", bgcolor="yellow")
RUNNING_BADGE = Style(bold=True, color="black", bgcolor="green")
LATE_S = 5.0


@dataclass(frozen=True, slots=True)
class Card:
    """One figure: what it is, its value, and a second value that goes with it."""

    title: str
    value: str
    style: Style = PLAIN
    second: str = ""
    second_style: Style = DIM


def header(state: DashboardState, width: int) -> Line:
    """What runs, how it stands, and the time of the data."""
    info = state.info
    badge, style = status(state)
    left = [Segment(" "), Segment("GrandModel", TITLE), Segment("  "), Segment(f" {badge} ", style)]
    left += [Segment("  "), Segment(text.clean(info.mode), BOLD)]
    right = [Segment(f"{text.clock(state.last_ts)} UTC " if state.ready else "", BOLD)]
    for part in (_symbols(info.symbols), info.agent, info.name, info.source):
        words = Segment(f"  {text.clean(part)}" if part else "")
        if width_of(left) + words.cell_length + width_of(right) >= width:
            break
        left.append(words)
    return spread(left, right, width)


def status(state: DashboardState) -> tuple[str, Style]:
    """One word or two for how the run stands, and their colours."""
    # what a session says of itself holds at once; its account tells the same from the next row on
    says = state.standing if state.standing not in {"", "stopped"} else None
    if state.standing == "stuck" and not state.ended:
        return "STUCK", ALARM_BADGE
    if state.account["halted"] if says is None else says == "halted":
        return "HALTED", ALARM_BADGE
    if state.account["liquidating"]:
        return "MARGIN CALL", ALARM_BADGE
    if state.ended or state.standing == "stopped":
        return "ENDED" if state.ended else "STOPPED", ENDED_BADGE
    if state.account["paused"] if says is None else says == "paused":
        return "PAUSED", WAITING_BADGE
    if not state.ready or says == "waiting":
        return "WAITING", WAITING_BADGE
    return "RUNNING", RUNNING_BADGE


def progress_line(state: DashboardState, width: int, now: float) -> Line:
    """How far the run is and how fast it goes; without a known end, how its feed does."""
    done = state.progress
    if done is None:
        left = [Segment(" "), *_feed(state, now), Segment(f"  {text.count(state.rows)} rows")]
        return spread(left, _joined(_pace_facts(state), width - width_of(left) - 1), width)
    facts = [
        # rounded down: 100 % means that the end is reached
        Segment(f"{int(100 * done)} %", BOLD),
        Segment(f"{text.count(state.rows)} / {text.count(state.info.total_rows or 0)} rows"),
        *_pace_facts(state),
    ]
    return bar_line(facts, done, width)


def bar_line(facts: Sequence[Segment], done: float, width: int) -> Line:
    """A bar of which a share is done, and at its right as many facts as there is room for."""
    right = _joined(facts, width - MIN_BAR - 2)
    bar = max(0, width - width_of(right) - 2)
    full = int(bar * done)
    return spread([Segment(" "), Segment("━" * full, GOOD), Segment("━" * (bar - full), DIM)], right, width)


def card_lines(state: DashboardState, width: int) -> list[Line]:
    """The figures side by side on three lines, as many as there is room for."""
    return side_by_side(cards(state), width)


def side_by_side(every: Sequence[Card], width: int) -> list[Line]:
    """Cards on three lines, as many as there is room for."""
    count = max(1, min(len(every), (width - 1) // CARD_WIDTH))
    each = min(CARD_WIDTH_MAX, (width - 1) // count)
    lines: list[Line] = [[Segment(" ")], [Segment(" ")], [Segment(" ")]]
    for card in every[:count]:
        parts = ((card.title, DIM), (card.value, card.style + BOLD), (card.second, card.second_style))
        for line, (content, style) in zip(lines, parts, strict=True):
            line += [*fit([Segment(content, style)], each - 1), Segment(" ")]
    return [fit(line, width) for line in lines]


def cards(state: DashboardState) -> list[Card]:
    """The figures, the most important first; money in account currency."""
    if not state.ready:
        return [Card(title, text.NONE, DIM) for title in CARD_TITLES]
    account, equity = state.account, state.equity
    initial, before = float(account["initial"]), float(account["session_equity"])
    realized, unrealized = float(account["realized"]), float(account["unrealized"])
    of_margin = _share(float(account["margin"]), equity)
    figures = (
        (_money(equity), PLAIN, f"of {text.money_within(initial, CARD_ROOM - 3)}", DIM),
        _profit(state.day_profit, before),
        _profit(state.total_profit, initial),
        _drawdown(state),
        _exposure(state),
        (text.percent(of_margin, decimals=1), PLAIN, _money(float(account["margin"])), DIM),
        (
            _money(realized, sign=True),
            signed(realized),
            f"open {text.money_within(unrealized, CARD_ROOM - 5, sign=True)}",
            signed(unrealized),
        ),
        (_money(float(account["fees"])), PLAIN, f"{text.count(state.fills_seen)} fills", DIM),
        _session(state),
    )
    return [Card(title, *figure) for title, figure in zip(CARD_TITLES, figures, strict=True)]


Figure = tuple[str, Style, str, Style]


def _money(value: float, *, sign: bool = False) -> str:
    return text.money_within(value, CARD_ROOM, sign=sign)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _profit(value: float, start: float) -> Figure:
    style = signed(value)
    return _money(value, sign=True), style, text.percent(_share(value, start), sign=True), style


def _drawdown(state: DashboardState) -> Figure:
    # rows that were not seen may have been worse
    word = "seen" if state.rows_missed else "max"
    worst = f"{word} {text.percent(-state.worst_drawdown, decimals=1)}"
    return text.percent(-state.drawdown), BAD if state.drawdown > 0 else PLAIN, worst, DIM


def _exposure(state: DashboardState) -> Figure:
    gross, net = (_share(float(state.account[field]), state.equity) for field in ("gross_exposure", "net_exposure"))
    return text.times(gross), PLAIN, f"net {text.times(net, sign=True)}", DIM


def _session(state: DashboardState) -> Figure:
    end = int(state.account["session_end"])
    if end <= state.last_ts:
        return text.stamp(end), PLAIN, "", DIM
    return text.stamp(end), PLAIN, text.duration((end - state.last_ts) / 1e9), DIM


def _symbols(names: Sequence[str], shown: int = 3) -> str:
    more = f" +{len(names) - shown} more" if len(names) > shown else ""
    return " ".join(names[:shown]) + more


def _feed(state: DashboardState, now: float) -> Line:
    words = text.clean(state.feed_status(now))
    silent = state.silence(now)
    if words == "quiet":
        return [Segment("● ", WARN), Segment(f"quiet for {text.duration(silent)}", WARN)]
    if words == "receiving":
        return [Segment("● ", GOOD), Segment(f"receiving, last bar {text.duration(silent)} ago")]
    return [Segment("● ", PLAIN if state.ended else WARN), Segment(words)]


def _pace_facts(state: DashboardState) -> list[Segment]:
    facts = [Segment(text.rate(state.pace.rate))]
    if state.seconds_left and not state.ended:
        facts.append(Segment(f"{text.duration(state.seconds_left)} left"))
    if state.pace.lag is not None:
        facts.append(Segment(f"lag {text.duration(state.pace.lag)}", WARN if state.pace.lag > LATE_S else PLAIN))
    if state.quarantined:
        facts.append(Segment(f"{text.count(state.quarantined)} quarantined", WARN))
    if speed := _speed(state):
        facts.append(Segment(speed, DIM))
    if state.rows_missed:
        facts.append(Segment(f"{text.count(state.rows_missed)} not drawn", DIM))
    return facts


def _speed(state: DashboardState) -> str:
    if state.pace.live:
        return "live"
    if state.pace.live is None and state.info.pace is None:
        return "bars of the past" if state.pace.rate is not None else ""
    pace = state.info.pace
    return "full speed" if pace is None else f"{text.quantity(pace)}x real time"


def _joined(facts: Sequence[Segment], room: int) -> Line:
    """As many facts as fit, two cells apart, with a free cell at the end."""
    line: Line = []
    for fact in facts:
        if width_of(line) + fact.cell_length + 3 > room:
            break
        line += [Segment("  "), fact] if line else [fact]
    return [*line, Segment(" ")]
