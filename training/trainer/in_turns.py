"""Agents trained in turns, each rewarded by the difference that it makes (docs/learning.md).

The strategic agent learns first, then the tactical one, then the risk agent; who is done decides without exploring.
Every agent decides where the strategic agent does, and holds it until the next time. What else could have been done is
tried on the same bars (`training.environment.branches`): all directions, several tactics, all levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES, AGENTS, RISK_AGENT, STRATEGIC_AGENT, TACTICAL_AGENT
from engine.base.state import State
from engine.types.blocks import Ints
from training.environment.branches import Branches
from training.environment.rewards import Rewards
from training.environment.vector import Actions
from training.evaluation.policies import Constants, LearnedPolicy, Policy
from training.experience import stand_ins
from training.learners.constant import Action, constant_weights
from training.randomness import generator_state, load_generator
from training.trainer.imitating import Imitated, imitate
from training.trainer.playing import Playing
from training.trainer.seats import Verdict, best_constant, judge, judging_starts
from training.trainer.setup import TrainingSetup
from training.trainer.trainings import Losses, Trainings

TRIED = 2
"""Tactics tried beside the one that is carried out and the constant one that it is measured by."""
SEARCHED = 48
"""Training episodes on which constant actions are compared."""


class InTurns:
    """Whose turn it is, who decides what, and what the learner of the turn learns from.

    Args:
        setup: Of the training.
        trainings: Of the agents.
        playing: The episodes.
        seed: Of the tactics that are tried.

    Attributes:
        agent: Whose turn it is; the last one's when all seats are decided.
        constants: The constant action of every agent that does not decide by now.
        verdicts: Of the seats that are decided.
    """

    def __init__(self, setup: TrainingSetup, trainings: Trainings, playing: Playing, seed: int) -> None:
        self._setup, self._trainings, self._playing, self._env = setup, trainings, playing, playing.env
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self.constants = {name: AGENTS[name].stand_in for name in AGENT_NAMES}
        self.verdicts: dict[str, Verdict] = {}
        self.agent = AGENT_NAMES[0]
        self._begun = False
        self._actions = stand_ins(playing.env.envs)
        self._branches = self._parting()

    @property
    def over(self) -> bool:
        """Whether every seat is decided."""
        return len(self.verdicts) == len(AGENT_NAMES)

    @property
    def all_tried(self) -> bool:
        """Whether every agent has had its turn."""
        return self.over and all(verdict.episodes for verdict in self.verdicts.values())

    def policy(self, *, learner: bool = True) -> Policy:
        """Who decides by now, without exploring.

        Args:
            learner: Whether the agent whose turn it is decides itself.
        """
        return Constants(LearnedPolicy(*self._trainings.learners), self.acting_constantly(learner=learner))

    def acting_constantly(self, *, learner: bool = True) -> dict[str, Action]:
        """Agents that have not had their turn, and what they do."""
        own = set(self.verdicts) | ({self.agent} if learner else set())
        return {name: action for name, action in self.constants.items() if name not in own}

    def step(self, progress: float) -> Losses | None:
        """Let the agents decide, learn from what has become of earlier decisions, and take all episodes on.

        Args:
            progress: Share of the turn that is over, 0 to 1.

        Returns:
            Figures of the last update, if there was one.
        """
        env, training = self._env, self._trainings.of(self.agent)
        due = np.flatnonzero(env.due[:, 0])
        training.weigh(self._branches.close(due, ended=False))
        self._decide(due)
        losses = training.learn_worths(progress)
        ended = self._playing.play(self._actions)
        self._branches.advance(self._actions)
        training.weigh(self._branches.close(ended, ended=True))
        return losses

    def finish(self) -> list[Verdict]:
        """End the turn: decide the seat, and let the next agent begin.

        Returns:
            What was decided: of one seat, or of all that are left where no trade is worth its cost.
        """
        agent = self.agent
        if agent == STRATEGIC_AGENT.name:
            self.constants[agent] = self._best_constant()
        found = [judge(self._setup, self.policy(), agent, self.constants[agent])]
        if agent == STRATEGIC_AGENT.name and found[0].action == AGENTS[agent].stand_in:
            # whatever the others do, nothing is traded
            found += [Verdict.untried(name) for name in AGENT_NAMES[1:]]
        for verdict in found:
            self._decide_seat(verdict)
        if not self.over:
            self.agent = AGENT_NAMES[len(self.verdicts)]
            self._begin()
        return found

    def imitate(self) -> Imitated | None:
        """Let the strategic agent begin as a network that does what a regression would, once; None if it does not."""
        config = self._setup.config.agents.strategic_agent.imitation
        if self._begun or config is None:
            return None
        self._begun = True
        return imitate(self._setup, self._trainings.strategic.learner, config)

    def starts_again(self, progress: float) -> bool:
        """Whether the agent of the turn is to begin a second time; `progress` is the share of the turn, 0 to 1."""
        return self.agent == STRATEGIC_AGENT.name and not self.over and self._trainings.strategic.starts_again(progress)

    def start_again(self, fresh: Trainings) -> None:
        """Let the strategic agent begin a second time.

        Args:
            fresh: Trainings that have not begun.
        """
        self._trainings.strategic.start_again(fresh.strategic)
        self._branches = self._parting()

    def go_on(self, agent: str, measure: Action) -> None:
        """Let an agent learn on beside the networks of all others, which decide without exploring.

        Args:
            agent: Whose network has learned before; its weights are loaded.
            measure: The action that its alternatives are measured by, where their differences are learned.
        """
        self.agent, self.constants = agent, {agent: measure}
        if agent == RISK_AGENT.name:
            self._trainings.risk.constant = int(measure[0])
        self._branches = self._parting()

    def begin_anew(self, fresh: Trainings) -> None:
        """Let the agent of the turn begin anew.

        Args:
            fresh: Trainings that have not begun.
        """
        own: Any = self._trainings.of(self.agent)
        own.begin_anew(fresh.of(self.agent))
        self._start_from_constant()
        self._branches = self._parting()

    def weigh(self, rewards: Rewards) -> None:
        """Other weights of the reward terms, in the episodes and beside them."""
        self._env.weigh(rewards)
        self._branches.weigh(rewards)

    def _decide_seat(self, verdict: Verdict) -> None:
        self.verdicts[verdict.agent] = verdict
        if not verdict.network:
            self.constants[verdict.agent] = verdict.constant
            learner = self._trainings.of(verdict.agent).learner
            learner.load_weights(constant_weights(verdict.agent, learner.weights(), verdict.constant))

    def _begin(self) -> None:
        """An agent begins at its best constant action, and is measured by it."""
        self.constants[self.agent] = self._best_constant()
        self._start_from_constant()
        self._branches = self._parting()

    def _start_from_constant(self) -> None:
        constant = self.constants[self.agent]
        if self.agent == TACTICAL_AGENT.name:
            self._trainings.tactical.learner.start_from(constant)
        elif self.agent == RISK_AGENT.name:
            self._trainings.risk.constant = int(constant[0])
            self._trainings.risk.learner.start_from(int(constant[0]))

    def _best_constant(self) -> Action:
        starts = judging_starts(self._setup, self._setup.parts.training, SEARCHED)
        return best_constant(self._setup, self.policy(learner=False), self.agent, starts)

    def _parting(self) -> Branches:
        """Branches for the alternatives of the agent whose turn it is."""
        spec = AGENTS[self.agent]
        count = len(spec.choices) or TRIED + 2
        actions = ((count,), np.int64) if spec.choices else ((count, spec.width), np.float32)
        key = (spec.observation, np.float32) if spec.name == RISK_AGENT.name else ((), np.int64)
        gamma = self._trainings.of(self.agent).gamma
        return Branches(self._setup.environments, self._env.envs, spec.name, key, actions, gamma)

    def _decide(self, due: Ints) -> None:
        if not len(due):
            return
        env, policy = self._env, self.policy()
        for at, name in enumerate(AGENT_NAMES):
            seen = (env.strategic, env.tactical, env.risk)[at][due]
            if name == self.agent:
                self._actions[at][due] = self._trainings.of(name).answer(seen).actions
            else:
                self._actions[at][due] = getattr(policy, name)(seen)
        at = AGENT_NAMES.index(self.agent)
        keys = (env.strategic_key, env.tactical_key, env.risk)[at][due]
        self._branches.open(env, due, keys, self._alternatives(self._actions[at][due]))

    def _alternatives(self, taken: NDArray[Any]) -> NDArray[Any]:
        """What is tried at k decisions, shape (k, alternatives, ...); of tactics the constant one comes last."""
        spec, count = AGENTS[self.agent], len(taken)
        if spec.choices:
            return np.tile(np.arange(len(spec.choices)), (count, 1))
        low, high = np.array(spec.low, np.float32), np.array(spec.high, np.float32)
        anything = low + (high - low) * self._generator.random((count, TRIED, spec.width), np.float32)
        constant = np.tile(np.array(self.constants[self.agent], np.float32), (count, 1, 1))
        return np.concatenate([taken[:, None], anything, constant], axis=1)

    def snapshot(self) -> State:
        """What `restore` takes; without trainings and environments."""
        return {
            "agent": self.agent,
            "begun": self._begun,
            "constants": {name: list(action) for name, action in self.constants.items()},
            "verdicts": [verdict.record() for verdict in self.verdicts.values()],
            "generator": generator_state(self._generator),
            "actions": {name: getattr(self._actions, name).copy() for name in AGENT_NAMES},
            "branches": self._branches.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.agent, self._begun = str(state["agent"]), bool(state["begun"])
        self.constants = {name: tuple(action) for name, action in state["constants"].items()}
        verdicts = [Verdict(**{**found, "constant": tuple(found["constant"])}) for found in state["verdicts"]]
        self.verdicts = {verdict.agent: verdict for verdict in verdicts}
        load_generator(self._generator, state["generator"])
        self._actions = Actions(*(np.array(state["actions"][name]) for name in AGENT_NAMES))
        self._trainings.risk.constant = int(self.constants[RISK_AGENT.name][0])
        self._branches = self._parting()
        self._branches.restore(state["branches"])
