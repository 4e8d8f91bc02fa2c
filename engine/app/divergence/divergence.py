"""Why a session earned something else than another run of its period: every cause with its share of the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from engine.app.divergence.comparing import Parting, first_partings
from engine.app.divergence.composing import Period, common_period, composed
from engine.app.divergence.differences import PartDifference, differing_parts
from engine.app.divergence.parts import Factor, Recorded
from engine.app.divergence.replaying import checked, profit, replayed
from engine.app.divergence.shapley import shapley_values


@dataclass(frozen=True, slots=True)
class Cause:
    """A part that differs, and what it does to the profit.

    Attributes:
        part: What differs.
        effect: Its share of the difference in profit, a Shapley value, account currency.
        alone: What it would change if nothing else differed, account currency.
    """

    part: PartDifference
    effect: Fraction
    alone: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """How a run differs from another.

    Attributes:
        run, other: The two.
        period: What is compared.
        profit, other_profit: What they earned in it, account currency.
        causes: Parts that differ, the one with the largest effect first; the effects add up to the difference in
            profit, exactly. Empty where nothing differs.
        partings: Where their tables first differ, the earliest first.
        replays: How many runs were computed.
    """

    run: Recorded
    other: Recorded
    period: Period
    profit: float
    other_profit: float
    causes: tuple[Cause, ...]
    partings: tuple[Parting, ...]
    replays: int

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.causes

    @property
    def rows_after(self) -> tuple[int, int]:
        """Rows of the two after the period; one of the numbers is 0."""
        times = self.run.bars.ts_event, self.other.bars.ts_event
        return len(times[0]) - self.period.of(times[0]).stop, len(times[1]) - self.period.of(times[1]).stop


def diverge(run: Recorded, other: Recorded, watch: Callable[[int, int], object] | None = None) -> Divergence:
    """Compare two runs, and divide the difference in profit among its causes.

    All 2^n combinations of the n parts that differ (at most six), each from the one run or the other, are replayed.

    Args:
        run: The session.
        other: What it is held against; its parts are those that are replaced, one by one.
        watch: Told before every replay how many were done, and how many there are.

    Raises:
        UsageError: If the two cannot be compared.
        CheckFailed: If one of them does not come out again as it was.
        GrandModelError: If a replay fails.
    """
    period = common_period(run, other)
    parts = differing_parts(run, other, period)
    differing = frozenset(part.factor for part in parts)
    total, done = 2 ** len(differing), 0

    def told() -> None:
        nonlocal done
        if watch is not None:
            watch(done, total)
        done += 1

    told()
    step = checked(run)
    earned = profit(step, period, run.config.initial_capital)
    if not parts:
        if other.ledger_sha256 != run.ledger_sha256:
            checked(other)
        return Divergence(run, other, period, earned, earned, (), (), done)
    told()
    other_step = checked(other)
    partings = first_partings(step, other_step, period)
    other_earned = profit(other_step, period, other.config.initial_capital)
    known = {differing: earned, frozenset[Factor](): other_earned}
    del step, other_step

    def worth(taken: frozenset[Factor]) -> float:
        if taken not in known:
            told()
            mixed = composed(run, other, taken, differing, period)
            known[taken] = profit(replayed(mixed)[0], period, mixed.config.initial_capital)
        return known[taken]

    effects = shapley_values([part.factor for part in parts], worth)
    causes = [Cause(part, effects[part.factor], known[frozenset({part.factor})] - other_earned) for part in parts]
    causes.sort(key=lambda cause: abs(cause.effect), reverse=True)
    return Divergence(run, other, period, earned, other_earned, tuple(causes), tuple(partings), done)
