"""Whether a candidate is better than its parent: both trade the same episodes, and their difference counts.

* On recent bars that it has not learned from, the candidate has to be better by more than two standard errors of the
  mean difference. Of candidates that are no better about one in forty passes; where the market turned and more is to
  be gained, a network starts over (`training.online.relearning`), and need not pass here.
* What it forgets must not outweigh that: its gain on recent bars and that on older ones, weighted as it learned from
  them, must not be below 0 together by more than their error.
* A network that imitates a regression is judged by that: see `judge_relearned`.
* It must not meet hard limits more often than its parent, nor always decide the same where its parent does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.learning.job import Refusal
from engine.types.blocks import Floats
from training.data.parts import Range
from training.evaluation.diagnosis import NEARLY_ALL
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import Policy
from training.evaluation.results import EpisodeResult
from training.evaluation.statistics import effective_count, t_quantile
from training.evaluation.summary import pooled_actions
from training.online.relearning import Relearned
from training.trainer.seats import judging_starts
from training.trainer.setup import TrainingSetup

CONFIDENCE = 0.9545
"""Of the two-sided interval whose lower end is read: two standard errors, and more where episodes are few."""


class Gain(NamedTuple):
    """Of a candidate over its parent, in reward an episode.

    Attributes:
        mean: Difference.
        error: Standard error of the mean.
        reach: Standard errors to the end of the interval.
        episodes: Compared.
    """

    mean: float
    error: float
    reach: float
    episodes: int

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.reach * self.error if self.episodes > 1 else -math.inf


@dataclass(frozen=True)
class Comparison:
    """Candidate and parent on the same episodes of one part.

    Attributes:
        gain: Of the candidate.
        candidate, parent: Results of each.
    """

    gain: Gain
    candidate: Sequence[EpisodeResult]
    parent: Sequence[EpisodeResult]


@dataclass(frozen=True)
class Judgement:
    """What is decided of a candidate.

    Attributes:
        reason: Why it is refused; None if it is accepted.
        because: In words.
        figures: What was measured.
    """

    reason: Refusal | None
    because: str
    figures: dict[str, float]


def compare(setup: TrainingSetup, candidate: Policy, parent: Policy, ranges: tuple[Range, ...]) -> Comparison | None:
    """Let both trade the same episodes, without exploration; None where the part holds none.

    Args:
        setup: Of the job.
        candidate, parent: Networks as they are served.
        ranges: Of the part.
    """
    if not ranges:
        return None
    config, length = setup.config, setup.config.training_params.episode_length
    starts = judging_starts(setup, ranges)
    ours, theirs = (
        run_episodes(
            setup.market, config.portfolio, setup.rewards, config.ensemble, policy, starts, length, envs=len(starts)
        )
        for policy in (candidate, parent)
    )
    count = effective_count(starts.tolist(), [length] * len(starts))
    differences = np.array([a.reward - b.reward for a, b in zip(ours, theirs, strict=True)])
    return Comparison(_gain(differences, count), ours, theirs)


def judge_candidate(recent: Comparison, older: Comparison | None, share: float) -> Judgement:
    """Accept a candidate, or say why not.

    Args:
        recent: On recent bars that it has not learned from.
        older: On older ones; None without any.
        share: Weight of the recent gain, the share of recent episodes that it learned from.
    """
    figures = {"recent_gain": recent.gain.mean, "recent_error": recent.gain.error, "recent_low": recent.gain.low}
    if not math.isfinite(recent.gain.low):
        figures.pop("recent_low")
    figures["episodes"] = float(recent.gain.episodes)
    parts = [recent]
    if older is not None:
        figures |= {"older_gain": older.gain.mean, "older_error": older.gain.error}
        parts.append(older)
    found = _collapsed(parts) or _limits(parts) or _gate(recent.gain, None if older is None else older.gain, share)
    if found is not None:
        return Judgement(*found, figures)
    return Judgement(None, f"better on recent bars by {_said(recent.gain)}", figures)


def judge_relearned(recent: Comparison, older: Comparison | None, relearned: Relearned) -> Judgement:
    """Accept a network that imitates a regression, unless it always does the same or meets hard limits.

    That it earns more than its parent was tested on every decision of the window by regressions that had not seen it;
    the network itself has, so that no episode of the window can judge it.
    """
    figures = relearned.figures()
    parts = [recent] if older is None else [recent, older]
    found = _collapsed(parts) or _limits(parts)
    return Judgement(*found, figures) if found is not None else Judgement(None, relearned.text(), figures)


def _gate(recent: Gain, older: Gain | None, share: float) -> tuple[Refusal, str] | None:
    if recent.low <= 0.0:
        return "gate", f"not better on recent bars beyond error: {_said(recent)}"
    if older is None or older.episodes < 2:
        return None
    mean = share * recent.mean + (1.0 - share) * older.mean
    error = math.hypot(share * recent.error, (1.0 - share) * older.error)
    if mean + error < 0.0:
        return "gate", f"loses more on older bars ({_said(older)}) than it gains on recent ones ({_said(recent)})"
    return None


def _collapsed(parts: Sequence[Comparison]) -> tuple[Refusal, str] | None:
    ours, theirs = ([result for part in parts for result in getattr(part, who)] for who in ("candidate", "parent"))
    direction, most = _most_taken(ours)
    if most < NEARLY_ALL or _most_taken(theirs)[1] >= NEARLY_ALL:
        return None
    return "collapsed", f"always decides {direction}: in {most:.1%} of its decisions"


def _most_taken(results: Sequence[EpisodeResult]) -> tuple[str, float]:
    use = pooled_actions(results)
    if use is None:
        return "nothing", 0.0
    shares = np.array(use.strategic) / max(sum(use.strategic), 1)
    at = int(shares.argmax())
    return ("short", "neutral", "long")[at], float(shares[at])


def _limits(parts: Sequence[Comparison]) -> tuple[Refusal, str] | None:
    ours, theirs = (
        [result.halted for part in parts for result in getattr(part, who) if result.halted is not None]
        for who in ("candidate", "parent")
    )
    if len(ours) <= len(theirs):
        return None
    names = ", ".join(sorted({name.replace("_", " ") for name in ours}))
    total = sum(part.gain.episodes for part in parts)
    return "limits", f"meets hard limits ({names}) in {len(ours)} of {total} episodes, its parent in {len(theirs)}"


def _gain(differences: Floats, count: float) -> Gain:
    episodes = len(differences)
    if episodes < 2 or count < 2:
        return Gain(float(differences.mean()), 0.0, math.inf, min(episodes, 1))
    error = float(differences.std(ddof=1)) / math.sqrt(count)
    return Gain(float(differences.mean()), error, t_quantile(count - 1, CONFIDENCE), episodes)


def _said(gain: Gain) -> str:
    return f"{gain.mean:+.3f} ± {gain.error:.3f} of reward an episode ({gain.episodes} episodes)"
