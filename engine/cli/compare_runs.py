"""`grandmodel compare RUN RUN ...`: finished runs beside each other, and where they part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from engine.app.comparison.differences import Run, TableDifference


def compare_runs(folders: Sequence[Path], as_json: bool, given: bool) -> None:
    """Print metrics and settings of finished runs, and the first row in which each differs from the first run."""
    from engine.app.comparison.differences import Run, config_differences, first_differences
    from engine.app.runs import resolved
    from engine.base.errors import UsageError

    if given:
        raise UsageError(
            "run folders and variants exclude each other",
            expected="grandmodel compare RUN RUN ..., or grandmodel compare --data FILE --agent AGENT ...",
        )
    if len(folders) < 2:
        raise UsageError("one run has nothing to be compared with", expected="two run folders or more")
    runs = [Run.read(resolved(folder)) for folder in folders]
    settings = config_differences(runs)
    found = [[] if _decided_alike(runs[0], run) else first_differences(runs[0], run) for run in runs[1:]]
    if as_json:
        typer.echo(json.dumps(_tree(runs, settings, found), default=str))
        return
    _show(runs, settings, found)


def _same_hash(first: Run, second: Run) -> bool:
    return first.manifest.get("ledger_sha256") == second.manifest.get("ledger_sha256")


def _decided_alike(first: Run, second: Run) -> bool:
    """Whether equal hashes say it all: columns that are not hashed, margin among them, depend on the instruments."""
    return _same_hash(first, second) and first.manifest.get("instruments") == second.manifest.get("instruments")


def _tree(
    runs: Sequence[Run], settings: dict[str, list[Any]], found: Sequence[Sequence[TableDifference]]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "runs": [{"folder": str(run.folder), "ledger_sha256": run.manifest.get("ledger_sha256"),
                  "agent": run.manifest.get("agent"), "metrics": run.metrics} for run in runs],
        "settings": settings,
        "differences": [
            {"first": str(runs[0].folder), "second": str(run.folder),
             "equal": _same_hash(runs[0], run) and not differences,
             "tables": [asdict(one) for one in differences]}
            for run, differences in zip(runs[1:], found, strict=True)
        ],
    }  # fmt: skip


def _show(runs: Sequence[Run], settings: dict[str, list[Any]], found: Sequence[Sequence[TableDifference]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import out
    from engine.report.presentation import GROUPS, write

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column("")
    for run in runs:
        table.add_column(Text(run.folder.name or str(run.folder)), justify="right", overflow="fold")
    for row in (row for _, group in GROUPS for row in group if row.short):
        table.add_row(row.label, *(write(run.metrics.get(row.key), row.kind) for run in runs))
    for key, values in settings.items():
        table.add_row(Text(key, style="cyan"), *(Text(str(value)) for value in values))
    out().print(table)
    out().print()
    for run, differences in zip(runs[1:], found, strict=True):
        for line in sentences(runs[0], run, differences):
            out().print(Text(line), soft_wrap=True)


def sentences(first: Run, second: Run, differences: Sequence[TableDifference]) -> list[str]:
    """Where two runs part, a sentence a table."""
    from engine.app.manifest import HASH_FORM

    names = f"{first.folder.name} and {second.folder.name}"
    if _same_hash(first, second) and not differences:
        return [f"{names}: the same ledger, bit for bit ({str(first.manifest.get('ledger_sha256'))[:16]}...)"]
    if not differences and first.manifest.get(HASH_FORM) != second.manifest.get(HASH_FORM):
        return [f"{names}: the same ledger and fills, row by row; their hashes were computed in different ways"]
    if not differences:
        return [f"{names}: other ledger hashes, yet no row of the ledger or the fills differs (other positions)"]
    lines = []
    for one in differences:
        at = f" ({one.time})" if one.time else ""
        if one.field == "rows":
            lines.append(f"{names}: {one.table}: equal up to the end of one: {one.first:,} and {one.second:,} rows{at}")
        else:
            lines.append(
                f"{names}: {one.table}: the first difference is row {one.row:,}{at}, {one.field}: "
                f"{one.first} and {one.second}"
            )
    return lines
