"""The card of prepared data: where they come from, what was found in them, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.app.preparation.outliers import BEYOND, Outlier
from engine.base.files import sha256_file
from engine.types.timeframe import format_timeframe
from feeds.contracts.rolls import Roll
from feeds.quarantine import Quarantine
from feeds.reading.rows.part import iso
from feeds.summary import BarSummary
from feeds.ticks.opening import Replay
from training.data.prepared import Part

if TYPE_CHECKING:
    from engine.app.preparation.prepare import Preparation

VERSION = 1


class Made(NamedTuple):
    """Everything that a card tells of."""

    wanted: Preparation
    replay: Replay
    name: str
    quarantine: Quarantine
    summary: BarSummary
    outliers: tuple[int, list[Outlier]]
    order: tuple[str, ...]
    rolls: Sequence[Roll]
    parts: Sequence[Part]


def card_of(made: Made, folder: Path) -> dict[str, Any]:
    """The card as plain values; the same data and options give the same card.

    Args:
        made: What was found and done.
        folder: Of the files that were written.
    """
    wanted, replay, summary = made.wanted, made.replay, made.summary
    return {
        "card_version": VERSION,
        "name": made.name,
        "licence": wanted.licence,
        "instrument": wanted.instrument.name,
        "timeframe": format_timeframe(replay.output_timeframe_ns),
        "sources": [_source(path) for path in wanted.files],
        "reading": {
            "format": replay.format,
            "labels": {Path(name).name: decision.reason for name, decision in replay.label_decisions.items()},
            "timezone": wanted.reading.timezone or "UTC, unless the file or its format names one",
            "columns": [asdict(use) for use in replay.columns_used],
            "remarks": list(replay.remarks),
        },
        "rows": {"bars": summary.rows, "quarantined": made.quarantine.total, "reasons": dict(made.quarantine.counts)},
        "span": {"first_close": _moment(summary.first_ns), "last_close": _moment(summary.last_ns)},
        "coverage": {
            "sessions": summary.sessions,
            "missing_bars": summary.missing,
            "gaps": summary.gaps,
            "longest_gaps": [{"bars": gap.bars, "after": iso(gap.after_ns)} for gap in summary.longest],
            "outside_sessions": summary.outside,
        },
        "outliers": _outliers(*made.outliers),
        "contracts": _contracts(made),
        "adjustment": {
            "prices": "adjusted for dividends and splits by the source"
            if wanted.reading.adjusted
            else "as they traded",
            "at_rolls": wanted.adjust if made.rolls else "no rolls",
        },
        "parts": [_part(part) for part in made.parts],
        "episode_length": wanted.length,
        "files": {path.name: sha256_file(path) for path in sorted(folder.glob("*")) if path.is_file()},
    }


def _source(path: Path) -> dict[str, Any]:
    known = path.is_file()
    return (
        {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)} if known else {"file": str(path)}
    )


def _outliers(count: int, largest: Sequence[Outlier]) -> dict[str, Any]:
    return {
        "rule": f"returns from close to close beyond {BEYOND:g} robust deviations; reported, none is cut",
        "count": count,
        "largest": [
            {"close": iso(one.ts_event), "log_return": round(one.log_return, 6), "deviations": round(one.deviations, 1)}
            for one in largest
        ],
    }


def _contracts(made: Made) -> dict[str, Any]:
    return {
        "order": list(made.order),
        "rule": made.wanted.roll or "one contract",
        "rolls": [
            {"from": one.before, "to": one.after, "after": iso(one.from_ns), "gap": one.gap, "ratio": one.new / one.old}
            for one in made.rolls
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "first_row": part.first, "rows": part.stop - part.first, "episodes": len(part.starts)}


def _moment(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)
