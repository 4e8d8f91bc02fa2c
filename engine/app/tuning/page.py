"""A tuning as one HTML page: history, importance of the parameters, parallel coordinates, and the best of them."""

from __future__ import annotations

from html import escape
from pathlib import Path

import optuna
import plotly.io
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState

from engine.app.trials.odds import odds
from engine.app.tuning.study import TuningRun
from engine.base.replacing import write_text
from engine.report.odds_panel import ledger_sentences

PAGE = "tuning.html"
FEWEST_FOR_IMPORTANCE = 10
STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "td,th{padding:.2rem .8rem;text-align:left}"
)


def write_page(run: TuningRun) -> Path:
    """Write `tuning.html` into the folder of a tuning.

    Raises:
        GrandModelError: If the disk refuses.
    """
    path = run.plan.folder / PAGE
    write_text(path, _page(run))
    return path


def _page(run: TuningRun) -> str:
    best = run.best
    parts = [f"<!doctype html><meta charset=utf-8><title>Tuning</title><style>{STYLE}</style><h1>Tuning</h1>"]
    parts.append(f"<p>{escape(counts(run))}</p>")
    parts += [f"<p>{escape(line)}</p>" for line in ledger_sentences(_odds(run))]
    if best is not None:
        rows = "".join(f"<tr><td>{escape(name)}<td>{escape(f'{value:g}' if isinstance(value, float) else str(value))}"
                       for name, value in best.params.items())  # fmt: skip
        parts.append(f"<h2>Best: trial {best.number}, score {best.value:.4f}</h2><table>{rows}</table>")
    for title, figure in _figures(run.study):
        # the first figure brings the library with it
        script = not any("plotly" in part and "<script" in part for part in parts)
        html = plotly.io.to_html(figure, full_html=False, include_plotlyjs=script)
        parts.append(f"<h2>{title}</h2>{html}")
    return "\n".join(parts) + "\n"


def counts(run: TuningRun) -> str:
    """How many trials there are, and what became of them."""
    states = [one.state for one in run.study.get_trials(deepcopy=False) if not one.user_attrs.get("stale")]
    told = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    figures = ", ".join(f"{states.count(state):,} {word}" for word, state in told.items() if states.count(state))
    return f"{len(states):,} trials: {figures}"


def _odds(run: TuningRun) -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415 - beside its use

    return asdict(odds(run.ledger.read()))


def _figures(study: optuna.Study) -> list[tuple[str, object]]:
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < 2:
        return []
    show = optuna.visualization
    figures = [
        ("History", show.plot_optimization_history(study)),
        ("Parallel coordinates", show.plot_parallel_coordinate(study)),
    ]
    if len(done) >= FEWEST_FOR_IMPORTANCE and len({one.value for one in done}) > 1:
        importance = show.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        figures.insert(1, ("Importance (PED-ANOVA)", importance))
    return figures
