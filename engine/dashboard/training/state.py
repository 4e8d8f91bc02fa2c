"""What the screen of a training shows: figures kept from the records as they come, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from agents.spec import AGENT_NAMES
from engine.dashboard.alerts import AlertLevel, AlertLine, Alerts
from engine.dashboard.history import EquityHistory

Record = Mapping[str, Any]
TERMS = ("profit", "cost", "risk", "sharpe", "drawdown")
LEARNERS = {"ppo": "strategic", "sac": "tactical", "dqn": "risk"}
WINDOW = 100
SMOOTHED = 20
SPEED_WINDOW = 64
MOST_KL = 0.1
LEAST_ENTROPY = 0.02


@dataclass(frozen=True, slots=True)
class TrainingInfo:
    """What is known of a training before it begins.

    Attributes:
        name: Of its configuration.
        total_episodes: Where it ends at the latest.
        envs: Environments side by side.
        data: What it learns from, in a few words.
        seed, device: As configured.
        resumed: Episode of the checkpoint from which it resumes; 0 for a new one.
        patience: Episodes without improvement after which it stops; None for never.
    """

    name: str
    total_episodes: int
    envs: int = 1
    data: str = ""
    seed: int = 0
    device: str = "cpu"
    resumed: int = 0
    patience: int | None = None


class EpisodeSeries:
    """A figure over the episodes: its last value, its recent mean, and its curve."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._count = 0
        self.curve = EquityHistory(1024)

    def __len__(self) -> int:
        return self._count

    def add(self, value: float) -> None:
        """Take the value of one more episode; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._recent.append(value)
        smooth = float(np.mean(list(self._recent)[-SMOOTHED:]))
        self.curve.add(self._count, np.array([smooth]))
        self._count += 1

    @property
    def last(self) -> float:
        """The last value; NaN before the first."""
        return self._recent[-1] if self._recent else math.nan

    @property
    def mean(self) -> float:
        """Mean over the last 100 episodes; NaN before the first."""
        return float(np.mean(self._recent)) if self._recent else math.nan


class TrainingState:
    """Takes records and keeps what is shown.

    Args:
        now: Wall time, seconds since 1970.

    Attributes:
        rewards, terms: A series by agent and by term; `team` is their sum over the terms.
        losses: Figures of the last updates by learner.
        evaluations, checkpoints: Records, the newest first.
        best: The evaluation that was the best so far.
        alerts: Warnings and findings; the time of an alert is its episode.
        version: Rises with every record.
    """

    def __init__(self, info: TrainingInfo, now: float) -> None:
        self.info, self.began, self.updated = info, now, now
        self.episode, self.env_steps, self.epsilon = info.resumed, 0, math.nan
        self.rewards = {agent: EpisodeSeries() for agent in AGENT_NAMES}
        self.terms = {term: EpisodeSeries() for term in TERMS}
        self.team = EpisodeSeries()
        self.losses: dict[str, dict[str, float]] = {}
        self.evaluations: deque[Record] = deque(maxlen=64)
        self.checkpoints: deque[tuple[Record, float]] = deque(maxlen=16)
        self.best: Record | None = None
        self.alerts = Alerts()
        self.version, self.ended = 0, False
        self._seconds = self._mean_speed = math.nan
        self._pace: deque[tuple[float, int]] = deque(maxlen=SPEED_WINDOW)

    def update(self, record: Record, now: float) -> None:
        """Take a record; kinds that are not known are left out.

        Args:
            record: See `training.trainer.history`.
            now: Wall time, seconds since 1970.
        """
        take = {
            "episode": self._episode,
            "losses": self._losses,
            "evaluation": self._evaluation,
            "checkpoint": lambda found: self.checkpoints.appendleft((found, now)),
            "alert": self._alert,
            "imitation": self._alert,
            "verdict": self._alert,
            "collapse": self._alert,
        }.get(str(record.get("kind")))
        if take is None:
            return
        self.updated = now
        self.episode = max(self.episode, int(record.get("episode", 0)))
        take(record)
        if record["kind"] == "episode":
            self._pace.append((now, self.env_steps))
        self.version += 1

    def end(self) -> None:
        """No more will come."""
        self.ended = True
        self.version += 1

    @property
    def progress(self) -> float:
        """Share of the episodes that are over."""
        return min(1.0, self.episode / max(1, self.info.total_episodes))

    def elapsed(self, now: float) -> float:
        """Seconds of this run."""
        return max(0.0, (self.updated if self.ended else now) - self.began)

    def seconds_left(self) -> float | None:
        """Seconds to the last episode at the pace of this run so far; None before the first.

        The pace is that of the training only, without the time that loading and compiling took.
        """
        done = self.episode - self.info.resumed
        if done < 1 or self.ended:
            return None
        taken = self._seconds if math.isfinite(self._seconds) else self.updated - self.began
        return taken / done * max(0, self.info.total_episodes - self.episode)

    @property
    def speed(self) -> float:
        """Steps of all environments a second, lately; NaN before it can be computed.

        Until episodes have ended at different times, that of the run so far.
        """
        if len(self._pace) < 2:
            return self._mean_speed
        (start, before), (end, after) = self._pace[0], self._pace[-1]
        return (after - before) / (end - start) if end > start and after > before else self._mean_speed

    def _episode(self, record: Record) -> None:
        self.env_steps = int(record.get("env_steps", self.env_steps))
        self.epsilon = _number(record.get("epsilon"))
        self._seconds, self._mean_speed = _number(record.get("seconds")), _number(record.get("steps_per_second"))
        terms = record.get("terms") or {}
        for name, series in (*self.rewards.items(), *self.terms.items()):
            source = record.get("rewards") or {} if series is self.rewards.get(name) else terms
            if name in source:
                series.add(_number(source[name]))
        if terms:
            total = sum(_number(value) for value in terms.values())
            self.team.add(total)
            if not math.isfinite(total):
                self._warn("the reward of an episode is not a finite number", AlertLevel.CRITICAL)

    def _losses(self, record: Record) -> None:
        for learner in LEARNERS:
            if record.get(learner):
                self.losses[learner] = {str(name): _number(value) for name, value in record[learner].items()}
        for learner, figures in self.losses.items():
            bad = [name for name, value in figures.items() if not math.isfinite(value)]
            if bad:
                self._warn(f"{LEARNERS[learner]}: {bad[0]} is not a finite number", AlertLevel.CRITICAL)
        strategic = self.losses.get("ppo", {})
        if strategic.get("approx_kl", 0.0) > MOST_KL:
            self._warn("strategic: an update changes the policy too much; lower its learning rate or epochs")
        if strategic.get("entropy", 1.0) < LEAST_ENTROPY:
            self._warn("strategic: hardly explores any more; raise its entropy weight")

    def _evaluation(self, record: Record) -> None:
        self.evaluations.appendleft(record)
        if record.get("best") or self.best is None:
            self.best = record
        if record.get("trades") == 0 and not record.get("exposure", record.get("mean_return")):
            self._warn("an evaluation ended without a single position")
        since = int(self.best.get("episode", 0))
        patience = self.info.patience
        if patience is not None and self.episode - since >= patience / 2:
            self._warn(f"no better evaluation since episode {since:,}; stops early at {since + patience:,}")

    def _alert(self, record: Record) -> None:
        name = str(record.get("severity", "warning")).upper()
        severity = AlertLevel[name] if name in AlertLevel.__members__ else AlertLevel.WARNING
        self._warn(str(record.get("text", "")), severity)

    def _warn(self, words: str, severity: AlertLevel = AlertLevel.WARNING) -> None:
        self.alerts.add(AlertLine(self.episode, severity, words))


def file_name(record: Record) -> str:
    """Name of a checkpoint's file."""
    return PurePath(str(record.get("path", ""))).name


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else math.nan
