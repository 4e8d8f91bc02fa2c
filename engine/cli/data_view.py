"""What `grandmodel data` prints: facts as plain values first, which `--json` prints and the tables draw."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from engine.cli.console import out

if TYPE_CHECKING:
    from engine.types.blocks import BarBlock
    from feeds.quarantine import BadRow, Quarantine
    from feeds.summary import BarSummary
    from feeds.ticks.opening import Replay

Facts = dict[str, Any]
EDGE_ROWS = 3
NIGHT = timedelta(hours=12)  # a gap as long suggests a market with closing times
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Edges:
    """The first and the last bars of a stream."""

    def __init__(self) -> None:
        self.first: list[Facts] = []
        self.last: list[Facts] = []

    def add(self, block: BarBlock) -> None:
        """Take the next block."""
        for at in range(min(len(block), EDGE_ROWS)):
            self.first += _bars_of(block, at) if len(self.first) < EDGE_ROWS else []
        for at in range(max(len(block) - EDGE_ROWS, 0), len(block)):
            self.last += _bars_of(block, at)
        self.first, self.last = self.first[:EDGE_ROWS], self.last[-EDGE_ROWS:]


def _bars_of(block: BarBlock, row: int) -> list[Facts]:
    names = ("open", "high", "low", "close", "volume")
    return [
        {
            "closes": _iso(int(block.ts_event[row])),
            "symbol": symbol,
            **_finite({name: float(getattr(block, name)[row, column]) for name in names}),
        }
        for column, symbol in enumerate(block.symbols)
        if block.present[row, column]
    ]


def inspection(file: Path, replay: Replay, summary: BarSummary, quarantine: Quarantine, edges: Edges) -> Facts:
    """Everything that `inspect` tells."""
    return {
        "file": str(file),
        "format": replay.format,
        "columns": dict(replay.column_map),
        "columns_used": [asdict(use) for use in replay.columns_used],
        "timeframe": replay.length,
        "remarks": [remark.partition(": ")[2] for remark in replay.remarks],
        "labels": replay.labels,
        "labels_reason": replay.labels_reason,
        **_stream(summary),
        "first_bars": edges.first,
        "last_bars": edges.last,
        "prices": {name: _finite(asdict(symbol)) for name, symbol in summary.symbols.items()},
        **_problems(quarantine.counts, quarantine.first),
    }


def validation(file: Path, summary: BarSummary, quarantine: Quarantine, strict: bool) -> Facts:
    """Everything that `validate` tells; in strict mode the first bad row only."""
    counts, first = quarantine.counts, quarantine.first
    if strict and first:
        reason = next(iter(first))
        counts, first = {reason: 1}, {reason: first[reason]}
    clean = quarantine.total == 0
    head = {"file": str(file), "clean": clean, "stopped": strict and not clean}
    return {**head, **_stream(summary), **_problems(counts, first)}


def show(facts: Facts, draw: Callable[[Facts], None], as_json: bool) -> None:
    """Print facts as JSON, or drawn."""
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        draw(facts)


def print_inspection(facts: Facts) -> None:
    """Draw what `inspection` gave."""
    lines = {
        "File": facts["file"],
        "Format": facts["format"],
        "Bars": f"{facts['rows']:,} of {facts['timeframe']}",
        "First close": _readable(facts["first"]),
        "Last close": _readable(facts["last"]),
        **({"Remarks": "\n".join(facts["remarks"])} if facts["remarks"] else {}),
        "Labels": f"{facts['labels']} ({facts['labels_reason']})",
        **_session_lines(facts),
    }
    _print_lines(lines)
    out().print(_column_table(facts["columns_used"]))
    out().print(_bar_table(facts["first_bars"], facts["last_bars"]))
    out().print(_price_table(facts["prices"]))
    _print_problems(facts)


def print_validation(facts: Facts) -> None:
    """Draw what `validation` gave."""
    lines = {"File": facts["file"], "Good bars": f"{facts['rows']:,}"}
    if facts["rows"]:
        lines |= {"First close": _readable(facts["first"]), "Last close": _readable(facts["last"])}
        lines |= _session_lines(facts)
    _print_lines(lines)
    _print_problems(facts)


def _stream(summary: BarSummary) -> Facts:
    return {
        "symbols": list(summary.symbols),
        "rows": summary.rows,
        "first": _iso(summary.first_ns),
        "last": _iso(summary.last_ns),
        "instrument": summary.instrument.name,
        "calendar": summary.instrument.calendar,
        "sessions": summary.sessions,
        "outside_sessions": summary.outside,
        "first_outside": _iso(summary.first_outside_ns),
        "missing_bars": summary.missing if summary.counts_missing else None,
        "gaps": summary.gaps,
        "longest_gaps": [
            {"bars": gap.bars, "after": _iso(gap.after_ns), "before": _iso(gap.before_ns)} for gap in summary.longest
        ],
    }


def _problems(counts: Mapping[str, int], first: Mapping[str, BadRow]) -> Facts:
    return {
        "bad_rows": sum(counts.values()),
        "reasons": {reason: {"count": count, "first": asdict(first[reason])} for reason, count in counts.items()},
    }


def _finite(values: Facts) -> Facts:
    return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}


def _iso(ns: int | None) -> str | None:
    """ISO time in UTC; microseconds are as fine as bars are labelled."""
    if ns is None:
        return None
    return (EPOCH + timedelta(microseconds=ns // 1000)).isoformat().replace("+00:00", "Z")


def _readable(iso: str | None) -> str:
    if iso is None:
        return "none"
    return f"{_moment(iso):%a} {iso.replace('T', ' ').removesuffix('Z').removesuffix(':00')} UTC"


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _missing(facts: Facts) -> str:
    missing = facts["missing_bars"]
    if missing is None:
        return "not counted: bars of this length are no whole number of sessions"
    if not missing:
        return "none inside sessions"
    expected = facts["rows"] - facts["outside_sessions"] + missing
    return f"{_count(missing, 'bar')} in {_count(facts['gaps'], 'gap')} inside sessions ({missing / expected:.2%})"


def _session_lines(facts: Facts) -> dict[str, str]:
    lines = {
        "Sessions": f"{facts['sessions']:,} of {facts['calendar']} (instrument {facts['instrument']})",
        "Missing": _missing(facts),
    }
    if facts["longest_gaps"]:
        gap = facts["longest_gaps"][0]
        lines["Longest gap"] = f"{_count(gap['bars'], 'bar')} after {_readable(gap['after'])}"
        if facts["calendar"] == "24/7" and _moment(gap["before"]) - _moment(gap["after"]) > NIGHT:
            lines["Longest gap"] += "; if this market closes, say which it is with --instrument"
    if facts["outside_sessions"]:
        lines["Outside"] = (
            f"{_count(facts['outside_sessions'], 'bar')} outside every session, the first at "
            f"{_readable(facts['first_outside'])}: check --instrument, --labels and --timezone"
        )
    return lines


def _print_lines(lines: Mapping[str, str]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines.items():
        table.add_row(label, Text(text))
    out().print(table)


def _column_table(uses: list[Facts]) -> Table:
    table = Table(title_justify="left")
    for heading in ("column", "first row", "is", "how it is understood", "why"):
        table.add_column(heading, overflow="fold")
    for use in uses:
        style = "" if use["role"] else "dim"
        cells = (use["name"], use["example"], use["role"], use["how"], use["why"])
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _bar_table(first: list[Facts], last: list[Facts]) -> Table:
    table = Table(title_justify="left")
    one = len({bar["symbol"] for bar in (*first, *last)}) < 2
    for heading in ("bar closes (UTC)", *(() if one else ("symbol",)), "open", "high", "low", "close", "volume"):
        table.add_column(heading, justify="left" if heading in {"bar closes (UTC)", "symbol"} else "right")
    seen = [(bar["closes"], bar["symbol"]) for bar in first]
    more = [bar for bar in last if (bar["closes"], bar["symbol"]) not in seen]
    for bar in first:
        table.add_row(*_bar_cells(bar, one), end_section=bar is first[-1] and bool(more))
    for bar in more:
        table.add_row(*_bar_cells(bar, one))
    return table


def _bar_cells(bar: Facts, one: bool) -> list[Text]:
    numbers = [_number(bar[name]) or "unknown" for name in ("open", "high", "low", "close", "volume")]
    symbol = [] if one else [bar["symbol"]]
    return [Text(text) for text in (bar["closes"].replace("T", " ").removesuffix("Z"), *symbol, *numbers)]


def _price_table(prices: Mapping[str, Facts]) -> Table:
    table = Table(title_justify="left")
    for heading in ("symbol", "bars", "first", "high", "low", "last", "volume"):
        table.add_column(heading, justify="left" if heading == "symbol" else "right", overflow="fold")
    for name, symbol in prices.items():
        known = symbol["without_volume"] < symbol["bars"]
        values = [_number(symbol[key]) for key in ("first_open", "high", "low", "last_close")]
        volume = f"{symbol['volume']:,.0f}" if known else "unknown"
        table.add_row(Text(name), f"{symbol['bars']:,}", *values, volume)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _print_problems(facts: Facts) -> None:
    if not facts["reasons"]:
        out().print(Text("No bad rows.", style="green"))
        return
    table = Table()
    table.add_column("bad rows", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("first at", justify="right")
    for heading in ("expected", "found"):
        table.add_column(heading, overflow="fold")
    for reason, problem in facts["reasons"].items():
        first = problem["first"]
        cells: Iterable[str] = (
            reason,
            f"{problem['count']:,}",
            f"line {first['line']:,}",
            first["expected"],
            first["found"],
        )
        table.add_row(*(Text(cell) for cell in cells))
    out().print(table)
    if facts.get("stopped"):
        out().print(Text("Stopped at the first bad row (--strict).", style="bold red"))
