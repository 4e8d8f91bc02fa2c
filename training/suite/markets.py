"""Markets whose optimum is known, to prove that training finds it, and one in which the agents see the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENTS
from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from feeds.generators import find_generator
from feeds.generators_paths import MeanReversion, RegimeDrift
from training.config import SyntheticSource, TrainingConfig
from training.data.parts import Parts
from training.data.sources import build_market, read_sources
from training.environment.kernels.layout import STRATEGIC_DUE
from training.environment.market import Market
from training.suite.laws import Regimes, Reversion
from training.suite.optimum import Chain, Earned, Solution, earn, levels, solve

DECISION_BARS = 30
"""Bars between decisions of the strategic agent."""

MOST = 2.0
"""Largest position: scale 2 at full exposure."""

Information = Literal["full", "belief"]


@dataclass(frozen=True, eq=False)
class Proof:
    """A generated market with the truth behind it.

    Attributes:
        market: What environments trade in.
        parts: Of its rows.
        hidden: Sign of the drift of each bar, or deviation from the mean at each close, shape (R,).
        law: That of the generator.
    """

    market: Market
    parts: Parts
    hidden: Floats
    law: Regimes | Reversion


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
    """The market of a configuration with one source, the generator `regime_drift` or `mean_reversion`.

    Raises:
        UsageError: If it has other sources; otherwise as `training.data.sources.load_market`.
    """
    sources = config.data.sources
    source = sources[0]
    if len(sources) > 1 or not isinstance(source, SyntheticSource):
        raise _unknown_law()
    generator = find_generator(source.generator, source.parameters, where="data.sources.0")
    law: Regimes | Reversion
    if isinstance(generator, RegimeDrift):
        law = Regimes.of(generator)
    elif isinstance(generator, MeanReversion):
        law = Reversion.of(generator)
    else:
        raise _unknown_law()
    loaded = read_sources(config, seed)
    market, parts = build_market(config, loaded)
    hidden = [one.hidden for one in loaded if one.hidden is not None]
    return Proof(market, parts, np.concatenate(hidden), law)


def _unknown_law() -> UsageError:
    return UsageError(
        "the optimum of this market is not known",
        where="data.sources",
        expected="one synthetic source with the generator regime_drift or mean_reversion",
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
        UsageError: If the market has no hidden regime to have beliefs about, or the episode leaves its source.
    """
    market = proof.market
    first, last = _source_of(market, start)
    if start + length >= last:
        raise UsageError(
            "the episode leaves its source", expected=f"a last row before {last}", found=f"{start + length}"
        )
    rate = market.instrument.fees.rate if cost is None else cost
    solution = best_policy(proof.law, rate, most, information, observe)
    due = (market.due[start : start + length] & STRATEGIC_DUE) > 0
    rows = (start + np.flatnonzero(due)).astype(np.int64)
    seen = proof.hidden[rows] if information == "full" else _beliefs(proof, rows, first, observe)
    units = solution.follow(seen)
    earned = earn(
        market.bars, rows, units, start + length, size=size, fee=rate, multiplier=market.instrument.multiplier
    )
    return Optimum(solution.gain, earned, units, rows)


@cache
def best_policy(
    law: Regimes | Reversion, cost: float, most: float = MOST, information: Information = "full", observe: int = 1
) -> Solution:
    """The policy of the largest average profit, decided every 30 bars.

    Raises:
        UsageError: If the market has no hidden regime to have beliefs about.
    """
    chain: Chain
    if information == "full":
        chain = law.known(DECISION_BARS)
    elif isinstance(law, Regimes):
        chain = law.believed(DECISION_BARS, observe)
    else:
        raise UsageError(
            "this market has no hidden regime", expected="information=full", hint="use the generator regime_drift"
        )
    return solve(chain, levels(most), cost)


def _source_of(market: Market, row: int) -> tuple[int, int]:
    for segment in market.segments:
        if segment.start <= row < segment.stop:
            return segment.start, segment.stop
    raise UsageError("there is no such row", expected=f"0 to {len(market.due) - 1}", found=f"{row}")


def _beliefs(proof: Proof, rows: Ints, first: int, observe: int) -> Floats:
    """Log odds at each decision, from all closes seen before it in its source."""
    law = proof.law
    if not isinstance(law, Regimes) or not len(rows):
        return np.zeros(len(rows))
    begin = first + (int(rows[0]) - first) % observe
    at = np.arange(begin, int(rows[-1]) + 1, observe)
    odds = law.filtered(proof.market.bars.close[at, 0], observe)
    return odds[np.searchsorted(at, rows)]


def leak(
    market: Market, strategic: str = "log_return", tactical: str = "log_return", seats: Sequence[str] = tuple(AGENTS)
) -> Market:
    """The market with one feature of each seat replaced by the next bar's return.

    An agent that cannot earn here does not see what it is meant to see; one that earns as much without the leak
    sees the future.

    Args:
        market: As it is.
        strategic: Feature that shows the return of the 30 minutes to come.
        tactical: Feature that shows the return of the 5 minutes to come.
        seats: Those that see it.
    """
    slow, fast = market.strategic_rows, market.tactical_rows
    if "strategic" in seats:
        slow = _leaked(market, slow, market.strategic_end, "strategic", strategic)
    if "tactical" in seats:
        fast = _leaked(market, fast, market.tactical_end, "tactical", tactical)
    return replace(market, strategic_rows=slow, tactical_rows=fast)


def _leaked(market: Market, rows: NDArray[np.float32], ends: Ints, seat: str, feature: str) -> NDArray[np.float32]:
    names = [one.name for one in AGENTS[seat].features]
    if feature not in names:
        raise UsageError(f"the {seat} agent sees no feature {feature!r}", expected=", ".join(names))
    changed = rows.copy()
    returns = rows[:, names.index("log_return")]
    changed[:-1, names.index(feature)] = returns[1:]
    # the last row of each source knows nothing of the next source
    final = ends[[one.stop - 1 for one in market.segments]]
    lasts = final[final > 0] - 1
    changed[lasts, names.index(feature)] = 0.0
    changed[-1:, names.index(feature)] = 0.0
    changed.flags.writeable = False
    return changed
