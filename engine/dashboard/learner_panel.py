"""The learner of a session: whether it trains, what became of its last jobs, and when the next one begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.cells import BAD, DIM, GOOD, PLAIN, WARN, Line, TableColumn, fill_up, fit, rule, table
from engine.learning.words import TITLES, JobRow, job_rows

STYLES = {"running": WARN, "admitted": GOOD, "failed": BAD, "waiting": WARN}
COLUMNS = (
    TableColumn(TITLES[0], right=True, least=6),
    TableColumn(TITLES[1], rank=4, least=16),
    TableColumn(TITLES[2], rank=1, least=9),
    TableColumn(TITLES[3], right=True, rank=3, least=7),
    TableColumn(TITLES[4], rank=2, least=12),
    TableColumn("", rank=5),
)


@dataclass(frozen=True, slots=True)
class LearnerSummary:
    """What is shown of a learner.

    Attributes:
        stands: What it does now, in words.
        jobs: Its last jobs, the newest last.
    """

    stands: str
    jobs: Sequence[JobRow] = ()

    @classmethod
    def of(cls, tree: Mapping[str, Any] | None) -> LearnerSummary | None:
        """From what the status of a session tells of it; None where nothing is learned."""
        if tree is None:
            return None
        return cls(_stands(tree), tuple(job_rows(tree.get("jobs", ()))))


def learner_line(summary: LearnerSummary, width: int) -> Line:
    """What it does now and what came of its last job that has ended, on one line."""
    line: Line = [Segment(" learner", DIM), Segment("   "), Segment(text.clean(summary.stands))]
    ended = next((one for one in reversed(summary.jobs) if one.status != "running"), None)
    if ended is not None:
        name = ended.cells[0] if ended.cells[0] != "-" else ended.cells[4]
        words = f"job {name} {ended.cells[2]}: {ended.because}"
        line += [Segment("   "), Segment("last ", DIM), Segment(text.clean(words), STYLES.get(ended.status, PLAIN))]
    return fit(line, width)


def learner_panel(summary: LearnerSummary, width: int, height: int) -> list[Line]:
    """The last jobs, the newest first."""
    shown = list(reversed(summary.jobs))[: max(0, height - 2)]
    rows = []
    for job in shown:
        cells = [Segment(text.clean(cell), STYLES.get(job.status, PLAIN)) for cell in job.cells]
        rows.append([*cells, Segment(text.clean(job.because), DIM)])
    body = table(COLUMNS, rows, width) if rows else [[Segment("no training job yet", DIM)]]
    return fill_up([rule("Learner", text.clean(summary.stands), width), *body], width, height)


def _stands(tree: Mapping[str, Any]) -> str:
    running, following = tree.get("running"), tree.get("next_job")
    if running is not None:
        return f"training job {text.count(running)}"
    if tree.get("paused"):
        return "paused"
    return "no training jobs" if following is None else f"next training job at row {text.count(following)}"
