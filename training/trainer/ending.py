"""How a training ends: what it has to show, or the error that stopped it and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.base.errors import CheckFailed, DataError, GrandModelError


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training ends with.

    Attributes:
        episodes, env_steps: In all, those before a resume included.
        run_steps: Steps of this run.
        seconds: Of this run.
        evaluation: Of the networks that were kept, on the validation part.
        checkpoint: The last one.
        weights_sha256: Of the last networks.
        kept_episode: After which the best networks, which are exported, were evaluated.
        stopped: finished: all episodes were played, or every agent had its turn; early; or interrupted.
        why: The same in a few words, for people.
    """

    episodes: int
    env_steps: int
    run_steps: int
    seconds: float
    evaluation: dict[str, Any] | None
    checkpoint: Path
    weights_sha256: str
    kept_episode: int
    stopped: str
    why: str = ""


def with_last_checkpoint(error: GrandModelError | OSError, moment: str, checkpoint: Path | None) -> GrandModelError:
    """The same error, saying what is left.

    Args:
        error: What stopped the training.
        moment: Episode and step at which it did.
        checkpoint: The last good one; None if there is none yet.
    """
    left = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint yet"
    if isinstance(error, OSError):
        return DataError(
            f"the training cannot write: {error.strerror or error}",
            where=f"{moment}; {error.filename}" if error.filename else moment,
            hint=f"{left}; free some space, then continue with --resume" if checkpoint else left,
        )
    kind = type(error) if isinstance(error, CheckFailed | DataError) else DataError
    advice = "; lower the learning rates, or resume from it with --resume" if isinstance(error, CheckFailed) else ""
    return kind(
        error.what,
        where=f"{moment}; {error.where}" if error.where else moment,
        expected=error.expected,
        found=error.found,
        hint=left + advice,
    )
