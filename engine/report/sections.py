"""Parts of the page that are plain HTML: figures and tables. Everything that comes from a run is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine.report.drawdowns import Drawdown
from engine.report.presentation import GROUPS, UNITS, ShownMetric, figures, money
from engine.report.trades import Breakdown, Group
from engine.types.moments import written

CARDS = (
    "total_return",
    "buy_and_hold_return",
    "net_profit",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "annual_volatility",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "mean_leverage",
    "turnover",
    "fees",
)
MILLION = 1_000_000


def cards(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The key figures."""
    rows = {row.key: row for _, group in GROUPS for row in group}
    shown = figures([rows[key] for key in CARDS if key in rows], manifest, metrics)
    return "".join(
        f'<div class="card"><span>{escape(one.label)}</span><b class="{one.tone}">{escape(one.text)}</b></div>'
        for one in shown
    )


def metric_tables(manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """All figures that are defined, by group."""
    groups = [(name, figures(rows, manifest, metrics)) for name, rows in GROUPS]
    return "".join(_metric_table(name, shown) for name, shown in groups if shown)


def _metric_table(name: str, shown: Sequence[ShownMetric]) -> str:
    body = "".join(
        f'<tr><th>{escape(one.label)}</th><td class="{one.tone}">{escape(one.text)}</td></tr>' for one in shown
    )
    return f"<table><caption>{escape(name)}</caption><tbody>{body}</tbody></table>"


def breakdown_panel(tables: Sequence[Breakdown], unit: str) -> str:
    """Trades by symbol, side, exit, hour and weekday; empty where there is nothing to compare.

    Args:
        tables: What `engine.report.trades.breakdowns` gave.
        unit: Currency of the profits.
    """
    if not tables:
        return ""
    body = "".join(_breakdown(table, unit) for table in tables)
    hint = "Closed trades, net of fees; bars show each group's profit relative to the largest."
    return _panel("Where the profit comes from", hint, f'<div class="groups">{body}</div>')


def _breakdown(table: Breakdown, unit: str) -> str:
    largest = max(abs(group.profit) for group in table.groups) or 1.0
    body = "".join(_group(group, largest, unit) for group in table.groups)
    head = f'<th class="word">{escape(table.title)}</th><th>Trades</th><th>Wins</th><th>Profit</th><th>Mean</th>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _group(group: Group, largest: float, unit: str) -> str:
    tone = "bad" if group.profit < 0 else "good" if group.profit > 0 else ""
    share = f"{100 * abs(group.profit) / largest:.0f}%"
    return (
        f'<tr><th class="word">{escape(group.label)}</th><td>{group.trades:,}</td><td>{100 * group.win_rate:.0f} %</td>'
        f'<td class="{tone} measured" style="--share:{share}">{escape(money(group.profit, unit))}</td>'
        f"<td>{escape(money(group.mean, unit))}</td></tr>"
    )


def drawdown_panel(worst: Sequence[Drawdown]) -> str:
    """The worst drawdowns, a row each that a click shows on the charts; empty where there is none."""
    if not worst:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("#", "Depth", "Lasted", "Peak", "Trough", "Recovered"))
    body = "".join(_drawdown(number, one) for number, one in enumerate(worst, 1))
    table = f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _panel(
        "Worst drawdowns", "Click a row to see it on the charts. Times in UTC.", f'<div class="scroll">{table}</div>'
    )


def _drawdown(number: int, one: Drawdown) -> str:
    recovered = "not yet" if one.recovery is None else written(one.recovery)
    return (
        f'<tr data-from="{one.start // MILLION}" data-to="{one.end // MILLION}"><td>{number}</td>'
        f'<td class="bad">{100 * one.depth:.2f} %</td><td>{_duration(one.end - one.start)}</td>'
        f"<td>{written(one.start)}</td><td>{written(one.trough)}</td><td>{recovered}</td></tr>"
    )


def _duration(length: int) -> str:
    """Nanoseconds in the largest unit that gives at least 2."""
    unit, name = next((item for item in UNITS if length >= 2 * item[0]), UNITS[-1])
    return f"{length / unit:,.0f} {name}s"


def _panel(heading: str, hint: str, content: str) -> str:
    return f'<section class="panel"><h2>{heading}</h2><p class="hint">{hint}</p>{content}</section>'
