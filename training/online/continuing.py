"""Learning on: the parent's networks play episodes again, and those that are to learn go on from where they were.

Networks learn in turns, each by the difference that it makes (`training.trainer.in_turns`). A turn ends at once when
the policy has moved as far from the parent as it may; the weights are then those of the update before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES, AGENTS, RISK_AGENT, STRATEGIC_AGENT, TACTICAL_AGENT
from engine.learning.config import LearningConfig
from engine.types.blocks import Ints
from training.errors import ExplodingLoss
from training.experience import Observations
from training.export import LearnedNetwork
from training.online.divergence import Policies
from training.online.parent import Parent
from training.online.relearning import Relearned, relearn
from training.online.sampling import MixedSampler
from training.online.setup import JobSetup
from training.trainer.build import EPISODES, TRIALS, build_trainings, seeds
from training.trainer.in_turns import InTurns
from training.trainer.playing import Playing
from training.trainer.seats import best_constant, judging_starts
from training.trainer.trainings import Trainings

Weights = dict[str, NDArray[np.float32]]
SEARCHED = 16
"""Episodes on which a tactical or risk agent's best constant action is looked for, by which its tries are measured."""
CRITICS = "critic."
LEAST_ENTROPY = 0.6
"""Mean entropy with which the directions of a policy begin to learn on, nats; three equal ones have 1.1."""


@dataclass
class Continued:
    """What came of a seat.

    Attributes:
        network: As it is now.
        divergence: From its parent, nats.
        updates: That it has learned by.
        stopped: Whether the divergence ended its turn.
        overshot: Whether its first update already went too far, so that nothing was learned.
        relearned: The regression that a fresh network imitates; None where the parent's network went on.
    """

    network: LearnedNetwork
    divergence: float
    updates: int
    stopped: bool
    overshot: bool
    relearned: Relearned | None = None


def learn_on(setup: JobSetup, parent: Parent, config: LearningConfig) -> dict[str, Continued]:
    """Let the agents of `learning.agents` learn on, one after the other.

    Args:
        setup: Of the job.
        parent: Whose networks go on.
        config: Says which, for how long and how far.

    Returns:
        By seat, those that have learned.

    Raises:
        ExplodingLoss: If a loss is not finite any more.
        DataError: If a reward is not.
    """
    trainings = build_trainings(setup.training, "cpu", compiled=False)
    learning = [name for name in AGENT_NAMES if f"{name}_agent" in config.agents]
    fresh = trainings.weights()
    for name in AGENT_NAMES:
        # critics that the version does not hold begin anew
        weights = {**fresh[name], **parent.networks[name].weights}
        if name in learning:
            weights = shrunk(weights, fresh[name], config.shrink, config.perturb)
        trainings.of(name).learner.load_weights(weights)
    episodes = config.episodes // len(learning)
    return {name: _turn(setup, parent, config, trainings, name, episodes, fresh[name]) for name in learning}


def shrunk(weights: Mapping[str, Any], fresh: Mapping[str, Any], shrink: float, perturb: float) -> Weights:
    """Weights that are a little smaller and moved a little towards a fresh network's (Ash and Adams, 2020)."""
    return {
        name: (np.float32(shrink) * values + np.float32(perturb) * fresh[name]).astype(np.float32)
        for name, values in weights.items()
    }


def _turn(
    setup: JobSetup,
    parent: Parent,
    config: LearningConfig,
    trainings: Trainings,
    agent: str,
    episodes: int,
    fresh: Weights,
) -> Continued:
    training, windows = setup.training, setup.windows
    seeded, params = seeds(training.config.seed), training.config.training_params
    starts = [_starts(setup, ranges) for ranges in (windows.recent, windows.older)]
    order = AGENT_NAMES.index(agent)
    playing = Playing(
        training.environments(training.config.training.parallel_envs),
        MixedSampler(starts[0], starts[1], config.recent_share, seeded[EPISODES] + order),
        params.episode_length,
    )
    turns = InTurns(training, trainings, playing, seeded[TRIALS] + order)
    turns.go_on(agent, AGENTS[agent].stand_in)
    if agent != STRATEGIC_AGENT.name:
        searched = judging_starts(training, training.parts.training, SEARCHED)
        turns.go_on(agent, best_constant(training, turns.policy(), agent, searched))
    learner: Any = trainings.of(agent).learner
    origin, seen = parent.networks[agent], _observations(setup, playing, agent)
    policies = Policies(origin, seen)
    if agent == STRATEGIC_AGENT.name and config.relearn_errors is not None:
        found = relearn(setup, learner, origin.weights, fresh, config.relearn_errors)
        if found is not None:
            relearned, weights = found
            network = replace(origin, weights=weights)
            return Continued(network, policies.divergence(weights), relearned.updates, False, False, relearned)
    if agent == STRATEGIC_AGENT.name:
        learner.load_weights(softened(policies, learner.weights()))
        policies = Policies(replace(origin, weights=softened(policies, dict(origin.weights))), seen)
    turn = _Turn(learner, turns, playing, agent, config)
    turn.run(policies, episodes)
    learner.load_weights(turn.kept)
    network = replace(origin, weights=turn.kept)
    return Continued(network, turn.divergence, turn.updates, turn.stopped, turn.stopped and not turn.updates)


def softened(policies: Policies, weights: Weights) -> Weights:
    """Weights with the same decisions, less sure of them: logits are made smaller until the mean entropy suffices.

    A policy that is all but sure hardly learns that something else has become better: what it never does has no
    gradient. How far it then moves is measured from the parent made less sure likewise.
    """
    last = [name for name in weights if name.startswith("policy.2.")]

    def scaled(by: float) -> Weights:
        return {**weights, **{name: weights[name] * np.float32(by) for name in last}}

    low, high = 0.0, 1.0
    if policies.entropy(weights) >= LEAST_ENTROPY:
        return weights
    for _ in range(20):
        middle = (low + high) / 2.0
        low, high = (middle, high) if policies.entropy(scaled(middle)) >= LEAST_ENTROPY else (low, middle)
    return scaled(low)


class _Turn:
    """One agent learning, watched by its divergence."""

    def __init__(self, learner: Any, turns: InTurns, playing: Playing, agent: str, config: LearningConfig) -> None:
        self._learner, self._turns, self._playing, self._config = learner, turns, playing, config
        self._critics = agent == TACTICAL_AGENT.name
        self.kept: Weights = self._learner.weights()
        self.divergence, self.updates, self.stopped = 0.0, 0, False

    def run(self, policies: Policies, episodes: int) -> None:
        """Until all episodes are played, or the policy has moved as far as it may."""
        self.divergence = policies.divergence(self.kept)
        done, seen = 0, 0
        while done < episodes and not self.stopped:
            self._turns.step(done / episodes)
            done += len(self._playing.finished())
            if self._learner.updates != seen:
                seen = self._learner.updates
                self._updated(policies, seen)

    def _updated(self, policies: Policies, number: int) -> None:
        weights: Weights = self._learner.weights()
        if self._critics and number <= self._config.warmup_updates:
            # critics learn first: until they know the worth of tactics, whatever they teach a policy is noise
            critics = {name: values for name, values in weights.items() if name.startswith(CRITICS)}
            self.kept = {**self.kept, **critics}
            self._learner.load_weights(self.kept)
            return
        moved = policies.divergence(weights)
        if not math.isfinite(moved):
            raise ExplodingLoss(
                "the decisions of a network that learns are no finite numbers", where=f"update {number}"
            )
        if moved > self._config.max_kl:
            self.stopped = True
            return
        self.kept, self.divergence, self.updates = weights, moved, self.updates + 1


def _starts(setup: JobSetup, ranges: tuple[tuple[int, int], ...]) -> Ints:
    """Every row where an episode of these ranges may begin, not only those half an episode apart."""
    market, length = setup.training.market, setup.training.config.training_params.episode_length
    found = [market.decision_rows(start, max(start, stop - length)) for start, stop in ranges]
    return np.concatenate([np.empty(0, np.int64), *found])


def _observations(setup: JobSetup, playing: Playing, agent: str) -> Observations:
    """What the agent's divergence is taken over."""
    market = setup.training.market
    if agent == RISK_AGENT.name:
        return np.array(playing.env.risk)
    rows = np.concatenate([market.decision_rows(start, stop) for start, stop in setup.windows.whole])
    if agent == TACTICAL_AGENT.name:
        return market.tactical_windows(market.tactical_end[rows])
    return market.strategic_windows(market.strategic_end[rows])
