"""What has been learned in words, for every screen alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

TITLES = ("job", "learned from", "verdict", "at row", "candidate")
"""Of the columns; the job is the row before which it began, its candidate the name by which that trades."""
VERDICTS = {
    "running": "training",
    "admitted": "accepted",
    "refused": "refused",
    "failed": "failed",
    "skipped": "left out",
    "waiting": "ordered",
}


class JobRow(NamedTuple):
    """A training job, or a version that an operator named, as a row of a table.

    Attributes:
        cells: As TITLES name them.
        status: As in `engine.learning.records`, for colours.
        because: Why, in words.
    """

    cells: tuple[str, ...]
    status: str
    because: str


def job_rows(records: Sequence[Mapping[str, Any]]) -> list[JobRow]:
    """A row for each record of `engine.learning.records.job_records`, of any release, in their order."""
    return [_row(record) for record in records]


def job_sentence(record: Mapping[str, Any]) -> str:
    """One record as a sentence."""
    status = str(record.get("status"))
    job = record.get("job")
    who = f"training job {job:,}" if isinstance(job, int) else str(record.get("name"))
    verdict = "began" if status == "running" else VERDICTS.get(status, status)
    trades = f" as {record['name']}" if status == "admitted" and isinstance(job, int) else ""
    because = record.get("because")
    return f"row {_number(record.get('row'))}: {who} {verdict}{trades}" + (f": {because}" if because else "")


def _row(record: Mapping[str, Any]) -> JobRow:
    status, job, first = str(record.get("status")), record.get("job"), record.get("first")
    late = "" if record.get("late") is None else ", late"
    cells = (
        f"{job:,}" if isinstance(job, int) else "-",
        "" if first is None else f"rows {_number(first)} to {_number(record.get('last'))}",
        VERDICTS.get(status, status) + late,
        "" if status == "running" else _number(record.get("row")),
        str(record.get("name") or ""),
    )
    return JobRow(cells, status, str(record.get("because") or ""))


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"
