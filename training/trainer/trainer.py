"""The training loop: three agents act in many environments at once, store what happened, and learn from it.

One turn: agents that are due decide; a full rollout is learned from; every environment runs to its next decision in
one compiled call; decisions that are over become transitions; the off-policy agents update; episodes that have ended
are counted and start again. Between turns the whole state can be saved, and a training that goes on from there ends
with the same weights, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES
from engine.base.errors import CheckFailed, DataError, GrandModelError
from training.checkpoint import save, weights_sha256
from training.environment.vector import Actions
from training.evaluation.episodes import EpisodeResult, run_episodes
from training.evaluation.policies import FULL_EXPOSURE, NEUTRAL_TACTICS, LearnedPolicy, Neutral, Policy
from training.evaluation.starts import evaluation_starts
from training.randomness import State
from training.trainer.build import EPISODES, build_seats, seeds
from training.trainer.outcome import Outcome, Tree, described
from training.trainer.sampling import EpisodeSampler
from training.trainer.scene import Scene
from training.trainer.seats import Learner, RiskSeat, StrategicSeat, TacticalSeat
from training.trainer.sinks import Record, Sink
from training.trainer.stopping import Patience
from training.trainer.sums import Sums

Clock = Callable[[], float]


class Trainer:
    """Trains the ensemble.

    Args:
        scene: Market and configuration.
        folder: Where checkpoints go.
        sinks: Take records.
        device: cpu or cuda.
        compiled: Whether updates are compiled whole.
        run: The run folder, for the checkpoints to name.
        clock: Seconds, for speed only.
    """

    def __init__(
        self,
        scene: Scene,
        folder: Path,
        *,
        sinks: Sequence[Sink] = (),
        device: str = "cpu",
        compiled: bool = False,
        run: Path | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.scene, self.folder, self._run, self._clock = scene, folder, run, clock
        self._sinks = tuple(sinks)
        self._params = scene.config.training_params
        self._envs = scene.config.training.parallel_envs
        self._env = scene.environments(self._envs)
        self._seats = build_seats(scene, device, compiled)
        self._sampler = EpisodeSampler(scene.training_starts(), seeds(scene.config.seed)[EPISODES])
        self._patience = Patience(self._params.early_stopping)
        self._sums = Sums(self._envs)
        self._losses: dict[str, dict[str, float]] = {}
        self._evaluation: Tree | None = None
        self._kept: State = {"episode": 0, "weights": self._weights(), "evaluation": None}
        self._last_checkpoint: Path | None = None
        self._saved: Path | None = None  # the last checkpoint, if nothing has happened since
        self.episodes, self.env_steps, self.stop_requested = 0, 0, False
        self._restart(np.arange(self._envs))

    def listen(self, sinks: Sequence[Sink]) -> None:
        """Tell these too, from now on."""
        self._sinks += tuple(sinks)

    def run(self) -> Outcome:
        """Train to the end, or until `stop_requested`.

        Raises:
            ExplodingLoss: If a loss is not finite any more.
            DataError: If a reward is not.
        """
        began, steps_before = self._clock(), self.env_steps
        stopped = "finished"
        for remark in self.scene.parts.remarks if not self.episodes else ():
            self._tell({"kind": "alert", "episode": 0, "severity": "info", "text": remark})
        try:
            while self.episodes < self._params.total_episodes:
                before = self.episodes
                self._turn(began, steps_before)
                if self.episodes != before and self._after_episodes(before):
                    stopped = "early"
                    break
                if self.stop_requested:
                    stopped = "interrupted"
                    break
            if stopped != "interrupted" and self._kept["evaluation"] is None:
                self._evaluate()
            checkpoint = self._saved if self._saved is not None else self.save_checkpoint()
        except (GrandModelError, OSError) as error:
            raise self._with_last_checkpoint(error) from error
        return Outcome(
            self.episodes,
            self.env_steps,
            self.env_steps - steps_before,
            self._clock() - began,
            self._kept["evaluation"] or self._evaluation,
            checkpoint,
            weights_sha256(self._weights()),
            int(self._kept["episode"]),
            stopped,
        )

    def _turn(self, began: float, steps_before: int) -> None:
        env, seats = self._env, self._seats
        self._saved = None
        actions = self._decide()
        self._note_losses("ppo", seats.strategic.learn())
        steps = env.steps.copy()
        env.advance(actions)
        self.env_steps += int((env.steps - steps).sum())
        ended = env.terminated | env.truncated
        takers: tuple[StrategicSeat | TacticalSeat | RiskSeat, ...] = (seats.strategic, seats.tactical, seats.risk)
        for agent, seat in enumerate(takers):
            over = np.flatnonzero(env.due[:, agent] | ended)
            if len(over):
                seat.close(env, over)
                self._sums.add(over, agent, env.terms[over, agent])
        progress = self.episodes / self._params.total_episodes
        self._note_losses("sac", seats.tactical.learn(progress))
        self._note_losses("dqn", seats.risk.learn(progress))
        if ended.any():
            speed = (self.env_steps - steps_before) / max(self._clock() - began, 1e-9)
            self._finish_episodes(np.flatnonzero(ended), speed, self._clock() - began)

    def _decide(self) -> Actions:
        env, seats = self._env, self._seats
        strategic, risk = np.ones(self._envs, np.int64), np.full(self._envs, FULL_EXPOSURE)
        tactical = np.tile(np.array(NEUTRAL_TACTICS, np.float32), (self._envs, 1))
        due = [np.flatnonzero(env.due[:, agent]) for agent in range(len(AGENT_NAMES))]
        if len(due[0]):
            strategic[due[0]] = seats.strategic.decide(env, due[0])
        if len(due[1]) and self._joined("tactical"):
            tactical[due[1]] = seats.tactical.decide(env, due[1])
        if len(due[2]) and self._joined("risk"):
            risk[due[2]] = seats.risk.decide(env, due[2])
        return Actions(strategic, tactical, risk)

    def _joined(self, role: str) -> bool:
        """Whether an agent decides itself by now, rather than its stand-in."""
        return self.episodes >= getattr(getattr(self.scene.config.agents, f"{role}_agent"), "join_episode", 0)

    def _note_losses(self, learner: str, losses: Mapping[str, float] | None) -> None:
        if losses is not None:
            self._losses[learner] = dict(losses)

    def _finish_episodes(self, ended: Any, speed: float, seconds: float) -> None:
        for env in ended.tolist():
            self.episodes += 1
            rewards, terms = self._sums.take(env)
            if self._joined("risk"):
                self._seats.risk.episode_ended()
            self._tell(
                {
                    "kind": "episode",
                    "episode": self.episodes,
                    "env_steps": self.env_steps,
                    "rewards": rewards,
                    "terms": terms,
                    "return": float(self._env.equity[env, self._env.steps[env]] / self._env.equity[env, 0] - 1.0),
                    "bars": int(self._env.steps[env]),
                    "epsilon": self._seats.risk.epsilon,
                    "steps_per_second": speed,
                    "seconds": seconds,
                }
            )
        self._restart(ended)

    def _restart(self, which: Any) -> None:
        lengths = np.full(len(which), self._params.episode_length)
        self._env.reset(which, self._sampler.deal(len(which)), lengths)

    def _after_episodes(self, before: int) -> bool:
        """What falls due every so many episodes; returns whether to stop early."""
        params = self._params
        if self._losses and self._crossed(before, self.scene.config.logging.log_frequency):
            self._tell({"kind": "losses", "episode": self.episodes, **self._losses})
        stop = False
        if self._crossed(before, params.evaluation_frequency) or self.episodes >= params.total_episodes:
            self._evaluate()
            stop = self._patience.exhausted(self.episodes)
        if self._crossed(before, params.checkpoint_frequency):
            self.save_checkpoint()
        return stop

    def _crossed(self, before: int, frequency: int) -> bool:
        return self.episodes // frequency > before // frequency

    def _evaluate(self) -> None:
        ranges = self.scene.parts.validation or self.scene.parts.training
        results = self.evaluate(ranges, self._params.evaluation_episodes)
        self._evaluation = described(results)
        # networks that a stand-in was evaluated for are not kept
        complete = all(self._joined(role) for role in AGENT_NAMES)
        best = complete and self._patience.see(self.episodes, self._evaluation["mean_reward"])
        if best:
            self._kept = {
                "episode": self.episodes,
                "weights": {seat: dict(named) for seat, named in self._weights().items()},
                "evaluation": dict(self._evaluation),
            }
        self._tell({"kind": "evaluation", "episode": self.episodes, "best": best, **self._evaluation})

    def evaluate(self, ranges: tuple[tuple[int, int], ...], episodes: int) -> list[EpisodeResult]:
        """Episodes without exploration by the networks, and stand-ins, as they are; changes nothing."""
        scene, length = self.scene, self._params.episode_length
        starts = evaluation_starts(scene.market, ranges, length, episodes)
        policy: Policy = LearnedPolicy(*self._learners())
        for role in AGENT_NAMES:
            policy = policy if self._joined(role) else Neutral(policy, role)
        config = scene.config
        return run_episodes(scene.market, config.portfolio, scene.rewards, config.ensemble, policy, starts, length)

    def take_kept(self) -> LearnedPolicy:
        """Put the networks that were evaluated best into the learners, for evaluation; the training is over then."""
        for role, learner in zip(AGENT_NAMES, self._learners(), strict=True):
            learner.load_weights(self._kept["weights"][role])
        return LearnedPolicy(*self._learners())

    def save_checkpoint(self) -> Path:
        """Write the whole state; the name tells the episode."""
        path = self.folder / f"checkpoint-{self.episodes:07d}.ckpt"
        # recorded first: a training resumed from it finds it in the history, whenever the process was killed
        self._tell({"kind": "checkpoint", "episode": self.episodes, "path": str(path)})
        save(path, self.state(), self.note())
        self._last_checkpoint = self._saved = path
        return path

    def note(self) -> Tree:
        """What a checkpoint says about itself."""
        return {
            "config": self.scene.config.model_dump(mode="json"),
            "episode": self.episodes,
            "env_steps": self.env_steps,
            "evaluation": self._kept["evaluation"] or self._evaluation,
            "kept_episode": int(self._kept["episode"]),
            "training_data": list(self.scene.training_data),
            "seed": self.scene.config.seed,
            "run": str(self._run) if self._run else None,
            "weights_sha256": weights_sha256(self._weights()),
        }

    def _weights(self) -> dict[str, dict[str, Any]]:
        return {role: dict(learner.weights()) for role, learner in zip(AGENT_NAMES, self._learners(), strict=True)}

    def _learners(self) -> tuple[Learner, Learner, Learner]:
        return self._seats.strategic.learner, self._seats.tactical.learner, self._seats.risk.learner

    def state(self) -> State:
        """Everything that `load` needs to continue as if it had never stopped."""
        seats, weights = self._seats, self._weights()
        return {
            "learners": {
                role: {"weights": weights[role], "learner": learner.state()}
                for role, learner in zip(AGENT_NAMES, self._learners(), strict=True)
            },
            "statistics": {
                seat: {"mean": values.mean, "std": values.std} for seat, values in self.scene.statistics.items()
            },
            "seats": {
                "strategic": seats.strategic.state(),
                "tactical": seats.tactical.transitions.state(),
                "risk": seats.risk.transitions.state(),
                "epsilon": seats.risk.epsilon,
            },
            "environment": self._env.snapshot(),
            "sampler": self._sampler.state(),
            "patience": self._patience.state(),
            "sums": self._sums.state(),
            "losses": self._losses,
            "evaluation": self._evaluation,
            "kept": self._kept,
            "episodes": self.episodes,
            "env_steps": self.env_steps,
        }

    def load(self, state: Mapping[str, Any], note: Mapping[str, Any], path: Path) -> None:
        """Go on from a checkpoint.

        Args:
            state, note: What it holds.
            path: Where it lies.

        Raises:
            DataError: If it does not fit the configuration: other data, features, networks, buffers or environments.
        """
        self.scene.require_same(note, path)
        try:
            self._load(state)
        except DataError as error:
            raise DataError(
                error.what,
                where=error.where or str(path),
                expected=error.expected,
                found=error.found,
                hint=error.hint or "resume without --config and --set, or start a new training",
            ) from error
        self._last_checkpoint = path

    def _load(self, state: Mapping[str, Any]) -> None:
        seats = self._seats
        for role, learner in zip(AGENT_NAMES, self._learners(), strict=True):
            learner.load(state["learners"][role]["learner"])
        seats.strategic.load(state["seats"]["strategic"])
        seats.tactical.transitions.load(state["seats"]["tactical"])
        seats.risk.transitions.load(state["seats"]["risk"])
        seats.risk.epsilon = float(state["seats"]["epsilon"])
        self._env.restore(state["environment"])
        self._sampler.load(state["sampler"])
        self._patience.load(state["patience"])
        self._sums.load(state["sums"])
        self._losses, self._evaluation, self._kept = dict(state["losses"]), state["evaluation"], state["kept"]
        self.episodes, self.env_steps = int(state["episodes"]), int(state["env_steps"])

    def _with_last_checkpoint(self, error: GrandModelError | OSError) -> GrandModelError:
        """The same error, saying what is left."""
        left = f"the last good checkpoint is {self._last_checkpoint}" if self._last_checkpoint else "no checkpoint yet"
        where = f"episode {self.episodes + 1}, step {self.env_steps:,}"
        if isinstance(error, OSError):
            reason = f"the training cannot write: {error.strerror or error}"
            file = f"; {error.filename}" if error.filename else ""
            return DataError(
                reason,
                where=f"{where}{file}",
                hint=f"{left}; free some space, then continue with --resume" if self._last_checkpoint else left,
            )
        kind = type(error) if isinstance(error, CheckFailed | DataError) else DataError
        return kind(
            error.what,
            where=f"{where}; {error.where}" if error.where else where,
            expected=error.expected,
            found=error.found,
            hint=f"{left}; lower the learning rates, or resume from it with --resume"
            if isinstance(error, CheckFailed)
            else left,
        )

    def _tell(self, record: Record) -> None:
        for sink in self._sinks:
            sink.write(record)
