"""What commonly goes wrong in a training, found in its evaluation and called by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.spec import STRATEGIC_AGENT, TACTICAL_AGENT
from training.evaluation.results import ActionUse, EpisodeResult
from training.evaluation.statistics import mean_estimate
from training.evaluation.summary import counted, pooled_actions

NEARLY_ALL = 0.99
"""Share of the decisions from which on an action counts as the only one."""
NO_SPREAD = 0.01
"""Deviation below which a tactical component counts as constant, as a share of its range."""
DECIDED = (
    "on validation its network did not earn more than this constant, so the constant took the seat. More validation "
    "data (data.split.validation) shows smaller gains; a longer turn (training_params.turns) may find larger ones."
)
"""In place of advice where a constant action took a seat: there is nothing to mend in a network."""
DIRECTIONS = STRATEGIC_AGENT.choices
COMPONENTS = tuple(one.name for one in TACTICAL_AGENT.components)


@dataclass(frozen=True)
class Finding:
    """One finding about a training or an evaluation.

    Attributes:
        name: Of the finding, in capitals.
        message: What was found, with figures, and what usually helps.
    """

    name: str
    message: str


def diagnose(
    results: Sequence[EpisodeResult], constants: Mapping[str, tuple[float, ...]] | None = None
) -> list[Finding]:
    """Look for signs of a policy that has learned nothing useful.

    Args:
        results: Episodes without exploration; those of a baseline, which has no agents, give findings about the
            account only.
        constants: Seats that a constant action took, and the action: what is decided there is no fault of a network.

    Returns:
        Findings in a fixed order; empty if nothing is wrong.
    """
    if not results:
        return []
    use, seats = pooled_actions(results), constants or {}
    found = [*_trading(results, seats)]
    if use is not None:
        untried = seats.get(STRATEGIC_AGENT.name) == STRATEGIC_AGENT.stand_in
        for agent, look in {"strategic": _strategic, "tactical": _tactical, "risk": _risk}.items():
            if not (untried and agent in seats and agent != STRATEGIC_AGENT.name):  # those had no turn
                found += look(use, agent in seats)
    return [*found, *_account(results)]


def _trading(results: Sequence[EpisodeResult], seats: Mapping[str, tuple[float, ...]]) -> list[Finding]:
    if any(result.trades or result.exposure > 0 for result in results):
        return []
    if seats.get(STRATEGIC_AGENT.name) == STRATEGIC_AGENT.stand_in:
        message = (
            f"No position was held in any of {len(results):,} episodes: on validation no direction was worth its cost, "
            "so that the strategic seat went to neutral. Lower costs, more data or longer training may change that; "
            "or there is nothing to be earned."
        )
        return [Finding("NEVER_TRADES", message)]
    return [
        Finding(
            "NEVER_TRADES",
            f"No position was held in any of {len(results):,} episodes. Costs or penalties may outweigh what can be "
            "earned (reward_shaping), or wanted positions are below the smallest size (portfolio.sizing).",
        )
    ]


def _most(counts: Sequence[int]) -> tuple[int, float, int]:
    """The most frequent action, its share, and how many decisions there were."""
    total = sum(counts)
    best = int(np.argmax(counts))
    return best, counts[best] / total if total else 0.0, total


def _strategic(use: ActionUse, decided: bool) -> list[Finding]:
    best, share, total = _most(use.strategic)
    if share < NEARLY_ALL:
        return []
    advice = (
        "it does not react to the market. More episodes, a larger entropy weight or a smaller learning rate may help."
    )
    said = f"The strategic agent decided {DIRECTIONS[best]} in {share:.1%} of {total:,} decisions"
    return [Finding("CONSTANT_STRATEGIC", f"{said}: {DECIDED if decided else advice}")]


def _tactical(use: ActionUse, decided: bool) -> list[Finding]:
    total = sum(use.tactical[0])
    if not total:
        return []
    ranges = np.array(TACTICAL_AGENT.high) - np.array(TACTICAL_AGENT.low)
    spread = np.array(use.tactical_deviation) / ranges
    if (spread < NO_SPREAD).all():
        means = ", ".join(f"{name} {mean:.3g}" for name, mean in zip(COMPONENTS, use.tactical_mean, strict=True))
        advice = "it does not react to the market. More updates (gradient_steps, min_size_to_train) may help."
        said = f"The tactical agent took the same action in {total:,} decisions ({means})"
        return [Finding("CONSTANT_TACTICAL", f"{said}: {DECIDED if decided else advice}")]
    at_edge = [
        f"{name} {'lowest' if counts[0] >= counts[-1] else 'highest'}"
        for name, counts in zip(COMPONENTS, use.tactical, strict=True)
        if max(counts[0], counts[-1]) >= NEARLY_ALL * total
    ]
    if not at_edge:
        return []
    return [
        Finding(
            "SATURATED_TACTICAL",
            f"The tactical agent stays at the end of its range: {', '.join(at_edge)}. Its policy is saturated there "
            "and hardly learns; a larger alpha or a smaller learning rate may help.",
        )
    ]


def _risk(use: ActionUse, decided: bool) -> list[Finding]:
    best, share, total = _most(use.risk)
    if share < NEARLY_ALL:
        return []
    if best == 0 and not decided:
        message = (
            f"The risk agent chose exposure 0 in {share:.1%} of {total:,} decisions: it keeps the others from trading. "
            "Penalties (risk_penalty, max_drawdown_penalty, transaction_cost) may outweigh what can be earned."
        )
        return [Finding("ALWAYS_FLAT_RISK", message)]
    advice = "it does not react to the portfolio. More episodes or a slower epsilon_decay may help."
    said = f"The risk agent chose level {best} of 0 to 4 in {share:.1%} of {total:,} decisions"
    return [Finding("CONSTANT_RISK", f"{said}: {DECIDED if decided else advice}")]


def _account(results: Sequence[EpisodeResult]) -> list[Finding]:
    found = []
    halted = [result.halted for result in results if result.halted is not None]
    if halted:
        reasons = ", ".join(sorted({reason.replace("_", " ") for reason in halted}))
        found.append(
            Finding("HALTED_EPISODES", f"{len(halted):,} of {len(results):,} episodes were ended early: {reasons}.")
        )
    returns = np.array([result.total_return for result in results])
    fees = np.array([result.fees for result in results])
    if float(returns.mean()) < 0.0 < float((returns + fees).mean()):
        message = (
            f"The ensemble earns {(returns + fees).mean():.2%} an episode before costs of {fees.mean():.2%}, and loses "
            "after them: it trades too much for what it knows. Raise ensemble.rebalance or transaction_cost."
        )
        found.append(Finding("LOSES_TO_COSTS", message))
    interval = mean_estimate(returns, counted(results))
    if interval.high is not None and interval.high < 0.0:
        message = f"The mean return of an episode is below 0 beyond chance: {interval.value:.2%} (95 %: "
        message += f"{interval.low:.2%} to {interval.high:.2%}). Not trading at all would have been better."
        found.append(Finding("WORSE_THAN_FLAT", message))
    return found
