"""Choosing among variants: the winner in-sample, what luck alone would show, and walking forward."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.app.comparison.evaluation import VariantOutcome
from engine.app.comparison.parts import IN_SAMPLE, WHOLE
from engine.app.trials.ledger import LedgerContents
from engine.app.trials.odds import cross_validated, cross_validated_sums
from portfolio.luck import deflated_sharpe, independent_trials, luck


@dataclass(frozen=True, slots=True)
class Selection:
    """What choosing the best of these variants is worth.

    Attributes:
        part: The part by whose Sharpe ratio is chosen.
        tried: Variants that have one.
        independent: About how many independent trials they amount to, by the correlation of their returns.
        winner: Number of the best variant in that part; None if there is no variant.
        winner_sharpe: Its annualised Sharpe ratio there; None where the return decided.
        luck_sharpe: What the best of so many variants without skill is expected to show, annualised.
        deflated: Probability that the winner's Sharpe ratio is above that, given its returns' distribution.
        recorded: Distinct trials in the ledger of these bars, which luck is counted by; None where none is kept.
        pbo: Probability of backtest overfitting, over all trials of that ledger, or else over these variants.
        pbo_loss: Share of its splits in which the best in-sample loses out-of-sample.
        pbo_trials: Trials that it rests on.
    """

    part: str
    tried: int
    independent: float | None = None
    winner: int | None = None
    winner_sharpe: float | None = None
    luck_sharpe: float | None = None
    deflated: float | None = None
    recorded: int | None = None
    pbo: float | None = None
    pbo_loss: float | None = None
    pbo_trials: int = 0


@dataclass(frozen=True, slots=True)
class FoldStep:
    """One step of walking forward: the winner on all folds before, and its result in the next.

    Attributes:
        fold: The fold that was traded, from 2.
        winner: Number of the variant.
        sharpe_before: By which it was chosen; None where the return decided.
        out: Its metrics in the fold.
    """

    fold: int
    winner: int
    sharpe_before: float | None
    out: Mapping[str, Any]


def metric_of(outcome: VariantOutcome, part: str, name: str) -> float | None:
    """A metric of a variant in a part, if it has one."""
    value = ((outcome.parts or {}).get(part) or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


def sharpe_of(outcome: VariantOutcome, part: str) -> float | None:
    """The Sharpe ratio of a variant in a part, if it has one."""
    return metric_of(outcome, part, "sharpe")


def best(outcomes: Sequence[VariantOutcome], part: str) -> int | None:
    """Number of the variant with the highest Sharpe ratio in a part; the first of equals.

    Where no variant has one (a part within a single session), the highest return decides.
    """
    for name in ("sharpe", "total_return"):
        values = [metric_of(one, part, name) for one in outcomes]
        rated = [(value, -number) for number, value in enumerate(values) if value is not None]
        if rated:
            return -max(rated)[1]
    return None


def select(outcomes: Sequence[VariantOutcome], share: float, contents: LedgerContents | None = None) -> Selection:
    """Judge the choice of the best variant.

    Args:
        outcomes: Of all variants, in their order.
        share: Of the curve's points that lie in the part by which is chosen.
        contents: Of the trial ledger of these bars: what was ever tried on them counts, not these variants alone.
    """
    trials = None if contents is None else contents.distinct()
    found = _select(outcomes, share, 0 if trials is None else len(trials))
    cross = (
        cross_validated(trials)
        if trials is not None
        else cross_validated_sums([one.blocks for one in outcomes if one.blocks is not None])
    )
    found = replace(found, recorded=None if trials is None else len(trials))
    if cross is None:
        return found
    return replace(found, pbo=cross.probability, pbo_loss=cross.loss, pbo_trials=cross.variants)


def _select(outcomes: Sequence[VariantOutcome], share: float, recorded: int) -> Selection:
    done = [one for one in outcomes if one.status == "done"]
    part = IN_SAMPLE if any(IN_SAMPLE in (one.parts or {}) for one in done) else WHOLE
    winner = best(outcomes, part)
    rated = [one for one in done if sharpe_of(one, part) is not None]
    if winner is None:
        return Selection(part, len(rated))
    sharpe = sharpe_of(outcomes[winner], part)
    if len(rated) < 2 or sharpe is None:
        return Selection(part, len(rated), None, winner, sharpe)
    ratios = [value for one in rated if (value := sharpe_of(one, part)) is not None]
    deviation = float(np.std(ratios, ddof=1))
    lucky = luck(deviation, max(recorded, len(rated)))
    returns = [np.diff(one.curve[: max(int(len(one.curve) * share), 2)]) for one in rated]
    return Selection(
        part,
        len(rated),
        round(independent_trials(returns), 1),
        winner,
        sharpe,
        lucky,
        _deflated((outcomes[winner].parts or {})[part], sharpe, lucky),
    )


def _deflated(metrics: Mapping[str, Any], sharpe: float, lucky: float) -> float | None:
    periods, skew, kurtosis = metrics["periods_per_year"], metrics["skew"], metrics["kurtosis"]
    if not periods or skew is None or kurtosis is None:
        return None
    root = math.sqrt(periods)  # the test is about the ratio of one return, not of a year
    return deflated_sharpe(sharpe / root, lucky / root, int(metrics["returns"]), skew, kurtosis + 3.0)


def walk_forward(outcomes: Sequence[VariantOutcome], folds: int) -> list[FoldStep]:
    """In each fold but the first, the variant that was best on all bars before it."""
    steps = []
    for fold in range(2, folds + 1):
        winner = best(outcomes, f"before.{fold}")
        if winner is None:
            continue
        parts, before = outcomes[winner].parts or {}, sharpe_of(outcomes[winner], f"before.{fold}")
        steps.append(FoldStep(fold, winner, before, parts[f"fold.{fold}"]))
    return steps
