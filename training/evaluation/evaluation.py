"""A whole evaluation: the ensemble, each agent's contribution, the baselines, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.ensemble.config import EnsembleConfig
from agents.spec import AGENT_NAMES
from engine.types.blocks import Ints
from portfolio.config import PortfolioConfig
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.evaluation.baselines import BASELINES, run_baseline
from training.evaluation.diagnosis import diagnose
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import Policy, without
from training.evaluation.results import EpisodeResult
from training.evaluation.summary import compare, contribution, summarise

Results = Sequence[EpisodeResult]
Watch = Callable[[str], None]

PER_EPISODE = ("start", "bars", "reward", "total_return", "sharpe", "max_drawdown", "trades", "exposure")


@dataclass(frozen=True)
class Evaluation:
    """Results of the same episodes.

    Attributes:
        results: Of the ensemble.
        replaced: With one agent's neutral stand-in, by agent; empty if contributions were not wanted.
        baselines: By name.
        constants: Seats that a constant action took, and the action.
    """

    results: Results
    replaced: Mapping[str, Results] = field(default_factory=dict)
    baselines: Mapping[str, Results] = field(default_factory=dict)
    constants: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """What `evaluation.json` holds; None where something is not defined, never NaN.

        Raises:
            UsageError: If there is no episode, or the episodes are not the same.
        """
        each: dict[str, list[Any]] = {name: [getattr(one, name) for one in self.results] for name in PER_EPISODE}
        for name, held in self.baselines.items():
            each[f"total_return.{name}"] = [one.total_return for one in held]
        return {
            "summary": summarise(self.results).tree(),
            "contributions": {role: contribution(self.results, other).tree() for role, other in self.replaced.items()},
            "baselines": {name: summarise(held).tree() for name, held in self.baselines.items()},
            "comparisons": {
                name: {key: figure.tree() for key, figure in compare(self.results, held).items()}
                for name, held in self.baselines.items()
            },
            "findings": [{"name": one.name, "message": one.message} for one in diagnose(self.results, self.constants)],
            "per_episode": each,
        }


def evaluate(
    market: Market,
    portfolio: PortfolioConfig,
    rewards: Rewards,
    ensemble: EnsembleConfig,
    policy: Policy,
    starts: Ints | Sequence[int],
    length: int,
    *,
    contributions: bool = True,
    constants: Mapping[str, tuple[float, ...]] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Run everything.

    Args:
        market: Bars and what the agents see of them.
        portfolio: Of every account.
        rewards: What is rewarded.
        ensemble: How the agents decide together.
        policy: Decides.
        starts: First rows of the episodes.
        length: Bars of each.
        contributions: Whether to run all episodes three times more, each time with one agent's neutral stand-in.
        constants: Seats that a constant action took, and the action; the findings count with it.
        watch: Told before each part begins.

    Raises:
        UsageError: If there is no start, or an episode does not fit where it starts.
        DataError: If a reward is not a finite number.
    """

    def run(what: str, decider: Policy) -> Results:
        if watch is not None:
            watch(what)
        return run_episodes(market, portfolio, rewards, ensemble, decider, starts, length)

    results = run("ensemble", policy)
    replaced = {role: run(f"without {role}", without(policy, role)) for role in AGENT_NAMES} if contributions else {}
    if watch is not None:
        watch("baselines")
    baselines = {name: run_baseline(name, market, portfolio, rewards, starts, length) for name in BASELINES}
    return Evaluation(results, replaced, baselines, constants or {})
