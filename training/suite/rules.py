"""Rule agents tuned on the training part, at the cadence of their own and at that of the strategic agent.

A rule decides at every bar, an ensemble every half hour. So each rule is tuned and judged twice: as it stands, and with
its wanted position read only where the strategic agent decides. The difference is what the cadence costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.base import MarketAgent
from agents.grid import expand
from agents.registry import make_market_agent
from engine.base.errors import UsageError
from engine.types.blocks import Floats, Ints
from portfolio.simulator import Simulator
from training.evaluation.starts import evaluation_starts
from training.suite.play import Plan, play
from training.trainer.setup import TrainingSetup

RULES = (
    "flat",
    "buy_and_hold:size=2",
    "sma_cross:fast=1|5|15|30|60|120|240,slow=30|60|120|240|480|960|1440,size=2,short=true|false,reverse=false|true",
)
"""Specifications as `grandmodel compare --agent` takes them; 2 units are the largest position of the ensemble."""

FIRST, SECOND, FINALISTS = 32, 128, 8
"""Training episodes on which every variant is tried, then those on which the best are, and how many of them."""


@dataclass(frozen=True)
class Tuned:
    """The variant of the rules that earns most on the training part.

    Attributes:
        spec: Its specification.
        earned: On the training part, mean return of an episode in percent of the capital.
        variants: How many were tried.
    """

    spec: str
    earned: float
    variants: int


def tune(setup: TrainingSetup, *, held: bool, rules: tuple[str, ...] = RULES) -> Tuned:
    """Try every variant on a few training episodes, and the best of them on more.

    Args:
        setup: Of the training.
        held: Whether positions change only where the strategic agent decides.
        rules: Specifications with ranges.

    Raises:
        UsageError: If no episode fits into the training part, or a specification cannot be read.
    """
    length, parts = setup.config.training_params.episode_length, setup.parts.training
    agents = variants(rules)
    few, more = (evaluation_starts(setup.market, parts, length, count) for count in (FIRST, SECOND))
    tried = {spec: float(earned(setup, agent, few, held=held).mean()) for spec, agent in agents.items()}
    finalists = sorted(tried, key=lambda spec: -tried[spec])[:FINALISTS]
    # staying flat is always among them: where nothing pays, it is the best rule
    names = list(dict.fromkeys([*(spec for spec in agents if spec == "flat"), *finalists]))
    final = {spec: float(earned(setup, agents[spec], more, held=held).mean()) for spec in names}
    best = max(names, key=lambda spec: final[spec])
    return Tuned(best, 100.0 * final[best], len(agents))


def variants(rules: tuple[str, ...] = RULES) -> Mapping[str, MarketAgent]:
    """Agents by specification; combinations that an agent refuses are left out.

    Raises:
        UsageError: If none is left of a specification.
    """
    found: dict[str, MarketAgent] = {}
    for rule in rules:
        refusal, before = None, len(found)
        for variant in expand(rule):
            try:
                found[variant.spec] = make_market_agent(variant.spec)
            except UsageError as error:
                refusal = error
        if refusal is not None and len(found) == before:
            raise refusal
    return found


def earned(setup: TrainingSetup, agent: MarketAgent, starts: Ints, *, held: bool) -> Floats:
    """Returns of episodes as fractions of the capital, shape (n,); the rule has seen its source from the beginning on.

    Args:
        setup: With the market and the accounts.
        agent: The rule.
        starts: First rows, ascending, shape (n,).
        held: As in `tune`.
    """
    market, length = setup.market, setup.config.training_params.episode_length
    wanted: dict[int, Floats] = {}
    firsts = np.array([segment.start for segment in market.segments])
    own = firsts[np.searchsorted(firsts, starts, side="right") - 1].tolist()
    for first in dict.fromkeys(own):
        last = max(start for start, other in zip(starts.tolist(), own, strict=True) if other == first) + length + 1
        block = market.block(first, last)
        agent.bind(block.symbols, [market.instrument], market.timeframe_ns)
        wanted[first] = agent.targets(block)
    if held:
        return play(setup, [_sides(wanted[first], first) for first in own], starts)
    returns = np.empty(len(starts))
    for number, (first, start) in enumerate(zip(own, starts.tolist(), strict=True)):
        simulator = Simulator(setup.config.portfolio, [market.instrument], market.session_ends, market.bars_per_year)
        targets = np.ascontiguousarray(wanted[first][start - first : start - first + length + 1])
        step = simulator.run_targets(market.block(start, start + length + 1), targets)
        returns[number] = float(step.ledger[-1, 1]) / setup.config.portfolio.initial_capital - 1.0
    return returns


def _sides(wanted: Floats, first: int) -> Plan:
    """The plan of a rule whose wanted positions in a source are known, from the source's first row on."""
    return lambda rows: np.sign(wanted[rows - first, 0]).astype(np.int64)


def tuned_rules(setup: TrainingSetup, judged: TrainingSetup | None = None, *, episodes: int) -> dict[str, Any]:
    """The best rules of the training part, and what they earn in the test episodes of `training.suite.yardsticks`.

    Args:
        setup: Of the training.
        judged: Whose test part the episodes are from; by default the same.
        episodes: How many.

    Returns:
        `rule`, as it stands, and `rule_held`, with positions that change only where the strategic agent decides: mean
        returns of an episode in percent of the capital. `rule_spec` and `rule_held_spec` name the variants;
        `rule_error` and `rule_held_error` are standard errors of the means.

    Raises:
        UsageError: If no episode fits into the training or the test part.
    """
    judged = judged or setup
    starts = evaluation_starts(judged.market, judged.parts.test, judged.config.training_params.episode_length, episodes)
    found: dict[str, Any] = {}
    for name, held in (("rule", False), ("rule_held", True)):
        best = tune(setup, held=held)
        returns = 100.0 * earned(judged, make_market_agent(best.spec), starts, held=held)
        error = float(returns.std(ddof=1)) / len(returns) ** 0.5 if len(returns) > 1 else 0.0
        found |= {name: float(returns.mean()), f"{name}_spec": best.spec, f"{name}_error": error}
    return found
