"""What is said of a challenger that fails: one line, with the place in its code and what to do."""

from __future__ import annotations

import traceback

from engine.base.errors import GrandModelError
from engine.base.log import logger
from engine.challengers.books import Failed

HINT = "correct it and start it again; the others trade on"


def in_words(error: Exception) -> str:
    """What an agent raised, without where."""
    return error.what if isinstance(error, GrandModelError) else f"{type(error).__name__}: {error}"


def warn_of_failure(name: str, failed: Failed) -> None:
    """Write one line to the log.

    Args:
        name: Specification of the challenger.
        failed: Where and why it failed.
    """
    logger("challengers").warning(
        f"challenger {name} failed at row {failed.seq} and is retired: {in_words(failed.error)}",
        where=_place(failed.error),
        hint=HINT,
    )


def _place(error: Exception) -> str:
    """Where it arose: as the error says, else the file and line."""
    if isinstance(error, GrandModelError) and error.where is not None:
        return error.where
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown"
