"""Keeps a training from going on with an agent that has collapsed: looks, tells, answers, and gives up in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.base.state import State
from training.evaluation.results import EpisodeResult
from training.trainer.answers import Answers
from training.trainer.history import Record
from training.trainer.in_turns import InTurns
from training.trainer.playing import Playing
from training.trainer.setup import TrainingSetup
from training.trainer.trainings import Trainings
from training.trainer.watch import Sign, Watch


class Guard:
    """Of one training.

    Args:
        setup: Of the training.
        trainings: Of its agents.
        playing: Its episodes.
        turns: Whose turn it is; None where all learn together.
        tell: Takes records.

    Attributes:
        given_up: What was tried in vain, if an agent is given up.
        tried: The same of all turns so far.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        trainings: Trainings,
        playing: Playing,
        turns: InTurns | None,
        tell: Callable[[Record], None],
    ) -> None:
        self._trainings, self._playing, self._turns, self._tell = trainings, playing, turns, tell
        self._looks = setup.config.training_params.collapse is not None
        self._watch, self._answers = Watch(setup.config), Answers(setup)
        self._full = setup.rewards
        self._weights = setup.rewards
        self.given_up: str | None = None
        self.tried: list[str] = []

    def updated(self, losses: Mapping[str, Mapping[str, float]], episode: int, remaining: int) -> None:
        """Take the figures of updates by algorithm.

        Args:
            losses: Of the learners that have just updated.
            episode: By now.
            remaining: Episodes that the agent has left.
        """
        for algorithm, figures in losses.items() if self._looks else ():
            self._take(self._watch.updated(algorithm, figures), episode, remaining)

    def evaluated(self, agents: Sequence[str], results: Sequence[EpisodeResult], episode: int, remaining: int) -> None:
        """Take an evaluation.

        Args:
            agents: Who learns by now.
            results: Its episodes.
            episode, remaining: As in `updated`.
        """
        if self._looks and agents:
            own: Any = self._trainings.of(agents[0])
            self._take(self._watch.evaluated(agents, results, own.learner.updates), episode, remaining)

    def next_turn(self, episode: int) -> None:
        """Another agent learns from now on."""
        if self._turns is not None:
            self._watch.forget(self._turns.agent)
        self._answers.rest()
        self.given_up = None
        self.weigh(episode)

    def weigh(self, episode: int) -> None:
        """Let penalties weigh as much as they do by now."""
        wanted = self._answers.rewards(episode)
        if wanted == self._weights == self._full:
            return
        self._weights = wanted
        if self._turns is None:
            self._playing.env.weigh(wanted)
        else:
            self._turns.weigh(wanted)

    def _take(self, signs: Sequence[Sign], episode: int, remaining: int) -> None:
        for sign in signs:
            answer = self._answer(sign, episode, remaining) if sign.grave and self._answers.answers else None
            self._tell(
                {
                    "kind": "collapse",
                    "episode": episode,
                    "severity": "warning",
                    "agent": sign.agent,
                    "name": sign.name,
                    "answer": answer,
                    "text": sign.text + (f"; {answer}" if answer else ""),
                }
            )

    def _answer(self, sign: Sign, episode: int, remaining: int) -> str | None:
        """Let the agent begin anew, or give it up; returns what was done."""
        if self.given_up is not None:
            return None
        if not self._answers.left(sign.agent):
            self.given_up = self._answers.given_up(sign)
            self.tried.append(self.given_up)
            return f"{self.given_up}; {self._what_ends()} ends early"
        fresh, said = self._answers.begin_anew(sign.agent, episode, remaining)
        self._watch.forget(sign.agent)
        if self._turns is None:
            own: Any = self._trainings.of(sign.agent)
            own.begin_anew(fresh.of(sign.agent))
        else:
            self._turns.begin_anew(fresh)
        self._weights = self._full  # new branches have the full weights
        self.weigh(episode)
        return said

    def _what_ends(self) -> str:
        if self._turns is None:
            return "the training"
        return "its first start" if self._turns.starts_again(1.0) else "its turn"

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "watch": self._watch.snapshot(),
            "answers": self._answers.snapshot(),
            "given_up": self.given_up,
            "tried": list(self.tried),
        }

    def restore(self, state: Mapping[str, Any], episode: int) -> None:
        """Continue from a snapshot."""
        self._watch.restore(state["watch"])
        self._answers.restore(state["answers"])
        self.given_up, self.tried = state["given_up"], list(state["tried"])
        self.weigh(episode)
