"""Training jobs of a run, in the terminal and on its page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from engine.learning.words import TITLES, JobRow, job_rows, job_sentence

TONES = {"admitted": "good", "failed": "bad"}
HINT = (
    "A job learns from the bars before its row and judges what it has learned on bars that it did not learn from. An "
    "accepted candidate trades beside the champion; it becomes the champion by the evidence of the challengers' test, "
    "or at once where the run says so."
)


def records_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of jobs; empty for a run that did not learn."""
    found = manifest.get("learning")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def learning_sentences(manifest: Mapping[str, Any]) -> list[str]:
    """Every job, a sentence each."""
    return [job_sentence(record) for record in records_of(manifest)]


def learning_panel(manifest: Mapping[str, Any]) -> str:
    """For the page, as HTML; empty for a run that did not learn."""
    records = records_of(manifest)
    if not records:
        return ""
    titles = (*TITLES, "why", "figures")
    head = "".join(f'<th class="word">{escape(title)}</th>' for title in titles)
    body = "".join(_row(row, record) for row, record in zip(job_rows(records), records, strict=True))
    return (
        f'<section class="panel" id="learning"><h2>Learning</h2><p class="hint">{HINT}</p>'
        f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"</section>"
    )


def _row(row: JobRow, record: Mapping[str, Any]) -> str:
    job, *others = map(escape, row.cells)
    tones = [TONES.get(row.status, "") if at == 1 else "" for at in range(len(others))]
    cells = "".join(f'<td class="word {tone}">{cell}</td>' for cell, tone in zip(others, tones, strict=True))
    told = _figures(record.get("figures"))
    return (
        f'<tr><th class="word">{job}</th>{cells}<td class="word wide">{escape(row.because)}</td>'
        f'<td class="word wide">{escape(told)}</td></tr>'
    )


def _figures(figures: object) -> str:
    """What a job has measured, as far as it is numbers."""
    if not isinstance(figures, dict):
        return ""
    shown = [
        (name, value)
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return ", ".join(f"{str(name).replace('_', ' ')} {value:.4g}" for name, value in shown)
