"""Results of trainings and evaluations, as objects for Python and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.printing import rendered
from engine.report.payload import read_json
from engine.report.training.phrases import Table, findings, span, tables, title, verdicts
from engine.report.training.phrases import remarks as remarks_of
from engine.report.training.seeds import remarks, render_seeds, sentences, table
from engine.report.training.terminal import render_evaluation

if TYPE_CHECKING:
    from engine.app.evaluation import EvaluationRun
    from engine.app.seeds.seeds import SeedsRun
    from engine.app.training import TrainingRun


class EvaluationResult:
    """The result of an evaluation: `print(result)` shows the tables of the terminal, a notebook shows them as HTML.

    Args:
        tree: What `evaluation.json` holds.
        folder: Its folder; None if it was kept in memory.
    """

    def __init__(self, tree: Mapping[str, Any], folder: Path | None = None) -> None:
        self._tree, self._folder = tree, folder

    @classmethod
    def of(cls, run: EvaluationRun, folder: Path | None) -> EvaluationResult:
        """The result of an evaluation that has just ended."""
        return cls(run.tree, folder)

    @classmethod
    def load(cls, folder: str | Path) -> EvaluationResult:
        """The result of a finished evaluation, from its folder.

        Raises:
            UsageError: If the folder is not that of an evaluation.
            DataError: If the file is damaged.
        """
        path = Path(folder)
        return cls(read_json(path / "evaluation.json"), path)

    @property
    def tree(self) -> dict[str, Any]:
        """Everything that `evaluation.json` holds."""
        return dict(self._tree)

    @property
    def folder(self) -> Path | None:
        """Its folder, if one was asked for."""
        return self._folder

    @property
    def findings(self) -> list[str]:
        """Names of what is wrong with the ensemble's behaviour, if anything is."""
        return [str(finding["name"]) for finding in self._tree["findings"]]

    def __str__(self) -> str:
        return rendered(render_evaluation(self._tree))

    def __repr__(self) -> str:
        return f"EvaluationResult({title(self._tree)})"

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(title(self._tree))}</b><br><small>{escape(span(self._tree))}</small></p>"]
        parts += [f"<p><b>{escape(sentence)}</b></p>" for _, sentence in verdicts(self._tree)]
        parts += [_html(one) for one in tables(self._tree)]
        parts += [f"<p><b>{escape(name)}</b> {escape(message)}</p>" for name, message in findings(self._tree)]
        parts += [f"<p>&#9888; {escape(sentence)}</p>" for sentence in remarks_of(self._tree)]
        return f"<div>{''.join(parts)}</div>"


def _html(given: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in (given.title, *given.head[1:]))
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in given.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


class TrainingResult:
    """The result of a training."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._run.folder

    @property
    def models(self) -> Path:
        """Folder of the exported networks: `backtest(..., agent=f"ensemble:{result.models}")`."""
        return self._run.models

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self._run.outcome.checkpoint

    @property
    def episodes(self) -> int:
        """Episodes in all."""
        return self._run.outcome.episodes

    @property
    def weights_sha256(self) -> str:
        """Hash of the last networks."""
        return self._run.outcome.weights_sha256

    @property
    def stopped(self) -> str:
        """Why it ended: finished, early or interrupted."""
        return self._run.outcome.stopped

    @property
    def evaluation(self) -> EvaluationResult:
        """The exported networks on what was held out longest."""
        return EvaluationResult.of(self._run.evaluation, self._run.folder / "evaluation")

    def __str__(self) -> str:
        return f"{self.stopped}: {self.episodes:,} episodes, networks in {self.models}\n{self.evaluation}"

    def __repr__(self) -> str:
        return f"TrainingResult(folder={str(self.folder)!r}, episodes={self.episodes}, stopped={self.stopped!r})"

    def _repr_html_(self) -> str:
        return self.evaluation._repr_html_()


class SeedsResult:
    """The result of trainings over several seeds: `print(result)` shows their table, a notebook as HTML."""

    def __init__(self, run: SeedsRun) -> None:
        self._run = run

    @property
    def folder(self) -> Path:
        """Holds `seeds.json`, `seeds.md` and the run folder of every seed."""
        return self._run.folder

    @property
    def tree(self) -> dict[str, Any]:
        """Everything that `seeds.json` holds: `runs`, and their `summary`."""
        return dict(self._run.tree)

    @property
    def models(self) -> dict[int, Path]:
        """Folders of the exported networks, by seed."""
        done = (run for run in self._run.runs if run.status == "finished")
        return {run.seed: self.folder / run.folder / "models" for run in done}

    @property
    def failures(self) -> dict[int, str]:
        """Why trainings failed, by seed."""
        return {run.seed: str(run.error) for run in self._run.failures}

    def __str__(self) -> str:
        return rendered(render_seeds(self._run.tree))

    def __repr__(self) -> str:
        return f"SeedsResult(folder={str(self.folder)!r}, finished={len(self.models)}, seeds={len(self._run.runs)})"

    def _repr_html_(self) -> str:
        said = [*sentences(self._run.tree), *remarks(self._run.tree)]
        return f"<div>{_html(table(self._run.tree))}{''.join(f'<p>{escape(one)}</p>' for one in said)}</div>"
