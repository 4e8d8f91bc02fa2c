"""The training loop: it says when agents learn, when they are evaluated, and when everything is saved.

One turn: the agents that are due decide; a full rollout is learned from; every environment runs to its next decision in
one compiled call; the off-policy agents update; episodes that have ended are counted. Between turns the whole state can
be saved, and a training that goes on from there ends with the same weights, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES
from engine.base.errors import DataError, GrandModelError
from engine.base.state import State
from engine.types.blocks import Floats
from training.advice import advice
from training.checkpoint import save, weights_sha256
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import LearnedPolicy, Policy, without
from training.evaluation.results import EpisodeResult, headline
from training.evaluation.starts import evaluation_starts
from training.learners.constant import constant_weights
from training.trainer.answers import fresh_trainings
from training.trainer.build import EPISODES, TRIALS, build_trainings, seeds
from training.trainer.ending import TrainingOutcome, with_last_checkpoint
from training.trainer.guard import Guard
from training.trainer.history import Record, Sink
from training.trainer.in_turns import InTurns
from training.trainer.playing import Playing
from training.trainer.schedule import EpisodeSampler, Patience
from training.trainer.setup import TrainingSetup

Clock = Callable[[], float]
Tree = dict[str, Any]


class Trainer:
    """Trains the ensemble.

    Args:
        setup: Market and configuration.
        folder: Where checkpoints go.
        sinks: Take records.
        device: cpu or cuda.
        compiled: Whether updates are compiled whole.
        run: The run folder, for the checkpoints to name.
        clock: Seconds, for speed only.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        folder: Path,
        *,
        sinks: Sequence[Sink] = (),
        device: str = "cpu",
        compiled: bool = False,
        run: Path | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.setup, self.folder, self._run, self._clock = setup, folder, run, clock
        self._sinks = tuple(sinks)
        self._params = setup.config.training_params
        self._trainings = build_trainings(setup, device, compiled)
        sampler = EpisodeSampler(setup.training_starts(), seeds(setup.config.seed)[EPISODES])
        env = setup.environments(setup.config.training.parallel_envs)
        self._playing = Playing(env, sampler, self._params.episode_length)
        exact = self._params.credit == "exact"
        self._turns = (
            InTurns(setup, self._trainings, self._playing, seeds(setup.config.seed)[TRIALS]) if exact else None
        )
        self._guard = Guard(setup, self._trainings, self._playing, self._turns, self._tell)
        self._turn_began = 0
        self._patience = Patience(self._params.early_stopping)
        self._losses: dict[str, dict[str, float]] = {}
        self._evaluation: Tree | None = None
        self._kept: State = {"episode": 0, "weights": self._trainings.weights(), "evaluation": None, "rewards": None}
        self._last_checkpoint: Path | None = None
        self._saved: Path | None = None  # the last checkpoint, if nothing has happened since
        self.episodes, self.stop_requested = 0, False

    @property
    def env_steps(self) -> int:
        """Bars taken so far by all environments together."""
        return self._playing.env_steps

    def listen(self, sinks: Sequence[Sink]) -> None:
        """Tell these too, from now on."""
        self._sinks += tuple(sinks)

    def run(self) -> TrainingOutcome:
        """Train to the end, or until `stop_requested`.

        Raises:
            ExplodingLoss: If a loss is not finite any more.
            DataError: If a reward is not.
        """
        began, steps_before = self._clock(), self.env_steps
        early = False
        if not self.episodes:
            for severity, texts in (("info", self.setup.parts.remarks), ("warning", advice(self.setup.config))):
                for text in texts:
                    self._tell({"kind": "alert", "episode": 0, "severity": severity, "text": text})
        try:
            self._imitate()
            while self.episodes < self._params.total_episodes and not self._decided():
                before = self.episodes
                self._step(began, steps_before)
                if self.episodes != before and self._after_episodes(before):
                    early = True
                    break
                if self.stop_requested:
                    break
            stopped, why = self._ending(early=early)
            if stopped != "interrupted" and self._kept["evaluation"] is None:
                self._evaluate()
            checkpoint = self._saved if self._saved is not None else self.save_checkpoint()
        except (GrandModelError, OSError) as error:
            moment = f"episode {self.episodes + 1}, step {self.env_steps:,}"
            raise with_last_checkpoint(error, moment, self._last_checkpoint) from error
        return TrainingOutcome(
            self.episodes,
            self.env_steps,
            self.env_steps - steps_before,
            self._clock() - began,
            self._kept["evaluation"] or self._evaluation,
            checkpoint,
            weights_sha256(self._trainings.weights()),
            int(self._kept["episode"]),
            stopped,
            why,
        )

    def _imitate(self) -> None:
        """Let the first agent begin as it should, and keep that until something better comes."""
        found = self._turns.imitate() if self._turns is not None else None
        if found is None:
            return
        facts = {"severity": "info", "text": found.text(), **found._asdict()}
        self._tell({"kind": "imitation", "episode": self.episodes, **facts})
        if found.agreement:
            self._evaluate()

    def _ending(self, *, early: bool) -> tuple[str, str]:
        """How the training ended, in a word and in a few."""
        turns = self._turns
        if turns is not None and turns.over:
            if turns.all_tried:
                return "finished", "every agent has had its turn"
            told = "no direction is worth its cost on validation: nothing is traded, and nothing left to learn"
            return "early", "; ".join([told, *self._guard.tried])
        if self.episodes >= self._params.total_episodes:
            return "finished", "all episodes were played"
        if self._guard.given_up is not None:
            return "early", self._guard.given_up
        if early:
            return "early", f"no better evaluation since episode {self._patience.best_episode:,}"
        return "interrupted", "asked to stop"

    def _step(self, began: float, steps_before: int) -> None:
        """Take the environments on, and learn."""
        self._saved = None
        if self._turns is None:
            self._step_together()
        else:
            algorithm = self._trainings.of(self._turns.agent).algorithm
            losses = self._turns.step(self._progress_of_turn(self._turns))
            self._take_losses({algorithm: losses} if losses else {})
        self._count_episodes(began, steps_before)

    def _step_together(self) -> None:
        playing, trainings = self._playing, self._trainings
        for decision in playing.ask({role: trainings.of(role).answer for role in AGENT_NAMES if self._joined(role)}):
            trainings.of(decision.agent).begin(decision)
        progress = self.episodes / self._params.total_episodes
        # before the environments move: every decision but those just taken has its reward, and theirs give the value
        # of the state in which the rollout is cut off
        self._take_losses(trainings.learn(progress, on_policy=True))
        for transition in playing.advance():
            trainings.of(transition.agent).close(transition)
        self._take_losses(trainings.learn(progress, on_policy=False))

    def _take_losses(self, losses: dict[str, dict[str, float]]) -> None:
        self._losses |= losses
        self._guard.updated(losses, self.episodes, self._remaining())

    def _remaining(self) -> int:
        """Episodes that the agent of the turn has left, or all have that learn together."""
        total = self._params.total_episodes
        if self._turns is None:
            return total - self.episodes
        return round(float(getattr(self._params.turns, self._turns.agent)) * total) + self._turn_began - self.episodes

    def _count_episodes(self, began: float, steps_before: int) -> None:
        trainings = self._trainings
        for facts in self._playing.finished():
            self.episodes += 1
            if self._explores("risk"):
                trainings.risk.episode_ended()
            seconds = self._clock() - began
            self._tell(
                {
                    "kind": "episode",
                    "episode": self.episodes,
                    "env_steps": self.env_steps,
                    **facts,
                    "epsilon": trainings.risk.epsilon,
                    "steps_per_second": (self.env_steps - steps_before) / max(seconds, 1e-9),
                    "seconds": seconds,
                }
            )

    def _joined(self, role: str) -> bool:
        """Whether an agent decides itself by now, rather than its stand-in.

        Three agents that know nothing may settle on staying flat before they have learned anything, since whatever one
        of them tries the others spoil; with stand-ins the first to learn meets others that act sensibly.
        """
        return self.episodes >= getattr(getattr(self.setup.config.agents, f"{role}_agent"), "join_episode", 0)

    def _decided(self) -> bool:
        """Whether every seat is decided, so that there is nothing left to learn."""
        return self._turns is not None and self._turns.over

    def _explores(self, role: str) -> bool:
        """Whether an agent decides itself, and learns from it."""
        return self._joined(role) if self._turns is None else self._turns.agent == role and not self._turns.over

    def _progress_of_turn(self, turns: InTurns) -> float:
        """Share of the present turn that is over, 0 to 1."""
        length = max(1.0, float(getattr(self._params.turns, turns.agent)) * self._params.total_episodes)
        return min((self.episodes - self._turn_began) / length, 1.0)

    def _end_turns(self, *, exhausted: bool) -> bool:
        """End the turn of an agent that has had its episodes, or learns no more; returns whether it was the last."""
        turns = self._turns
        if turns is None:
            return exhausted
        last = self.episodes >= self._params.total_episodes
        if not last and turns.starts_again(1.0 if exhausted else self._progress_of_turn(turns)):
            self._start_again(turns)
            return False
        while not turns.over and (exhausted or last or self._progress_of_turn(turns) >= 1.0):
            # the agent ends its turn as the best that it was
            self._trainings.of(turns.agent).learner.load_weights(self._kept["weights"][turns.agent])
            for verdict in turns.finish():
                facts = {"severity": "info", "text": verdict.text(), **verdict.record()}
                self._tell({"kind": "verdict", "episode": self.episodes, **facts})
            self._turn_began, exhausted = self.episodes, False
            self._guard.next_turn(self.episodes)
            self._patience = Patience(self._params.early_stopping)
            self._evaluate()
        return turns.over

    def _start_again(self, turns: InTurns) -> None:
        turns.start_again(fresh_trainings(self.setup, 0))
        self._guard.next_turn(self.episodes)
        self._patience.wait_from(self.episodes)
        text = "the strategic agent begins a second time, without a liking for neutral; its best networks are kept"
        self._tell({"kind": "alert", "episode": self.episodes, "severity": "info", "text": text})

    def _after_episodes(self, before: int) -> bool:
        """What falls due every so many episodes; returns whether to stop early."""
        params = self._params
        if self._losses and self._crossed(before, self.setup.config.logging.log_frequency):
            self._tell({"kind": "losses", "episode": self.episodes, **self._losses})
        self._guard.weigh(self.episodes)
        stop = False
        if self._crossed(before, params.evaluation_frequency) or self.episodes >= params.total_episodes:
            results = self._evaluate()
            learning = [role for role in AGENT_NAMES if self._explores(role)]
            self._guard.evaluated(learning, results, self.episodes, self._remaining())
            stop = self._patience.exhausted(self.episodes)
        stop = self._end_turns(exhausted=stop or self._guard.given_up is not None)
        if self._crossed(before, params.checkpoint_frequency):
            self.save_checkpoint()
        return stop

    def _crossed(self, before: int, frequency: int) -> bool:
        return self.episodes // frequency > before // frequency

    def _evaluate(self) -> list[EpisodeResult]:
        ranges = self.setup.parts.validation or self.setup.parts.training
        results = self.evaluate(ranges, self._params.evaluation_episodes)
        self._evaluation = headline(results)
        # networks that a stand-in was evaluated for are not kept
        complete = self._turns is not None or all(self._joined(role) for role in AGENT_NAMES)
        rewards = np.array([result.reward for result in results])
        best = complete and self._shows(rewards) and self._patience.see(self.episodes, float(rewards.mean()))
        if best:
            self._kept = {
                "episode": self.episodes,
                "rewards": rewards,
                "weights": self._weights_in_force(),
                "evaluation": dict(self._evaluation),
            }
        self._tell({"kind": "evaluation", "episode": self.episodes, "best": best, **self._evaluation})
        return results

    def _shows(self, rewards: Floats) -> bool:
        """Whether networks are better than those kept beyond chance: by a standard error, on the same episodes.

        The best of many evaluations is better by luck, and may cost what the first network knew. Agents that learn
        together change too fast for it.
        """
        if self._turns is None or self._patience.best is None:
            return True
        gain = rewards - self._kept["rewards"]
        return bool(gain.mean() > gain.std(ddof=1) / len(gain) ** 0.5) if len(gain) > 1 else bool(gain.mean() > 0.0)

    def _weights_in_force(self) -> dict[str, dict[str, Any]]:
        """Of the networks that decide; where a constant action does, of a network that always takes it."""
        weights = {agent: dict(named) for agent, named in self._trainings.weights().items()}
        if self._turns is not None:
            for agent, action in self._turns.acting_constantly().items():
                weights[agent] = constant_weights(agent, weights[agent], action)
        return weights

    def evaluate(self, ranges: tuple[tuple[int, int], ...], episodes: int) -> list[EpisodeResult]:
        """Episodes without exploration by the networks, and stand-ins, as they are; changes nothing."""
        setup, length = self.setup, self._params.episode_length
        starts = evaluation_starts(setup.market, ranges, length, episodes)
        policy: Policy = LearnedPolicy(*self._trainings.learners) if self._turns is None else self._turns.policy()
        for role in AGENT_NAMES if self._turns is None else ():
            policy = policy if self._joined(role) else without(policy, role)
        config = setup.config
        return run_episodes(setup.market, config.portfolio, setup.rewards, config.ensemble, policy, starts, length)

    def take_kept(self) -> LearnedPolicy:
        """Put the networks that were evaluated best into the learners, for evaluation; the training is over then."""
        for role in AGENT_NAMES:
            self._trainings.of(role).learner.load_weights(self._kept["weights"][role])
        return LearnedPolicy(*self._trainings.learners)

    def save_checkpoint(self) -> Path:
        """Write the whole state; the name tells the episode."""
        path = self.folder / f"checkpoint-{self.episodes:07d}.ckpt"
        # recorded first: a training resumed from it finds it in the history, whenever the process was killed
        self._tell({"kind": "checkpoint", "episode": self.episodes, "path": str(path)})
        save(path, self.snapshot(), self.note())
        self._last_checkpoint = self._saved = path
        return path

    def note(self) -> Tree:
        """What a checkpoint says about itself."""
        return {
            "config": self.setup.config.model_dump(mode="json"),
            "episode": self.episodes,
            "env_steps": self.env_steps,
            "evaluation": self._kept["evaluation"] or self._evaluation,
            "kept_episode": int(self._kept["episode"]),
            "training_data": list(self.setup.training_data),
            "seed": self.setup.config.seed,
            "run": str(self._run) if self._run else None,
            "weights_sha256": weights_sha256(self._trainings.weights()),
        }

    def snapshot(self) -> State:
        """Everything that `restore` needs to continue as if it had never stopped."""
        return {
            **self._trainings.snapshot(),
            "statistics": {
                role: {"mean": values.mean, "std": values.std} for role, values in self.setup.statistics.items()
            },
            **self._playing.snapshot(),
            "turns": None if self._turns is None else self._turns.snapshot(),
            "turn_began": self._turn_began,
            "guard": self._guard.snapshot(),
            "patience": self._patience.snapshot(),
            "losses": self._losses,
            "evaluation": self._evaluation,
            "kept": self._kept,
            "episodes": self.episodes,
        }

    def restore(self, state: Mapping[str, Any], note: Mapping[str, Any], path: Path) -> None:
        """Go on from a checkpoint.

        Args:
            state, note: What it holds.
            path: Where it lies.

        Raises:
            DataError: If it does not fit the configuration: other data, features, networks, buffers or environments.
        """
        self.setup.require_same(note, path)
        try:
            self._trainings.restore(state)
            self._playing.restore(state)
            if self._turns is not None:
                self._turns.restore(state["turns"])
        except DataError as error:
            raise DataError(
                error.what,
                where=error.where or str(path),
                expected=error.expected,
                found=error.found,
                hint=error.hint or "resume without --config and --set, or start a new training",
            ) from error
        self._turn_began = int(state["turn_began"])
        self._patience.restore(state["patience"])
        self._losses, self._evaluation, self._kept = dict(state["losses"]), state["evaluation"], state["kept"]
        self.episodes, self._last_checkpoint = int(state["episodes"]), path
        self._guard.restore(state["guard"], self.episodes)

    def _tell(self, record: Record) -> None:
        for sink in self._sinks:
            sink.write(record)
