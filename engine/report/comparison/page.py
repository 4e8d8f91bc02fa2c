"""compare.html: one file that needs nothing else; a click opens the report of a variant beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine.report.comparison.rows import SHOWN, short_name, shown_parts
from engine.report.comparison.sentences import (
    counts,
    doubts,
    failures,
    luck_sentence,
    overfitting_sentence,
    part_name,
    walk_sentences,
    winner_sentence,
)
from engine.report.shell import Head, fill, part, shell
from engine.types.moments import written

MOST_CURVES = 60
MILLION = 1_000_000
COLUMNS = (
    "Return, Sharpe ratio (annualised), maximum drawdown (max DD), mean leverage (gross exposure over equity) and "
    "closed trades are those of the part that the heading names. A variant runs once over all bars: it enters the "
    "out-of-sample part with the position and the history that it had, and each part is judged by the equity that it "
    "began with. “vs bench” is the return less that of the benchmark at equal risk: as much or as little of it as has "
    "the variant's volatility in that part, the rest cash."
)


def page(tree: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The page as text; everything that comes from data or agents is escaped."""
    data = page_data(tree, rows)
    shown = sum(1 for row in data["rows"] if row["run"])
    head = Head(
        f"Comparison of {counts(tree)} · {', '.join(tree['symbols'][:4])}",
        _span(tree),
        [(False, winner_sentence(tree) or "No variant traded.")],
        _warnings(tree),
    )
    parts = {
        "steps": "".join(f"<li>{escape(line)}</li>" for line in walk_sentences(tree)),
        "table_note": escape(f"{shown:,} of {len(rows):,} kept their report (--reports, --keep)."),
        "columns": escape(COLUMNS),
        "setting": escape(json.dumps(tree["config"], indent=2, ensure_ascii=False)),
    }
    main, footer = fill(part("comparison/page.html"), parts), f"bars {tree['bars_sha256']}"
    return shell(head, main, data, footer=footer, styles=["comparison/page.css"], scripts=["comparison/page.js"])


def page_data(tree: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page's script draws, JSON-able."""
    parts, variants = shown_parts(tree), tree["variants"]
    metrics: list[dict[str, Any]] = [
        {"key": f"{part}.{column}", "column": column, "kind": kind, "signed": signed,
         "short": label, "label": f"{label}, {part_name(part)}" if len(parts) > 1 else label}
        for part in parts
        for column, (label, kind, signed) in SHOWN.items()
    ]  # fmt: skip
    winner = tree["selection"]["winner"]
    drawn = _drawn(rows, winner)
    times = [ns / MILLION for ns in tree["times"]]
    return {
        "rows": [
            {
                "number": row["number"],
                "variant": row["variant"],
                "name": short_name(row["variant"]),
                "agent": row["agent"],
                "parameters": variants[row["number"] - 1]["parameters"],
                "status": row["status"],
                "error": row["error"],
                "run": row["run"],
                "winner": row["number"] - 1 == winner,
                "values": {metric["key"]: row[metric["key"]] for metric in metrics},
                "curve": variants[row["number"] - 1]["curve"] if row["number"] in drawn else None,
                "command": command(tree, row["variant"]),
            }
            for row in rows
        ],
        "metrics": metrics,
        "parts": [part_name(part) for part in parts],
        "maps": _maps(variants),
        "times": times,
        "benchmark": tree["benchmark"],
        "benchmark_name": tree["benchmark_name"],
        "cuts": _cuts(tree, times),
        "steps": len(tree["walk_forward"]),
    }


def _drawn(rows: Sequence[Mapping[str, Any]], winner: int | None) -> set[int]:
    done = [row["number"] for row in rows if row["status"] == "done"][:MOST_CURVES]
    return {*done, *([] if winner is None else [winner + 1])}


def _maps(variants: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Agents whose parameters were varied, and which parameters."""
    found: dict[str, dict[str, None]] = {}
    for variant in variants:
        if variant["varied"]:
            found.setdefault(variant["agent"], {}).update(dict.fromkeys(variant["varied"]))
    return [{"agent": agent, "name": short_name(agent), "varied": list(names)} for agent, names in found.items()]


def _cuts(tree: Mapping[str, Any], times: Sequence[float]) -> list[float]:
    """Times at which parts begin, as places on the thin curve."""
    rows = tree["parts"][0]["stop"]
    starts = {part["start"] for part in tree["parts"] if part["start"] > 0}
    return [times[min(round(start / rows * len(times)), len(times) - 1)] for start in sorted(starts)] if rows else []


def command(tree: Mapping[str, Any], variant: str) -> str:
    """The command that runs a single variant and writes its report."""
    config = tree["config"]
    words = ["grandmodel", "backtest"]
    for file in config["data"]:
        words += ["--data", file]
    named = config["instrument"]
    for name in [named] if isinstance(named, str) else [f"{key}={value}" for key, value in named.items()]:
        words += ["--instrument", name]
    for key, value in tree["settings"].items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join([*words, "--agent", variant])


def _span(tree: Mapping[str, Any]) -> str:
    days = [written(tree["times"][place]) for place in (0, -1)]
    spans = {part["name"]: part["stop"] - part["start"] for part in tree["parts"]}
    rows = f"{spans['all']:,} rows"
    if "out" in spans:
        rows += f", {spans['in']:,} in-sample and {spans['out']:,} out-of-sample"
    return f"{days[0]} to {days[1]} UTC · {rows}"


def _warnings(tree: Mapping[str, Any]) -> list[str]:
    lines = [line for line in (luck_sentence(tree), overfitting_sentence(tree), *doubts(tree)) if line]
    return lines + [f"Failed: {name}: {reason}" for name, reason in failures(tree, "failed")[:3]]
