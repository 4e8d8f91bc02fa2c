"""What a comparison leaves in its folder: the table, the facts, the page, and the runs of the best variants."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from engine.app.comparison.comparison import Comparison, keep_runs
from engine.app.comparison.store import PAGE, SUMMARY, TABLE
from engine.app.manifest import write_json
from engine.app.preparing import Prepared
from engine.base.replacing import replaced_file
from engine.report.comparison.page import page as page_of
from engine.report.comparison.rows import rows_of, shown_parts, sorted_rows, write_csv
from engine.report.html import write_report


def write_comparison(
    prepared: Prepared,
    comparison: Comparison,
    folder: Path,
    *,
    sort: str | None = None,
    reports: int = 0,
    workers: int | None = None,
    page: bool = True,
) -> None:
    """Write the files of a comparison.

    Args:
        sort: Column by which the table is sorted and reports are chosen.
        reports: How many variants, from the top, keep their run and its report; the winner is always one of them.
        workers: Processes for these runs.

    Raises:
        UsageError: If there is no such column.
        GrandModelError: If a variant fails when it is run again, or the disk refuses.
    """
    tree = comparison.tree()
    rows = sorted_rows(rows_of(tree), sort, shown_parts(tree))
    if reports:
        chosen = [row["number"] - 1 for row in rows if row["status"] == "done"][:reports]
        if comparison.selection.winner is not None and comparison.selection.winner not in chosen:
            chosen = [*chosen[: reports - 1], comparison.selection.winner]
        keep_runs(comparison, prepared, folder, chosen, workers)
        for number in chosen:
            write_report(comparison.folders[number])
        tree = comparison.tree()
        rows = sorted_rows(rows_of(tree), sort, shown_parts(tree))
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        # entered first, so put in place last
        summary, table, html = (parts.enter_context(replaced_file(folder / name)) for name in (SUMMARY, TABLE, PAGE))
        write_json(summary, tree)
        table.write_text(write_csv(rows), encoding="utf-8")
        if page:
            html.write_text(page_of(tree, rows), encoding="utf-8")
        # an earlier result ends here, so that no mixture of two ever looks like a comparison
        (folder / SUMMARY).unlink(missing_ok=True)
