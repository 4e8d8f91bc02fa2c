"""The figures of an evaluation over its episodes: performance, risk, trading, and what each agent adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES, STRATEGIC_AGENT
from engine.base.errors import UsageError
from engine.types.blocks import Floats
from training.evaluation.results import BINS, ActionUse, EpisodeResult
from training.evaluation.statistics import (
    Estimate,
    bounded,
    correlation_estimate,
    effective_count,
    estimate,
    excess_kurtosis,
    expected_shortfall,
    mean_estimate,
    ratio_estimate,
    resampled_estimate,
    skewness,
    value_at_risk,
)

Estimates = Mapping[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """All of it; every figure has a 95 % confidence interval where one can be given.

    Attributes:
        episodes: How many.
        effective_episodes: How many that share no bars they count for; intervals rest on this number.
        bars: Of all episodes together.
        halted: Episodes that a hard limit ended.
        performance: Of the reward of the team: mean, deviation, median, minimum, maximum, skewness, kurtosis (less
            3); and the mean return of an episode.
        risk: Means of Sharpe ratio, maximum drawdown and volatility over episodes, the worst drawdown, and VaR and
            CVaR (95 %) of the returns of episodes; losses are negative.
        trading: Over all round trips: win rate, profit factor, average and largest win and loss (account currency);
            means over episodes of trades, exposure and fees.
        terms: Mean of each term of the team's reward.
        actions: All decisions together; None for a baseline.
    """

    episodes: int
    effective_episodes: float
    bars: int
    halted: int
    performance: Estimates
    risk: Estimates
    trading: Estimates
    terms: Estimates
    actions: ActionUse | None

    def tree(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "actions": None if self.actions is None else actions_tree(self.actions)}


@dataclass(frozen=True)
class Contribution:
    """What an agent adds: the team's reward less its reward with a neutral stand-in in the agent's place.

    Attributes:
        mean: Over episodes; the same bars are compared with each other.
        deviation: Over episodes.
        correlation: With the team's reward.
        total_return: The same difference of the return of an episode.
    """

    mean: Estimate
    deviation: float | None
    correlation: Estimate
    total_return: Estimate

    def tree(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def summarise(results: Sequence[EpisodeResult]) -> Summary:
    """The figures of an evaluation.

    Raises:
        UsageError: If there is no episode.
    """
    if not results:
        raise UsageError("an evaluation needs at least one episode")
    effective = counted(results)
    return Summary(
        episodes=len(results),
        effective_episodes=effective,
        bars=sum(result.bars for result in results),
        halted=sum(result.halted is not None for result in results),
        performance=_performance(results, effective),
        risk=_risk(results, effective),
        trading=_trading(results, effective),
        terms={
            term: mean_estimate([float(np.mean(result.terms[term])) for result in results], effective)
            for term in results[0].terms
        },
        actions=pooled_actions(results),
    )


def counted(results: Sequence[EpisodeResult]) -> float:
    """How many episodes that share no bars these count for."""
    return effective_count([result.start for result in results], [result.bars for result in results])


def _deviation(values: Floats) -> Floats:
    spread: Floats = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
    return spread


def _median(values: Floats) -> Floats:
    middle: Floats = np.median(values, axis=1)
    return middle


def _performance(results: Sequence[EpisodeResult], effective: float) -> dict[str, Estimate]:
    rewards = np.array([result.reward for result in results])
    return {
        "mean_reward": mean_estimate(rewards, effective),
        "deviation": resampled_estimate(_deviation, rewards, effective),
        "median": resampled_estimate(_median, rewards, effective),
        "minimum": estimate(float(rewards.min())),
        "maximum": estimate(float(rewards.max())),
        "skewness": resampled_estimate(skewness, rewards, effective),
        "kurtosis": resampled_estimate(excess_kurtosis, rewards, effective),
        "total_return": mean_estimate([result.total_return for result in results], effective),
    }


def _risk(results: Sequence[EpisodeResult], effective: float) -> dict[str, Estimate]:
    returns = [result.total_return for result in results]
    depths = [result.max_drawdown for result in results]
    return {
        "sharpe": _mean_of_known([result.sharpe for result in results], effective),
        "max_drawdown": mean_estimate(depths, effective),
        "worst_drawdown": estimate(min(depths)),
        "var_95": resampled_estimate(value_at_risk, returns, effective),
        "cvar_95": resampled_estimate(expected_shortfall, returns, effective),
        "volatility": _mean_of_known([result.volatility for result in results], effective),
    }


def _mean_of_known(values: Sequence[float | None], effective: float) -> Estimate:
    """Mean of what is defined; as large a share of the effective episodes as of the episodes."""
    known = [value for value in values if value is not None]
    return mean_estimate(known, effective * len(known) / len(values))


def _trading(results: Sequence[EpisodeResult], effective: float) -> dict[str, Estimate]:
    trades = [float(result.trades) for result in results]
    wins, losses = [float(result.wins) for result in results], [float(result.losses) for result in results]
    won, lost = [result.gross_profit for result in results], [result.gross_loss for result in results]
    largest = [result.largest_win for result in results if result.largest_win is not None]
    worst = [result.largest_loss for result in results if result.largest_loss is not None]
    return {
        "win_rate": bounded(ratio_estimate(wins, trades, effective), 0.0, 1.0),
        "profit_factor": bounded(ratio_estimate(won, [-loss for loss in lost], effective), 0.0),
        "average_win": ratio_estimate(won, wins, effective),
        "average_loss": ratio_estimate(lost, losses, effective),
        "largest_win": estimate(max(largest, default=None)),
        "largest_loss": estimate(min(worst, default=None)),
        "trades": bounded(mean_estimate(trades, effective), 0.0),
        "exposure": bounded(mean_estimate([result.exposure for result in results], effective), 0.0, 1.0),
        "fees": bounded(mean_estimate([result.fees for result in results], effective), 0.0),
    }


def contribution(results: Sequence[EpisodeResult], replaced: Sequence[EpisodeResult]) -> Contribution:
    """What an agent adds.

    Args:
        results: Of the ensemble.
        replaced: Of the same episodes with the agent's neutral stand-in.

    Raises:
        UsageError: If they are not the same episodes.
    """
    apart = differences(results, replaced, "reward")
    effective = counted(results)
    return Contribution(
        mean=mean_estimate(apart, effective),
        deviation=float(np.std(apart, ddof=1)) if len(apart) > 1 else None,
        correlation=correlation_estimate(apart, [result.reward for result in results], effective),
        total_return=mean_estimate(differences(results, replaced, "total_return"), effective),
    )


def differences(results: Sequence[EpisodeResult], others: Sequence[EpisodeResult], name: str) -> list[float]:
    """Differences of a figure, episode by episode.

    Raises:
        UsageError: If they are not the same episodes.
    """
    if [result.start for result in results] != [other.start for other in others]:
        raise UsageError("only the same episodes can be compared", expected="the same starts, in the same order")
    return [getattr(result, name) - getattr(other, name) for result, other in zip(results, others, strict=True)]


def compare(results: Sequence[EpisodeResult], others: Sequence[EpisodeResult]) -> dict[str, Estimate]:
    """Mean differences to a baseline over the same episodes: reward and return.

    Raises:
        UsageError: If they are not the same episodes.
    """
    effective = counted(results)
    return {name: mean_estimate(differences(results, others, name), effective) for name in ("reward", "total_return")}


def pooled_actions(results: Sequence[EpisodeResult]) -> ActionUse | None:
    """The decisions of all episodes together; None where there are no agents."""
    used = [result.actions for result in results if result.actions is not None]
    if not used:
        return None
    tactical = np.sum([use.tactical for use in used], axis=0)
    weight = np.array([sum(use.tactical[0]) for use in used], dtype=np.float64)[:, None]
    total = max(float(weight.sum()), 1.0)
    means = np.array([use.tactical_mean for use in used])
    mean = (weight * means).sum(axis=0) / total
    within = np.array([use.tactical_deviation for use in used]) ** 2
    variance = (weight * (within + (means - mean) ** 2)).sum(axis=0) / total
    return ActionUse(
        strategic=_counts(np.sum([use.strategic for use in used], axis=0)),
        risk=_counts(np.sum([use.risk for use in used], axis=0)),
        tactical=tuple(_counts(row) for row in tactical),
        tactical_mean=tuple(mean.tolist()),
        tactical_deviation=tuple(np.sqrt(variance).tolist()),
    )


def _counts(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def actions_tree(use: ActionUse) -> dict[str, Any]:
    """How often each action was taken, as JSON takes it."""
    return {
        AGENT_NAMES[0]: dict(zip(STRATEGIC_AGENT.choices, use.strategic, strict=True)),
        AGENT_NAMES[1]: {
            "bins": BINS,
            "histograms": [list(row) for row in use.tactical],
            "mean": list(use.tactical_mean),
            "deviation": list(use.tactical_deviation),
        },
        AGENT_NAMES[2]: list(use.risk),
    }
