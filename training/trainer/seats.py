"""Who takes a seat: an agent's network where validation shows that it adds, else the best constant action.

Actions are compared on the same bars, so that the luck of a market counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.spec import AGENTS
from engine.types.blocks import Floats, Ints
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import Constants, Policy
from training.evaluation.starts import evaluation_starts
from training.evaluation.statistics import effective_count, mean_estimate
from training.learners.constant import Action
from training.trainer.setup import TrainingSetup

MOST_EPISODES = 200
TIMINGS = (1.0, 0.75, 0.5, 0.25, 0.0)
STOPS = (0.05, 0.02, 0.01, 0.005)
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What decided a seat; rewards are means an episode on validation.

    Attributes:
        agent: Whose seat.
        network: Whether its network takes it.
        constant: The best constant action of the training part, which takes it otherwise.
        network_reward, constant_reward: Of the ensemble with either.
        gain: Their difference.
        low: Lower end of the gain's 95 % interval; above 0, the network takes the seat.
        episodes: Compared.
    """

    agent: str
    network: bool
    constant: Action
    network_reward: float
    constant_reward: float
    gain: float
    low: float
    episodes: int

    @property
    def action(self) -> Action | None:
        """What the seat always does; None where its network decides."""
        return None if self.network else self.constant

    @classmethod
    def untried(cls, agent: str) -> Verdict:
        """Of an agent that had no turn: its stand-in takes the seat."""
        return cls(agent, False, AGENTS[agent].stand_in, 0.0, 0.0, 0.0, 0.0, 0)

    def text(self) -> str:
        """One line for people."""
        if not self.episodes:
            return f"{self.agent} agent: its stand-in takes the seat, since nothing is traded"
        action = ", ".join(f"{part:g}" for part in self.constant)
        found = (
            f"{self.network_reward:.3f} an episode with its network, {self.constant_reward:.3f} with the constant "
            f"{action}; gain {self.gain:+.3f}, at least {self.low:+.3f} ({self.episodes} validation episodes)"
        )
        seat = "its network takes the seat" if self.network else "the constant takes the seat"
        return f"{self.agent} agent: {seat}: {found}"

    def record(self) -> dict[str, Any]:
        """As it stands in files."""
        return asdict(self)


def rewards_of(setup: TrainingSetup, policy: Policy, starts: Ints) -> Floats:
    """Reward of each episode, without exploration, shape (n,)."""
    config, length = setup.config, setup.config.training_params.episode_length
    results = run_episodes(
        setup.market, config.portfolio, setup.rewards, config.ensemble, policy, starts, length, envs=len(starts)
    )
    return np.array([result.reward for result in results])


def judging_starts(setup: TrainingSetup, ranges: tuple[tuple[int, int], ...], most: int = MOST_EPISODES) -> Ints:
    """Starts of episodes that hardly overlap, evenly spread over a part."""
    length = setup.config.training_params.episode_length
    possible = sum(len(setup.market.starts(part, length)) for part in ranges)
    # possible starts are half an episode apart
    return evaluation_starts(setup.market, ranges, length, max(min(possible // 2, most), min(possible, 10), 1))


def best_constant(setup: TrainingSetup, policy: Policy, agent: str, starts: Ints) -> Action:
    """The constant action that is best on some episodes while the others decide as they do.

    Components of a continuous action are searched one after the other: scale, timing, stop.
    """

    def reward(action: Action) -> float:
        return float(rewards_of(setup, Constants(policy, {agent: action}), starts).mean())

    def best(candidates: Iterable[Action]) -> Action:
        return max(candidates, key=reward)

    spec = AGENTS[agent]
    if spec.choices:
        # the stand-in first: it stays where nothing is better
        others = [at for at in range(len(spec.choices)) if at != int(spec.stand_in[0])]
        return best([spec.stand_in, *((float(at),) for at in others)])
    timing, stop, _ = spec.stand_in
    timing, stop, scale = best((timing, stop, scale) for scale in SCALES)
    timing, stop, scale = best((timing, stop, scale) for timing in TIMINGS)
    return best((timing, stop, scale) for stop in STOPS)


def judge(setup: TrainingSetup, policy: Policy, agent: str, constant: Action) -> Verdict:
    """Compare an agent's network with its stand-in and its best constant action, on the validation part.

    Args:
        setup: Of the training.
        policy: With the network in the seat; the others as they decide by now.
        agent: Whose seat.
        constant: Its best action on the training part.
    """
    ranges = setup.parts.validation or setup.parts.training
    starts = judging_starts(setup, ranges)
    own = rewards_of(setup, policy, starts)
    rivals = {
        action: rewards_of(setup, Constants(policy, {agent: action}), starts)
        for action in (constant, AGENTS[agent].stand_in)
    }
    rival = max(rivals, key=lambda action: float(rivals[action].mean()))
    difference = own - rivals[rival]
    length = setup.config.training_params.episode_length
    found = mean_estimate(difference, effective_count(starts.tolist(), [length] * len(starts)))
    gain, low = float(difference.mean()), -math.inf if found.low is None else found.low
    return Verdict(agent, low > 0.0, rival, float(own.mean()), float(rivals[rival].mean()), gain, low, len(starts))
