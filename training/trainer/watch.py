"""Signs that an agent collapses, noticed while it learns.

A sign is told once in the life of a network. One that is grave says that the network has settled on something useless,
from where it will hardly come back by itself; the trainer answers it (`training.trainer.answers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.spec import STRATEGIC_AGENT
from engine.base.state import State
from training.config import TrainingConfig
from training.evaluation.diagnosis import NEARLY_ALL
from training.evaluation.results import EpisodeResult
from training.evaluation.statistics import mean_estimate
from training.evaluation.summary import counted, pooled_actions

IN_A_ROW = 2
"""Evaluations that have to agree."""

LEAST_UPDATES = 12
"""Of a network before its decisions are judged: at first every policy is nearly even."""

RECENT = 10
"""Updates whose figures are averaged."""

NARROWING, NARROW, COURSE = 0.05, 0.9, 3
"""Least growth of a direction's share from one evaluation to the next, the share that it reaches, and evaluations."""

MOST_ALPHA, MOST_GROWTH = 1.0, 10.0
"""Of SAC's entropy weight beside rewards of unit size: the size, and how often its least so far it may be."""

MOST_GRADIENT, MOST_SHARE = 4.0, 10.0
"""Gradient norm in multiples of what is let through, and value loss in multiples of the policy's."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Of a collapse.

    Attributes:
        name: In capitals.
        agent: Whose.
        text: What was seen, and what to do.
        grave: Whether the network is of no use any more.
    """

    name: str
    agent: str
    text: str
    grave: bool = False


class Watch:
    """Looks at the figures of updates and at evaluations.

    Args:
        config: Of the training.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._exact = config.training_params.credit == "exact"
        self._agents = config.agents
        self._told: dict[str, list[str]] = {}
        self._in_a_row: dict[str, int] = {}
        self._shares: list[list[float]] = []
        self._figures: dict[str, list[float]] = {}
        self._least_alpha: float | None = None

    def forget(self, agent: str) -> None:
        """An agent begins anew, or another one to learn: what was seen of it before does not count."""
        self._told.pop(agent, None)
        self._in_a_row = {name: count for name, count in self._in_a_row.items() if not name.startswith(f"{agent}/")}
        if agent == "strategic":
            self._shares, self._figures = [], {}
        if agent == "tactical":
            self._least_alpha = None

    def updated(self, algorithm: str, figures: Mapping[str, float]) -> list[Sign]:
        """Take the figures of an update; returns new signs."""
        found = []
        if algorithm == "sac" and self._agents.tactical_agent.alpha == "auto":
            found = self._alpha(figures["alpha"])
        elif algorithm == "ppo" and not self._exact:
            # with exact credit the value head has layers of its own, and nothing is bootstrapped from it
            for name in ("policy_loss", "value_loss", "gradient_norm", "explained_variance"):
                self._figures[name] = [*self._figures.get(name, ()), float(figures[name])][-RECENT:]
            found = self._values()
        return self._new(found)

    def evaluated(self, agents: Sequence[str], results: Sequence[EpisodeResult], updates: int) -> list[Sign]:
        """Take an evaluation; returns new signs.

        Args:
            agents: Who learns by now.
            results: Its episodes.
            updates: Of the network that learns, of the strategic one where all do.
        """
        use = pooled_actions(results)
        if use is None or updates < LEAST_UPDATES:
            return []
        reward = float(np.mean([result.reward for result in results]))
        found: list[Sign] = []
        if "strategic" in agents:
            shares = np.array(use.strategic) / max(sum(use.strategic), 1)
            self._shares = [*self._shares, [*shares.tolist(), reward]][-COURSE:]
            found += self._strategic(shares, reward) or self._narrowing()
            found += self._losing(results, reward)
        if "risk" in agents and use.risk[0] >= NEARLY_ALL * max(sum(use.risk), 1):
            found += self._repeated(
                Sign(
                    "ALWAYS_FLAT_RISK",
                    "risk",
                    "the risk agent always chooses exposure 0, so that nothing is traded: rewarded for the account, it "
                    "prefers the action without variance; use training_params.credit: exact, or lower reward_shaping's "
                    "penalties",
                    grave=True,
                )
            )
        else:
            self._in_a_row.pop("risk/ALWAYS_FLAT_RISK", None)
        return self._new(found)

    def _strategic(self, shares: Any, reward: float) -> list[Sign]:
        at = int(shares.argmax())
        direction = STRATEGIC_AGENT.choices[at]
        names = ("NEVER_TRADES", "CONSTANT_STRATEGIC")
        neutral = at == int(STRATEGIC_AGENT.stand_in[0])
        name = names[0] if neutral else names[1]
        for other in names:
            if shares[at] < NEARLY_ALL or other != name:
                self._in_a_row.pop(f"strategic/{other}", None)
        if shares[at] < NEARLY_ALL:
            return []
        if neutral:
            text = (
                "the strategic agent never trades: costs or penalties outweigh what it has found; lower "
                "reward_shaping.transaction_cost or the penalties, give more data or longer training, or there is "
                "nothing to be earned"
            )
            return self._repeated(Sign(name, "strategic", text, grave=True))
        text = (
            f"the strategic agent always decides {direction}, at a mean reward of {reward:.3g}: it does not react to "
            "the market; more environments, a smaller learning_rate or larger batches help"
        )
        # always long may be the best of a market that rises: what earns is told, and left alone
        return self._repeated(Sign(name, "strategic", text, grave=reward <= 0.0))

    def _losing(self, results: Sequence[EpisodeResult], reward: float) -> list[Sign]:
        interval = mean_estimate([result.reward for result in results], counted(results))
        if interval.high is None or interval.high >= 0.0:
            self._in_a_row.pop("strategic/LOSING_STRATEGIC", None)
            return []
        text = (
            f"the strategic agent loses beyond chance, {reward:.3g} an episode, in the last evaluations: costs "
            "and penalties are above what it foresees; if this goes on, staying out takes its seat. More data, longer "
            "training or lower costs may change it, or there is nothing to be foreseen"
        )
        return self._repeated(Sign("LOSING_STRATEGIC", "strategic", text), COURSE)

    def _narrowing(self) -> list[Sign]:
        if len(self._shares) < COURSE:
            return []
        course = np.array(self._shares)
        at = int(course[-1, :-1].argmax())
        grows = bool((np.diff(course[:, at]) >= NARROWING).all()) and course[-1, at] >= NARROW
        if not grows or course[-1, -1] > course[0, -1]:
            return []
        share, direction = course[-1, at], STRATEGIC_AGENT.choices[at]
        text = (
            f"the strategic agent decides {direction} more and more often ({share:.0%} by now) and does not earn more "
            "by it; a smaller learning_rate, a smaller kl_stop or a larger entropy weight keep it from settling"
        )
        return [Sign("NARROWING_STRATEGIC", "strategic", text)]

    def _alpha(self, alpha: float) -> list[Sign]:
        self._least_alpha = alpha if self._least_alpha is None else min(self._least_alpha, alpha)
        if alpha < MOST_ALPHA or alpha < MOST_GROWTH * self._least_alpha:
            return []
        text = (
            f"the tactical agent's entropy weight has grown to {alpha:.2g} beside rewards of unit size: it is paid for "
            "acting at random; set agents.tactical_agent.alpha to a number such as 0.003"
        )
        return [Sign("EXPLODING_ALPHA", "tactical", text, grave=True)]

    def _values(self) -> list[Sign]:
        if len(self._figures["value_loss"]) < RECENT:
            return []
        mean = {name: float(np.mean(values)) for name, values in self._figures.items()}
        ppo, found = self._agents.strategic_agent, []
        if mean["explained_variance"] <= 0.0:
            text = (
                f"the strategic agent's values explain nothing of what it earns (explained variance "
                f"{mean['explained_variance']:.2f}): advantages are mostly noise; a smaller gamma or gae_lambda, or "
                "longer rollouts help, and training_params.credit: exact needs no values"
            )
            found.append(Sign("DEAD_VALUES", "strategic", text))
        drowned = ppo.value_loss * mean["value_loss"] > MOST_SHARE * abs(mean["policy_loss"])
        if drowned and mean["gradient_norm"] > MOST_GRADIENT * ppo.gradient_norm:
            text = (
                f"the value loss drowns the strategic agent's policy: gradients of {mean['gradient_norm']:.2g} are cut "
                f"to {ppo.gradient_norm:g}, most of it the values'; lower agents.strategic_agent.value_loss or gamma, "
                "or use training_params.credit: exact, where values leave the shared layers alone"
            )
            found.append(Sign("VALUES_DROWN_POLICY", "strategic", text))
        return found

    def _repeated(self, sign: Sign, times: int | None = None) -> list[Sign]:
        """The sign, once so many evaluations in a row have shown it."""
        key = f"{sign.agent}/{sign.name}"
        self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
        return [sign] if self._in_a_row[key] >= (times or IN_A_ROW) else []

    def _new(self, signs: Sequence[Sign]) -> list[Sign]:
        found = [sign for sign in signs if sign.name not in self._told.get(sign.agent, ())]
        for sign in found:
            self._told[sign.agent] = [*self._told.get(sign.agent, ()), sign.name]
        return found

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "told": {agent: list(names) for agent, names in self._told.items()},
            "in_a_row": dict(self._in_a_row),
            "shares": [list(one) for one in self._shares],
            "figures": {name: list(values) for name, values in self._figures.items()},
            "least_alpha": self._least_alpha,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._told = {agent: list(names) for agent, names in state["told"].items()}
        self._in_a_row = {name: int(count) for name, count in state["in_a_row"].items()}
        self._shares = [list(one) for one in state["shares"]]
        self._figures = {name: list(values) for name, values in state["figures"].items()}
        self._least_alpha = None if state["least_alpha"] is None else float(state["least_alpha"])
