"""Markets whose optimum is known, to prove that training finds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from feeds.generators import GENERATORS, find_generator, generate_with_truth
from feeds.generators_paths import Generator
from training.config import SyntheticSource, TrainingConfig
from training.data.parts import Parts
from training.data.sources import load_market, scenario_seed, training_instrument
from training.environment.kernels.layout import STRATEGIC_DUE
from training.environment.market import Market
from training.suite.chains import Law
from training.suite.laws import is_known, law_of, truth_of
from training.suite.optimum import Earned, Solution, earn, levels, solve

DECISION_BARS = 30
"""Bars between decisions of the strategic agent."""

MOST = 2.0
"""Largest position: scale 2 at full exposure."""

Information = Literal["full", "belief"]


class Scenario(NamedTuple):
    """One generated source of a market.

    Attributes:
        generator: With its parameters.
        law: That of the generator.
        origin: Seed and start of its bars.
    """

    generator: Generator
    law: Law
    origin: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Proof:
    """A generated market with the truth behind it.

    Attributes:
        market: What environments trade in.
        parts: Of its rows.
        scenarios: By segment of the market.
    """

    market: Market
    parts: Parts
    scenarios: tuple[Scenario, ...]
    _truths: dict[int, Floats] = field(default_factory=dict, repr=False)
    _beliefs: dict[tuple[int, int, int], Floats] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, config: TrainingConfig, seed: int, market: Market, parts: Parts) -> Proof:
        """The truth behind a market that was made from a configuration with that seed.

        Raises:
            UsageError: If the optimum of a source is not known.
        """
        return cls(market, parts, tuple(_scenarios(config, seed)))

    def segment(self, row: int) -> int:
        """Number of the segment of a row.

        Raises:
            UsageError: If there is no such row.
        """
        for number, segment in enumerate(self.market.segments):
            if segment.start <= row < segment.stop:
                return number
        raise UsageError("there is no such row", expected=f"0 to {len(self.market) - 1}", found=f"{row}")

    def truth(self, number: int) -> Floats:
        """State of the law's chain after each bar of a segment, made again when first asked for, shape (n,)."""
        if number not in self._truths:
            segment, one = self.market.segments[number], self.scenarios[number]
            bars = segment.stop - segment.start
            made = generate_with_truth(one.generator, self.market.instrument, bars, *one.origin)
            self._truths[number] = truth_of(one.generator, one.law, made.hidden, one.origin[0])
        return self._truths[number]

    def seen(self, rows: Ints, information: Information, observe: int) -> Floats:
        """State of the law's chain at rows of one segment, ascending, shape (n,), or weights of its states, (n, S).

        Args:
            rows: At whose close a position is decided, shape (n,).
            information: full knows the truth; belief sees closes from the beginning of the source on.
            observe: With belief, bars between the closes that are seen.
        """
        number = self.segment(int(rows[0]))
        first, law = self.market.segments[number].start, self.scenarios[number].law
        if information == "full" or not law.hides:
            return self.truth(number)[rows - first]
        late = (int(rows[0]) - first) % observe
        return self._believed(number, observe, late)[(rows - first - late) // observe]

    def _believed(self, number: int, observe: int, late: int) -> Floats:
        """What closes so far apart tell, of a whole segment and the first of them so late."""
        key = (number, observe, late)
        if key not in self._beliefs:
            segment = self.market.segments[number]
            closes = self.market.bars.close[segment.start + late : segment.stop : observe, 0]
            self._beliefs[key] = self.scenarios[number].law.filtered(closes, observe)
        return self._beliefs[key]


class Optimum(NamedTuple):
    """The best policy, and what it earns on a path.

    Attributes:
        expected: Profit a bar, in fractions of the price of one unit, averaged over all paths.
        earned: On this path, account currency.
        units: Held after each decision, shape (n,).
        rows: Of the decisions, shape (n,).
    """

    expected: float
    earned: Earned
    units: Floats
    rows: Ints


def load_proof(config: TrainingConfig, seed: int) -> Proof:
    """The market of a configuration whose sources have known laws.

    Raises:
        UsageError: If the optimum of a source is not known; otherwise as `training.data.sources.load_market`.
    """
    scenarios = tuple(_scenarios(config, seed))
    return Proof(*load_market(config, seed), scenarios)


def has_known_laws(config: TrainingConfig) -> bool:
    """Whether the optimum of every source is known."""
    sources = config.data.sources
    return all(isinstance(one, SyntheticSource) and is_known(GENERATORS.get(one.generator)) for one in sources)


def _scenarios(config: TrainingConfig, seed: int) -> Iterator[Scenario]:
    instrument = training_instrument(config)
    for group, source in enumerate(config.data.sources):
        where = f"data.sources.{group}"
        if not isinstance(source, SyntheticSource):
            raise _unknown_law(where)
        generator = find_generator(source.generator, source.parameters, where=where)
        for number in range(source.scenarios):
            origin = scenario_seed(seed, group, number)
            law = law_of(generator, instrument, origin)
            if law is None:
                raise _unknown_law(where)
            yield Scenario(generator, law, origin)


def _unknown_law(where: str) -> UsageError:
    names = [name for name, kind in GENERATORS.items() if is_known(kind)]
    return UsageError(
        "the optimum of this market is not known",
        where=where,
        expected=f"a synthetic source with one of the generators {', '.join(names)}",
    )


def optimal_profit(
    proof: Proof,
    start: int,
    length: int,
    *,
    size: float = 1.0,
    cost: float | None = None,
    most: float = MOST,
    information: Information = "full",
    observe: int = 1,
) -> Optimum:
    """The best expected policy, and its profit in one episode.

    It decides where the strategic agent is due, from the row the episode begins at, and fills like the simulator:
    at the next open, without stops and slippage. What is held at the end is valued at the last close.

    Args:
        proof: The market.
        start: Row at which the episode begins.
        length: Its bars.
        size: Contracts of one unit.
        cost: Fee of a fill, fraction of the notional; by default the rate of the instrument.
        most: Largest position, units.
        information: full knows the hidden state; belief sees closes from the beginning of the source on.
        observe: With belief, bars between the closes that are seen: 1, or 30 for what the strategic agent sees.

    Raises:
        UsageError: If the episode leaves its source.
    """
    market = proof.market
    last = market.segments[proof.segment(start)].stop
    if start + length >= last:
        raise UsageError(
            "the episode leaves its source", expected=f"a last row before {last}", found=f"{start + length}"
        )
    rate = market.instrument.fees.rate if cost is None else cost
    rows = decisions(market, start, length)
    solution = best_policy(proof.scenarios[proof.segment(start)].law, rate, most, information, observe)
    units = solution.follow(proof.seen(rows, information, observe))
    earned = earn(
        market.bars, rows, units, start + length, size=size, fee=rate, multiplier=market.instrument.multiplier
    )
    return Optimum(solution.gain, earned, units, rows)


def decisions(market: Market, start: int, length: int) -> Ints:
    """Rows of an episode at whose close the strategic agent decides, from the first on, shape (n,)."""
    return (start + np.flatnonzero((market.due[start : start + length] & STRATEGIC_DUE) > 0)).astype(np.int64)


@cache
def best_policy(
    law: Law, cost: float, most: float = MOST, information: Information = "full", observe: int = 1
) -> Solution:
    """The policy of the largest average profit, decided every 30 bars."""
    if information == "belief" and not law.exact:
        # the same chain, which takes seconds to solve
        return best_policy(law, cost, most)
    chain = law.known(DECISION_BARS) if information == "full" else law.believed(DECISION_BARS, observe)
    return solve(chain, levels(most), cost)
