"""The parts of the screen: each takes the state and a size, and returns that many lines of that width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
from rich.segment import Segment
from rich.style import Style

from engine.challengers.words import TITLES, standing_rows
from engine.dashboard import text
from engine.dashboard.alerts import AlertLevel, AlertLine
from engine.dashboard.cells import ALARM, BAD, BOLD, DIM, GOOD, PLAIN, WARN, Line, TableColumn, fill_up, rule, table
from engine.dashboard.chart import equity_chart
from engine.dashboard.state import DashboardState
from engine.types.records import OrderType, Role

ROLE_STYLES = {"champion": GOOD, "retired": DIM, "shadow": WARN}
SEVERITY_STYLES = {AlertLevel.INFO: PLAIN, AlertLevel.WARNING: WARN, AlertLevel.CRITICAL: ALARM}
SEVERITY_MARKS = {AlertLevel.INFO: "·", AlertLevel.WARNING: "!", AlertLevel.CRITICAL: "✖"}

POSITION_COLUMNS = (
    TableColumn("symbol", least=8),
    TableColumn("side", rank=7),
    TableColumn("quantity", right=True),
    TableColumn("entry", right=True, rank=2, least=9),
    TableColumn("mark", right=True, rank=3, least=9),
    TableColumn("exposure", right=True, rank=5, least=10),
    TableColumn("open profit", right=True, rank=1),
    TableColumn("realized", right=True, rank=6, least=10),
)
ORDER_COLUMNS = (
    TableColumn("id", least=4),
    TableColumn("symbol", rank=1, least=8),
    TableColumn("side", rank=2),
    TableColumn("quantity", right=True, rank=3),
    TableColumn("type", rank=4, least=6),
    TableColumn("price", right=True, rank=5, least=9),
    TableColumn("for", rank=6),
    TableColumn("rows", right=True, rank=8),
    TableColumn("since (UTC)", rank=7),
)
FILL_COLUMNS = (
    TableColumn("time (UTC)"),
    TableColumn("symbol", rank=1, least=8),
    TableColumn("side", rank=2),
    TableColumn("quantity", right=True, rank=3),
    TableColumn("price", right=True, rank=4, least=9),
    TableColumn("realized", right=True, rank=5, least=10),
    TableColumn("fee", right=True, rank=7),
    TableColumn("position", right=True, rank=6),
    TableColumn("for", rank=8),
)
CHALLENGER_COLUMNS = (
    TableColumn(TITLES[0], least=12),
    TableColumn(TITLES[1], rank=3, least=10),
    *(TableColumn(title, right=True, rank=rank) for title, rank in zip(TITLES[2:], (1, 0, 2, 5, 4, 6), strict=True)),
    TableColumn("", rank=7),
)


def signed(value: float) -> Style:
    """Green for a profit, red for a loss, plain for neither."""
    return GOOD if value > 0 else BAD if value < 0 else PLAIN


def name(kind: type[IntEnum], value: int) -> str:
    """The word for a code of an order, its number where there is none."""
    try:
        return kind(value).name.lower().replace("_", " ")
    except ValueError:
        return str(value)


def symbol_name(state: DashboardState, symbol: int) -> str:
    """Name of a symbol as it can stand on a screen."""
    names = state.info.symbols
    return text.clean(names[symbol]) if 0 <= symbol < len(names) else f"symbol {symbol}"


def equity_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """The equity curve over the rows seen."""
    span = f"{text.clock(state.first_ts)} to {text.clock(state.last_ts)} UTC" if state.ready else ""
    lines = [rule(f"Equity {text.clean(state.info.currency)}", span, width)]
    if not state.ready:
        return fill_up([*lines, [Segment("no bars yet", DIM)]], width, height)
    return fill_up(
        [*lines, *equity_chart(state.history, float(state.account["initial"]), width, height - 1, state.takeovers)],
        width,
        height,
    )


def positions_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """Open positions, the largest exposure first."""
    shown, total = state.open_positions(max(0, height - 2))
    rows = []
    for line in shown:
        tick = state.info.tick(line.symbol)
        rows.append(
            [
                Segment(symbol_name(state, line.symbol), BOLD),
                _side(line.quantity, "long", "short"),
                Segment(text.quantity(line.quantity, sign=True)),
                Segment(text.price(line.avg_price, tick)),
                Segment(text.price(line.mark, tick)),
                Segment(text.money(line.exposure)),
                Segment(text.money(line.unrealized, sign=True), signed(line.unrealized)),
                Segment(text.money(line.realized, sign=True), signed(line.realized)),
            ]
        )
    return _panel("Positions", f"{text.count(total)} open", total, POSITION_COLUMNS, rows, "flat", width, height)


def orders_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """Working orders, the newest first."""
    total = len(state.orders)
    rows = []
    for order in state.orders[np.argsort(-state.orders["id"], kind="stable")[: max(0, height - 2)]]:
        symbol = int(order["symbol"])
        rows.append(
            [
                Segment(str(order["id"])),
                Segment(symbol_name(state, symbol), BOLD),
                _side(float(order["side"]), "buy", "sell"),
                Segment(text.quantity(float(order["quantity"] - order["filled"]))),
                Segment(name(OrderType, int(order["type"]))),
                Segment(_working_price(order, state.info.tick(symbol))),
                Segment(name(Role, int(order["role"])), DIM),
                Segment(text.count(int(order["rows"])), DIM),
                Segment(text.stamp(int(order["submitted_ts"])), DIM),
            ]
        )
    return _panel("Orders", f"{text.count(total)} working", total, ORDER_COLUMNS, rows, "none", width, height)


def fills_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """The last fills, the newest first."""
    rows = []
    for fill in list(state.fills)[: max(0, height - 2)]:
        symbol, realized = int(fill["symbol"]), float(fill["realized"])
        rows.append(
            [
                Segment(text.stamp(int(fill["ts_event"])), DIM),
                Segment(symbol_name(state, symbol), BOLD),
                _side(float(fill["side"]), "buy", "sell"),
                Segment(text.quantity(float(fill["quantity"]))),
                Segment(text.price(float(fill["price"]), state.info.tick(symbol))),
                Segment(text.money(realized, sign=True), signed(realized)),
                Segment(text.money(float(fill["fee"]))),
                Segment(text.quantity(float(fill["position"]), sign=True)),
                Segment(name(Role, int(fill["role"])), DIM),
            ]
        )
    note = f"{text.count(state.fills_seen)} seen"
    return _panel("Fills", note, len(rows), FILL_COLUMNS, rows, "none yet", width, height)


def challengers_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """Champion and challengers, the champion first."""
    rows = []
    for row in standing_rows(state.challengers)[: max(0, height - 2)]:
        style = ROLE_STYLES.get(row.role, PLAIN)
        cells = [Segment(text.clean(cell), style) for cell in row.cells]
        rows.append([*cells, Segment(text.clean(row.because), DIM)])
    total = len(state.challengers)
    beside = sum(one.role in {"challenger", "shadow"} for one in state.challengers)
    note = f"{text.count(beside)} beside the champion"
    return _panel("Challengers", note, total, CHALLENGER_COLUMNS, rows, "no bars yet", width, height)


def alerts_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """Alerts, the newest first."""
    alerts = list(state.alerts)
    if state.account["halted"] or state.account["liquidating"] or state.standing in {"halted", "stuck"}:
        # why nothing trades stays in sight
        alerts.sort(key=lambda alert: alert.severity != AlertLevel.CRITICAL)
    return alert_list(alerts, text.stamp, width, height)


def alert_list(alerts: Sequence[AlertLine], when: Callable[[int], str], width: int, height: int) -> list[Line]:
    """Alerts in their order, as many as there is room for; `when` writes the time of each."""
    room = max(0, height - 1)
    lines = [rule("Alerts", _more("", len(alerts), room), width)]
    for alert in alerts[:room]:
        times = f" (x{text.count(alert.count)})" if alert.count > 1 else ""
        style = SEVERITY_STYLES[alert.severity]
        lines.append(
            [
                Segment(f"{SEVERITY_MARKS[alert.severity]} ", style),
                Segment(f"{when(alert.ts_event)}  ", DIM),
                Segment(f"{text.clean(alert.text)}{times}", style),
            ]
        )
    if not alerts:
        lines.append([Segment("none", DIM)])
    return fill_up(lines, width, height)


def _panel(
    title: str,
    note: str,
    total: int,
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[Segment]],
    empty: str,
    width: int,
    height: int,
) -> list[Line]:
    head = rule(title, _more(note if total else "", total, len(rows)), width)
    body = table(columns, rows, width) if rows else [[Segment(empty, DIM)]]
    return fill_up([head, *body], width, height)


def _more(note: str, total: int, shown: int) -> str:
    more = f"+{text.count(total - shown)} more" if total > shown else ""
    return ", ".join(part for part in (note, more) if part)


def _side(value: float, positive: str, negative: str) -> Segment:
    return Segment(positive, GOOD) if value > 0 else Segment(negative, BAD)


def _working_price(order: np.void, tick: float) -> str:
    limit, stop = (text.price(float(order[field]), tick) for field in ("limit", "stop"))
    if order["limit"] and order["stop"]:
        return f"{stop} / {limit}"
    return limit if order["limit"] else stop
