"""Writing the report of a training or an evaluation: a page with its charts, and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engine.base.errors import GrandModelError, UsageError
from engine.report.training import curves, markdown, page, panels
from engine.report.training.history import History
from engine.report.training.phrases import Evaluation

HEADING = "Training"


class Written(NamedTuple):
    """Where the report lies."""

    markdown: Path
    page: Path


def write_training_report(
    folder: Path,
    evaluation: Evaluation | None = None,
    histories: Mapping[str, History] | None = None,
    *,
    name: str = "evaluation",
    heading: str = HEADING,
) -> Written:
    """Write `<name>.md`, which holds tables only, and `<name>.html`, which draws every chart.

    Args:
        evaluation: What `training.evaluation.evaluation.Evaluation.tree` gives and `evaluation.json` holds.
        histories: Records of one or several trainings, by name; several are drawn as means with bands.
        heading: Title where there is no evaluation to name.

    Raises:
        UsageError: If there is neither.
        GrandModelError: If the disk refuses.
    """
    evaluated = panels.evaluation_panels(evaluation) if evaluation else []
    learning = curves.learning_curves(histories or {})
    if not evaluation and not learning:
        raise UsageError(
            "there is nothing to report",
            expected="an evaluation, or the history of a training",
            hint="a training writes history.jsonl as it goes",
        )
    written = Written(folder / f"{name}.md", folder / f"{name}.html")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written.markdown.write_text(markdown.text(evaluation, evaluated, learning, heading), encoding="utf-8")
        written.page.write_text(page.text(evaluation, evaluated, learning, heading), encoding="utf-8")
    except OSError as error:
        raise GrandModelError(f"cannot write the report: {error}", where=str(folder)) from error
    return written
