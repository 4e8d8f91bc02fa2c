"""Walking forward: in each fold, choose by what lies before, and trade what comes after."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from engine.app.comparison.bars import read_bars
from engine.app.comparison.comparison import Given
from engine.app.comparison.evaluation import Setting, VariantOutcome, curve_rows
from engine.app.comparison.parts import IN_SAMPLE, OUT_OF_SAMPLE, RunPart
from engine.app.comparison.selection import best, metric_of
from engine.app.comparison.workers import Job, run_jobs
from engine.app.preparing import Prepared
from engine.app.trials.ledger import Recording
from engine.app.trials.recording import FoldRecorder
from engine.app.walkforward.windows import Plan, Window, windows_of
from engine.base.errors import GrandModelError, UsageError
from engine.types.blocks import BarBlock

TRAINED = "ensemble, trained in the fold"
SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "buy_and_hold_return")


class Retrain(Protocol):
    """Trains on bars from one row to before another, and gives the specification of what came of it."""

    def __call__(self, window: Window, bars: BarBlock) -> str:
        """Train on these bars."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold.

    Attributes:
        window: Its rows.
        train_start, train_end, test_start, test_end: Close times, nanoseconds UTC, both ends included.
        tried: Variants that could be judged in the training part.
        winner: Specification of the one that was chosen.
        train: Its metrics in the training part.
        test: Its metrics in the test part.
        curve: Close times and its return since the test began, thinned.
    """

    window: Window
    train_start: int
    train_end: int
    test_start: int
    test_end: int
    tried: int
    winner: str
    train: dict[str, Any]
    test: dict[str, Any]
    curve: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Walk:
    """All folds.

    Attributes:
        plan: How the bars were cut.
        folds: In order.
        total_return: Of the test parts one after the other.
        efficiency: Mean Sharpe ratio of the test parts over that of the training parts; None where there is none.
        failures: Variants that failed, and why.
    """

    plan: Plan
    folds: list[Fold]
    total_return: float
    efficiency: float | None
    failures: list[str]

    def tree(self) -> dict[str, Any]:
        """As `walkforward.json` and `--json` hold it."""
        return {"kind": "walkforward", **asdict(self)}


Watch = Callable[[int, int, str], None]
"""Called with finished and total runs, and the specification."""


def walk_forward(
    prepared: Prepared,
    given: Sequence[Given],
    plan: Plan,
    *,
    retrain: Retrain | None = None,
    workers: int | None = None,
    watch: Watch | None = None,
    recording: Recording | None = None,
) -> Walk:
    """In every fold choose the variant with the best Sharpe ratio of the training part, and trade the test part.

    Every run begins with a new account at the first row of the training part, so that indicators are warm and a
    position is held when the test begins; what counts are the equity and the trades within each part. Nothing of the
    test part can change the choice.

    Args:
        prepared: The data, opened; its configuration is that of every variant but for the agent.
        given: Variants to choose from.
        plan: How the bars are cut.
        retrain: Makes one more variant in each fold.
        workers: Processes; None decides by the work there is.
        watch: Told of every run that has ended.
        recording: Writes variants and folds into the trial ledger of the bars.

    Raises:
        UsageError: If there is nothing to choose from, or the plan does not fit the bars.
        GrandModelError: If in a fold no variant could be judged.
    """
    if not given and retrain is None:
        raise UsageError("nothing to choose from", expected="at least one agent, or --train")
    bars = read_bars(prepared)
    windows = windows_of(len(bars), plan)
    folds: list[Fold] = []
    failures: list[str] = []
    recorder = FoldRecorder(recording, bars, [path.name for path in prepared.paths])
    total = len(windows) * (len(given) + (retrain is not None))
    done = 0
    for window in windows:
        specs = [one.variant.spec for one in given]
        if retrain is not None:
            specs.append(retrain(window, bars.slice(window.start, window.train_stop)))
        setting = _setting(prepared, window)
        outcomes: list[VariantOutcome | None] = [None] * len(specs)

        def ended(job: Job, outcome: VariantOutcome, found: list[VariantOutcome | None] = outcomes) -> None:
            nonlocal done
            done += 1
            found[job.number] = outcome
            if watch is not None:
                watch(done, total, job.spec)

        builds = [*(one.build for one in given), *([None] if retrain is not None else [])]
        jobs = [Job(number, spec, builds[number], None) for number, spec in enumerate(specs)]
        own = bars.slice(window.start, window.stop)
        run_jobs(setting, own, jobs, workers, ended)
        finished = [outcome for outcome in outcomes if outcome is not None]
        failures += [f"fold {window.number}: {s}: {o.error}" for s, o in zip(specs, finished, strict=True) if o.error]
        fold = _fold(window, own, specs, finished)
        folds.append(fold)
        for number, (spec, outcome) in enumerate(zip(specs, finished, strict=True)):
            # what was trained lies in a folder that has its name only when all folds are done
            recorder.add(spec if number < len(given) else TRAINED, window.number, outcome, setting)
    return Walk(
        plan, folds, math.prod(1.0 + one.test["total_return"] for one in folds) - 1.0, _efficiency(folds), failures
    )


def _setting(prepared: Prepared, window: Window) -> Setting:
    parts = (
        RunPart(IN_SAMPLE, 0, window.train_stop - window.start),
        RunPart(OUT_OF_SAMPLE, window.test - window.start, window.stop - window.start),
    )
    return Setting(
        prepared.config, dict(prepared.instruments), prepared.timeframe_ns, prepared.labels, prepared.labels_reason,
        parts, prepared.synthetic, prepared.benchmark,
    )  # fmt: skip


def _fold(window: Window, bars: BarBlock, specs: Sequence[str], outcomes: Sequence[VariantOutcome]) -> Fold:
    winner = best(outcomes, IN_SAMPLE)
    if winner is None:
        errors = [one.error for one in outcomes if one.error]
        raise GrandModelError(
            f"no variant could be judged in the training part of fold {window.number}",
            found=errors[0] if errors else "no returns",
        )
    parts = outcomes[winner].parts or {}
    test = {name: parts[OUT_OF_SAMPLE].get(name) for name in SHOWN}
    test["total_return"] = test["total_return"] or 0.0
    times = bars.ts_event
    return Fold(
        window,
        int(times[0]),
        int(times[window.train_stop - window.start - 1]),
        int(times[window.test - window.start]),
        int(times[-1]),
        sum(metric_of(one, IN_SAMPLE, "sharpe") is not None for one in outcomes),
        specs[winner],
        {name: parts[IN_SAMPLE].get(name) for name in SHOWN},
        test,
        _curve(window, bars, outcomes[winner]),
    )


def _curve(window: Window, bars: BarBlock, outcome: VariantOutcome) -> list[tuple[int, float]]:
    rows = curve_rows(len(bars))
    begin = window.test - window.start
    growth = [
        (int(bars.ts_event[row]), 1.0 + value)
        for row, value in zip(rows, outcome.curve, strict=True)
        if row >= begin - 1
    ]
    first = growth[0][1] if growth and growth[0][1] > 0 else 1.0
    return [(ts, float(f"{value / first - 1.0:.6g}")) for ts, value in growth]


def _efficiency(folds: Sequence[Fold]) -> float | None:
    """Walk-forward efficiency (Pardo, 2008), of Sharpe ratios."""
    pairs = [(one.train["sharpe"], one.test["sharpe"]) for one in folds]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    before = sum(pair[0] for pair in known)
    return sum(pair[1] for pair in known) / before if before > 0 else None
