"""Finding the checkpoint that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.base.errors import CheckFailed, DataError, UsageError, recast
from training.checkpoint import SUFFIX, Checkpoint, checkpoints, load, newest_good

CHECKPOINT_FOLDERS = (".", "checkpoints")
MOST_SEEDS = 4
"""Folders of seeds that a message names."""
NOTE: dict[str, Any] = {"config": dict, "episode": int, "training_data": list}
"""What a note must hold, of which type."""


def find(source: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The checkpoint that is meant, verified.

    Args:
        source: A checkpoint, or a folder: the newest of its that is whole.
        warn: Told if a newer one is damaged.

    Raises:
        UsageError: If a folder holds none.
        DataError: If there is no such file, it is damaged, or all of a folder are.
    """
    return with_note(_found(source, warn))


def with_note(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint, whose note says what a training says of itself.

    Raises:
        DataError: If it does not.
    """
    wrong = [name for name, kind in NOTE.items() if not isinstance(checkpoint.note.get(name), kind)]
    if wrong:
        raise DataError(
            "the checkpoint is not that of a training",
            where=str(checkpoint.path),
            expected=f"a note with {', '.join(NOTE)}",
            found=f"{wrong[0]}: {checkpoint.note.get(wrong[0], 'missing')}",
        )
    return checkpoint


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What goes on from a checkpoint; where parts are missing or of another kind, it says so.

    Raises:
        DataError: If they are.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise DataError(
            f"the checkpoint does not hold what this training needs: {missing}",
            where=str(path),
            expected="a checkpoint of a training with the same agents",
            hint="resume from a checkpoint of this training, or start a new one",
        ) from error


def _found(source: Path, warn: Callable[[str], None]) -> Checkpoint:
    if not source.is_dir():
        return _loaded(source)
    folders = [source / name for name in CHECKPOINT_FOLDERS if checkpoints(source / name)]
    if not folders:
        raise UsageError(
            "the folder holds no checkpoint",
            where=str(source),
            expected=f"files that end in {SUFFIX}, there or in its folder checkpoints",
            hint=_seeds_hint(source) or "`grandmodel train` writes them",
        )
    newest = checkpoints(folders[0])[-1]
    found = newest_good(folders[0])
    if found is None:
        return _loaded(newest)  # says what is wrong with it
    if found.path != newest:
        warn(f"{newest.name} is damaged; {found.path.name} is the newest that is whole")
    return found


def _seeds_hint(source: Path) -> str | None:
    """What to do with the folder of a training of several seeds, whose checkpoints are in a folder for each."""
    seeds = [
        path for path in sorted(source.glob("seed-*")) if any(checkpoints(path / name) for name in CHECKPOINT_FOLDERS)
    ]
    if not seeds:
        return None
    more = f" and {len(seeds) - MOST_SEEDS} more" if len(seeds) > MOST_SEEDS else ""
    named = ", ".join(map(str, seeds[:MOST_SEEDS]))
    return f"this is a training of several seeds, each with a folder of its own: {named}{more}"


def _loaded(path: Path) -> Checkpoint:
    try:
        return load(path)
    except CheckFailed as error:  # here it is what a command was given to go on from, and not what it checks
        raise recast(error, DataError) from error
