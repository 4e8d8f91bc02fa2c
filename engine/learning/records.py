"""What a run tells of its training jobs: one record for each job, and for each version that an operator named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.learning.learner import ENDED
from engine.loop.learner import LearningEvent

RESULTS = ("reason", "figures")


def job_records(events: Iterable[LearningEvent]) -> list[dict[str, Any]]:
    """What became of every job, JSON-able, in the order in which they began.

    A record holds `job` (its number; null for a version that an operator named), `status` (`running`, `admitted`,
    `refused`, `failed` or `skipped`; `waiting` for a version that has not entered yet), `because`, `by`, `row` (where
    that was decided), `name` in the run, `version` and `sha256` of what was learned, `late` (the row where its
    candidate could first be used and the job had not ended, or null). Of a job that began it also holds `first`,
    `last`, `parent_sha256` and `seed`, and of one that has ended `reason` and `figures`.

    Args:
        events: In order.
    """
    records: list[dict[str, Any]] = []
    running: dict[int | str | None, dict[str, Any]] = {}
    for event in events:
        key = event.name if event.job is None else event.job
        if event.status in {"queued", "ordered", "skipped"}:
            status = {"queued": "running", "ordered": "waiting"}.get(event.status, event.status)
            begun = {name: value for name, value in event.details.items() if name != "number"}
            running[key] = _record(event, status) | begun
            records.append(running[key])
        elif event.status == "late":
            running.get(key, {})["late"] = event.seq
        elif event.status in ENDED:
            known = running.pop(key, None)
            if known is None:
                records.append(known := {})
            late = known.get("late")
            known.update(_record(event, event.status) | {"late": late})
            known.update({name: event.details[name] for name in RESULTS if name in event.details})
    return records


def _record(event: LearningEvent, status: str) -> dict[str, Any]:
    told = {name: getattr(event, name) or None for name in ("name", "version", "sha256")}
    return {
        "job": event.job,
        "status": status,
        "row": event.seq,
        "because": event.because,
        "by": event.by,
        "late": None,
        **told,
    }
