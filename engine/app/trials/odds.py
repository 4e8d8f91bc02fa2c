"""What a result is worth among all that was tried on the same data: the ledger counts the trials, nobody types them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.app.trials.ledger import BlockSums, LedgerContents, Trial, TrialLedger
from portfolio.luck import deflated_sharpe, luck
from portfolio.overfitting.pbo import Overfitting, overfitting

ODDS = "odds.json"
"""Of a run folder: what its result is worth among all trials on its bars."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely the best of all trials on a data set is more than luck.

    Attributes:
        trials: Distinct trials, those that failed or were pruned among them.
        repeated: Lines that repeat a trial.
        by_kind, by_status: Distinct trials by kind and by status.
        best: Name of the trial with the highest Sharpe ratio; None if none has one.
        best_sharpe: Its Sharpe ratio, annualised.
        luck_sharpe: What the best of so many trials without skill is expected to show, annualised likewise.
        deflated: Probability that the best is above that (deflated Sharpe ratio).
        pbo: Probability of backtest overfitting; None without two trials over the same periods.
        pbo_loss: Share of the splits in which the best in-sample loses out-of-sample.
        pbo_trials: Trials that it rests on.
        pbo_splits: Splits that it rests on.
    """

    trials: int
    repeated: int
    by_kind: Mapping[str, int]
    by_status: Mapping[str, int]
    best: str | None = None
    best_sharpe: float | None = None
    luck_sharpe: float | None = None
    deflated: float | None = None
    pbo: float | None = None
    pbo_loss: float | None = None
    pbo_trials: int = 0
    pbo_splits: int = 0


def odds(contents: LedgerContents) -> Odds:
    """The odds of the best trial of a ledger."""
    distinct = contents.distinct()
    found = Odds(
        len(distinct),
        len(contents.trials) - len(distinct),
        dict(Counter(trial.kind for trial in distinct)),
        dict(Counter(trial.status for trial in distinct)),
    )
    rated = [trial for trial in distinct if _per_period(trial.metrics) is not None]
    cross = cross_validated(distinct)
    best = max(rated, key=lambda trial: _per_period(trial.metrics) or 0.0, default=None)
    facts: dict[str, Any] = {}
    if best is not None:
        root = math.sqrt(_number(best.metrics, "periods_per_year") or 1.0)
        lucky = lucky_sharpe(contents)
        facts = {
            "best": best.name,
            "best_sharpe": best.metrics["sharpe"],
            "luck_sharpe": None if lucky is None else lucky * root,
            "deflated": deflated_of(best.metrics, contents),
        }
    if cross is not None:
        facts |= {
            "pbo": cross.probability, "pbo_loss": cross.loss, "pbo_trials": cross.variants, "pbo_splits": cross.splits,
        }  # fmt: skip
    return Odds(found.trials, found.repeated, found.by_kind, found.by_status, **facts)


def odds_of(metrics: Mapping[str, Any], ledger: TrialLedger) -> dict[str, Any]:
    """What `odds.json` of a run holds: the odds of its ledger, and `run_deflated`, that of the run itself."""
    contents = ledger.read()
    found = asdict(odds(contents))
    del found["repeated"]  # so that the same run leaves the same files
    return {"ledger": str(ledger.path), **found, "run_deflated": deflated_of(metrics, contents)}


def lucky_sharpe(contents: LedgerContents) -> float | None:
    """The Sharpe ratio of one period that the best of all trials would show by luck; None below two rated trials.

    All distinct trials count, though trials that resemble each other amount to fewer independent ones: the answer errs
    on the side of doubt. Their spread is that of the trials that have a Sharpe ratio.
    """
    distinct = contents.distinct()
    ratios = [value for trial in distinct if (value := _per_period(trial.metrics)) is not None]
    return luck(float(np.std(ratios, ddof=1)), len(distinct)) if len(ratios) > 1 else None


def deflated_of(metrics: Mapping[str, Any], contents: LedgerContents) -> float | None:
    """The deflated Sharpe ratio of a result among all trials of a ledger; None where it is not defined.

    Args:
        metrics: `sharpe` annualised, `periods_per_year`, `returns`, `skew`, and `kurtosis` in excess of 3.
    """
    sharpe, skew = _per_period(metrics), _number(metrics, "skew")
    excess, periods = _number(metrics, "kurtosis"), _number(metrics, "returns")
    if sharpe is None or skew is None or excess is None or periods is None:
        return None
    lucky = lucky_sharpe(contents)
    if lucky is None and len(contents.distinct()) > 1:
        return None  # there were others, but nothing says how far apart their results lie
    return deflated_sharpe(sharpe, 0.0 if lucky is None else lucky, int(periods), skew, excess + 3.0)


def cross_validated(trials: Sequence[Trial]) -> Overfitting | None:
    """The probability of backtest overfitting of trials that have sums over the same blocks; the most that do."""
    return cross_validated_sums(
        [trial.blocks for trial in trials if trial.blocks is not None and trial.status == "finished"]
    )


def cross_validated_sums(held: Sequence[BlockSums]) -> Overfitting | None:
    """Likewise, of the sums themselves."""
    if len(held) < 2:
        return None
    counts = Counter(sums.n for sums in held).most_common(1)[0][0]
    same = [sums for sums in held if sums.n == counts]
    return overfitting(
        np.array(counts, np.float64), np.array([sums.total for sums in same]), np.array([sums.square for sums in same])
    )


def _per_period(metrics: Mapping[str, Any]) -> float | None:
    """The Sharpe ratio of one period: the tests are about that, not about that of a year."""
    sharpe, periods = _number(metrics, "sharpe"), _number(metrics, "periods_per_year")
    return sharpe / math.sqrt(periods) if sharpe is not None and periods else None


def _number(metrics: Mapping[str, Any], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
